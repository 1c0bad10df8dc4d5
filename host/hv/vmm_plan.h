/* SPDX-License-Identifier: Apache-2.0 */
/* What a caisson-vmm process is started with, and the requests that describe its machine, made before
   anything runs. */
#pragma once

#include "hv/hv.h"
#include "vmm/control.h"

/* Our ends; -1: taken. */
struct vmm_channels {
    int control; /* SOCK_SEQPACKET, nonblocking */
    int console;
    int link;
    int errors;
};

struct vmm_plan;

/* Opens what the machine needs. INVALID_ARGUMENT and UNIMPLEMENTED: it cannot be had with this monitor. */
struct error *vmm_plan_new(const struct hv_config *config, struct vmm_plan **ret_plan);
/* Starts the process and sends it all requests up to START, which it answers one by one: that many answers,
   with the sequence numbers from 1 on. The channels are the caller's. Where this fails, there can be a
   process. Once. */
struct error *vmm_plan_spawn(
    struct vmm_plan *plan, pid_t *ret_pid, struct vmm_channels *ret_channels, uint32_t *ret_requests);
/* Takes NULL. */
void vmm_plan_free(struct vmm_plan *plan);

/* As hv_ops.room and hv_ops.memory_address. */
size_t vmm_room(const struct hv_config *config);
uint64_t vmm_memory_address(uint64_t offset);

DEFINE_CLEANUP(struct vmm_plan *, vmm_plan_free);
