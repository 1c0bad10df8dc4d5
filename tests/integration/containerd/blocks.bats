# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Root file systems that are a disk of their own: containerd's blockfile snapshotter, with ext4 and with XFS. The
# devmapper snapshotter hands over the same, with a block device in place of the file.
load helpers

image=docker.io/library/busybox:latest

setup_file() {
	start_containerd
	end_containerd TERM
	local type
	for type in ext4 xfs; do
		! command -v "mkfs.$type" >/dev/null || make_scratch "$type"
	done
	launch_containerd
}

# make_scratch TYPE: the file that the snapshotter copies for each first layer. mkfs.xfs makes nothing below 300 MiB.
make_scratch() {
	truncate -s 320M "$INSTANCE/scratch.$1"
	"mkfs.$1" -q "$INSTANCE/scratch.$1"
}

setup() {
	needs_caisson
	ctr plugins ls | grep -q '^io.containerd.snapshotter.v1 *blockfile ' || skip "this containerd has no blockfile snapshotter"
}

# use_blocks TYPE: containerd anew, with snapshots of this kind, and the image in them.
use_blocks() {
	needs_program "mkfs.$1"
	end_containerd TERM
	sed -i '/^# blocks/,$d' "$INSTANCE/config.toml"
	cat >>"$INSTANCE/config.toml" <<-END
		# blocks
		[plugins."io.containerd.snapshotter.v1.blockfile"]
		  root_path = "$INSTANCE/blocks.$1"
		  scratch_file = "$INSTANCE/scratch.$1"
		  fs_type = "$1"
		  mount_options = ["loop"]
		  recreate_scratch = true
	END
	launch_containerd
	ctr images import --local --snapshotter blockfile "$IMAGES/busybox.tar" >/dev/null
}

# try_blocks TYPE: what a container writes is in its own file, which the guest has as a disk.
try_blocks() {
	use_blocks "$1"
	run ctr run --rm --runtime "$TEST_RUNTIME" --snapshotter blockfile "$image" box \
		sh -c 'grep " / " /proc/mounts; echo changed >/new; cat /new; df -m / | tail -n 1'
	expect_status 0
	expect_output "/dev/vd"
	expect_output " / $1 rw"
	expect_line changed
	ctr run --runtime "$TEST_RUNTIME" --snapshotter blockfile "$image" kept sh -c 'echo changed >/new; ls /bin/busybox'
	ctr tasks delete kept >/dev/null 2>&1 || true
	run ctr run --rm --runtime "$TEST_RUNTIME" --snapshotter blockfile "$image" other ls /new
	[ "$status" -ne 0 ]
	# The change is on the host, in the snapshot that is not removed.
	mkdir -p "$BATS_TEST_TMPDIR/m"
	local options
	options=$(ctr snapshots --snapshotter blockfile mounts "$BATS_TEST_TMPDIR/m" kept)
	bash -c "$options"
	[ "$(cat "$BATS_TEST_TMPDIR/m/new")" = changed ]
	umount "$BATS_TEST_TMPDIR/m"
	ctr containers rm kept
	forget_snapshots
}

# Those of the other kind are elsewhere, and containerd would look for them. The image's is named by its digest.
forget_snapshots() {
	local key
	for key in kept $(ctr snapshots --snapshotter blockfile ls | awk '/^sha256:/ { print $1 }'); do
		ctr snapshots --snapshotter blockfile rm "$key" 2>/dev/null || true
	done
	[ "$(ctr snapshots --snapshotter blockfile ls | wc -l)" -eq 1 ]
}

@test "blockfile: an ext4 of its own is the machine's disk" { try_blocks ext4; }

@test "blockfile: an XFS of its own is the machine's disk" { try_blocks xfs; }
