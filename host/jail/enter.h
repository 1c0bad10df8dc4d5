/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a jail that runs in the child, between fork and exec. */
#pragma once

#include "jail/jail.h"

struct jail_mount {
    char *source;
    char *target;
    bool writable;
    bool directory;
    bool device;
};

struct jail_link {
    const char *path;
    char *to;
};

struct jail_node {
    char *path;
    dev_t device;
};

/* Shared with the child, which leaves here what it was doing when it failed. */
struct jail_report {
    char doing[256];
};

struct jail {
    char *name;
    unsigned namespaces; /* CLONE_NEW*; 0: no confinement by namespaces */
    bool user_namespace;
    bool proc;
    char *empty;
    struct jail_mount *mounts;
    size_t mount_count;
    struct jail_link links[4];
    size_t link_count;
    struct jail_node *nodes;
    size_t node_count;
    char uid_map[32], gid_map[32];
    bool change_user;
    uid_t uid; /* with change_user */
    uint64_t capabilities;
    unsigned files;
    int parent; /* pidfd of the process that spawns */
    bool die_with_parent;
    struct jail_report *report;
};

/* 0 or an errno. */
int jail_enter(void *jail);
