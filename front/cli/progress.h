/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of the image store, for a person: nothing while it is quick, then one line on stderr that is drawn
 * over at a terminal, or one line a step elsewhere. A signal that asks to end ends the work.
 */
#pragma once

#include "image/image.h"

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool quiet;
    bool drawn;    /* there is an unfinished line on the terminal */
    int64_t begun; /* milliseconds, monotonic */
    int64_t last;
    char step[80];
};

void progress_begin(struct progress *progress, bool quiet);
/* For the image store's calls. */
struct image_observer progress_observer(struct progress *progress);
/* Wipes the line. */
void progress_end(struct progress *progress);
