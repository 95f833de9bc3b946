#!/usr/bin/env bash
# Makes sure that a Docker engine answers: uses the one that is there, starts an installed one, installs one where
# that can be done safely (Debian, Ubuntu). Changes nothing, and takes no time, where an engine answers already.
set -euo pipefail

readonly SOCKET=/var/run/docker.sock
readonly LOG=/var/log/perry-dockerd.log
readonly OLDER=bookworm # the Debian release whose engine is too old
readonly NEWER=trixie   # and the one whose engine will do

say() { echo "engine: $*" >&2; }
die() {
  echo "error: $1" >&2
  [ $# -lt 2 ] || echo "hint: $2" >&2
  exit 1
}
has() { command -v "$1" >/dev/null; }

# Exit code 0: an engine answers there.
answers() { # [host as in DOCKER_HOST]
  local host=${1:-unix://$SOCKET}
  case "$host${DOCKER_TLS_VERIFY:+ tls}" in
    unix://*) curl -fsS -o /dev/null --max-time 5 --unix-socket "${host#unix://}" http://localhost/_ping 2>/dev/null ;;
    tcp://*tls) has docker && docker version >/dev/null 2>&1 ;;
    tcp://*) curl -fsS -o /dev/null --max-time 5 "http://${host#tcp://}/_ping" 2>/dev/null ;;
    *) has docker && docker version >/dev/null 2>&1 ;;
  esac
}

# The machine's own apt entry for Debian with the suite changed, so that mirror and keys stay the owner's.
entry_for() { # codename wanted
  local file out
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] || continue
    out=$(awk -v RS= -v from="$1" -v to="$2" '
      function field(name,  i) { for (i = 1; i <= n; i++) if (index(line[i], name ":") == 1) return substr(line[i], length(name) + 2); return "" }
      {
        n = split($0, line, "\n")
        if ((" " field("Types") " ") !~ / deb / || (" " field("Suites") " ") !~ (" " from " ") || field("Enabled") ~ /no/) next
        for (i = 1; i <= n; i++) {
          if (line[i] ~ /^#/) continue
          if (line[i] ~ /^Types:/) line[i] = "Types: deb"
          if (line[i] ~ /^Suites:/) line[i] = "Suites: " to
          print line[i]
        }
        exit
      }' "$file")
    [ -z "$out" ] || { printf 'sources\n%s\n' "$out"; return; }
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -e "$file" ] || continue
    out=$(sed -nE "s/^(deb +(\[[^]]*\] +)?[^ ]+) +$1( .*)$/\1 $2\3/p" "$file" | head -n 1)
    [ -z "$out" ] || { printf 'list\n%s\n' "$out"; return; }
  done
  return 1
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" </dev/null >>"$LOG.install" 2>&1 ||
    { tail -n 20 "$LOG.install" >&2; die "apt-get install $* failed (its output is above and in $LOG.install)" "install $* by hand (a Docker engine must be version 23 or newer), then try again"; }
}
apt_update() {
  apt-get update -qq </dev/null >>"$LOG.install" 2>&1 || say "apt-get update complained (see $LOG.install); going on"
}

install_engine() {
  local id like candidate entry
  # shellcheck disable=SC1091
  { . /etc/os-release; } 2>/dev/null || die "no Docker engine answers, and this is not Debian or Ubuntu" "install and start Docker, or point DOCKER_HOST at an engine"
  id=${ID:-} like=${ID_LIKE:-}
  case " $id $like " in *" debian "* | *" ubuntu "*) ;; *)
    die "no Docker engine answers, and Perry cannot install one on ${PRETTY_NAME:-this system}" "install and start Docker, or point DOCKER_HOST at an engine" ;;
  esac

  say "no Docker engine here: installing one (a minute at most, output in $LOG.install)"
  apt_update
  candidate=$(apt-cache policy docker.io | sed -nE 's/^ *Candidate: ([0-9]+:)?([0-9]+).*/\2/p')
  if [ "${candidate:-0}" -ge 23 ]; then
    apt_install docker.io
    return
  fi

  # Debian 12 has 20.10, which asks for every capability there is under --privileged and fails where the machine
  # lacks one. The next release's engine asks only for those that are there. Only docker.io itself comes from there,
  # by `name/suite`: `-t suite` would take its dependencies too, and with runc a new libc. What counts is the suite of
  # the apt sources: a machine may be half upgraded, and then calls itself by the newer name.
  [ "$id" = debian ] ||
    die "the docker.io package of ${PRETTY_NAME:-this system} (${candidate:-none}) is too old for Perry" "install a Docker engine of version 23 or newer by hand, then try again"
  entry=$(entry_for "$OLDER" "$NEWER") ||
    die "docker.io here is ${candidate:-in no apt source}, and no apt source for Debian $OLDER was found to take the mirror from" "install a Docker engine of version 23 or newer by hand, then try again"
  say "Debian $OLDER has too old an engine: taking docker.io, and only that, from $NEWER"
  printf '%s\n' "${entry#*$'\n'}" >"/etc/apt/sources.list.d/perry-$NEWER.${entry%%$'\n'*}"
  printf 'Package: *\nPin: release n=%s\nPin-Priority: 100\n' "$NEWER" >"/etc/apt/preferences.d/perry-$NEWER"
  apt_update
  apt_install "docker.io/$NEWER"
}

