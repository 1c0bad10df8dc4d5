# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Whatever dies, containerd hears of it, the container can be removed, and nothing stays.
load helpers

image=docker.io/library/busybox:latest

setup() {
	if [ ! -S "$CONTAINERD_ADDRESS" ] || ! kill -0 "$(cat "$INSTANCE/pid")"; then launch_containerd; fi
}

# start ID [OPTION...]: a container whose death can be seen: its front end's pid is $front.
start() {
	local id=$1
	shift
	"$CONTAINERD/ctr" run --runtime "$TEST_RUNTIME" "$@" "$image" "$id" sh -c 'echo up; sleep 1000' >"$BATS_TEST_TMPDIR/$id" 2>&1 3>&- &
	front=$!
	wait_for_line "$BATS_TEST_TMPDIR/$id" ^up
}

# is_told ID CODE: the front end ends with the code.
is_told() {
	local code=0
	wait_for_end "$front" || { echo "nobody told containerd"; return 1; }
	wait "$front" || code=$?
	[ "$code" -eq "$2" ] || { echo "code $code, not $2: $(cat "$BATS_TEST_TMPDIR/$1")"; return 1; }
}

@test "containerd is restarted under running containers and finds them again" {
	ctr run -d --runtime "$TEST_RUNTIME" "$image" lasting sh -c 'trap "exit 3" TERM; while :; do sleep 0.1; done'
	end_containerd TERM
	pgrep -f 'containerd-shim-.* -id lasting' >/dev/null
	launch_containerd
	run ctr tasks ls
	expect_output RUNNING
	run ctr tasks exec --exec-id after lasting echo "still here"
	expect_output "still here"
	end_containerd KILL
	launch_containerd
	run ctr tasks exec --exec-id again lasting echo "and here"
	expect_output "and here"
	ctr tasks kill -s TERM lasting
	patiently bash -c 'until ctr tasks ls | grep -q "^lasting .*STOPPED"; do :; done'
	ctr tasks delete lasting >/dev/null 2>&1 || true
	[ -z "$(ctr tasks ls -q)" ]
}

@test "a container that ended while containerd was away" {
	ctr run -d --runtime "$TEST_RUNTIME" "$image" missed sh -c 'trap "exit 3" TERM; while :; do sleep 0.1; done'
	ctr tasks exec --exec-id pid missed true
	end_containerd KILL
	# What a shell does with a signal it has no trap for, through the runtime's own processes.
	if caisson_is_tested; then kill_all qemu-system-; else kill -TERM $(pgrep -f 'trap .exit 3. TERM'); fi
	launch_containerd
	patiently bash -c 'until ctr tasks ls | grep -q "^missed .*STOPPED" || [ -z "$(ctr tasks ls -q)" ]; do :; done'
}

@test "the shim is killed" {
	start orphan
	kill_all 'containerd-shim-.* -id orphan'
	patiently bash -c 'until [ -z "$(ctr tasks ls -q)" ]; do :; done'
	ctr containers rm orphan
	wait_for_end "$front"
}

@test "QEMU is killed" {
	needs_caisson
	start victim
	kill_all qemu-system-
	is_told victim 137
	ctr tasks delete victim >/dev/null 2>&1 || true
	ctr containers rm victim
}

@test "the file server is killed" {
	needs_caisson
	start victim
	kill_all virtiofsd
	is_told victim 137
}

@test "the stand-in is killed: the container does not notice, or ends and says so" {
	needs_caisson
	start victim
	kill -9 "$(ctr tasks ls | awk '$1 == "victim" { print $2 }')"
	run ctr tasks exec --exec-id after victim echo alive
	if [ "$status" -ne 0 ]; then is_told victim 137; fi
}

@test "delete during create" {
	local i
	for i in 1 2 3 4 5; do
		ctr run -d --runtime "$TEST_RUNTIME" "$image" "hasty$i" sleep 1000 >/dev/null 2>&1 3>&- &
		front=$!
		patiently bash -c 'until pgrep -f "containerd-shim-.* -id hasty'"$i"'" >/dev/null; do :; done'
		ctr tasks kill -s KILL "hasty$i" >/dev/null 2>&1 || true
		ctr tasks delete -f "hasty$i" >/dev/null 2>&1 || true
		wait "$front" || true
	done
	remove_everything
}

@test "a front end that is killed leaves a container that can be removed" {
	start left
	kill -9 "$front"
	run ctr tasks exec --exec-id after left echo alive
	expect_output alive
}

@test "a container that floods its output while nobody reads" {
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	exec {held}<>"$BATS_TEST_TMPDIR/fifo"
	"$CONTAINERD/ctr" run --runtime "$TEST_RUNTIME" "$image" flood sh -c 'cat /dev/zero' >"$BATS_TEST_TMPDIR/fifo" 2>/dev/null 3>&- &
	front=$!
	patiently bash -c 'until ctr tasks ls | grep -q "^flood .*RUNNING"; do :; done'
	run ctr tasks exec --exec-id beside flood echo "not stuck"
	expect_output "not stuck"
	local shim
	shim=$(pgrep -f 'containerd-shim-.* -id flood' | head -n 1)
	[ "$(awk '/^VmRSS/ { print $2 }' "/proc/$shim/status")" -lt 65536 ]
	kill -9 "$front"
	exec {held}>&-
	ctr tasks kill -s KILL flood
}
