/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that grows with what its containers may use.
 *
 * A pod's machine is made before its containers are known. Where their limits come to more than it has (of
 * memory with what the guest's kernel needs), it is given more: when a container is created, and when a limit
 * is raised. It never shrinks; what the guest frees goes back to the host by itself.
 *
 * What it may grow to has its price from the start. Memory: see settings.h. Processors: next to nothing under
 * hardware virtualization, but an emulated guest's atomic operations are slower from the second one on. So
 * where the class does not say (vcpus_max), an emulated machine may come to have more only where it is a
 * pod's whose limits are not known when it starts; the kubelet tells them, crictl and a client of its own may
 * not.
 */
#pragma once

#include "sandbox/model.h"

/* What a machine by this hypervisor may grow to, in bytes; no more than its memory: not at all. Never more
   than the host has. */
uint64_t growth_limit(const struct sandbox *sandbox, const struct hv_ops *ops);
/* The same for its processors. */
unsigned growth_vcpus(const struct sandbox *sandbox, const struct hv_ops *ops);
/* Of a machine that has been made like this. */
void growth_begin(struct sandbox *sandbox, const struct hv_config *config);
/* The bytes of memory that the machine has or is about to have, also before it is made. */
uint64_t growth_memory(const struct sandbox *sandbox);
/* Gives the running machine what its containers may use, as far as it may grow; a remark says where that is
   not enough. `done` may be called at once. */
void sandbox_grow(struct sandbox *sandbox, sandbox_done *done, void *context);