start_engine() {
  local pid i
  if [ -d /run/systemd/system ]; then
    say "starting the docker service"
    systemctl start docker || die "systemctl start docker failed" "journalctl -u docker -n 50 shows why"
    LOG_HINT="journalctl -u docker -n 50 shows why"
    pid=
  else
    pid=$(cat /var/run/docker.pid 2>/dev/null || true)
    # A pid file outlives a killed engine, and its number may be another process by now: then dockerd refuses to start.
    if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
      say "an engine is starting (pid $pid)"
    else
      rm -f /var/run/docker.pid
      say "starting dockerd (log in $LOG)"
      # 9 is the lock of this script: dockerd must not hold it.
      setsid dockerd >>"$LOG" 2>&1 </dev/null 9>&- &
      pid=$!
    fi
    LOG_HINT="the end of $LOG is above"
  fi
  for ((i = 0; i < 300; i++)); do
    if answers; then return; fi
    if [ -n "$pid" ] && ! [ -d "/proc/$pid" ]; then break; fi
    sleep 0.1
  done
  [ ! -f "$LOG" ] || tail -n 20 "$LOG" >&2
  if [ -n "$pid" ] && ! [ -d "/proc/$pid" ]; then die "dockerd ended right after its start" "$LOG_HINT"; fi
  die "the Docker engine did not answer on $SOCKET within 30 s" "$LOG_HINT"
}

if ! has curl; then
  if ! has apt-get || [ "$(id -u)" != 0 ]; then die "curl is not installed" "install curl, then try again"; fi
  say "installing curl"
  apt_update
  apt_install curl
fi
if answers "${DOCKER_HOST:-}"; then exit 0; fi
[ -z "${DOCKER_HOST:-}" ] || die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST" "start it, or unset DOCKER_HOST to use the one of this machine"
[ "$(uname -s)" = Linux ] || die "no Docker engine answers on $SOCKET" "start Docker (Desktop, Colima, OrbStack, …), or point DOCKER_HOST at its socket"

if [ "$(id -u)" != 0 ]; then
  ! [ -S "$SOCKET" ] || [ -w "$SOCKET" ] ||
    die "an engine's socket is there, but $(id -un) may not use $SOCKET" "sudo usermod -aG docker $(id -un), log in again, then try again"
  has sudo || die "no Docker engine answers, and installing one needs root" "run this as root, or install and start Docker by hand"
  ask=()
  [ -t 0 ] || ask=(-n) # never a prompt when nobody can answer
  say "needs root to install or start the engine: using sudo"
  sudo "${ask[@]}" -- bash "$0" || die "no Docker engine answers, and sudo could not start one" "run scripts/engine.sh as root, or install and start Docker by hand"
  answers || die "the engine runs, but $(id -un) may not use $SOCKET" "sudo usermod -aG docker $(id -un), log in again, then try again"
  exit 0
fi

# Two runs at once: the second waits, then finds the engine of the first.
exec 9>/var/run/perry-engine.lock
if has flock; then flock 9; fi
if answers; then exit 0; fi
has dockerd || install_engine
answers || start_engine
say "ready: $(curl -fsS --unix-socket "$SOCKET" http://localhost/version | sed -nE 's/.*"Version":"([^"]+)","ApiVersion":"([^"]+)".*/Docker \1, API \2/p' || true) on $SOCKET"
