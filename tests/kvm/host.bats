# SPDX-License-Identifier: Apache-2.0
# The KVM host that tests of KVM run in (tests/kvm/run), emulated also where this machine has KVM.

bats_require_minimum_version 1.5.0
stderr='' # filled by run
PATH=$CAISSON_DIST/bin:$PATH
kvm_run=$BATS_TEST_DIRNAME/run

setup_file() {
	local reason
	reason=$("$BATS_TEST_DIRNAME/cloud-kernel" 2>&1 >/dev/null) || skip "no KVM host: $reason"
}

# No process, no file of it is left. TMPDIR is this test's own.
setup() {
	export TMPDIR=$BATS_TEST_TMPDIR/tmp
	mkdir "$TMPDIR"
}

teardown() {
	[ -z "$(ls "$TMPDIR")" ] || { echo "left: $(ls "$TMPDIR")"; return 1; }
	! pgrep -af "$BATS_TEST_TMPDIR" || return 1
}

@test "a command has KVM, its own surroundings, and its exit code, output and files come back" {
	cd "$BATS_TEST_TMPDIR"
	echo "from below" >input
	export GREETING="good
morning"
	# shellcheck disable=SC2016 # for the shell in there
	run --separate-stderr "$kvm_run" --emulated --timeout 100 --output out bash -c '
		caisson check --json >"$KVM_OUTPUT/check.json" # runs a guest
		cat input
		echo "$GREETING $KVM_HOST $(pwd)"
		echo "to stderr" >&2
		echo changed >input
		seq 200000 >"$KVM_OUTPUT/numbers"
		seq 200000
		# One run inside another finds KVM there.
		"$0" --timeout 7 bash -c "echo inner \$KVM_HOST; exit 3"
		echo "inner code $?"
		exit 42' "$kvm_run"
	echo "$stderr"
	[ "$status" -eq 42 ]
	[ "$stderr" = "to stderr" ]
	[ "${lines[0]}" = "from below" ]
	[ "${lines[1]}" = "good" ]
	[ "${lines[2]}" = "morning emulated $BATS_TEST_TMPDIR" ]
	[ "${lines[3]}" = 1 ] && [ "${lines[200002]}" = 200000 ]
	[ "${lines[200003]}" = "inner direct" ]
	[ "${lines[200004]}" = "inner code 3" ]
	[ "$(cat input)" = "from below" ] # what was written there stayed there
	seq 200000 | cmp - out/numbers
	jq -e '.[] | select(.name == "kvm") | .usable' out/check.json
}

@test "a hang is cut off and shown with the consoles of both levels" {
	# shellcheck disable=SC2016 # for the shell in there
	run --separate-stderr "$kvm_run" --emulated --timeout 2 bash -c '
		echo "a guest in there" >"$KVM_CONSOLES/inner"
		echo begun
		setsid sleep 1000 & # not to be left, either
		sleep 1000'
	echo "$stderr"
	[ "$status" -eq 124 ]
	[ "$output" = begun ]
	[[ "$stderr" == *"not done after 2 s"*" sleep 1000"*"console inner:"*"a guest in there"*"KVM host's kernel:"* ]]
}

@test "a KVM host that dies is told with its console" {
	run --separate-stderr "$kvm_run" --emulated --timeout 100 bash -c 'echo 1 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger'
	echo "$stderr"
	[ "$status" -eq 125 ]
	[[ "$stderr" == *"Kernel panic"*"ended before the command did"* ]]
}
