# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Volumes of pods that are more than a directory: mounts that come and go on the host, memory.
load helpers
load pods

setup() {
	setup_pods
	volume=$BATS_TEST_TMPDIR/volume
	mkdir "$volume"
}

teardown() {
	remove_everything
	# Deepest first.
	awk -v place="$BATS_TEST_TMPDIR/" 'index($5, place) == 1 { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount --lazy
	nothing_left
}

# shellcheck disable=SC2154 # make_container sets it
# guest COMMAND...: in $container.
guest() { crictl exec --sync "$container" "$@"; }

# mount_of PROPAGATION: the volume; CRI calls them 0 (private), 1 (host to container) and 2 (bidirectional).
mount_of() { echo ".mounts = [{container_path: \"/volume\", host_path: \"$volume\", propagation: $1}]"; }

# share_volume: as a kubelet's directories are, for most hosts have shared mounts from the beginning.
share_volume() {
	mount -t tmpfs volume "$volume"
	mount --make-shared "$volume"
	mkdir "$volume/later"
}

@test "propagation from the host: what is mounted later is seen, and its end" {
	share_volume
	make_pod following
	make_container held "$(mount_of 1)" sleep 1000
	[ -z "$(guest ls /volume/later)" ]
	mount -t tmpfs later "$volume/later"
	echo hello >"$volume/later/file"
	eventually guest grep -qx hello /volume/later/file
	guest sh -c 'echo from the guest >/volume/later/other'
	[ "$(cat "$volume/later/other")" = "from the guest" ]
	umount --lazy "$volume/later"
	eventually guest sh -c '! [ -e /volume/later/file ]'
}

@test "propagation is private where nobody asks for it" {
	share_volume
	make_pod apart
	make_container held "$(mount_of 0)" sleep 1000
	mount -t tmpfs later "$volume/later"
	touch "$volume/later/file" "$volume/mark"
	eventually guest [ -e /volume/mark ]
	guest [ ! -e /volume/later/file ]
}

@test "propagation to the host is refused with its reason" {
	needs_caisson
	share_volume
	make_pod both
	run make_container held "$(mount_of 2)" sleep 1000
	[ "$status" -ne 0 ]
	expect_output "Bidirectional"
}

# As the kubelet mounts an emptyDir of the medium HugePages-2Mi. CRI leaves the limit out where the host's cgroups have
# none for huge pages, so a whole config.json is given.
@test "an emptyDir in huge pages: memory of the machine, as much as the container may use" {
	needs_caisson "the host's huge pages are none of the tests' business"
	local empty=$BATS_TEST_TMPDIR/volumes/kubernetes.io~empty-dir/pages root=$BATS_TEST_TMPDIR/root
	mkdir -p "$empty" "$root/bin" "$root/pages" "$root/proc"
	cp /bin/busybox "$root/bin"
	mount -t hugetlbfs -o pagesize=2M none "$empty" || skip "this host has no hugetlbfs"
	ctr oci spec | jq --arg root "$root" --arg source "$empty" '.root.path = $root | .process.env = ["PATH=/bin"]
		| .process.args = ["busybox", "sh", "-c", "busybox grep /pages /proc/mounts; busybox grep HugePages_ /proc/meminfo;
			busybox df -m /pages"]
		| .linux.resources.hugepageLimits = [{pageSize: "2MB", limit: 16777216}]
		| .mounts += [{destination: "/pages", type: "bind", source: $source, options: ["rbind", "rw"]}]' >"$BATS_TEST_TMPDIR/spec"
	run ctr run --rm --runtime "$TEST_RUNTIME" --config "$BATS_TEST_TMPDIR/spec" paged
	expect_status 0
	expect_output "hugetlbfs rw"
	[[ "$output" =~ HugePages_Free:\ +8$'\n' ]]
	[[ "$output" =~ hugetlbfs\ +16\ +0\ +16\ .*/pages ]]
}
