#!/usr/bin/env bash
# Builds the workspace image: scripts/image.sh PERRY [--if-missing] [--variant full|slim]. The running agent does it; where there is none,
# one with a scratch folder and a port of its own does it and ends.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PERRY=$1
shift

code=0
"$PERRY" agent info >/dev/null 2>&1 || code=$?
if [ "$code" != 5 ]; then exec "$PERRY" image build "$@"; fi

folder=$(mktemp -d)
end() {
  "$PERRY" agent kill >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap end EXIT
trap 'exit 130' INT TERM

port=17391
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
printf '{ "port": %s }\n' "$port" >"$folder/config.json"
chmod 600 "$folder/config.json"
export PERRY_CONFIG_DIR=$folder
scripts/agent.sh "$PERRY"
"$PERRY" image build "$@"
