/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that grows with what its containers may use.
 *
 * A pod's machine is made before its containers are known. Where their memory limits, with what the guest's
 * kernel needs, come to more than it has, it is given more: when a container is created, and when a limit is
 * raised. It never shrinks; what the guest frees goes back to the host by itself.
 */
#pragma once

#include "sandbox/model.h"

/* What a machine by this hypervisor may grow to, in bytes; no more than its memory: not at all. Never more
   than the host has. */
uint64_t growth_limit(const struct sandbox *sandbox, const struct hv_ops *ops);
/* Of a machine that has been made like this. */
void growth_begin(struct sandbox *sandbox, const struct hv_config *config);
/* Gives the running machine what its containers may use, as far as it may grow; a remark says where that is
   not enough. `done` may be called at once. */
void sandbox_grow(struct sandbox *sandbox, sandbox_done *done, void *context);
