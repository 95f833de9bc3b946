#!/usr/bin/env bash
# Builds the release binary and prints its path, wherever cargo's settings put it; target/release/perry points there.
set -euo pipefail
cd "$(dirname "$0")/.."

perry=$(cargo build --release --bin perry --message-format=json-render-diagnostics |
  sed -nE 's/.*"name":"perry".*"executable":"([^"]+)".*/\1/p' | tail -n 1)
[ -x "$perry" ] || { echo "error: cargo built no executable named perry" >&2; exit 1; }

# .cargo/config.toml names a target, so cargo's folder carries its name.
link=${CARGO_TARGET_DIR:-target}/release/perry
if ! [ "$perry" -ef "$link" ]; then
  mkdir -p "${link%/*}"
  ln -sfn "$perry" "$link"
fi
echo "$perry"
