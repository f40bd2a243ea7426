# Sourced by the scripts beside it: starts gateways and servers on ports that the kernel picks, runs checks under a
# deadline, and at the end stops exactly what it started.
#
# A script prints `ok NAME`, `not ok NAME - why` or `ok NAME # SKIP why` for each check, and exits 1 when one failed.
# Environment: PENSTOCK, the program to test (build/release/penstock).

# shellcheck shell=bash
# shellcheck disable=SC2034  # the scripts read these variables
set -u
export LC_ALL=C
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY

PENSTOCK=${PENSTOCK:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/release/penstock}
temp=$(mktemp -d) || exit 2
started=()
failures=0
limit=60  # seconds for each check, on a busy machine too

clean_up() {
  local pid
  for pid in "${started[@]}"; do kill -KILL "$pid" 2>/dev/null; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null; done
  # For checks over the logs of all gateways.
  [ -z "${PENSTOCK_LOGS:-}" ] || cat "$temp"/gateway.*.log >>"$PENSTOCK_LOGS/$(basename "$0")" 2>/dev/null
  rm -rf "$temp"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# finish: ends the script with its exit status.
finish() { exit $((failures > 0)); }

fail() {  # fail NAME WHY
  failures=$((failures + 1))
  echo "not ok $1 - $2"
}

skip() { echo "ok $1 # SKIP $2"; }  # skip NAME WHY

# check NAME COMMAND...: runs the command, which may be a function, and reports whether it succeeded.  If it failed, its
# output is shown.  It runs in this shell, so that clean_up knows the processes that it starts.
check() {
  local name=$1 status
  shift
  "$@" >"$temp/output" 2>&1
  status=$?
  if [ "$status" -eq 0 ]; then
    echo "ok $name"
  else
    fail "$name" "exit status $status: $(head -c 600 "$temp/output" | tr '\n' '|')"
  fi
}

is() {  # is WANTED GOT
  [ "$1" = "$2" ] && return
  echo "wanted '$1', got '$2'"
  return 1
}

has() { command -v "$1" >/dev/null 2>&1; }  # has COMMAND

# soon COMMAND...: repeats the command until it succeeds.
soon() {
  local deadline=$((SECONDS + limit))
  until "$@"; do
    if [ "$SECONDS" -ge "$deadline" ]; then return 1; fi
    sleep 0.02
  done
}

# in_background FILE COMMAND...: starts a program that clean_up ends.  Its output goes to FILE, its id to $background.
in_background() {
  local file=$1
  shift
  "$@" >"$file" 2>&1 </dev/null &
  background=$!
  started+=("$background")
}

# start_gateway OPTION...: sets gateway (ADDR:PORT of the first listener), gateway_port, gateway_pid, gateway_log.
# Without --listen among the options it listens on 127.0.0.1.
start_gateway() {
  local listen=(--listen 127.0.0.1:0)
  [[ " $* " = *" --listen "* ]] && listen=()
  gateway_log=$temp/gateway.$((${#started[@]})).log
  in_background "$gateway_log" "$PENSTOCK" "${listen[@]}" --log-level info "$@"
  gateway_pid=$background
  if ! soon grep -sq ' notice listen at=' "$gateway_log"; then
    fail "start of the gateway" "$(cat "$gateway_log")"
    finish
  fi
  gateway=$(sed -n 's/.* notice listen at=//p' "$gateway_log" | head -n 1)
  gateway_port=${gateway##*:}
}

# sessions: how many sessions with a successful reply the gateway has logged.
sessions() { grep -c ' info session .* reply=0 ' "$gateway_log"; }

# expect_sessions COUNT: waits until COUNT sessions are logged, and fails if there are more.
expect_sessions() {
  soon eval "[ \"\$(sessions)\" -ge $1 ]"
  is "$1" "$(sessions)"
}

# listen_with_nc FILE ANSWER HOST OPTION...: starts a target that writes what it receives to FILE and answers with the
# content of ANSWER.  Sets nc_port and nc_pid.
listen_with_nc() {
  local file=$1 answer=$2 host=$3
  shift 3
  rm -f "$file.said"  # left by an earlier target
  nc -l -n -v -N "$@" "$host" 0 <"$answer" >"$file" 2>"$file.said" &
  nc_pid=$!
  started+=("$nc_pid")
  soon grep -sq '^Listening on .* [0-9][0-9]*$' "$file.said" || return 1
  nc_port=$(sed -n 's/^Listening on .* \([0-9]*\)$/\1/p' "$file.said")
}

# ends PID: waits until the process ends by itself.
ends() {
  local deadline=$((SECONDS + limit))
  while kill -0 "$1" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.02; done
  if kill -0 "$1" 2>/dev/null; then
    echo "process $1 does not end"
    return 1
  fi
}
