/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

/* Processor, memory, kernel, system, cgroup mode, load. */
json_t *machine_describe(void);
/* The share of processor time since boot that the hypervisor below gave to others. */
double machine_steal_share(void);
