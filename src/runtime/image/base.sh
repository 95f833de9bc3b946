#!/usr/bin/env bash
# Makes the base of the workspace image where no registry answers: a minimal Debian, as a tar on stdout.
#
#   bash -c "$(cat base.sh)" perry-base DIR [SUITE] >base.tar        # as root; DIR is a scratch folder
#
# What it does is told on stderr, the whole log is DIR/debootstrap.log; DIR/root is removed again.
set -euo pipefail

[ $# -ge 1 ] || { echo "usage: base.sh DIR [SUITE] >base.tar" >&2; exit 2; }
readonly DIR=$1 SUITE=${2:-trixie}
readonly ROOT=$DIR/root LOG=$DIR/debootstrap.log KEYS=/usr/share/keyrings/debian-archive-keyring.gpg

say() { echo "base: $*" >&2; }
die() {
  echo "error: $1" >&2
  [ $# -lt 2 ] || echo "hint: $2" >&2
  exit 1
}

clean_up() {
  # An aborted debootstrap leaves mounts behind, and what is mounted must not be removed with the rest.
  umount -l "$ROOT/proc" "$ROOT/sys" 2>/dev/null || true
  rm -rf --one-file-system "$ROOT"
}

# The URI of the machine's own apt entry whose path matches, so that the owner's mirror is used.
own_mirror() { # extended regular expression for the end of the URI
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    grep -Ev '^[[:space:]]*#' | grep -E '^(deb |URIs:)' | grep -oE 'https?://[^] ]+' | sed 's:/*$::' | grep -E "$1\$" | head -n 1 || true
}

[ "$(id -u)" = 0 ] || die "making a base image needs root" "run this as root, or let the engine pull the base from a registry"
[ ! -t 1 ] || die "the image goes to stdout, and stdout is a terminal" "redirect it to a file"
if ! command -v debootstrap >/dev/null || ! [ -f "$KEYS" ]; then
  command -v apt-get >/dev/null || die "debootstrap is not installed" "install debootstrap and Debian's archive keys, or let the engine pull the base from a registry"
  say "installing debootstrap"
  apt-get update -qq </dev/null >&2 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 debootstrap debian-archive-keyring </dev/null >&2 ||
    die "apt-get could not install debootstrap" "install it by hand, then try again"
fi

mkdir -p "$DIR"
[ ! -e "$ROOT" ] || die "$ROOT is in the way" "give an empty folder"
trap clean_up EXIT
trap 'exit 130' INT TERM

mirror=$(own_mirror '/debian')
say "debootstrap $SUITE from ${mirror:-the default mirror}"
# Without a mirror debootstrap takes Debian's own. Of its hundreds of lines the stages are progress, the rest is log.
debootstrap --variant=minbase --keyring="$KEYS" "$SUITE" "$ROOT" ${mirror:+"$mirror"} </dev/null 2>&1 | tee "$LOG" |
  { grep --line-buffered -E '^(I: (Resolving|Found|Extracting packages|Unpacking the|Configuring the|Base system)|[WE]: )' || true; } |
  sed -u 's/^I: /base: /' >&2 ||
  { tail -n 5 "$LOG" >&2; die "debootstrap $SUITE failed (its log is $LOG)" "is the mirror reachable, and is $SUITE a Debian release?"; }

# apt inside: the same mirror, with updates and security fixes where the mirror has them.
mirror=$(sed -nE 's:^deb +([^ ]+) .*:\1:p' "$ROOT/etc/apt/sources.list" | head -n 1)
security=$(own_mirror '/debian-security')
[ -n "$security" ] || security=${mirror%/debian}/debian-security
rm -f "$ROOT/etc/apt/sources.list"
entry() { # URI suite…
  local uri=$1 found="" suite
  shift
  for suite; do
    if wget -q --spider --timeout=10 --tries=2 "$uri/dists/$suite/InRelease"; then found="$found $suite"; fi
  done
  [ -n "$found" ] || return 0
  printf 'Types: deb\nURIs: %s\nSuites:%s\nComponents: main\nSigned-By: %s\n\n' "$uri" "$found" "$KEYS" >>"$ROOT/etc/apt/sources.list.d/debian.sources"
}
entry "$mirror" "$SUITE" "$SUITE-updates"
entry "$security" "$SUITE-security"

# What Debian's own container images do: nothing starts while packages are installed, and no layer keeps caches,
# documentation or translations.
printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
chmod 755 "$ROOT/usr/sbin/policy-rc.d"
cat >"$ROOT/etc/apt/apt.conf.d/docker" <<'END'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
END
cat >"$ROOT/etc/dpkg/dpkg.cfg.d/docker" <<'END'
force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-include /usr/share/locale/locale.alias
path-exclude /usr/share/man/*
END
find "$ROOT/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$ROOT"/usr/share/{info,man,locale}/* "$ROOT"/var/cache/apt/*.bin "$ROOT"/var/cache/apt/archives/*.deb \
  "$ROOT"/var/lib/apt/lists/* "$ROOT"/var/log/*.log "$ROOT"/var/log/apt/* "$ROOT"/etc/hostname "$ROOT"/etc/resolv.conf
: >"$ROOT/etc/machine-id"

say "packing"
umount -l "$ROOT/proc" "$ROOT/sys" 2>/dev/null || true
tar -C "$ROOT" --one-file-system --numeric-owner --sort=name --exclude='./dev/*' -cf - .
say "done"
