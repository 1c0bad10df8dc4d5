/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress inside the image store: one place counts bytes and asks whether to go on.
 */
#pragma once

#include "image/image.h"

#include <time.h>

struct progress {
    const struct image_observer *observer; /* may be NULL */
    char *step;
    uint64_t done;
    uint64_t total;
    uint64_t reported; /* milliseconds on the monotonic clock */
};

void progress_clear(struct progress *progress);
#define _cleanup_progress_ __attribute__((cleanup(progress_clear)))

/* A new step, reported at once. CANCELLED where the observer wants to stop, as from progress_add. */
struct error *progress_step(struct progress *progress, uint64_t total, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Reported at most ten times a second. */
struct error *progress_add(struct progress *progress, uint64_t bytes);
/* Reports where it stands: while something else is waited for. */
struct error *progress_report(struct progress *progress);
