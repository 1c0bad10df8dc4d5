/* SPDX-License-Identifier: Apache-2.0 */
/* The whole of a comparison, from an empty directory to its results. */
#pragma once

#include "compare/results.h"
#include "compare/session.h"

struct compare_options {
    const char *probe;      /* the probe's program */
    const char *caisson;    /* this program */
    char **runtimes;        /* NULL: all that are there; the caller's */
    const char *containerd; /* its address, to have the containers started by it; NULL: by the runtimes */
    const char *app;        /* an image of a web application, or NULL */
    const json_t *seccomp;  /* linux.seccomp of an ordinary container, and its capabilities */
    char *const *capabilities;
    struct session_options session;
    session_progress *progress;
    void *context;
};

/* Where the work lies: TMPDIR, or /var/tmp. */
const char *compare_place(void);
/* Measures, after clearing up what dead runs left there. An interruption is no error: the results say so.
   Nothing is left behind. */
struct error *compare(const struct compare_options *options, struct results **ret_results);

/* Pure: a root file system for all: directories, the probe, and the files for the walk below /usr. */
struct error *rootfs_make(const char *directory, const char *probe);
#define ROOTFS_FILES 4000
