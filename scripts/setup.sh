#!/bin/sh
# Installs what the tests need: the npm packages of the lock file, and redis-server and mosquitto-clients from the
# system's package manager where they are missing. Starts no service. Needs Node and npm, and no npm package.
set -eu
cd "$(dirname "$0")/.."

echo "setup: npm ci"
npm ci --no-audit --no-fund

missing=""
command -v redis-server >/dev/null 2>&1 || missing="$missing redis"
command -v mosquitto_pub >/dev/null 2>&1 || missing="$missing mosquitto"
if [ -z "$missing" ]; then
  echo "setup: redis-server and mosquitto clients are there"
  exit 0
fi

as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "setup: missing:$missing; install redis-server and mosquitto-clients as root, then run this again" >&2
    exit 1
  fi
  as_root="sudo"
fi

# What a package would start on installation stays stopped: Debian asks this script, and 101 means no.
hold_services() {
  policy=/usr/sbin/policy-rc.d
  [ -e "$policy" ] && return 0
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod +x "$policy"
  trap '$as_root rm -f "$policy"' EXIT
}

if command -v apt-get >/dev/null 2>&1; then
  packages="$(echo "$missing" | sed 's/redis/redis-server/; s/mosquitto/mosquitto-clients/')"
  echo "setup: apt-get install$packages"
  hold_services
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
elif command -v dnf >/dev/null 2>&1; then
  echo "setup: dnf install$missing"
  # shellcheck disable=SC2086
  $as_root dnf install -y -q $missing
elif command -v apk >/dev/null 2>&1; then
  packages="$(echo "$missing" | sed 's/mosquitto/mosquitto-clients/')"
  echo "setup: apk add$packages"
  # shellcheck disable=SC2086
  $as_root apk add --quiet $packages
elif command -v brew >/dev/null 2>&1; then
  echo "setup: brew install$missing"
  # shellcheck disable=SC2086
  brew install --quiet $missing
else
  echo "setup: missing:$missing, and no package manager that this script knows; install them, then run this again" >&2
  exit 1
fi
echo "setup: done"
