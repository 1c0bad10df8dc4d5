# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the host sees of a container: its process, network, files and cgroup; and the hooks that work there.
load helpers

setup() {
	needs_caisson
}

# start_task ID OPTION...: a container that sleeps, by ctr.
start_task() {
	local id=$1
	shift
	ctr run -d --runtime "$TEST_RUNTIME" "$@" docker.io/library/busybox:latest "$id" sleep 1000
}

# task_pid ID
task_pid() { ctr tasks ls | awk -v id="$1" '$1 == id { print $2 }'; }

# cgroups_of PID: the paths that it has, each once.
cgroups_of() { cut -d : -f 3 "/proc/$1/cgroup" | sort -u; }

# cgroup_counts PATH: how many processes are there, in the hierarchy of memory.
members_of() {
	local directory=/sys/fs/cgroup/memory$1
	[ -d /sys/fs/cgroup/memory ] || directory=/sys/fs/cgroup$1
	cat "$directory/cgroup.procs"
}

# start_with_hooks ID HOOKS-JSON: ctr has no option for them, so a whole config.json is given; its root file system is
# a directory, as Docker has it.
start_with_hooks() {
	local id=$1 spec=$BATS_TEST_TMPDIR/$1.json root=$BATS_TEST_TMPDIR/root
	mkdir -p "$root/bin"
	cp /bin/busybox "$root/bin/sleep"
	ctr oci spec | jq --argjson hooks "$2" '.hooks = $hooks | .process.args = ["sleep", "1000"]
		| .process.env = ["PATH=/bin"] | .linux.cgroupsPath = "/default/'"$id"'" | .root.path = "'"$root"'"' >"$spec"
	ctr run -d --runtime "$TEST_RUNTIME" --config "$spec" "$id"
}

@test "the task's process is a stand-in with the container's network and root" {
	start_task c1
	local pid
	pid=$(task_pid c1)
	run tr '\0' ' ' <"/proc/$pid/cmdline"
	expect_output "caisson: c1"
	[ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]
	[ -e "/proc/$pid/root/bin/busybox" ]
	ctr tasks exec --exec-id e1 c1 sh -c 'echo from the guest >/tmp/file'
	run cat "/proc/$pid/root/tmp/file"
	expect_output "from the guest"
	grep -q "^CapPrm:.0000000000000000$" "/proc/$pid/status"
}

@test "signals to the stand-in are the container's" {
	ctr run -d --runtime "$TEST_RUNTIME" docker.io/library/busybox:latest c1 \
		sh -c 'trap "exit 33" TERM; echo ready >/tmp/ready; while :; do sleep 0.05; done'
	local pid
	pid=$(task_pid c1)
	until [ -e "/proc/$pid/root/tmp/ready" ]; do :; done
	kill -TERM "$pid"
	await_status c1 STOPPED
	run ctr tasks delete c1
	expect_output 33
}

# await_status ID STATUS
await_status() {
	patiently bash -c 'until ctr tasks ls | grep -q "^$1 .*$2"; do :; done' - "$1" "$2"
}

@test "kill -9 of the stand-in is the container's end" {
	start_task c1
	kill -KILL "$(task_pid c1)"
	await_status c1 STOPPED
	run ctr tasks delete c1
	expect_output 137
}

@test "all processes of the sandbox are in the cgroup of the spec, and it goes with them" {
	start_task c1
	local pid
	pid=$(task_pid c1)
	run cgroups_of "$pid"
	expect_output /default/c1
	run members_of /default/c1
	[ "${#lines[@]}" -ge 4 ] # the shim, QEMU, the file server, the stand-in
	# One that has ended since has nothing to tell.
	for pid in "${lines[@]}"; do tr '\0' ' ' <"/proc/$pid/cmdline" || true; echo; done 2>/dev/null >"$BATS_TEST_TMPDIR/members"
	grep -q qemu-system "$BATS_TEST_TMPDIR/members"
	grep -q virtiofsd "$BATS_TEST_TMPDIR/members"
	grep -q "containerd-shim" "$BATS_TEST_TMPDIR/members"
	ctr tasks kill -s KILL c1
	await_status c1 STOPPED
	ctr tasks delete c1
	eventually prints_nothing find /sys/fs/cgroup -path '*/default/c1'
}

@test "hooks of the host find the stand-in, and the last ones run at the delete" {
	local log=$BATS_TEST_TMPDIR/log
	start_with_hooks c1 '{
		"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", "echo prestart >>'"$log"'"]}],
		"createRuntime": [{"path": "/bin/sh", "env": ["PATH=/usr/bin:/bin"],
			"args": ["sh", "-c", "jq -r \".status + \\\" \\\" + (.pid|tostring)\" >>'"$log"'; pwd >>'"$log"'"]}],
		"poststop": [{"path": "/bin/sh", "env": ["PATH=/usr/bin:/bin"],
			"args": ["sh", "-c", "jq -r .status >>'"$log"'"]}]}'
	run cat "$log"
	[ "${lines[0]}" = prestart ]
	[ "${lines[1]}" = "creating $(task_pid c1)" ]
	[[ "${lines[2]}" == */default/c1 ]]
	ctr tasks kill -s KILL c1
	await_status c1 STOPPED
	ctr tasks delete c1
	run tail -n 1 "$log"
	expect_output stopped
}

@test "a hook that fails keeps the container from being made, and says why" {
	run start_with_hooks c1 '{"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "echo no network today >&2; exit 4"]}],
		"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", "echo undone >'"$BATS_TEST_TMPDIR"'/undone"]}]}'
	[ "$status" -ne 0 ]
	expect_output "createRuntime hook /bin/sh exited with 4: no network today"
	[ -e "$BATS_TEST_TMPDIR/undone" ]
}
