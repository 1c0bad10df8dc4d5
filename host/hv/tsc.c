/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/tsc.h"

#include <time.h>
#include <x86intrin.h>

#define LEAST_NANOSECONDS 2000000u
#define TRIES 5

static uint64_t raw_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Of several readings the one that took least time, so that an interruption between the clocks does no harm.
 */
struct tsc_sample tsc_sample(void)
{
    struct tsc_sample best = {0};
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        uint64_t before = __rdtsc();
        uint64_t nanoseconds = raw_nanoseconds();
        uint64_t after = __rdtsc();
        if (after - before < least) {
            least = after - before;
            best = (struct tsc_sample){before + (after - before) / 2, nanoseconds};
        }
    }
    return best;
}

uint64_t tsc_rate(const struct tsc_sample *since)
{
    struct tsc_sample now;
    do
        now = tsc_sample();
    while (now.nanoseconds - since->nanoseconds < LEAST_NANOSECONDS);
    return (
        uint64_t)((double)(now.ticks - since->ticks) * 1e6 / (double)(now.nanoseconds - since->nanoseconds));
}
