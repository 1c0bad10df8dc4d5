# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A private containerd for each file of tests, and what the tests share. Where it is started:
#   CONTAINERD    the directory of containerd's programs (tests/tools/get prints it)
#   TEST_RUNTIME  the runtime under test; io.containerd.runc.v2 is the control that proves the tests themselves
# ctr, nerdctl and crictl find the instance through the environment, so that a test's line is what a user types.

bats_require_minimum_version 1.5.0
: "${CAISSON_DIST:?set it to the assembled tree, BUILD/dist}"
: "${CONTAINERD:?set it to the directory of containerd, ctr and their runc shim}"
# shellcheck disable=SC1091 # shared with the suite of caisson's own front end
source "$BATS_TEST_DIRNAME/../assertions.bash"

TEST_RUNTIME=${TEST_RUNTIME:-io.containerd.kata.v2}
NERDCTL=${NERDCTL:-}
CRICTL=${CRICTL:-}
export TEST_RUNTIME
export PATH="$CONTAINERD:$CAISSON_DIST/bin${NERDCTL:+:$NERDCTL}${CRICTL:+:$CRICTL}:$PATH"
# What hangs must not hold the suite: write_deadlines put ctr, nerdctl and crictl with a deadline there.
[ -z "${INSTANCE:-}" ] || PATH=$INSTANCE/bin:$PATH

# Processes that only a container or its start may have brought.
container_processes='containerd-shim-|qemu-system-|virtiofsd|nerdctl|caisson'

caisson_is_tested() { [ "$TEST_RUNTIME" != io.containerd.runc.v2 ]; }

# needs_caisson: where runc as the control has nothing to prove.
needs_caisson() {
	caisson_is_tested || skip "${1:-about what only a virtual machine has}"
}

needs_program() {
	command -v "$1" >/dev/null || skip "$1 could not be had on this machine"
}

# version AT LEAST: of the containerd under test.
containerd_is_at_least() {
	printf '%s\n' "$1" "$CONTAINERD_VERSION" | sort -V -C
}

setup_file() {
	start_containerd
}

teardown_file() {
	stop_containerd
}

teardown() {
	remove_everything
	nothing_left
}

# --- the instance

# The CRI part is named differently in 1.6 and 2.x. Without CAP_SYS_RESOURCE nothing may get a lower oom_score_adj
# than containerd has, as pods want. containerd gives up a shim that does not answer in 5 s while it starts, and calls
# a task's status unknown after 2 s: too little for a machine with other work.
write_configuration() {
	local version=2 plugin=io.containerd.grpc.v1.cri programs='bin_dir = "/usr/lib/cni"' name
	! containerd_is_at_least 2.0 || version=3 plugin=io.containerd.cri.v1.runtime
	! containerd_is_at_least 2.1 || programs='bin_dirs = ["/usr/lib/cni"]'
	cat >"$INSTANCE/config.toml" <<-END
		version = $version
		root = "$INSTANCE/root"
		state = "$INSTANCE/state"
		disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
		[grpc]
		  address = "$INSTANCE/containerd.sock"
		[debug]
		  level = "debug"
		[timeouts]
		  "io.containerd.timeout.shim.load" = "60s"
		  "io.containerd.timeout.shim.cleanup" = "60s"
		  "io.containerd.timeout.shim.shutdown" = "60s"
		  "io.containerd.timeout.task.state" = "60s"
		[plugins."io.containerd.cri.v1.images".pinned_images]
		  sandbox = "caisson.test/pause:1"
		[plugins."$plugin"]
		  restrict_oom_score_adj = true
		  $([ $version -eq 3 ] || echo 'sandbox_image = "caisson.test/pause:1"')
		[plugins."$plugin".containerd]
		  default_runtime_name = "$TEST_RUNTIME_NAME"
		[plugins."$plugin".cni]
		  $programs
		  conf_dir = "$INSTANCE/cni"
	END
	for name in runc kata; do
		cat >>"$INSTANCE/config.toml" <<-END
			[plugins."$plugin".containerd.runtimes.$name]
			  runtime_type = "io.containerd.$name.v2"
			  pod_annotations = ["io.caisson.*", "io.katacontainers.*"]
			  container_annotations = ["io.caisson.*"]
			  privileged_without_host_devices = $([ $name = runc ] && echo false || echo true)
		END
	done
	# Pods through the Sandbox API, without a pause container.
	! containerd_is_at_least 2.0 || cat >>"$INSTANCE/config.toml" <<-END
		[plugins."$plugin".containerd.runtimes.sandboxed]
		  runtime_type = "io.containerd.kata.v2"
		  sandboxer = "shim"
	END
}

