#!/bin/sh
# Installs what the tests need: the npm packages of the lock file, and redis-server, mosquitto's clients and
# rabbitmq-server from the system's package manager where they are missing. Starts no service. Needs Node and npm, and no
# npm package.
set -eu
cd "$(dirname "$0")/.."

echo "setup: npm ci"
npm ci --no-audit --no-fund

# Servers stand in sbin, which is not on everybody's path.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
missing=""
command -v redis-server >/dev/null 2>&1 || missing="$missing redis"
command -v mosquitto_pub >/dev/null 2>&1 || missing="$missing mosquitto"
command -v rabbitmq-server >/dev/null 2>&1 || missing="$missing rabbitmq"
if [ -z "$missing" ]; then
  echo "setup: redis-server, mosquitto's clients and rabbitmq-server are there"
  exit 0
fi

as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "setup: missing:$missing; install them as root, then run this again" >&2
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
  packages="$(echo "$missing" | sed 's/redis/redis-server/; s/mosquitto/mosquitto-clients/; s/rabbitmq/rabbitmq-server/')"
  echo "setup: apt-get install$packages"
  hold_services
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
elif command -v dnf >/dev/null 2>&1; then
  echo "setup: dnf install$missing"
  # shellcheck disable=SC2086
  $as_root dnf install -y -q $(echo "$missing" | sed 's/rabbitmq/rabbitmq-server/')
elif command -v apk >/dev/null 2>&1; then
  packages="$(echo "$missing" | sed 's/mosquitto/mosquitto-clients/; s/rabbitmq/rabbitmq-server/')"
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
