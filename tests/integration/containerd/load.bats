# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Many at once, and many in a row. STARTS_IN_A_ROW (default 8; 300 by hand) and STARTS_AT_ONCE (default 6; 30 by hand)
# say how many.
load helpers

image=docker.io/library/busybox:latest

@test "${STARTS_AT_ONCE:-6} starts at once" {
	local count=${STARTS_AT_ONCE:-6} i pids=() failures=0
	for ((i = 0; i < count; i++)); do
		ctr run --rm --runtime "$TEST_RUNTIME" "$image" "crowd$i" sh -c "echo I am $i" >"$BATS_TEST_TMPDIR/$i" 2>&1 3>&- &
		pids+=($!)
	done
	for ((i = 0; i < count; i++)); do
		wait "${pids[i]}" || failures=$((failures + 1))
		grep -qx "I am $i" "$BATS_TEST_TMPDIR/$i" || { cat "$BATS_TEST_TMPDIR/$i"; failures=$((failures + 1)); }
	done
	[ "$failures" -eq 0 ]
}

# What the host has of everything that a start takes.
count_resources() {
	local daemon
	daemon=$(cat "$INSTANCE/pid")
	echo "descriptors of containerd: $(find "/proc/$daemon/fd" -mindepth 1 | wc -l)"
	echo "mounts: $(wc -l </proc/self/mountinfo)"
	echo "interfaces: $(ip -o link | wc -l)"
	echo "network namespaces: $(find /run/netns -mindepth 1 2>/dev/null | wc -l)"
	echo "cgroups: $(find /sys/fs/cgroup -type d | wc -l)"
	echo "files of the runtime: $(find /run/caisson /run/containerd "$INSTANCE/state" 2>/dev/null | wc -l)"
	echo "shared memory: $(find /dev/shm -mindepth 1 | wc -l)"
}

# nothing_grew: since the file before was written; containerd closes a client's connection in its own time.
nothing_grew() {
	count_resources >"$BATS_TEST_TMPDIR/after"
	# The same lines with the same words: a number that is larger is growth.
	paste -d ' ' <(grep -oE '[0-9]+$' "$BATS_TEST_TMPDIR/before") <(grep -oE '[0-9]+$' "$BATS_TEST_TMPDIR/after") |
		awk '$2 > $1 { exit 1 }'
}

# tell TEXT: to whoever runs the tests.
tell() { echo "# $*" >&3; }

# memory_of_containerd: KiB, resident.
memory_of_containerd() { awk '/^VmRSS/ { print $2 }' "/proc/$(cat "$INSTANCE/pid")/status"; }

@test "${STARTS_IN_A_ROW:-8} starts and ends in a row leave nothing that grows" {
	local i count=${STARTS_IN_A_ROW:-8} memory
	cycle() {
		ctr run --rm --runtime "$TEST_RUNTIME" "$image" "row$1" true
		nothing_left
	}
	# The first ones make what stays: directories, caches.
	cycle warm1
	cycle warm2
	count_resources >"$BATS_TEST_TMPDIR/before"
	memory=$(memory_of_containerd)
	for ((i = 0; i < count; i++)); do
		cycle "$i" || { echo "at start $i"; return 1; }
		[ $((i % 50)) -ne 0 ] || memory+=" $(memory_of_containerd)"
	done
	tell "containerd, resident, KiB, before, every 50 starts, after: $memory $(memory_of_containerd)"
	eventually nothing_grew || { diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"; return 1; }
}

@test "execs in a row leave nothing in the shim" {
	ctr run -d --runtime "$TEST_RUNTIME" "$image" held sleep 1000
	local shim i before memory
	shim=$(pgrep -f 'containerd-shim-.* -id held' | head -n 1)
	descriptors() { find "/proc/$shim/fd" -mindepth 1 | wc -l; }
	for ((i = 0; i < 3; i++)); do ctr tasks exec --exec-id "warm$i" held true; done
	before=$(descriptors)
	memory=$(awk '/^VmRSS/ { print $2 }' "/proc/$shim/status")
	for ((i = 0; i < ${STARTS_IN_A_ROW:-8}; i++)); do ctr tasks exec --exec-id "e$i" held true; done
	tell "shim, resident, KiB, before and after: $memory $(awk '/^VmRSS/ { print $2 }' "/proc/$shim/status")"
	no_descriptor_more() { [ "$(descriptors)" -le "$before" ]; }
	eventually no_descriptor_more
}
