/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate of the host's time stamp counter, which an emulated guest sees unchanged and which nothing tells
 * it. Measured between two moments that the caller has anyway.
 */
#pragma once

#include <stdint.h>

struct tsc_sample {
    uint64_t ticks;
    uint64_t nanoseconds;
};

struct tsc_sample tsc_sample(void);
/* In kHz, to a few parts in 10^5. Waits, busily, until two milliseconds have passed since the sample. */
uint64_t tsc_rate(const struct tsc_sample *since);
