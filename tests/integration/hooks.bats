# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Hooks of a config.json, driven through the Task service: createContainer and startContainer run in the container's
# world inside the guest, prestart, createRuntime and poststop on the host.
load helpers

: "${SHIM_CLIENT:?set it to BUILD/tests/integration/shim-client}"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	mkdir -p root/{bin,proc,sys,dev,tmp} hooked
	cp "$(command -v busybox)" root/bin/busybox
	local applet
	for applet in sh cat echo grep hostname id pwd readlink sleep; do
		ln -s busybox "root/bin/$applet"
	done
	log=$PWD/log
	SHIM_SOCKET=
}

teardown() {
	local pid
	for pid in $(processes 'containerd-shim-.*-id hooked'); do
		kill "$pid" && timeout 10 tail -s 0.05 --pid="$pid" -f /dev/null
	done
	nothing_left
}

shim() { "$SHIM_CLIENT" "$SHIM_SOCKET" "$@"; }

# hook SCRIPT: as JSON, run by the shell of the world that it is in.
hook() {
	jq -nc --arg script "$1" '[{path: "/bin/sh", args: ["sh", "-c", $script], env: ["PATH=/usr/bin:/bin"], timeout: 20}]'
}

# bundle COMMAND HOOKS-JSON
bundle() {
	jq -n --arg command "$1" --argjson hooks "$2" '{
		ociVersion: "1.0.2", hostname: "inside", root: {path: "rootfs"}, hooks: $hooks,
		process: {user: {uid: 0, gid: 0}, args: ["sh", "-c", $command], cwd: "/", env: ["PATH=/bin"],
			capabilities: {bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"]}},
		mounts: [{destination: "/proc", type: "proc", source: "proc"}, {destination: "/dev", type: "tmpfs", source: "tmpfs"},
			{destination: "/tmp", type: "tmpfs", source: "tmpfs"}],
		linux: {namespaces: [{type: "mount"}, {type: "pid"}, {type: "ipc"}, {type: "uts"}, {type: "network"}]}
	}' >hooked/config.json
	SHIM_SOCKET=$(cd hooked && containerd-shim-caisson-v2 -namespace k8s.io -address /nowhere.sock -id hooked start)
}

create() {
	shim create hooked "$PWD/hooked" "file://$PWD/output" "bind,$PWD/root,rbind,rw"
}

@test "hooks run in their order, each in its world" {
	# shellcheck disable=SC2016 # the hooks' shells fill these in
	bundle 'cat /tmp/log; echo command' "{
		\"prestart\": $(hook "echo prestart \$(hostname) >>$log"),
		\"createRuntime\": $(hook "echo createRuntime \$(hostname) >>$log"),
		\"createContainer\": $(hook 'grep -q "\"status\":\"creating\"" && echo "createContainer $(pwd) $(grep CapBnd /proc/self/status)" >>/tmp/log'),
		\"startContainer\": $(hook 'grep -q "\"status\":\"created\"" && echo "startContainer $(hostname) $$ $(readlink /proc/1/exe)" >>/tmp/log'),
		\"poststop\": $(hook "echo poststop >>$log")}"
	create
	run cat log
	expect_output "prestart $(hostname)
createRuntime $(hostname)"
	shim start hooked
	[ "$(shim wait hooked)" = 0 ]
	run cat output
	[ "${lines[0]}" = "createContainer / CapBnd:	0000000000000020" ]
	[[ "${lines[1]}" =~ ^startContainer\ inside\ [0-9]+ ]]
	[ "${lines[2]}" = command ]
	shim delete hooked
	[ "$(tail -n 1 log)" = poststop ]
	shim shutdown hooked
}

@test "a hook that fails in the guest keeps the command from running, and says why" {
	local kind
	for kind in createContainer startContainer; do
		bundle 'echo command' "{\"$kind\": $(hook 'echo no such luck >&2; exit 4')}"
		run bash -c "'$SHIM_CLIENT' '$SHIM_SOCKET' create hooked '$PWD/hooked' 'file://$PWD/output' 'bind,$PWD/root,rbind,rw' &&
			'$SHIM_CLIENT' '$SHIM_SOCKET' start hooked"
		[ "$status" -ne 0 ]
		[[ "$output" == *"$kind hook /bin/sh: exited with 4: no such luck"* ]] || { echo "$output"; return 1; }
		[ ! -s output ]
		teardown
	done
}

@test "a hook's program that neither the guest nor the container has" {
	bundle 'echo command' '{"createContainer": [{"path": "/no/such/hook"}]}'
	run create
	[ "$status" -ne 0 ]
	[[ "$output" == *"createContainer hook /no/such/hook"*"No such file or directory"* ]] || { echo "$output"; return 1; }
}