# For the tests of this file, whose processes read this file again.
write_deadlines() {
	local name real
	mkdir "$INSTANCE/bin"
	for name in ctr nerdctl crictl; do
		real=$(command -v "$name") || continue
		printf '#!/bin/sh\nexec timeout --foreground -s KILL "${DEADLINE:-240}" %s "$@"\n' "$real" >"$INSTANCE/bin/$name"
		chmod +x "$INSTANCE/bin/$name"
	done
}

# A bridge for pods, beside the one that nerdctl makes for itself.
write_network() {
	mkdir -p "$INSTANCE/cni"
	cat >"$INSTANCE/cni/10-pods.conflist" <<-'END'
		{"cniVersion": "0.4.0", "name": "pods", "plugins": [
		  {"type": "bridge", "bridge": "pods0", "isGateway": true, "ipMasq": false,
		   "ipam": {"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}],
		            "ranges": [[{"subnet": "10.88.0.0/16"}], [{"subnet": "fd00:88::/64"}]]}},
		  {"type": "portmap", "capabilities": {"portMappings": true}}]}
	END
}

# containerd, ready to be asked when this returns.
launch_containerd() {
	: >"$INSTANCE/log"
	setsid containerd --config "$INSTANCE/config.toml" </dev/null >>"$INSTANCE/log" 2>&1 3>&- &
	echo $! >"$INSTANCE/pid"
	wait_for_line "$INSTANCE/log" "containerd successfully booted"
	# 1.6 says so before its CRI part is initialized.
	! command -v crictl >/dev/null || eventually crictl version >/dev/null 2>&1 || { echo "CRI never answers"; return 1; }
}

