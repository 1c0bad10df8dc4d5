/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `caisson run` in steps, one file each: the image (run_image.c), the bundle (run_bundle.c), the container's
 * start and end (run.c), the timings (timings.c).
 */
#pragma once

#include "cli/run_settings.h"
#include "cli/timings.h"
#include "client/attach.h"
#include "client/record.h"
#include "image/image.h"

#include <event2/event.h>

struct run {
    const struct run_settings *settings;
    char **arguments; /* after the image */
    const char *image_name;
    struct directories *directories;
    struct event_base *base;
    struct signals *signals;
    int signal; /* that asked to end; 0 where none did */
    struct image_store *store;
    struct image *image;
    struct record *record; /* reserved from the bundle's making on */
    bool reserved;
    int lock;
    char *bundle;
    struct task *task;
    struct fifos *fifos;
    struct attach *attach;
    struct timings timings;
};

/* Finds the image, or fetches it as --pull says. */
struct error *run_find_image(struct run *run);
/* Makes the record, takes its lock, and makes the bundle. */
struct error *run_make_bundle(struct run *run);
