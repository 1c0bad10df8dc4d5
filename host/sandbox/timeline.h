/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the phases of a start were reached, for `--timings`.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TIMELINE_MAX 24

struct timeline {
    struct timeline_mark {
        const char *name; /* static */
        uint64_t at;      /* CLOCK_MONOTONIC, microseconds */
    } marks[TIMELINE_MAX];
    size_t count;
};

uint64_t timeline_now(void);
/* Further marks than TIMELINE_MAX are dropped. */
void timeline_mark(struct timeline *timeline, const char *name);
void timeline_mark_at(struct timeline *timeline, const char *name, uint64_t at);
/* {"phases": [{"name": ..., "monotonic_us": ...}, ...]} in the order of time; owned by the caller. */
char *timeline_json(const struct timeline *timeline);
