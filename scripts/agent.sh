#!/usr/bin/env bash
# Starts an agent in the background where none of this program answers: scripts/agent.sh PERRY. Its folder is PERRY_CONFIG_DIR, as ever.
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

# Exit code 0: the agent that answers was started from a file that has been built anew since, or removed. Its end
# disturbs no workspace, and what was built is what should run. One of another file is somebody's choice.
outdated() {
  local pid program
  pid=$("$PERRY" agent info | sed -nE 's/^Process: *([0-9]+)$/\1/p')
  program=$(readlink "/proc/$pid/exe" 2>/dev/null) || return 1
  case "$program" in
    *" (deleted)") return 0 ;;
    *) [ "$program" -ef "$PERRY" ] || echo "agent: the one that runs is $program; \`perry agent kill\` ends it, and the next start takes $PERRY" >&2 ;;
  esac
  return 1
}

if answers; then
  if ! outdated; then exit 0; fi
  echo "agent: its program has changed, so it is started anew; workspaces go on running" >&2
  "$PERRY" agent kill >/dev/null
fi

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
