#!/usr/bin/env bash
# From a fresh clone to a running workspace: engine, binary, agent, image, examples/minimal.yaml. What is there already
# is left as it is, so a second run is quick and changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/engine.sh
perry=$(scripts/build.sh)
scripts/agent.sh "$perry"
"$perry" image build --if-missing
"$perry" apply -f examples/minimal.yaml --wait --timeout 5m

# What can be typed next, with the shortest name that runs this binary.
name=target/release/perry
if [ "$(command -v perry)" -ef "$perry" ]; then name=perry; fi
[ -x "$name" ] || name=$perry
port=$("$perry" get minimal -o json | sed -nE 's/.*"ssh": *([0-9]+).*/\1/p' | head -n 1)
cat >&2 <<END

The workspace "minimal" is ready.
  list     $name get
  run      $name exec minimal -- docker info
  enter    ssh -p $port workspace@127.0.0.1    (with a key of spec.ssh.authorizedKeys in the manifest)
  delete   $name delete minimal
END
