/* SPDX-License-Identifier: Apache-2.0 */
/* The whole of a comparison, from an empty directory to its results. */
#pragma once

#include "compare/results.h"
#include "compare/session.h"

struct compare_options {
    const char *probe;      /* the probe's program */
    const char *caisson;    /* this program */
    char *const *runtimes;  /* NULL: all that are there */
    const char *containerd; /* its address, to have the containers started by it; NULL: by the runtimes */
    const char *app;        /* an image of a web application, or NULL */
    const json_t *seccomp;  /* linux.seccomp of an ordinary container, and its capabilities */
    char *const *capabilities;
    struct session_options session;
    session_progress *progress;
    void *context;
};

/* Measures. An interruption is no error: the results say so. Nothing is left behind. */
struct error *compare(const struct compare_options *options, struct results **ret_results);

/* Pure: a root file system for all: directories, the probe, and the files for the walk below /usr. */
struct error *rootfs_make(const char *directory, const char *probe);
#define ROOTFS_FILES 4000
