# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# One image for all files; each loads it into a store of its own.
setup_suite() {
	BUSYBOX_ARCHIVE=$BATS_SUITE_TMPDIR/busybox.tar
	export BUSYBOX_ARCHIVE
	"$BATS_TEST_DIRNAME/../../scripts/make-image" busybox "$BUSYBOX_ARCHIVE" || return 1
}
