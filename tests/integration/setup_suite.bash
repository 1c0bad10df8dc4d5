# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# One image for all files; each loads it into a store of its own.
setup_suite() {
	# Some tests kill by name: they may only ever see processes of their own.
	if ! tr '\0' ' ' </proc/1/cmdline | grep -q bats; then
		echo "run this suite with 'make test ONLY=integration': it needs process ids of its own" >&2
		return 1
	fi
	BUSYBOX_ARCHIVE=$BATS_SUITE_TMPDIR/busybox.tar
	export BUSYBOX_ARCHIVE
	"$BATS_TEST_DIRNAME/../../scripts/make-image" busybox "$BUSYBOX_ARCHIVE" || return 1
}
