# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Runtimes side by side, with the real ones that this machine has.
load helpers

compare() {
	caisson compare --quiet --output "$BATS_TEST_TMPDIR/report" "$@"
}

# value QUERY: of the report's JSON.
value() {
	jq -r "$1" "$BATS_TEST_TMPDIR/report/compare.json"
}

# fake SCRIPT: an OCI runtime that does just that.
fake() {
	printf '#!/bin/sh\n%s\n' "$1" >"$BATS_TEST_TMPDIR/fake"
	chmod 755 "$BATS_TEST_TMPDIR/fake"
}

@test "compare: the quick report, with every runtime that is here" {
	run compare --rounds 1 --evidence "$BATS_TEST_TMPDIR/lab"
	expect_status 0
	for part in json md html; do [ -s "$BATS_TEST_TMPDIR/report/compare.$part" ]; done
	# The baseline and this project's own, whatever else is installed.
	[ "$(value '.runtimes[] | select(.name == "host") | .evidence.kernel_release')" = "$(uname -r)" ]
	local own='.runtimes[] | select(.name | startswith("caisson")) | select(.unusable | not)'
	[[ "$(value "$own | .evidence.kernel_release")" == *caisson* ]]
	[ "$(value "$own | .measures.\"startup.run\".samples | length")" = 1 ]
	[ "$(value "$own | .calls | length")" -gt 400 ]
	# Nothing failed in those that could run, and those that could not say why.
	[ "$(value '[.runtimes[].measures[].failures] | add')" = 0 ]
	[ "$(value '[.runtimes[] | select(.measures == {}) | select(.unusable | not)] | length')" = 0 ]
	grep -q '=== host ===' "$BATS_TEST_TMPDIR/lab/analysis/kernel-comparison.txt"
	[ -z "$(find /var/tmp -maxdepth 1 -name 'caisson-compare.*')" ]
	[ -z "$(find /sys/fs/cgroup -name 'compare-*' -print -quit)" ]
}

@test "compare: what is not there, crashes or hangs is a row with the reason" {
	fake 'echo "it broke" >&2; exit 3'
	run compare --rounds 1 --only startup --runtimes "host,no-such-runtime,/no/such,$BATS_TEST_TMPDIR/fake"
	expect_status 0
	[[ "$(value '.runtimes[] | select(.name == "no-such-runtime") | .unusable')" == *"no path"* ]]
	[[ "$(value '.runtimes[] | select(.name == "/no/such") | .unusable')" == *"no such program"* ]]
	[[ "$(value '.runtimes[] | select(.name == "fake") | .unusable')" == *"it broke"* ]]
	fake '[ "$1" != --version ] || { echo fake 1; exit; }; exec sleep 1000'
	run compare --rounds 1 --only startup --runtimes "host,$BATS_TEST_TMPDIR/fake"
	expect_status 0
	[[ "$(value '.runtimes[] | select(.name == "fake") | .unusable')" == *"was stopped"* ]]
	[ -z "$(pgrep -f 'sleep 1000')" ]
}

@test "compare: nothing that can run is an error" {
	run compare --runtimes no-such-runtime
	expect_status 125
	expect_one_sentence
}

@test "compare: a place that cannot be written is said before anything is measured" {
	run caisson compare --quiet --output /proc/report
	expect_status 125
	expect_one_sentence
	expect_output "/proc/report"
}

@test "compare: Ctrl-C keeps what was measured" {
	mkfifo "$BATS_TEST_TMPDIR/told"
	caisson compare --output "$BATS_TEST_TMPDIR/report" --rounds 500 --only startup --runtimes host,runc \
		2>"$BATS_TEST_TMPDIR/told" >/dev/null &
	local measuring=$! line
	# The first tenth of 500 rounds is done: there are samples.
	while read -r line && [[ "$line" != *10%* ]]; do :; done <"$BATS_TEST_TMPDIR/told"
	kill -TERM "$measuring" # a shell's background job ignores SIGINT
	local status=0
	wait "$measuring" || status=$?
	[ "$status" -eq 130 ]
	[ "$(value .interrupted)" = true ]
	[ "$(value '.runtimes[] | select(.name == "host") | .measures."startup.run".samples | length')" -gt 10 ]
	grep -q interrupted "$BATS_TEST_TMPDIR/report/compare.md"
}

@test "compare: what changed between two reports" {
	run compare --rounds 1 --only startup --runtimes host
	expect_status 0
	local report=$BATS_TEST_TMPDIR/report/compare.json
	jq '.runtimes[0].measures["startup.run"].samples |= map(. * 100)' "$report" >"$BATS_TEST_TMPDIR/slow.json"
	run caisson compare --diff "$report" "$BATS_TEST_TMPDIR/slow.json"
	expect_status 0
	expect_output "start to exit"
	expect_output "worse"
	run caisson compare --diff "$report" /etc/passwd
	expect_status 125
	expect_one_sentence
	expect_output "/etc/passwd"
}
