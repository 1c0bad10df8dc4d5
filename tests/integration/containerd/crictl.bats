# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a kubelet does with a runtime, through CRI.
load helpers
load ../terminal
load pods

setup() { setup_pods; }

@test "a pod with two containers: one machine, one network, separate files" {
	make_pod pair
	make_container web . sh -c 'echo hello >/tmp/index.html; exec httpd -f -p 80 -h /tmp'
	web=$container
	make_container asker . sh -c 'until wget -q -O - http://127.0.0.1/; do :; done; sleep 1000'
	wait_for_line "$logs/asker.log" hello
	run crictl exec "$container" sh -c 'ls /tmp; hostname'
	expect_line pair
	[[ "$output" != *index.html* ]]
	run crictl exec "$web" cat /proc/sys/kernel/random/boot_id
	local first=${lines[-1]}
	run crictl exec "$container" cat /proc/sys/kernel/random/boot_id
	expect_line "$first"
	run crictl ps -q
	[ "${#lines[@]}" -eq 2 ]
	crictl stop -t 0 "$web" >/dev/null
	run crictl exec "$container" echo alive
	expect_line alive
	crictl stopp "$pod" >/dev/null
	crictl rmp "$pod" >/dev/null
}

# `start` of a shim writes the file.
@test "the containers of a pod take its shim without starting one each, where containerd knows how" {
	needs_caisson
	local bundles=$INSTANCE/state/io.containerd.runtime.v2.task/k8s.io
	make_pod joined
	make_container one . sleep 1000
	make_container two . sleep 1000
	[ -e "$bundles/$pod/address" ]
	if containerd_is_at_least 2.3; then
		[ "$(jq -r .version "$bundles/$container/bootstrap.json")" = 3 ]
		[ ! -e "$bundles/$container/address" ]
	else
		[ -e "$bundles/$container/address" ]
	fi
	end_containerd KILL
	launch_containerd
	run crictl exec "$container" echo "still there"
	expect_line "still there"
	crictl rmp -f "$pod" >/dev/null
}

@test "a pod without a pause container, through the Sandbox API" {
	needs_caisson
	containerd_is_at_least 2.0 || skip "containerd 2.0 and later"
	local runtime=$TEST_RUNTIME_NAME
	TEST_RUNTIME_NAME=sandboxed
	make_pod light
	TEST_RUNTIME_NAME=$runtime
	make_container one . sh -c 'echo shared >/dev/shm/file; echo up; sleep 1000'
	wait_for_line "$logs/one.log" up
	make_container two . sleep 1000
	run crictl exec "$container" cat /etc/resolv.conf /dev/shm/file
	expect_line "nameserver 10.88.0.53"
	expect_line "search tests.local"
	expect_line shared
	run crictl exec "$container" hostname
	expect_line light
	crictl stopp "$pod" >/dev/null
	crictl rmp "$pod" >/dev/null
}

@test "exec: sync and streamed, exit codes, at a terminal" {
	make_pod execs
	make_container held . sleep 1000
	run crictl exec --sync "$container" sh -c 'echo out; echo err >&2; exit 3'
	[ "$status" -ne 0 ]
	expect_output out
	expect_output "exited with 3"
	run bash -c 'echo typed | crictl exec -i "$1" cat' - "$container"
	expect_line typed
	dialogue <<-END
		spawn crictl exec -it $container sh
		await \$prompt
		await_size 33 101
		send "exit 0\r"
		finish 0
	END
}

@test "exec --sync with a deadline" {
	make_pod deadline
	make_container held . sleep 1000
	run crictl exec --sync --timeout 1 "$container" sleep 1000
	[ "$status" -ne 0 ]
	run crictl exec --sync "$container" echo alive
	expect_line alive
}

@test "attach" {
	make_pod attached
	make_container talker '.stdin = true | .tty = true' sh
	dialogue <<-END
		spawn crictl attach -it $container
		await_prompt
		send "echo for\"\"ty\r"
		await "forty\r\n"
		send "exit 0\r"
		finish 0
	END
}

@test "logs: both streams, in CRI's format" {
	make_pod told
	make_container teller . sh -c 'echo good; echo bad >&2; exit 4'
	patiently bash -c 'until crictl inspect "$1" | grep -q CONTAINER_EXITED; do :; done' - "$container"
	[ "$(inspect .status.exitCode)" = 4 ]
	run crictl logs "$container"
	expect_output good
	expect_output bad
	grep -qE '^[0-9TZ:.+-]+ stdout F good$' "$logs/teller.log"
	grep -qE '^[0-9TZ:.+-]+ stderr F bad$' "$logs/teller.log"
}

@test "stats of a container and of a pod" {
	make_pod counted
	make_container busy . sh -c 'while :; do :; done'
	crictl stats -o json "$container" >"$BATS_TEST_TMPDIR/stats"
	jq -e '.stats[0] | (.memory.workingSetBytes.value | tonumber) > 0 and
		(.cpu.usageCoreNanoSeconds.value | tonumber) > 0' "$BATS_TEST_TMPDIR/stats"
	if containerd_is_at_least 1.7; then
		crictl statsp -o json "$pod" >"$BATS_TEST_TMPDIR/stats"
		jq -e '.stats[0].linux.memory.workingSetBytes.value | tonumber > 0' "$BATS_TEST_TMPDIR/stats"
	fi
}

