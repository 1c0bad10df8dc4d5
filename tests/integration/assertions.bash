# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What a test says of its last `run`, and how it waits; for every suite of integration tests.

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

# wait_for_line FILE PATTERN: until a line of a growing file matches; at most 30 s.
wait_for_line() {
	local lines reader status=0
	exec {lines}< <(exec tail -n +1 -s 0.05 -F "$1" 2>/dev/null 3>&-)
	reader=$!
	timeout 30 grep -q -m 1 -e "$2" <&"$lines" || status=$?
	kill "$reader"
	exec {lines}<&-
	[ "$status" -eq 0 ] || { echo "no line \"$2\" in: $(cat "$1")"; return 1; }
}

# wait_for_end PID: until the process is gone; at most 5 s.
wait_for_end() {
	timeout 5 tail -s 0.05 --pid="$1" -f /dev/null
}
