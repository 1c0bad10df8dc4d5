/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of a standard stream: moves bytes from one descriptor to another in the event loop.
 *
 * Back-pressure goes from end to end: the source is read only when everything before was written. An idle
 * pump holds no memory; a stalled one at most PUMP_CHUNK bytes.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#define PUMP_CHUNK (64u << 10)

enum pump_end {
    PUMP_FINISHED, /* the source ended and all of it was written */
    PUMP_BROKEN,   /* the reader of the destination is gone */
    PUMP_FAILED,   /* another error of either side */
};

struct pump;
/* Both descriptors are closed. The reason (PUMP_FAILED, else NULL) is borrowed. The pump may be freed here.
 */
typedef void pump_ended(void *context, enum pump_end end, const struct error *reason);

/* Takes both descriptors and makes them non-blocking. With `watch_reader` a pipe whose last reader goes away
   ends the pump at once and not at the next write. */
struct error *pump_new(struct event_base *base, int source, int destination, bool watch_reader,
    pump_ended *ended, void *context, struct pump **ret_pump);
/* Whether the last writer of the source has gone, or the source has ended. Not before the first writer came.
 */
bool pump_writer_gone(const struct pump *pump);
/* Nothing more is to come: what the source holds now is still moved, then the pump ends. */
void pump_finish(struct pump *pump);
/* Bytes written so far, for telling a slow reader from one that sleeps. */
uint64_t pump_progress(const struct pump *pump);
/* Bytes that were dropped because the destination's disk is full, and the last errno; 0 where there were
 * none. */
uint64_t pump_lost(const struct pump *pump, int *ret_errnum);
/* Closes both descriptors, without calling back. Takes NULL. */
void pump_free(struct pump *pump);
