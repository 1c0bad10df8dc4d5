# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How large a pod's machine is: made for the limits that the pod tells, else growing with its containers.
load helpers
load pods

setup() {
	needs_caisson
	setup_pods
}

# shellcheck disable=SC2154 # make_pod and make_container set them
# guest COMMAND...: in $container.
guest() { crictl exec --sync "$container" "$@"; }

# shellcheck disable=SC2154
# machine_option NAME: the value of an option of the pod's hypervisor.
machine_option() {
	tr '\0' '\n' <"/proc/$(pgrep -f "qemu-system.*guest=$pod")/cmdline" | grep -x -A 1 -e "$1" | tail -n 1
}

# What the host lets the pod's machine have, in MiB.
memory_bound() {
	local file
	file=$(find /sys/fs/cgroup -path "*/kubepods/$pod/memory.limit_in_bytes" -o -path "*/kubepods/$pod/memory.max" | head -n 1)
	echo $(($(cat "$file") >> 20))
}

# shellcheck disable=SC2016 # awk expands it
total_memory() { guest awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo; }

needs_processors() {
	[ "$(nproc)" -ge "$1" ] || skip "a machine has no more processors than the host"
}

@test "the machine of a pod that tells no limits grows when its containers have them" {
	needs_processors 2
	make_pod growing
	[ "$(memory_bound)" -eq 768 ]
	make_container small '.linux.resources = {memory_limit_in_bytes: 67108864, cpu_quota: 50000, cpu_period: 100000}' sleep 1000
	[ "$(guest nproc)" = 1 ]
	[ "$(total_memory)" -lt 512 ]
	make_container large '.linux.resources = {memory_limit_in_bytes: 805306368, cpu_quota: 150000, cpu_period: 100000}' sleep 1000
	[ "$(guest nproc)" = 2 ]
	[ "$(total_memory)" -gt 768 ]
	[ "$(memory_bound)" -eq 1152 ]
	guest dd if=/dev/zero of=/dev/null bs=640M count=1
}

@test "the machine grows when a limit is raised" {
	needs_processors 2
	make_pod raised
	make_container held '.linux.resources = {cpu_quota: 50000, cpu_period: 100000}' sleep 1000
	[ "$(guest nproc)" = 1 ]
	crictl update --cpu-quota 200000 --cpu-period 100000 "$container" >/dev/null
	[ "$(guest nproc)" = 2 ]
	crictl update --cpu-quota 50000 --cpu-period 100000 "$container" >/dev/null
	crictl update --cpu-quota 200000 --cpu-period 100000 "$container" >/dev/null
	[ "$(guest nproc)" = 2 ]
}

@test "the machine of a pod that tells its limits is made for them" {
	needs_processors 2
	make_pod told '.linux.resources = {cpu_quota: 200000, cpu_period: 100000, memory_limit_in_bytes: 536870912}'
	make_container held '.linux.resources = {cpu_quota: 200000, cpu_period: 100000, memory_limit_in_bytes: 536870912}' sleep 1000
	[ "$(guest nproc)" = 2 ]
	[ "$(total_memory)" -gt 500 ]
	[ "$(machine_option -m)" = 4096M ]
	[ "$(memory_bound)" -eq 896 ]
}

@test "an emulated machine has one processor where the pod tells that it needs no more" {
	make_pod single '.linux.resources = {cpu_quota: 0, cpu_period: 100000}'
	[[ "$(machine_option -accel)" = tcg* ]] || skip "this machine is not emulated"
	[ "$(machine_option -smp)" = 1 ]
}

# pod_fixed: of the RuntimeClass, in MiB.
pod_fixed() { awk '$1 == "memory:" { sub("Mi$", "", $2); print $2; exit }' "$BATS_TEST_DIRNAME/../../../deploy/runtimeclasses.yaml"; }

# memory_group PATH: its directory in the hierarchy that counts memory.
memory_group() {
	if [ -d /sys/fs/cgroup/memory ]; then echo "/sys/fs/cgroup/memory$1"; else echo "/sys/fs/cgroup$1"; fi
}

# A kubelet limits a pod's cgroup to its containers' limits and the RuntimeClass's overhead.
@test "the overhead of the RuntimeClass covers a pod that uses all it may" {
	local group out_of_memory bytes=$(((128 + $(pod_fixed)) << 20))
	group=$(memory_group /kubepods/covered)
	mkdir -p "$group"
	if [ -e "$group/memory.max" ]; then
		out_of_memory=$group/memory.events
		echo $bytes >"$group/memory.max"
	else
		out_of_memory=$group/memory.oom_control
		echo $bytes >"$group/memory.limit_in_bytes"
	fi
	make_pod covered '.linux.cgroup_parent = "/kubepods/covered" | .linux.resources = {memory_limit_in_bytes: 134217728}'
	make_container held '.linux.resources = {memory_limit_in_bytes: 134217728}' sleep 1000
	# What it may have in memory, its own and files', then much through the file server.
	guest sh -c 'dd if=/dev/zero of=/dev/shm/file bs=1M count=40; dd if=/dev/zero of=/dev/null bs=70M count=1;
		dd if=/dev/zero of=/file bs=1M count=200; cat /file >/dev/null; dd if=/dev/zero of=/dev/null bs=70M count=1' 2>/dev/null
	[ "$(awk '$1 == "oom_kill" { print $2 }' "$out_of_memory")" = 0 ]
	guest true
	crictl rmp -f "$pod" >/dev/null
	find /sys/fs/cgroup -depth -type d -path '*/kubepods/covered' -exec rmdir {} +
}
