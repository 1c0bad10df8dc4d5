# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What a test says of its last `run`, and how it waits; for every suite of integration tests.

# A limit for what hangs, which a busy machine does not need.
patience=120

# patiently PROGRAM...: with that limit.
patiently() { timeout "$patience" "$@"; }

# shellcheck disable=SC2154 # bats sets status and output
# expect_status N: of the last `run`.
expect_status() {
	[ "$status" -eq "$1" ] || { echo "status $status, not $1; output: $output"; return 1; }
}

# expect_output TEXT: somewhere in the output of the last `run`.
expect_output() {
	[[ "$output" == *"$1"* ]] || { echo "no \"$1\" in the output: $output"; return 1; }
}

# expect_line TEXT: a whole line of the output of the last `run`.
expect_line() {
	grep -qxF -e "$1" <<<"${output//$'\r'/}" || { echo "no line \"$1\" in the output: $output"; return 1; }
}

# wait_for_line FILE PATTERN: until a line of a growing file matches.
wait_for_line() {
	local lines reader status=0
	exec {lines}< <(exec tail -n +1 -s 0.05 -F "$1" 2>/dev/null 3>&-)
	reader=$!
	patiently grep -q -m 1 -e "$2" <&"$lines" || status=$?
	kill "$reader"
	exec {lines}<&-
	[ "$status" -eq 0 ] || { echo "no line \"$2\" in: $(cat "$1")"; return 1; }
}

# wait_for_end PID: until the process is gone.
wait_for_end() {
	patiently tail -s 0.05 --pid="$1" -f /dev/null
}

# eventually COMMAND...: again and again until it succeeds; for what nothing else tells of.
eventually() {
	local end=$((SECONDS + patience))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || { echo "in $patience s never: $*"; return 1; }
		read -rt 0.05 <> <(:) || true
	done
}

# kill_all PATTERN: SIGKILL to each process whose command line matches; one has to be there, and any of them may end
# with another one.
kill_all() {
	local pid pids
	pids=$(pgrep -f "$1") || { echo "nobody is there to be killed: $1"; return 1; }
	for pid in $pids; do kill -KILL "$pid" 2>/dev/null || true; done
}

# kill_all_and_wait PATTERN: returns when they are gone.
kill_all_and_wait() {
	local pid pids
	pids=$(pgrep -f "$1" || true)
	kill_all "$1"
	for pid in $pids; do wait_for_end "$pid"; done
}

# no_process PATTERN
no_process() { ! pgrep -f "$1" >/dev/null; }
