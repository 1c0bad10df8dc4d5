/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `caisson run --timings`: when the phases of a run were reached, here and in the shim.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TIMINGS_MAX 64

struct timings {
    struct timing {
        char name[48];
        uint64_t at; /* CLOCK_MONOTONIC, microseconds */
    } marks[TIMINGS_MAX];
    size_t count;
};

/* Beyond TIMINGS_MAX marks are dropped. */
void timings_mark(struct timings *timings, const char *name);
/* Adds what the shim left in the bundle: timings.json, {"phases": [{"name", "monotonic_us"}]}. */
void timings_read_bundle(struct timings *timings, const char *bundle);
/* A table on stderr, in the order of time. */
void timings_print(struct timings *timings);
