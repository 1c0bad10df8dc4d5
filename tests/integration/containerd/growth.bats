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
