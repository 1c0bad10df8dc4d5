/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

/* Processor, memory, kernel, system, cgroup mode, load. */
json_t *machine_describe(void);
/* The load of the last minute. */
double machine_load(void);

/* Processor time since boot, in ticks: what the hypervisor below gave to others, and all. */
struct steal {
    unsigned long long stolen, all;
};
struct steal machine_steal(void);
/* The share between two moments. */
double steal_share(struct steal before, struct steal after);
