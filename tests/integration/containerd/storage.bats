# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Root file systems of every snapshotter that this containerd has, and what of them is left on the host.
load helpers

image=docker.io/library/busybox:latest

# pod_run KIND ID OPTION... -- COMMAND...: a detached container of the pod p1.
pod_run() {
	local kind=$1 id=$2 options=()
	shift 2
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	shift
	ctr run -d --runtime "$TEST_RUNTIME" --annotation "io.kubernetes.cri.container-type=$kind" \
		--annotation io.kubernetes.cri.sandbox-id=p1 "${options[@]}" "$image" "$id" "$@"
}

# unpack SNAPSHOTTER: containerd 2 unpacks for another one than its own only when ctr does the work.
unpack() {
	local place=()
	! containerd_is_at_least 2.0 || place=(--local)
	ctr images import "${place[@]}" --snapshotter "$1" "$IMAGES/busybox.tar" >/dev/null
}

end() {
	ctr tasks kill -s KILL "$1"
	patiently bash -c 'until ctr tasks ls | grep -q "^$1 .*STOPPED"; do :; done' - "$1"
	ctr tasks delete "$1" >/dev/null 2>&1 || true
}

file_server() { pgrep -f virtiofsd | tail -n 1; }

# What the file server has mounted or open below a container's directory.
served() {
	grep -F " /$1/" "/proc/$(file_server)/mountinfo" || true
	find "/proc/$(file_server)/fd" -lname "/shared/$1*" -printf '%l\n'
}

@test "overlayfs: changes are the host's, and nothing is mounted in its namespace" {
	needs_caisson
	ctr run --runtime "$TEST_RUNTIME" "$image" box sh -c 'echo changed >/new'
	run grep -E "$INSTANCE.*/rootfs" /proc/self/mountinfo
	[ "$status" -eq 1 ]
	upper=$(ctr snapshots mounts /none box | sed -E 's/.*upperdir=([^,]*).*/\1/')
	[ "$(cat "$upper/new")" = changed ]
}

@test "native: changes are the host's" {
	unpack native
	ctr run --runtime "$TEST_RUNTIME" --snapshotter native "$image" box sh -c 'echo changed >/new'
	tree=$(ctr snapshots --snapshotter native mounts /none box | grep -oE '/[^ ]*snapshots/[0-9]+')
	[ "$(cat "$tree/new")" = changed ]
}

@test "erofs: an image and a directory of the host that takes the changes" {
	needs_caisson
	ctr plugins ls | grep -q '^io.containerd.snapshotter.v1 *erofs .* ok' || skip "this containerd has no EROFS snapshotter"
	unpack erofs
	ctr run --runtime "$TEST_RUNTIME" --snapshotter erofs "$image" box sh -c 'echo changed >/new'
	grep -qx changed "$INSTANCE"/root/io.containerd.snapshotter.v1.erofs/snapshots/*/fs/new
}

@test "a read-only root" {
	run ctr run --rm --read-only --runtime "$TEST_RUNTIME" "$image" box touch /new
	[ "$status" -ne 0 ]
	expect_output "Read-only file system"
}

@test "a pod's containers bring their trees and leave nothing of them" {
	needs_caisson
	mkdir "$BATS_TEST_TMPDIR/volume"
	pod_run sandbox p1 -- sleep 1000
	pod_run container c1 --mount "type=bind,src=$BATS_TEST_TMPDIR/volume,dst=/volume,options=rbind:rw" \
		--mount "type=bind,src=$BATS_TEST_TMPDIR/volume,dst=/fixed,options=rbind:ro" -- sleep 1000
	ctr tasks exec --exec-id e1 c1 sh -c 'echo by the guest >/volume/file'
	[ "$(cat "$BATS_TEST_TMPDIR/volume/file")" = "by the guest" ]
	run ctr tasks exec --exec-id e2 c1 touch /fixed/file2
	expect_output "Read-only file system"
	[ -n "$(served c1)" ]
	end c1
	patiently bash -c "$(declare -f served file_server); until [ -z \"\$(served c1)\" ]; do :; done"
	pod_run container c2 -- sleep 1000
	ctr tasks exec --exec-id e3 c2 true
	end c2
	end p1
}

@test "the file server is killed: the container ends with a reason, and nothing is left" {
	needs_caisson
	ctr run -d --runtime "$TEST_RUNTIME" "$image" box sleep 1000
	kill_all virtiofsd
	patiently bash -c 'until ctr tasks ls | grep -q "^box .*STOPPED"; do :; done'
	wait_for_line "$INSTANCE/log" "file server"
}
