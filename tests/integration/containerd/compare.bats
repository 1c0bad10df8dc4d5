# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# caisson compare --via containerd, against a real one.
load helpers

# containerd keeps the directory of a namespace that is gone; rmdir goes on only where it is empty.
teardown() {
	find "$INSTANCE/state/io.containerd.runtime.v2.task" -mindepth 1 -maxdepth 1 -name 'caisson-compare-*' \
		-exec rmdir {} + 2>/dev/null || true
	remove_everything
	nothing_left
}

compare() {
	caisson compare --quiet --via containerd --containerd-address "$CONTAINERD_ADDRESS" \
		--output "$BATS_TEST_TMPDIR/report" "$@"
}

value() {
	jq -r "$1" "$BATS_TEST_TMPDIR/report/compare.json"
}

# Namespaces of earlier runs of this suite are not ours to count.
namespaces_of_compare() {
	ctr namespaces ls -q | grep caisson-compare || true
}

@test "compare: runc and Caisson as containerd starts them" {
	needs_caisson
	run compare --rounds 3 --only startup,memory,isolation,files --runtimes host,runc,caisson
	expect_status 0
	[[ "$(value .via)" == "containerd "* ]]
	local name runtime
	for name in runc caisson; do
		runtime=".runtimes[] | select(.name == \"$name\")"
		[ "$(value "$runtime | .unusable")" = null ]
		[ "$(value "$runtime | .measures.\"startup.run\".samples | length")" = 3 ]
		[ "$(value "$runtime | .measures.\"startup.exec\".samples | length")" = 3 ]
		# The processes are containerd's, and yet they are found.
		[ "$(value "$runtime | .measures.\"memory.pss\".samples[0] > 1")" = true ]
		[ "$(value "$runtime | .measures.\"files.volume.write\".failures")" = 0 ]
	done
	[ "$(value '.runtimes[] | select(.name == "runc") | .evidence.kernel_release')" = "$(uname -r)" ]
	[[ "$(value '.runtimes[] | select(.name == "caisson") | .evidence.kernel_release')" == *caisson* ]]
	[ -z "$(namespaces_of_compare)" ]
}

@test "compare: shims that are not there are rows with the reason" {
	needs_caisson
	run compare --rounds 1 --only startup --runtimes host,runsc,kata,crun
	expect_status 0
	[[ "$(value '.runtimes[] | select(.name == "kata") | .unusable')" == *Caisson* ]]
	[[ "$(value '.runtimes[] | select(.name == "crun") | .unusable')" == *"through containerd there are"* ]]
	[ "$(value '.runtimes[] | select(.name == "runsc") | .unusable')" != null ] ||
		[ "$(value '.runtimes[] | select(.name == "runsc") | .measures."startup.run".failures')" = 0 ]
	[ -z "$(namespaces_of_compare)" ]
}

@test "compare: a containerd that does not answer is one sentence" {
	needs_caisson
	run caisson compare --quiet --via containerd --containerd-address "$BATS_TEST_TMPDIR/none" \
		--output "$BATS_TEST_TMPDIR/report"
	expect_status 125
	[ "$(grep -c . <<<"$output")" -eq 1 ]
}