@test "a container that ended is started anew in the same pod" {
	make_pod lasting
	make_container first . sh -c 'exit 1'
	patiently bash -c 'until crictl inspect "$1" | grep -q CONTAINER_EXITED; do :; done' - "$container"
	crictl rm "$container" >/dev/null
	[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_READY ]
	make_container second '.metadata.attempt = 1' sh -c 'echo again; sleep 1000'
	wait_for_line "$logs/second.log" again
}

@test "an init container, then three with limits of their own" {
	make_pod several
	make_container init . true
	patiently bash -c 'until crictl inspect "$1" | grep -q CONTAINER_EXITED; do :; done' - "$container"
	local name
	for name in a b c; do
		make_container "$name" '.linux.resources = {memory_limit_in_bytes: 33554432, cpu_quota: 50000, cpu_period: 100000}' \
			sh -c 'echo up; sleep 1000'
		wait_for_line "$logs/$name.log" up
	done
	run crictl exec --sync "$container" tail /dev/zero
	[ "$status" -ne 0 ]
}

@test "update of a limit holds at once" {
	make_pod updated
	make_container grown '.linux.resources = {memory_limit_in_bytes: 33554432}' sleep 1000
	run crictl exec --sync "$container" sh -c 'dd if=/dev/zero bs=64M count=1 | wc -c'
	[[ $'\n'"$output"$'\n' != *$'\n67108864\n'* ]]
	crictl update --memory 134217728 "$container" >/dev/null
	run crictl exec --sync "$container" sh -c 'dd if=/dev/zero bs=64M count=1 | wc -c'
	expect_line 67108864
}

@test "volumes: a file, a directory and its changes, read-only, in memory" {
	mkdir "$BATS_TEST_TMPDIR/d"
	echo one >"$BATS_TEST_TMPDIR/d/key"
	echo alone >"$BATS_TEST_TMPDIR/file"
	make_pod stored
	make_container reader ".mounts = [
		{container_path: \"/d\", host_path: \"$BATS_TEST_TMPDIR/d\", readonly: true},
		{container_path: \"/etc/file\", host_path: \"$BATS_TEST_TMPDIR/file\"}]" sleep 1000
	run crictl exec "$container" sh -c 'cat /d/key /etc/file; echo changed >/etc/file; touch /d/no'
	[ "$status" -ne 0 ]
	expect_line one
	expect_line alone
	[ "$(cat "$BATS_TEST_TMPDIR/file")" = changed ]
	# As a kubelet updates a ConfigMap: a new directory, and a link that is renamed onto the old one.
	echo two >"$BATS_TEST_TMPDIR/d/.new"
	mv "$BATS_TEST_TMPDIR/d/.new" "$BATS_TEST_TMPDIR/d/key"
	run patiently bash -c 'until crictl exec "$1" cat /d/key | grep two; do :; done' - "$container"
	expect_line two
}

@test "network: an address of each family, DNS, pod to pod, a host port, port-forward" {
	make_pod served '.port_mappings = [{container_port: 80, host_port: 18082}]'
	make_container web . sh -c 'echo hello >/tmp/index.html; echo up; exec httpd -f -p 80 -h /tmp'
	wait_for_line "$logs/web.log" up
	local served=$pod address
	address=$(crictl inspectp "$pod" | jq -r .status.network.ip)
	run crictl exec "$container" sh -c 'ip addr show dev eth0; cat /etc/resolv.conf; ip route; ip -6 route'
	expect_output "$address"
	expect_output fd00:88::
	expect_output "nameserver 10.88.0.53"
	expect_output "default via 10.88.0.1"
	make_pod other
	make_container asker . sleep 1000
	run crictl exec "$container" timeout 120 sh -c "until wget -q -O - http://$address/; do :; done"
	expect_line hello
	run patiently bash -c 'until wget -q -O - "http://$1:18082/" 2>/dev/null; do :; done' - "$(host_address)"
	expect_line hello
	crictl port-forward "$served" 18083:80 >"$BATS_TEST_TMPDIR/forward" 2>&1 3>&- &
	forward=$!
	wait_for_line "$BATS_TEST_TMPDIR/forward" "Forwarding from"
	run patiently wget -q -O - http://127.0.0.1:18083/
	cat "$BATS_TEST_TMPDIR/forward"
	kill "$forward" || true
	expect_line hello
}

# The bridge's: host ports are for addresses of the host other than the loopback.
host_address() { ip -4 -o addr show dev pods0 | awk '{ sub("/.*", "", $4); print $4 }'; }

@test "processes: shared by the pod where it asks for it" {
	make_pod shared '.linux.security_context.namespace_options.pid = 0'
	make_container sleeper '.linux.security_context.namespace_options.pid = 0' sleep 4321
	make_container looker '.linux.security_context.namespace_options.pid = 0' sleep 1000
	run crictl exec "$container" ps
	expect_output "sleep 4321"
	expect_output /pause
	make_pod apart
	make_container sleeper . sleep 4321
	make_container looker . sleep 1000
	run crictl exec "$container" ps
	[[ "$output" != *"sleep 4321"* ]]
}

@test "the host's network is refused with its reason" {
	needs_caisson
	run make_pod hosted '.linux.security_context.namespace_options.network = 2'
	[ "$status" -ne 0 ]
	expect_output network
}

@test "a pod is stopped and removed under running containers" {
	make_pod sudden
	make_container a . sh -c 'trap "" TERM; while :; do sleep 1; done'
	make_container b . sleep 1000
	crictl stopp "$pod" >/dev/null
	crictl rmp "$pod" >/dev/null
	[ -z "$(crictl pods -q)" ]
}
