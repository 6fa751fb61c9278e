#!/bin/sh
# Installs what the tests need where it is missing: the npm packages of the lock file, and redis-server, mosquitto's
# clients, rabbitmq-server and valkey-server from the system's package manager. Not every system has Valkey: where it
# cannot be had, its tests are left out. Starts no service. Needs Node and npm, and no npm package.
set -eu
cd "$(dirname "$0")/.."

echo "setup: npm ci"
npm ci --no-audit --no-fund

# Servers stand in sbin, which is not on everybody's path.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
has() { command -v "$1" >/dev/null 2>&1; }
missing=""
has redis-server || missing="$missing redis"
has mosquitto_pub || missing="$missing mosquitto"
has rabbitmq-server || missing="$missing rabbitmq"
if [ -z "$missing" ] && has valkey-server; then
  echo "setup: redis-server, mosquitto's clients, rabbitmq-server and valkey-server are there"
  exit 0
fi

# Ends the script, as a failure only if something is missing that the tests cannot do without.
give_up() {
  if [ -n "$missing" ]; then
    echo "setup: missing:$missing; $1, then run this again" >&2
    exit 1
  fi
  echo "setup: no Valkey, whose tests are left out (where CI is set they fail): $1"
  exit 0
}

names=""
if has apt-get; then
  manager="apt-get"
  names="s/redis/redis-server/; s/mosquitto/mosquitto-clients/; s/rabbitmq/rabbitmq-server/; s/valkey/valkey-server/"
elif has dnf; then
  manager="dnf"
  names="s/rabbitmq/rabbitmq-server/"
elif has apk; then
  manager="apk"
  names="s/mosquitto/mosquitto-clients/; s/rabbitmq/rabbitmq-server/"
elif has brew; then
  manager="brew"
else
  give_up "there is no package manager that this script knows: install it"
fi
as_root=""
if [ "$(id -u)" -ne 0 ] && [ "$manager" != brew ]; then
  has sudo || give_up "there is no sudo: install it as root"
  as_root="sudo"
fi

scratch="$(mktemp -d)"
policy=""
tidy() {
  rm -rf "$scratch"
  [ -z "$policy" ] || $as_root rm -f "$policy"
}
trap tidy EXIT

# What a package would start on installation stays stopped: Debian asks this script, and 101 means no.
hold_services() {
  [ -e /usr/sbin/policy-rc.d ] && return 0
  policy=/usr/sbin/policy-rc.d
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod +x "$policy"
}

# What apt reads in place of /etc/apt/sources.list, if anything.
sources=""
apt() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq ${sources:+-o "Dir::Etc::sourcelist=$sources"} "$@"
}

install() {
  # shellcheck disable=SC2046
  set -- $(echo "$*" | sed "$names")
  echo "setup: $manager install $*"
  case "$manager" in
    apt-get) apt install -y --no-install-recommends "$@" >/dev/null ;;
    dnf) $as_root dnf install -y -q "$@" ;;
    apk) $as_root apk add --quiet "$@" ;;
    brew) brew install --quiet "$@" ;;
  esac
}

# Debian 12 has Valkey in its backports only. apt is told of them for this once: the system's sources stay as they are.
find_valkey() {
  [ "$manager" = apt-get ] && [ -z "$(apt-cache madison valkey-server)" ] || return 0
  codename="$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME")" || return 0
  sources="$scratch/sources.list"
  [ ! -e /etc/apt/sources.list ] || cat /etc/apt/sources.list >"$sources"
  echo "deb http://deb.debian.org/debian $codename-backports main" >>"$sources"
  apt update
}

if [ "$manager" = apt-get ]; then
  hold_services
  if [ -n "$missing" ]; then apt update; else apt update 2>/dev/null || true; fi
fi
# shellcheck disable=SC2086
[ -z "$missing" ] || install $missing
missing=""
has valkey-server || { find_valkey && install valkey; } 2>"$scratch/errors" || give_up "$(tail -n 1 "$scratch/errors")"
echo "setup: done"
