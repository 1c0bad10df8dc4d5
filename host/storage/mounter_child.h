/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the mounter that runs in the helper. Everything it needs was made before it was cloned. */
#pragma once

#include "storage/mounter.h"

/* Descriptors of the helper. */
enum {
    MOUNTER_FD_SERVER = 3, /* pidfd of the file server */
    MOUNTER_FD_SOCKET = 4, /* takes the host's clone of a root file system */
};

/* Shared with the helper, which leaves here what it was doing when it failed. */
struct mounter_report {
    char doing[512];
};

struct mounter_task {
    const struct mounter_tree *trees;
    size_t count;
    char **places;  /* of calls */
    char **targets; /* of trees, as the server's mount namespace names them */
    int *held;      /* one for each tree */
    struct mounter_report *report;
};

/* 0 or an errno. */
int mounter_child_add(const struct mounter_task *task);
int mounter_child_remove(const struct mounter_task *task);
