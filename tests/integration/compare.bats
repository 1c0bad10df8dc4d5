# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Runtimes side by side, with the real ones that this machine has.
load helpers

# A place of the test's own for the runtimes' files, to see that nothing stays there.
setup() {
	export TMPDIR=$BATS_TEST_TMPDIR/work
	mkdir "$TMPDIR"
}

nothing_stays() {
	[ -z "$(find "$TMPDIR" -mindepth 1 -maxdepth 1 -name 'caisson-compare.*')" ]
}

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

@test "compare: every part of a report, with the runtimes that are here" {
	run compare --rounds 1 --runtimes host,runc,runsc,caisson --evidence "$BATS_TEST_TMPDIR/lab"
	expect_status 0
	for part in json md html; do [ -s "$BATS_TEST_TMPDIR/report/compare.$part" ]; done
	# The baseline and this project's own, whatever else is installed.
	[ "$(value '.runtimes[] | select(.name == "host") | .evidence.kernel_release')" = "$(uname -r)" ]
	local own='first(.runtimes[] | select(.name | startswith("caisson")) | select(.unusable | not))'
	[[ "$(value "$own | .evidence.kernel_release")" == *caisson* ]]
	[ "$(value "$own | .measures.\"startup.run\".samples | length")" = 1 ]
	[ "$(value "$own | .calls | length")" -gt 400 ]
	# Nothing failed in those that could run, and those that could not say why.
	[ "$(value '[.runtimes[].measures[].failures] | add')" = 0 ]
	[ "$(value '[.runtimes[] | select(.measures == {}) | select(.unusable | not)] | length')" = 0 ]
	grep -q '=== host ===' "$BATS_TEST_TMPDIR/lab/analysis/kernel-comparison.txt"
	nothing_stays
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
	eventually no_process 'sleep 1000'
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
	# It may go on telling, so somebody listens until its end.
	exec {told}<"$BATS_TEST_TMPDIR/told"
	# The first tenth of 500 rounds is done: there are samples.
	while read -r line && [[ "$line" != *10%* ]]; do :; done <&"$told"
	kill -TERM "$measuring" # a shell's background job ignores SIGINT
	local status=0
	wait "$measuring" || status=$?
	exec {told}<&-
	[ "$status" -eq 130 ]
	[ "$(value .interrupted)" = true ]
	[ "$(value '.runtimes[] | select(.name == "host") | .measures."startup.run".samples | length')" -gt 10 ]
	grep -q interrupted "$BATS_TEST_TMPDIR/report/compare.md"
}