start_containerd() {
	INSTANCE=$(mktemp -d "$BATS_FILE_TMPDIR/containerd.XXXX")
	CONTAINERD_VERSION=$(containerd --version | awk '{ sub(/^v/, "", $3); sub(/[~+].*/, "", $3); print $3 }')
	CONTAINERD_ADDRESS=$INSTANCE/containerd.sock
	CRI_CONFIG_FILE=$INSTANCE/crictl.yaml
	NERDCTL_TOML=$INSTANCE/nerdctl.toml
	TEST_RUNTIME_NAME=$(cut -d . -f 3 <<<"$TEST_RUNTIME")
	export INSTANCE CONTAINERD_VERSION CONTAINERD_ADDRESS CRI_CONFIG_FILE \
		NERDCTL_TOML TEST_RUNTIME_NAME
	write_configuration
	write_network
	write_deadlines
	cat >"$NERDCTL_TOML" <<-END
		address = "$CONTAINERD_ADDRESS"
		data_root = "$INSTANCE/nerdctl"
		cni_path = "/usr/lib/cni"
		cni_netconfpath = "$INSTANCE/nerdctl-cni"
	END
	printf '%s: unix://%s\n' runtime-endpoint "$CONTAINERD_ADDRESS" image-endpoint "$CONTAINERD_ADDRESS" >"$CRI_CONFIG_FILE"
	echo "timeout: 60" >>"$CRI_CONFIG_FILE"
	launch_containerd
	local image namespace
	for image in "$IMAGES"/*.tar; do
		for namespace in default k8s.io; do
			ctr --namespace "$namespace" images import "$image" >/dev/null
		done
	done
}

# end_containerd SIGNAL: it alone; what it started goes on.
end_containerd() {
	local pid
	pid=$(cat "$INSTANCE/pid")
	kill "-$1" "$pid"
	wait_for_end "$pid"
}

stop_containerd() {
	end_containerd TERM
	if [ -n "${KEEP_LOGS:-}" ]; then cp "$INSTANCE/log" "$KEEP_LOGS/$(basename "$BATS_TEST_FILENAME").log"; fi
}

# --- cleaning up, by the programs that made things

remove_everything() {
	remove_pods
	if command -v nerdctl >/dev/null; then
		# shellcheck disable=SC2046 # ids are words
		nerdctl rm -f $(nerdctl ps -aq) >/dev/null 2>&1 || true
	fi
	remove_tasks default
	remove_tasks k8s.io
}

remove_pods() {
	command -v crictl >/dev/null || return 0
	# shellcheck disable=SC2046
	crictl rmp -af >/dev/null 2>&1 || true
}

remove_tasks() {
	local id
	for id in $(ctr --namespace "$1" tasks ls -q); do
		ctr --namespace "$1" tasks kill -s KILL -a "$id" >/dev/null 2>&1 || true
		ctr --namespace "$1" tasks delete -f "$id" >/dev/null 2>&1 || true
	done
	for id in $(ctr --namespace "$1" containers ls -q); do
		ctr --namespace "$1" containers rm "$id" >/dev/null 2>&1 || true
	done
}

# Fails, and says what, when anything of a container remains; it goes then, so that only this test fails. What is
# just ending is waited for: containerd cleans up after a shim that died when the shim is gone, with a process of its
# own, and takes the directories away after that.
nothing_left() {
	local left pid
	if ! eventually prints_nothing remaining_processes; then
		left=$(remaining_processes)
		for pid in $left; do tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | cut -c 1-200 || true; done
		kill -9 $left
		echo "processes left: $left"
		return 1
	fi
	eventually prints_nothing remaining_mounts ||
		{ left=$(remaining_mounts); umount --lazy $left; echo "mounts left: $left"; return 1; }
	eventually prints_nothing remaining_files ||
		{ left=$(remaining_files); rm -rf $left; echo "files left: $left"; return 1; }
	eventually prints_nothing remaining_interfaces || { remaining_interfaces; return 1; }
	eventually prints_nothing container_cgroups || {
		left=$(container_cgroups)
		find $left -depth -type d -exec rmdir {} + || true
		echo "cgroups left: $left"
		return 1
	}
}

# prints_nothing COMMAND...
prints_nothing() { [ -z "$("$@")" ]; }

remaining_processes() {
	local pid
	for pid in $(pgrep -f "$container_processes" || true); do is_tool "$pid" || echo "$pid"; done
}

remaining_mounts() {
	awk -v state="$INSTANCE/state" '$5 ~ "^(" state "|/run/(netns|kata|caisson))/" { print $5 }' /proc/self/mountinfo
}

remaining_interfaces() {
	ip -o link show type tun
	ip -o link show type veth
}

# runc's shim leaves its socket where it is killed.
remaining_files() {
	local places=("$INSTANCE/state/io.containerd.runtime.v2.task" /run/netns /run/caisson)
	! caisson_is_tested || places+=(/run/containerd/s)
	find "${places[@]}" -mindepth 1 -not -path '*.task/default' -not -path '*.task/k8s.io' -not -path '*.task/moby' \
		-not -path /run/caisson/sandboxes 2>/dev/null | head -n 5 || true
}

# Of the suite itself: bats, containerd, the tests' own helpers.
is_tool() {
	local name
	name=$(cat "/proc/$1/comm" 2>/dev/null) || return 0
	case $name in bash | bats* | containerd | sh | tail | world | tee | cat) return 0 ;; *) return 1 ;; esac
}

# Groups below those of namespaces; `tests` holds the suite itself on v2.
container_cgroups() {
	find /sys/fs/cgroup -mindepth 3 -maxdepth 5 -type d -not -path '*/unified/tests*' 2>/dev/null |
		grep -E '/(default|k8s\.io|kubepods|caisson[^/]*|kata[^/]*)/[^/]+' || true
}

# --- terminals: see ../terminal.bash
