/* SPDX-License-Identifier: Apache-2.0 */
/* Where cgroups are on this host, and what a cgroup path of config.json means there. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* As many as a cgroup v1 kernel can have, and a few named ones. */
#define HIERARCHIES_MAX 24

struct hierarchy {
    bool unified;      /* cgroup v2 */
    char *controllers; /* as in /proc/self/cgroup: "cpu,cpuacct", "name=systemd"; "" for cgroup v2 */
    char *mount;       /* where it is mounted */
    char *own;         /* the directory of this process's cgroup, below `mount` */
};

struct hierarchies {
    struct hierarchy list[HIERARCHIES_MAX];
    size_t count;
};

/* Reads `mountinfo` and `cgroup` of a directory such as /proc/self. */
struct error *hierarchies_read(const char *proc, struct hierarchies *ret_hierarchies);
void hierarchies_clear(struct hierarchies *hierarchies);
bool hierarchy_has(const struct hierarchy *hierarchy, const char *controller);

/* "/a/b" for either form of cgroupsPath; see cgroup.h. */
struct error *cgroup_path_resolve(const char *path, char **ret_resolved);
