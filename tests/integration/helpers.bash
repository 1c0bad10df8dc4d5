# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What all integration tests share. The suite runs in a pid and a mount namespace of its own (scripts/test), so
# whatever a test leaves behind is visible and nobody else's processes are.

bats_require_minimum_version 1.5.0
: "${CAISSON_DIST:?set it to the assembled tree, BUILD/dist}"
export PATH="$CAISSON_DIST/bin:$PATH"
# shellcheck source=tests/integration/assertions.bash
source "$BATS_TEST_DIRNAME/assertions.bash"

# Every file has its own directories, and they must be empty of containers after each test.
setup_file() {
	CAISSON_DATA=$(mktemp -d "$BATS_FILE_TMPDIR/data.XXXX")
	CAISSON_STATE=$(mktemp -d "$BATS_FILE_TMPDIR/state.XXXX")
	export CAISSON_DATA CAISSON_STATE
	caisson load --name busybox -i "$BUSYBOX_ARCHIVE" >/dev/null
}

teardown() {
	caisson rm --all --force >/dev/null || true
	nothing_left
}

# processes PATTERN: the processes of this suite whose command line matches.
processes() {
	pgrep -f "$1" || true
}

# Fails, and says what, when a process, mount, socket, fifo or record remains. Processes that are just ending
# are waited for (event: the pid is gone).
nothing_left() {
	local pid left
	for pid in $(processes 'containerd-shim-|qemu-system-|virtiofsd|caisson publish'); do
		wait_for_end "$pid" || true
	done
	left=$(pgrep -af 'containerd-shim-|qemu-system-|virtiofsd' || true)
	[ -z "$left" ] || { echo "processes left: $left"; return 1; }
	left=$(grep -F "$BATS_FILE_TMPDIR" /proc/self/mountinfo || true)
	[ -z "$left" ] || { echo "mounts left: $left"; return 1; }
	left=$(find "$CAISSON_STATE" \( -type s -o -type p \) | head)
	[ -z "$left" ] || { echo "sockets or fifos left: $left"; return 1; }
	left=$(find "$CAISSON_STATE/containers" "$CAISSON_DATA/containers" -mindepth 1 -maxdepth 1 2>/dev/null || true)
	[ -z "$left" ] || { echo "records left: $left"; return 1; }
	eventually no_cgroup_left || { echo "cgroups left: $(remaining_cgroups)"; return 1; }
}

# Those of other suites, which may run at the same time, are not ours.
remaining_cgroups() {
	find /sys/fs/cgroup -maxdepth 3 -name '*caisson*' ! -path '*/caisson-tests-*' ! -path '*/caisson-shim-*' 2>/dev/null || true
}

no_cgroup_left() { [ -z "$(remaining_cgroups)" ]; }

# shellcheck disable=SC2154 # bats sets output
# One sentence, from caisson, and nothing else.
expect_one_sentence() {
	[ "$(grep -c . <<<"$output")" -eq 1 ] && [[ "$output" == "caisson: "* ]] ||
		{ echo "not one sentence: $output"; return 1; }
}
