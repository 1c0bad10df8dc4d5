/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine of this configuration can come to have at most, for the drivers of hypervisors. */
#pragma once

#include "hv/hv.h"

#define MIB (UINT64_C(1) << 20)

static inline bool memory_grows(const struct hv_config *config)
{
    return config->memory_max > config->memory;
}

static inline unsigned most_vcpus(const struct hv_config *config)
{
    return config->vcpus_max > config->vcpus ? config->vcpus_max : config->vcpus;
}

static inline uint64_t rounded_up(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* In bytes: whole blocks where it grows, else whole MiB. */
static inline uint64_t most_memory(const struct hv_config *config)
{
    return memory_grows(config) ? rounded_up(config->memory_max, HV_MEMORY_BLOCK)
                                : rounded_up(config->memory, MIB);
}
