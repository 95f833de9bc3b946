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
cat >&2 <<END

The workspace "minimal" is ready.
  list    $name get
  enter   $name exec minimal -- bash
  delete  $name delete minimal
END
