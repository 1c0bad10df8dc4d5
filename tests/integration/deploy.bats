# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# deploy/: manifests that Kubernetes' own types accept, and what the DaemonSet does to a node and takes back.
load helpers

deploy=$BATS_TEST_DIRNAME/../../deploy

setup_file() {
	"$BATS_TEST_DIRNAME/../tools/get" manifests >"$BATS_FILE_TMPDIR/manifests" || rm "$BATS_FILE_TMPDIR/manifests"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	node=
	# No containerd of this machine's is to have an opinion.
	PATH=$CAISSON_DIST/bin:/usr/bin:/bin
}

teardown() {
	[ -z "$node" ] || kill -KILL "$node" 2>/dev/null || true
}

# check_manifests DIRECTORY
check_manifests() {
	[ -s "$BATS_FILE_TMPDIR/manifests" ] || skip "the checker of manifests could not be built on this machine"
	run "$(cat "$BATS_FILE_TMPDIR/manifests")/manifests" "$1"
}

@test "every manifest is what Kubernetes' types say, put together by kustomize" {
	check_manifests "$deploy"
	expect_status 0
	expect_line "RuntimeClass kata kata"
	expect_line "RuntimeClass kata-qemu kata-qemu"
	expect_line "RuntimeClass caisson caisson"
	expect_line "DaemonSet caisson-install"
	expect_line "ClusterRoleBinding caisson-install"
}

@test "a misspelt field, or one of another type, would be seen" {
	cp -r "$deploy" wrong
	sed -i 's/podFixed/podFixd/' wrong/runtimeclasses.yaml
	check_manifests wrong
	expect_status 1
	expect_output podFixd
	cp "$deploy/runtimeclasses.yaml" wrong
	sed -i 's/maxUnavailable: 1/maxUnavailable: [1]/' wrong/daemonset.yaml
	check_manifests wrong
	expect_status 1
}

@test "the classes' handlers are the runtimes that setup adds" {
	local handlers runtimes
	handlers=$(sed -n 's/^handler: //p' "$deploy/runtimeclasses.yaml" | sort)
	runtimes=$(caisson setup containerd --dry-run --config "$PWD/config.toml" --bin "$PWD/bin" |
		sed -n 's/^+\[.*runtimes\.\(.*\)\]$/\1/p' | grep -vx runc | sort)
	[ -n "$handlers" ] && [ "$handlers" = "$runtimes" ]
}

# A node below the directory host, with commands that note how they are called.
make_node() {
	mkdir -p host/etc/containerd host/opt host/usr/local/bin fake files
	printf 'version = 2\n' >host/etc/containerd/config.toml
	"$BATS_TEST_DIRNAME/../../scripts/install" "$CAISSON_DIST" "$PWD/files"
	local name
	for name in systemctl curl; do
		printf '#!/bin/sh\ntail="$*"\n[ %s != curl ] || cat >/dev/null\necho "%s $tail" >>"%s/calls"\n' \
			$name $name "$PWD" >fake/$name
		chmod +x fake/$name
	done
}

# start_node: node-install in the background, its output in the file log.
start_node() {
	env PATH="$PWD/fake:/usr/bin:/bin" CAISSON_HOST_ROOT="$PWD/host" CAISSON_FILES="$PWD/files" \
		CAISSON_READY_FILE="$PWD/ready" NODE_NAME=n1 KUBERNETES_SERVICE_HOST=10.0.0.1 KUBERNETES_SERVICE_PORT=443 \
		"$deploy/node-install" >log 2>&1 3>&- &
	node=$!
}

@test "a node is installed and labelled, and all of it is taken back" {
	make_node
	find host | sort >before
	cp host/etc/containerd/config.toml config.before
	start_node
	wait_for_line log "installed in /opt/caisson"
	[ -e ready ]
	[ "$(readlink host/usr/local/bin/containerd-shim-kata-v2)" = "$PWD/host/opt/caisson/bin/containerd-shim-caisson-v2" ]
	run host/usr/local/bin/containerd-shim-kata-v2 -v
	expect_output io.containerd.kata.v2
	grep -q 'runtimes.kata-qemu]' host/etc/containerd/config.toml
	cmp host/etc/caisson/caisson.conf "$BATS_TEST_DIRNAME/../../share/caisson.conf"
	run cat calls
	[ "${lines[0]}" = "systemctl restart containerd" ]
	[[ "${lines[1]}" == "curl "*'{"metadata":{"labels":{"caisson.io/runtime":"true"}}}'*"/api/v1/nodes/n1" ]]
	: >calls
	kill "$node"
	wait_for_end "$node"
	find host | sort >after
	diff before after
	cmp host/etc/containerd/config.toml config.before
	run cat calls
	[[ "${lines[0]}" == "curl "*'{"caisson.io/runtime":null}'* ]]
	[ "${lines[1]}" = "systemctl restart containerd" ]
	[ ! -e ready ]
}

@test "a node that has everything already is not restarted, and a configuration of its own stays" {
	make_node
	mkdir host/etc/caisson
	printf '[default]\nvcpus = 2\n' >host/etc/caisson/caisson.conf
	start_node
	wait_for_line log "installed in"
	kill -KILL "$node"
	wait_for_end "$node"
	: >calls
	start_node
	wait_for_line log "installed in"
	run cat calls
	[[ "${#lines[@]}" -eq 1 && "${lines[0]}" == curl* ]]
	kill "$node"
	wait_for_end "$node"
	grep -q 'vcpus = 2' host/etc/caisson/caisson.conf
}

@test "a node without a hypervisor is neither configured nor labelled" {
	make_node
	printf '#!/bin/sh\necho "no hypervisor"; exit 125\n' >files/bin/caisson
	start_node
	wait_for_end "$node"
	node=
	run cat log
	expect_output "this node lacks what is named above"
	[ ! -e calls ] && [ ! -e ready ]
	[ "$(cat host/etc/containerd/config.toml)" = "version = 2" ]
}
