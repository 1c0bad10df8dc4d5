/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices the processes of a cgroup may open or make: the rules of a Spec as a BPF program of type
 * BPF_PROG_TYPE_CGROUP_DEVICE, which is how cgroup v2 does what the devices controller did in v1.
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <linux/bpf.h>
#include <stddef.h>

/* Rules in the order of the Spec, later ones win; what none names is denied. The devices that each container
   has (runtime-spec's default devices, terminals, and mknod of anything) are allowed at the end. The
   instructions are the caller's. */
struct error *device_filter_compile(Grpc__LinuxDeviceCgroup *const *rules, size_t count,
    struct bpf_insn **ret_instructions, size_t *ret_count);

/* Compiles and attaches in the place of what was attached before. Nothing is attached where the rules allow
   everything anyway. */
struct error *device_filter_attach(int cgroup, Grpc__LinuxDeviceCgroup *const *rules, size_t count);
