# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Pods, as containerd's CRI asks for them: one shim, several containers, driven through the Task service.
load helpers

: "${SHIM_CLIENT:?set it to BUILD/tests/integration/shim-client}"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	mkdir -p root/{bin,proc,sys,dev,etc,tmp,run,shm}
	cp "$(command -v busybox)" root/bin/busybox
	root/bin/busybox --install -s root/bin 2>/dev/null || true
	local applet
	for applet in sh cat sleep echo sed cut ls hostname df stat yes head wc; do
		ln -sf busybox "root/bin/$applet"
	done
	SHIM_SOCKET=
}

teardown() {
	[ -z "$SHIM_SOCKET" ] || "$SHIM_CLIENT" "$SHIM_SOCKET" kill pod 9 2>/dev/null || true
	stop_shim
	nothing_left
}

# The supervisor ends as on a host that shuts down.
stop_shim() {
	local pid
	for pid in $(processes 'containerd-shim-.*-id pod'); do
		kill "$pid" 2>/dev/null || true
		wait_for_end "$pid"
	done
	SHIM_SOCKET=
}

# bundle ID KIND ARGS-JSON NAMESPACES-JSON MOUNTS-JSON [MORE-OF-LINUX]
bundle() {
	mkdir -p "$1"
	cat >"$1/config.json" <<-JSON
		{"ociVersion": "1.0.2", "hostname": "pod-host", "root": {"path": "rootfs"},
		 "process": {"user": {"uid": 0, "gid": 0}, "args": $3, "cwd": "/",
		  "env": ["PATH=/bin"], "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]}},
		 "annotations": {"io.kubernetes.cri.container-type": "$2", "io.kubernetes.cri.sandbox-id": "pod"},
		 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
		  {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
		  {"destination": "/dev/shm", "type": "bind", "source": "$PWD/shm", "options": ["rbind", "rw"]}$5],
		 "linux": {"namespaces": [{"type": "mount"}, $4]${6:-}}}
	JSON
}

own='{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}'
pods='{"type": "ipc", "path": "/proc/1/ns/ipc"}, {"type": "uts", "path": "/proc/1/ns/uts"}, {"type": "network", "path": "/proc/1/ns/net"}'

shim() { "$SHIM_CLIENT" "$SHIM_SOCKET" "$@"; }

# create ID: with the root file system of this test, mounted as the native snapshotter would.
create() {
	shim create "$1" "$PWD/$1" "file://$PWD/$1.log" "bind,$PWD/root,rbind,rw"
}

# exec_in ID EXEC-ID COMMAND: what it printed; it must succeed.
exec_in() {
	shim exec "$1" "$2" "file://$PWD/$2.out" \
		"$(jq -nc --arg c "$3" '{args: ["sh", "-c", $c], cwd: "/", env: ["PATH=/bin"], user: {uid: 0, gid: 0}}')"
	shim start "$1" "$2"
	[ "$(shim wait "$1" "$2")" = 0 ] || { cat "$2.out"; return 1; }
	shim delete "$1" "$2"
	cat "$2.out"
}

pod_up() {
	mkdir -p shm
	bundle pod sandbox '["sleep", "100000"]' "$own" ""
	SHIM_SOCKET=$(cd pod && containerd-shim-caisson-v2 -namespace k8s.io -address /nowhere.sock -id pod start)
	create pod
	shim start pod
}

# end ID: kill, wait, delete, and the Shutdown that containerd sends after every Delete.
end() {
	shim kill "$1" 9
	[ "$(shim wait "$1")" = 137 ]
	shim delete "$1"
	shim shutdown "$1"
}

@test "two containers share the pod's machine, memory and names, and one comes again" {
	pod_up
	bundle one container '["sleep", "100000"]' "$pods, {\"type\": \"pid\"}" ""
	bundle two container '["sleep", "100000"]' "$pods, {\"type\": \"pid\", \"path\": \"/proc/1/ns/pid\"}" ""
	[ "$(cd one && containerd-shim-caisson-v2 -namespace k8s.io -address /nowhere.sock -id one start)" = "$SHIM_SOCKET" ]
	create one && create two
	shim start one && shim start two
	[ "$(exec_in one e1 'cat /proc/sys/kernel/random/boot_id')" = "$(exec_in two e2 'cat /proc/sys/kernel/random/boot_id')" ]
	[ "$(exec_in two e3 hostname)" = pod-host ]
	exec_in one e4 'echo shared >/dev/shm/file'
	[ "$(exec_in two e5 'cat /dev/shm/file')" = shared ]
	# pid namespaces: one has its own, two sees the pod's.
	[ "$(exec_in one e6 'cat /proc/1/cmdline | tr "\0" " "; readlink /proc/1/ns/pid')" != \
		"$(exec_in pod e7 'cat /proc/1/cmdline | tr "\0" " "; readlink /proc/1/ns/pid')" ]
	[ "$(exec_in two e8 'readlink /proc/1/ns/pid')" = "$(exec_in pod e9 'readlink /proc/1/ns/pid')" ]
	[ "$(exec_in one e10 'readlink /proc/self/ns/ipc')" = "$(exec_in pod e11 'readlink /proc/self/ns/ipc')" ]
	end one
	[ "$(processes qemu-system- | wc -l)" = 1 ]
	create one
	shim start one
	[ "$(exec_in one e12 'cat /dev/shm/file')" = shared ]
	end one
	end two
	[ "$(processes qemu-system- | wc -l)" = 1 ]
	end pod
}

@test "files that change later are seen, memory volumes are the pod's, subdirectories are shared" {
	mkdir -p config data/sub memory
	echo first >hosts
	echo one >config/..v1 && ln -s ..v1 config/key
	echo below >data/sub/file
	local memory=$PWD/volumes/kubernetes.io~empty-dir/memory
	mkdir -p "$memory"
	mount -t tmpfs -o size=8m tmpfs "$memory"
	chmod 2770 "$memory" && chgrp 1234 "$memory"
	local mounts=", {\"destination\": \"/etc/hosts\", \"type\": \"bind\", \"source\": \"$PWD/hosts\", \"options\": [\"rbind\"]},
		{\"destination\": \"/config\", \"type\": \"bind\", \"source\": \"$PWD/config\", \"options\": [\"rbind\", \"ro\"]},
		{\"destination\": \"/sub\", \"type\": \"bind\", \"source\": \"$PWD/data/sub\", \"options\": [\"rbind\", \"rw\"]},
		{\"destination\": \"/memory\", \"type\": \"bind\", \"source\": \"$memory\", \"options\": [\"rbind\", \"rw\"]}"
	pod_up
	bundle first container '["sh", "-c", "echo filled >/memory/file; stat -c %a:%g /memory"]' "$pods, {\"type\": \"pid\"}" "$mounts"
	create first && shim start first
	[ "$(shim wait first)" = 0 ]
	[ "$(cat first.log)" = 2770:1234 ]
	shim delete first
	umount "$memory"
	mount -t tmpfs -o size=8m tmpfs "$memory"
	bundle one container '["sleep", "100000"]' "$pods, {\"type\": \"pid\"}" "$mounts"
	create one && shim start one
	[ "$(exec_in one e1 'cat /memory/file /sub/file /etc/hosts /config/key')" = $'filled\nbelow\nfirst\none' ]
	[ "$(exec_in one e2 'df -k /memory | tail -n 1 | tr -s " " | cut -d" " -f2')" = 8192 ]
	echo second >hosts
	echo two >config/..v2 && ln -sfn ..v2 config/key
	exec_in one e3 'echo back >/sub/back'
	[ "$(cat data/sub/back)" = back ]
	# The guest may remember names and attributes for a second.
	exec_in one e4 'until grep -q second /etc/hosts && grep -q two /config/key; do sleep 0.1; done'
	umount "$memory"
	end one
	end pod
}

@test "limits of a container are updated" {
	pod_up
	bundle one container '["sleep", "100000"]' "$pods, {\"type\": \"pid\"}, {\"type\": \"cgroup\"}" \
		', {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}' \
		', "resources": {"memory": {"limit": 67108864}}'
	create one && shim start one
	[ "$(exec_in one e1 'cat /sys/fs/cgroup/memory.max')" = 67108864 ]
	shim update one '{"memory": {"limit": 33554432}, "pids": {"limit": 50}}'
	[ "$(exec_in one e2 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max')" = $'33554432\n50' ]
	end one
	end pod
}

memory_total() { exec_in "$1" "$2" "sed -n 's/^MemTotal: *//p' /proc/meminfo | cut -d' ' -f1"; }

@test "the machine grows with what its containers may use" {
	pod_up
	local before after
	before=$(memory_total pod e1)
	bundle one container '["sleep", "100000"]' "$pods, {\"type\": \"pid\"}" "" ', "resources": {"memory": {"limit": 1073741824}}'
	create one && shim start one
	after=$(memory_total pod e2)
	[ "$after" -gt 1048576 ] && [ "$after" -gt "$before" ]
	shim update one '{"memory": {"limit": 1610612736}}'
	[ "$(memory_total one e3)" -gt 1572864 ]
	end one
	end pod
}

@test "four creations at once" {
	pod_up
	local id pids=()
	for id in a b c d; do
		bundle "$id" container '["sleep", "100000"]' "$pods, {\"type\": \"pid\"}" ""
		create "$id" 2>"$id.error" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for id in a b c d; do shim start "$id"; done
	for id in a b c d; do end "$id"; done
	[ "$(processes qemu-system- | wc -l)" = 1 ]
	end pod
}

@test "a lost machine ends every container of the pod, with a reason" {
	pod_up
	bundle one container '["sleep", "100000"]' "$pods, {\"type\": \"pid\"}" ""
	create one && shim start one
	shim wait one >one.status &
	local waits=$!
	kill_all qemu-system-
	wait "$waits"
	[ "$(cat one.status)" = 137 ]
	[ "$(shim wait pod)" = 137 ]
	[ -s pod/reason ] && [ -s one/reason ]
	shim delete one
	shim delete pod
	shim shutdown pod
}

@test "what a machine cannot have is refused with a sentence" {
	pod_up
	bundle one container '["true"]' '{"type": "pid"}' ""
	run -1 create one
	expect_output "FAILED_PRECONDITION"
	expect_output "the host's network was asked for"
	socat -u UNIX-RECVFROM:sock,fork STDOUT >/dev/null 3>&- &
	local receiver=$!
	until [ -S sock ]; do :; done
	bundle one container '["true"]' "$pods" ", {\"destination\": \"/sock\", \"type\": \"bind\", \"source\": \"$PWD/sock\", \"options\": [\"rbind\"]}"
	run -1 create one
	expect_output "UNIMPLEMENTED"
	expect_output "is a datagram socket; only stream sockets of the host can be mounted"
	kill "$receiver"
	bundle one container '["true"]' "$pods" "" ', "devices": [{"path": "/dev/sda", "type": "b", "major": 8, "minor": 0}]'
	run -1 create one
	expect_output "the host's block device /dev/sda (8:0), which the virtual machine does not have"
	bundle one container '["sleep", "100000"]' "$pods" "" ', "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]'
	create one && shim start one
	exec_in one e1 'test -c /dev/fuse'
	end one
	end pod
}

# What is sent is sorted and comes back, once its end has been seen.
serve_sorting() {
	rm -f "$1"
	socat -t 20 "UNIX-LISTEN:$1,fork,mode=660" EXEC:sort 3>&- &
	server=$!
	# It listens: the socket is there a moment before.
	eventually socat -u OPEN:/dev/null "UNIX-CONNECT:$1" 2>/dev/null
}

# It takes its socket with it: a new one of this name has to wait.
stop_serving() {
	kill "$server"
	wait "$server" || true
}

@test "unix sockets of the host lead to it, also read-only" {
	mkdir root/tools
	ldd "$(command -v socat)" | grep -oE '/[^ )]+' | xargs cp -Lt root/tools "$(command -v socat)"
	local ask='/tools/ld-* --library-path /tools /tools/socat -t 20 - UNIX-CONNECT:'
	serve_sorting sock
	pod_up
	bundle one container '["sleep", "100000"]' "$pods, {\"type\": \"pid\"}" \
		", {\"destination\": \"/run/sock\", \"type\": \"bind\", \"source\": \"$PWD/sock\", \"options\": [\"rbind\", \"rw\"]},
		{\"destination\": \"/run/ro.sock\", \"type\": \"bind\", \"source\": \"$PWD/sock\", \"options\": [\"rbind\", \"ro\"]}"
	create one && shim start one
	[ "$(exec_in one e1 "stat -c '%F %a' /run/sock")" = "socket 660" ]
	[ "$(exec_in one e2 "(echo b; echo a) | ${ask}/run/sock")" = $'a\nb' ]
	[ "$(exec_in one e3 "(echo d; echo c) | ${ask}/run/ro.sock")" = $'c\nd' ]
	# More than a stream's window, and several at once.
	[ "$(exec_in one e4 "yes 0123456789 | head -n 200000 | ${ask}/run/sock | wc -c")" = 2200000 ]
	[ "$(exec_in one e5 "for i in 1 2 3 4 5 6 7 8; do echo \$i | ${ask}/run/sock & done; wait" | sort | tr -d '\n')" = 12345678 ]
	# The host's end goes first, and a container that comes again finds the socket again.
	stop_serving
	[ -z "$(exec_in one e6 "echo x | ${ask}/run/sock 2>/dev/null || true")" ]
	end one
	serve_sorting sock
	create one && shim start one
	[ "$(exec_in one e7 "echo again | ${ask}/run/sock")" = again ]
	end one
	stop_serving
	end pod
}
