#!/usr/bin/env bash
# Starts an agent in the background where none answers: scripts/agent.sh PERRY. Its folder is PERRY_CONFIG_DIR, as ever.
set -euo pipefail

readonly PERRY=$1
readonly FOLDER=${PERRY_CONFIG_DIR:-$HOME/.config/perry}
readonly LOG=$FOLDER/agent.log
readonly UNREACHABLE=5 SECONDS_TO_WAIT=30

# Exit code 0: an agent answers. An answer that is an error (a wrong token, say) is shown and ends this script.
answers() {
  local said code=0
  said=$("$PERRY" agent info 2>&1 >/dev/null) || code=$?
  [ "$code" != "$UNREACHABLE" ] || return 1
  [ "$code" = 0 ] || { echo "$said" >&2; exit "$code"; }
}

if answers; then exit 0; fi

mkdir -p "$FOLDER"
chmod 700 "$FOLDER"
echo "agent: starting (log in $LOG)" >&2
# In a session of its own it outlives this terminal.
if command -v setsid >/dev/null; then
  setsid "$PERRY" agent run </dev/null >>"$LOG" 2>&1 &
else
  nohup "$PERRY" agent run </dev/null >>"$LOG" 2>&1 &
fi
pid=$!

deadline=$((SECONDS + SECONDS_TO_WAIT))
until answers; do
  # Its end is no failure where another agent was quicker: that one answers.
  if ! kill -0 "$pid" 2>/dev/null && ! answers; then
    tail -n 20 "$LOG" >&2
    echo "error: the agent ended right after its start (the end of $LOG is above)" >&2
    exit 1
  fi
  if [ "$SECONDS" -ge "$deadline" ]; then
    tail -n 20 "$LOG" >&2
    "$PERRY" agent info >/dev/null || true
    echo "error: the agent did not answer within $SECONDS_TO_WAIT s (the end of $LOG is above)" >&2
    exit 1
  fi
  sleep 0.1
done
