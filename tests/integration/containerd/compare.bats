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

@test "compare: HTTP through containerd" {
	needs_caisson
	run compare --rounds 1 --only network --runtimes runc,caisson
	expect_status 0
	local name measures
	for name in runc caisson; do
		measures=".runtimes[] | select(.name == \"$name\") | .measures"
		[ "$(value "$measures.\"network.latency\".samples | length")" = 50 ]
		[ "$(value "$measures.\"network.rate\".samples[0] > 0")" = true ]
		# The same way for all, and not the host's own network.
		[[ "$(value "$measures.\"network.latency\".note")" == *veth* ]]
	done
	ip -o link show >"$BATS_TEST_TMPDIR/links"
	run ! grep ccmp "$BATS_TEST_TMPDIR/links"
	[ -z "$(namespaces_of_compare)" ]
}

@test "compare: an application through containerd" {
	needs_caisson
	command -v node >/dev/null || command -v nodejs >/dev/null || skip "Node.js is not installed"
	"$BATS_TEST_DIRNAME/../../../scripts/make-image" node "$BATS_TEST_TMPDIR/webapp.tar"
	run compare --rounds 1 --only network --runtimes runc --app "$BATS_TEST_TMPDIR/webapp.tar"
	expect_status 0
	[ "$(value '.runtimes[0].measures."network.app".samples | length')" = 50 ]
	[ "$(value '.runtimes[0].http_status')" = 200 ]
	[ -z "$(namespaces_of_compare)" ]
}

@test "compare: namespaces of a run that was killed go with the next one" {
	needs_caisson
	caisson compare --quiet --via containerd --containerd-address "$CONTAINERD_ADDRESS" --only density --density \
		--containers 50 --runtimes runc --output "$BATS_TEST_TMPDIR/report" >/dev/null 2>&1 &
	local guard=$! worker
	somebody_waits() { pgrep -f '^/probe hold' >/dev/null; }
	eventually somebody_waits
	worker=$(pgrep -P "$guard")
	kill -KILL "$guard" "$worker"
	wait "$guard" || true
	wait_for_end "$worker"
	[ -n "$(namespaces_of_compare)" ]
	run compare --rounds 1 --only startup --runtimes host
	expect_status 0
	[ -z "$(namespaces_of_compare)" ]
	run ! pgrep -f '^/probe hold'
}

@test "compare: shims that are not there are rows with the reason" {
	needs_caisson
	run compare --rounds 1 --only startup --runtimes host,runsc,kata,podman
	expect_status 0
	[[ "$(value '.runtimes[] | select(.name == "kata") | .unusable')" == *Caisson* ]]
	[[ "$(value '.runtimes[] | select(.name == "podman") | .unusable')" == *"no path"* ]]
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
