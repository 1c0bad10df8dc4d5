# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Images without a registry, as archives that ctr, nerdctl and CRI take. Where a program that the tests drive cannot
# be had on this machine, its tests are skipped and say so.
tests=$BATS_TEST_DIRNAME/..

setup_suite() {
	# Tests kill by name and count what is there: only ever in the namespaces that `world` makes.
	if ! tr '\0' ' ' </proc/1/cmdline | grep -q -- --inside; then
		echo "run this suite with 'make test ONLY=containerd': it needs namespaces of its own" >&2
		return 1
	fi
	IMAGES=$BATS_SUITE_TMPDIR/images
	export IMAGES
	mkdir "$IMAGES"
	"$tests/../../scripts/make-image" busybox "$BATS_SUITE_TMPDIR/layout" >/dev/null
	archive latest docker.io/library/busybox:latest busybox
	make_pause_image
}

# archive TAG NAME FILE: an image of the layout as an archive below $IMAGES.
archive() {
	skopeo copy --quiet "oci:$BATS_SUITE_TMPDIR/layout:busybox:$1" "docker-archive:$IMAGES/$3.tar:$2" 2>/dev/null ||
		skopeo copy --quiet "oci:$BATS_SUITE_TMPDIR/layout:$1" "docker-archive:$IMAGES/$3.tar:$2"
}

# What holds a pod's namespaces: it ends when told to, and reaps what comes to it.
make_pause_image() {
	local work=$BATS_SUITE_TMPDIR/pause
	mkdir "$work"
	"${CC:-cc}" -static -Os -s -o "$work/pause" "$BATS_TEST_DIRNAME/pause.c"
	umoci init --layout "$work/layout" >/dev/null
	umoci new --image "$work/layout:1" >/dev/null
	umoci insert --image "$work/layout:1" "$work/pause" /pause >/dev/null
	umoci config --image "$work/layout:1" --config.entrypoint /pause >/dev/null
	skopeo copy --quiet "oci:$work/layout:1" "docker-archive:$IMAGES/pause.tar:caisson.test/pause:1"
}
