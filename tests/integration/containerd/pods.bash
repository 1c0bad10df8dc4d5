# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Pods and their containers through crictl. Logs are in $logs.

setup_pods() {
	needs_program crictl
	logs=$BATS_TEST_TMPDIR/logs
	mkdir "$logs"
}

# make_pod NAME [JQ]: run a pod, its configuration changed by a jq program; its id becomes $pod.
make_pod() {
	jq -n --arg name "$1" --arg logs "$logs" '{metadata: {name: $name, uid: $name, namespace: "tests", attempt: 0},
		hostname: $name, log_directory: $logs, dns_config: {servers: ["10.88.0.53"], searches: ["tests.local"]},
		linux: {cgroup_parent: "/kubepods", security_context: {namespace_options: {pid: 1}}}} | '"${2:-.}" >"$BATS_TEST_TMPDIR/$1.pod"
	pod_file=$BATS_TEST_TMPDIR/$1.pod
	pod=$(crictl runp --runtime "$TEST_RUNTIME_NAME" "$pod_file")
}

# make_container NAME JQ COMMAND...: create and start one in $pod; its id becomes $container.
make_container() {
	local name=$1 program=${2:-.}
	shift 2
	jq -n --arg name "$name" '{metadata: {name: $name, attempt: 0}, image: {image: "docker.io/library/busybox:latest"},
		command: $ARGS.positional, log_path: ($name + ".log"),
		linux: {security_context: {namespace_options: {pid: 1}}}} | '"$program" --args -- "$@" >"$BATS_TEST_TMPDIR/$name.container"
	container=$(crictl create "$pod" "$BATS_TEST_TMPDIR/$name.container" "$pod_file")
	crictl start "$container" >/dev/null
}

# inspect FIELD: of $container.
inspect() { crictl inspect "$container" | jq -r "$1"; }
