# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What CRI-O does with a runtime of runtime_type "vm" (its internal/oci/runtime_vm.go), as far as it differs from
# containerd's CRI: each container starts the shim anew with an empty address and no event service, in the namespace
# "default", with CRI-O itself as the publish binary; the root file system is mounted already, so Create brings none;
# the annotations, the namespaces' and the cgroup's paths are its own; Shutdown follows the Delete of each container.
load helpers

: "${SHIM_CLIENT:?set it to BUILD/tests/integration/shim-client}"

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	mkdir -p merged/{bin,proc,sys,dev,etc,tmp,run} shm
	cp "$(command -v busybox)" merged/bin/busybox
	local applet
	for applet in sh cat sleep echo nproc awk hostname; do ln -sf busybox "merged/bin/$applet"; done
	printf '#!/bin/sh\necho "$@" >>"%s"\n' "$PWD/published" >crio
	chmod +x crio
	SHIM_SOCKET=
	netns=crio-$$
}

teardown() {
	local pid
	[ -z "$SHIM_SOCKET" ] || shim kill pod 9 2>/dev/null || true
	for pid in $(processes 'containerd-shim-.*-id pod'); do
		kill "$pid" 2>/dev/null || true
		wait_for_end "$pid"
	done
	ip netns delete "$netns" 2>/dev/null || true
	nothing_left
}

shim() { "$SHIM_CLIENT" "$SHIM_SOCKET" "$@"; }

# bundle ID KIND COMMAND PID-NAMESPACE-JSON: ID/userdata/config.json, as CRI-O writes it. The kubelet tells the pod's limits.
bundle() {
	mkdir -p "$1/userdata"
	jq -n --arg id "$1" --arg kind "$2" --arg command "$3" --arg place "$PWD" --arg netns "$netns" --argjson pid "$4" '
	{ociVersion: "1.2.1", hostname: "pod-host", root: {path: ($place + "/merged")},
	 process: {user: {uid: 0, gid: 0}, args: ["sh", "-c", $command], cwd: "/", env: ["PATH=/bin"], oomScoreAdj: 1000,
	  capabilities: {bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"]}},
	 annotations: {"io.container.manager": "cri-o", "io.kubernetes.cri-o.ContainerType": $kind,
	  "io.kubernetes.cri-o.SandboxID": "pod", "io.kubernetes.cri-o.ContainerID": $id, "io.kubernetes.cri-o.Name": "k8s_x",
	  "io.kubernetes.cri-o.RuntimeHandler": "kata", "io.kubernetes.cri-o.TTY": "false",
	  "io.kubernetes.cri-o.PodLinuxOverhead": "{\"cpu_quota\":0,\"memory_limit_in_bytes\":167772160}",
	  "io.kubernetes.cri-o.PodLinuxResources": "{\"cpu_period\":100000,\"cpu_quota\":200000,\"memory_limit_in_bytes\":268435456}",
	  "org.systemd.property.CollectMode": "inactive-or-failed"},
	 mounts: [{destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]},
	  {destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"]},
	  {destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["nosuid", "noexec", "nodev", "relatime", "ro"]},
	  {destination: "/dev/shm", type: "bind", source: ($place + "/shm"), options: ["rw", "bind"]}],
	 linux: {cgroupsPath: ("/kubepods/besteffort/pod1/crio-" + $id), resources: {devices: [{allow: false, access: "rwm"}]},
	  namespaces: [$pid, {type: "network", path: ("/run/netns/" + $netns)}, {type: "ipc", path: "/proc/1/ns/ipc"},
	   {type: "uts", path: "/proc/1/ns/uts"}, {type: "mount"}]}}' >"$1/userdata/config.json"
}

# crio_start ID: what it prints is the shim's address.
crio_start() {
	mkfifo "$1/userdata/log"
	cat "$1/userdata/log" >>log 3>&- &
	(cd "$1/userdata" && TTRPC_ADDRESS='' GRPC_ADDRESS='' NAMESPACE=default MAX_SHIM_VERSION=2 GOMAXPROCS=2 \
		containerd-shim-kata-v2 -namespace default -address '' -publish-binary "$BATS_TEST_TMPDIR/crio" -id "$1" start)
}

# exec_in ID EXEC-ID COMMAND: what it printed.
exec_in() {
	shim exec "$1" "$2" "file://$PWD/$2.out" \
		"$(jq -nc --arg c "$3" '{args: ["sh", "-c", $c], cwd: "/", env: ["PATH=/bin"], user: {uid: 0, gid: 0}}')"
	shim start "$1" "$2"
	[ "$(shim wait "$1" "$2")" = 0 ]
	shim delete "$1" "$2"
	cat "$2.out"
}

# end ID: as CRI-O's deleteContainer.
end() {
	shim kill "$1" 9
	[ "$(shim wait "$1")" = 137 ]
	shim delete "$1"
	shim shutdown "$1"
}

@test "a pod of CRI-O: its infra container, two others, and its limits" {
	ip netns add "$netns"
	bundle pod sandbox 'exec sleep 100000' '{"type": "pid"}'
	SHIM_SOCKET=$(crio_start pod)
	shim create pod "$PWD/pod/userdata" "file://$PWD/pod.log"
	shim start pod
	local name
	for name in one two; do
		bundle "$name" container 'echo up; exec sleep 100000' '{"type": "pid"}'
		[ "$(crio_start "$name")" = "$SHIM_SOCKET" ]
		shim create "$name" "$PWD/$name/userdata" "file://$PWD/$name.log"
		shim start "$name"
		wait_for_line "$name.log" up
	done
	[ "$(processes qemu-system- | wc -l)" = 1 ]
	[ "$(exec_in one e1 nproc)" = 2 ]
	[ "$(exec_in one e2 "awk '/^MemTotal:/ { print (\$2 < 400000) }' /proc/meminfo")" = 1 ]
	exec_in one e3 'echo shared >/dev/shm/file'
	[ "$(exec_in two e4 'cat /dev/shm/file; hostname')" = $'shared\npod-host' ]
	exec_in one e5 'echo changed >/tmp/file'
	[ "$(cat merged/tmp/file)" = changed ]
	end one
	[ "$(exec_in two e6 'echo alive')" = alive ]
	end two
	end pod
	[ ! -e published ]
}