@test "compare: what changed between two reports" {
	run compare --rounds 4 --only startup --runtimes host
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

@test "compare: reports that were not made alike are refused, or compared with a warning" {
	run compare --rounds 1 --only startup --runtimes host
	expect_status 0
	local report=$BATS_TEST_TMPDIR/report/compare.json
	jq '.machine.kernel = "1.0"' "$report" >"$BATS_TEST_TMPDIR/other.json"
	run caisson compare --diff "$report" "$BATS_TEST_TMPDIR/other.json"
	expect_status 125
	expect_one_sentence
	expect_output "unlike machines (kernel)"
	run caisson compare --diff --unlike "$report" "$BATS_TEST_TMPDIR/other.json"
	expect_status 0
	expect_output "Beware"
}

@test "compare: how many fit" {
	run compare --rounds 1 --only density --containers 4 --runtimes host,caisson-qemu-tcg
	expect_status 0
	local own='.runtimes[] | select(.name == "caisson-qemu-tcg") | .measures'
	[ "$(value "$own.\"density.started\".samples[0] == 4")" = true ]
	[ "$(value "$own.\"density.pss\".samples | length")" = 3 ]
	[ "$(value "$own.\"density.fit\".samples[0] > 1")" = true ]
}

@test "compare: a real application" {
	command -v node >/dev/null || command -v nodejs >/dev/null || skip "Node.js is not installed"
	"$BATS_TEST_DIRNAME/../../scripts/make-image" node "$BATS_TEST_TMPDIR/webapp.tar"
	run compare --rounds 3 --only network --runtimes runc,caisson --app "$BATS_TEST_TMPDIR/webapp.tar" \
		--evidence "$BATS_TEST_TMPDIR/lab"
	expect_status 0
	local name
	for name in runc caisson-qemu-tcg; do
		local measures=".runtimes[] | select(.name == \"$name\") | .measures"
		[ "$(value "$measures.\"network.app\".samples | length")" = 50 ]
		[ "$(value "$measures.\"network.app_ready\".samples | length")" = 1 ]
	done
	grep -q '^runc: avg=.* n=50 ' "$BATS_TEST_TMPDIR/lab/bench/http-latency.txt"
	[ "$(grep -c . "$BATS_TEST_TMPDIR/lab/bench/curl-3012.txt")" -eq 50 ]
	run ! grep caisson-compare /proc/self/mountinfo
}

@test "compare: an application without a port, or none at all, is one sentence" {
	run compare --only network --runtimes host --app "$BUSYBOX_ARCHIVE"
	expect_status 125
	expect_one_sentence
	expect_output "exposes no TCP port"
	run compare --only network --runtimes host --app /no/such.tar
	expect_status 125
	expect_one_sentence
	nothing_stays
}

@test "compare: a runtime that begins to hang is left out from then on" {
	local real
	real=$(command -v runc)
	# The first container comes and goes; whatever is asked of the second one never ends.
	fake 'case "$*" in *compare-*-first*|--version) exec '"$real"' "$@";; *" delete "*) exit 0;; esac; exec sleep 1000'
	run compare --rounds 2 --only startup --runtimes "host,$BATS_TEST_TMPDIR/fake"
	expect_status 0
	local fake='.runtimes[] | select(.name == "fake")'
	[[ "$(value "$fake | .stopped")" == "left out from start to exit on: "*"was stopped" ]]
	[ "$(value "$fake | .measures.\"startup.run\".failures")" = 1 ]
	[ "$(value '.runtimes[] | select(.name == "host") | .measures."startup.run".samples | length')" = 2 ]
	eventually no_process 'sleep 1000'
}

@test "compare: Ctrl-C before the first container still writes a report and leaves nothing" {
	mkfifo "$BATS_TEST_TMPDIR/told"
	fake '[ "$1" != --version ] || { echo fake 1; exit; }; exec sleep 1000'
	caisson compare --output "$BATS_TEST_TMPDIR/report" --only startup --runtimes "$BATS_TEST_TMPDIR/fake" \
		2>"$BATS_TEST_TMPDIR/told" >/dev/null &
	local measuring=$! line
	exec {told}<"$BATS_TEST_TMPDIR/told"
	read -r line <&"$told"
	[[ "$line" == *"looking for runtimes"* ]]
	kill -TERM "$measuring"
	local status=0
	wait "$measuring" || status=$?
	exec {told}<&-
	[ "$status" -eq 130 ]
	[ "$(value .interrupted)" = true ]
	nothing_stays
	eventually no_process 'sleep 1000'
}

# start_crowd RUNTIMES: a comparison in the background with containers that wait; sets $guard and $worker.
start_crowd() {
	caisson compare --quiet --output "$BATS_TEST_TMPDIR/report" --only density --containers 50 --runtimes "$1" \
		>"$BATS_TEST_TMPDIR/out" 2>&1 &
	guard=$!
	eventually two_wait
	worker=$(pgrep -P "$guard")
}

two_wait() { [ "$(pgrep -fc '^/probe hold|run .*/probe hold')" -ge 2 ]; }

# Of a run, by what is named after its worker.
processes_of() { pgrep -f "caisson-compare.$1-.*/(state-|caisson-state)"; }
nothing_left_of() {
	nothing_stays && ! processes_of "$1" && [ -z "$(find /sys/fs/cgroup -name "compare-$1-*" -print -quit)" ]
}

# kill_and_wait NAME: of guard or worker, whose end is the end of both.
kill_and_wait() {
	kill -KILL "${!1}"
	status=0
	wait "$guard" || status=$?
	wait_for_end "$worker"
	nothing_left_of "$worker"
}

@test "compare: a kill -9 of the process that was started leaves nothing" {
	local runtimes guard worker
	for runtimes in runc caisson-qemu-tcg; do
		start_crowd "$runtimes"
		kill_and_wait guard
	done
}

@test "compare: a kill -9 of the process that measures leaves nothing, and is said" {
	local runtimes guard worker
	for runtimes in runc caisson-qemu-tcg; do
		start_crowd "$runtimes"
		kill_and_wait worker
		expect_status 125
		grep -q "killed by signal 9" "$BATS_TEST_TMPDIR/out"
	done
}

# kill_both_and_run_again RUNTIMES
kill_both_and_run_again() {
	local guard worker
	start_crowd "$1"
	kill -KILL "$guard" "$worker"
	wait "$guard" || true
	wait_for_end "$worker"
	run ! nothing_left_of "$worker"
	run compare --rounds 1 --only startup --runtimes host
	expect_status 0
	nothing_left_of "$worker"
}

@test "compare: what a kill -9 of both leaves goes with the next run" {
	kill_both_and_run_again runc
}

@test "compare: the same with virtual machines" {
	kill_both_and_run_again caisson-qemu-tcg
}

@test "compare: what cannot be meant is one sentence, and nothing is made for it" {
	local wrong
	for wrong in "--only foo" "--only startup," "--runtimes ," "--runtimes runc,,host" "--rounds -1" "--rounds 0" \
		"--density --containers 0" "--density --containers 1" "--containers 5" "--via foo" "--unlike" "--diff one" \
		"--diff" "--evidence /etc/passwd" "--evidence /proc/none" "--containerd-address /x" "--app /no/such" "extra"; do
		# shellcheck disable=SC2086
		run compare $wrong
		expect_status 125
		expect_one_sentence
		nothing_stays
	done
}

@test "compare: a full disk is one sentence" {
	mkdir "$BATS_TEST_TMPDIR/small"
	mount -t tmpfs -o size=1m,nr_inodes=50 tmpfs "$BATS_TEST_TMPDIR/small"
	TMPDIR=$BATS_TEST_TMPDIR/small run compare --rounds 1 --only startup --runtimes host
	umount "$BATS_TEST_TMPDIR/small"
	expect_status 125
	expect_one_sentence
	expect_output "No space left"
}

@test "compare: figures are not lost where the report cannot be written" {
	mkdir "$BATS_TEST_TMPDIR/report"
	mount -t tmpfs -o size=4k tmpfs "$BATS_TEST_TMPDIR/report"
	run compare --rounds 1 --only startup --runtimes host
	umount "$BATS_TEST_TMPDIR/report"
	expect_status 125
	expect_output "start ms"
	expect_output "No space left"
}

@test "compare: sysbench and fio inside, wrk from outside" {
	local program name measures
	for program in sysbench fio wrk; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
	run compare --rounds 1 --only cpu,files,network --runtimes host,runc,caisson-qemu-tcg
	expect_status 0
	for name in host runc caisson-qemu-tcg; do
		measures=".runtimes[] | select(.name == \"$name\") | .measures"
		[ "$(value "$measures.\"cpu.sysbench\".samples[0] > 0")" = true ]
		[ "$(value "$measures.\"network.load\".samples[0] > 0")" = true ]
		[ "$(value "[$measures | to_entries[] | select(.key | startswith(\"files.fio\")) | .value.samples[0]] | length")" = 8 ]
	done
	[[ "$(value .machine.tools.fio)" == fio-* ]]
	grep -q '^| fio, volume: random writes, /s |' "$BATS_TEST_TMPDIR/report/compare.md"
}

@test "compare: a benchmark that is not installed is a row with the reason" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	PATH=$BATS_TEST_TMPDIR/bin run "$(command -v caisson)" compare --quiet --output "$BATS_TEST_TMPDIR/report" \
		--rounds 1 --only cpu,network --runtimes host
	expect_status 0
	[[ "$(value '.runtimes[0].measures."cpu.sysbench".note')" == "sysbench is not installed"* ]]
	grep -q '^| sysbench cpu.* | - | 0 |' "$BATS_TEST_TMPDIR/report/compare.md"
	grep -q 'host: wrk is not installed' "$BATS_TEST_TMPDIR/report/compare.md"
}

@test "compare: each hypervisor that caisson check names has its row" {
	local name names
	run compare --rounds 1 --only startup --runtimes caisson
	expect_status 0
	names=$(caisson check --json | jq -r '.[] | select(.details.chosen != null) | .name' || true)
	[ -n "$names" ]
	for name in $names; do
		value '.runtimes[].name' | grep -qxE "(caisson-)?$name"
	done
}

@test "compare: crun runs where both versions of cgroups are mounted, and that is said" {
	command -v crun >/dev/null || skip "crun is not installed"
	run compare --rounds 1 --only startup --runtimes crun
	expect_status 0
	local crun='.runtimes[] | select(.name == "crun")'
	[ "$(value "$crun | .measures.\"startup.run\".samples | length")" = 1 ]
	[ ! -d /sys/fs/cgroup/unified ] || [[ "$(value "$crun | .measures.\"startup.run\".note")" == "unlike the others"* ]]
	[ -z "$(find /sys/fs/cgroup -name 'compare-*-crun-*' -print -quit)" ]
}

# browser ARGUMENTS: Chromium without a screen, a profile or a network of its own.
browser() {
	timeout -k 5 180 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
		--disable-background-networking --disable-component-update --disable-sync \
		--user-data-dir="$BATS_TEST_TMPDIR/profile" "$@" 2>/dev/null
}

@test "compare: a real browser shows the tables and charts, and nothing sticks out of a phone" {
	command -v chromium >/dev/null || skip "Chromium is not installed"
	run compare --rounds 1 --only startup,isolation --runtimes host,caisson
	expect_status 0
	local page=$BATS_TEST_TMPDIR/page.html width
	cp "$BATS_TEST_TMPDIR/report/compare.html" "$page"
	# What the page itself says of its size, once it is laid out.
	cat >>"$page" <<-'END'
		<script>
		const wide = [...document.querySelectorAll('body *')].filter((one) => !one.closest('.scroll') &&
			one.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
		const bars = [...document.querySelectorAll('svg .bar')].filter((bar) => bar.getBoundingClientRect().width > 0);
		document.body.dataset.seen = `wide=${wide.length} bars=${bars.length} ` +
			`tables=${document.querySelectorAll('table').length} scripts=${document.scripts.length}`;
		</script>
	END
	for width in 1280 390; do
		browser --window-size="$width,900" --dump-dom "file://$page" >"$BATS_TEST_TMPDIR/dom"
		grep -o 'data-seen="[^"]*"' "$BATS_TEST_TMPDIR/dom" >"$BATS_TEST_TMPDIR/seen"
		grep -q 'wide=0 bars=[1-9][0-9]* tables=[4-9] scripts=1' "$BATS_TEST_TMPDIR/seen" ||
			{ cat "$BATS_TEST_TMPDIR/seen"; return 1; }
	done
}
