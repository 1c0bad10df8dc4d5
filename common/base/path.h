/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths and directory trees.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* Creates the missing directories of the path, with the given mode. */
struct error *directory_create_all(const char *path, mode_t mode);
/* Removes the tree below the path and the path itself; never follows a link, never leaves the file system
   of the path, and succeeds where there is nothing. */
struct error *tree_remove(const char *path);
/* The absolute form with links resolved; NOT_FOUND where it does not exist. */
struct error *path_resolve(const char *path, char **ret_path);
/* Opens a path as seen from a root directory that a stranger filled: links are resolved inside the root and
   never lead out of it (openat2 with RESOLVE_IN_ROOT). flags as for open. */
struct error *open_in_root(int root, const char *path, int flags, mode_t mode, int *ret_fd);

/* Container, exec and sandbox ids: 1 to 76 characters of [A-Za-z0-9] and then also [_.-] (containerd's rule,
   github.com/containerd/containerd/v2/pkg/identifiers). `what` names the thing in the sentence. */
struct error *identifier_check(const char *what, const char *identifier);
