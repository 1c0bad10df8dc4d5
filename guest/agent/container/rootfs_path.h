/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths inside a root file system that a stranger made. Links in it are followed as the container would
 * follow them and never lead out. Paths are the container's absolute ones.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* O_PATH descriptor of what is there. NOT_FOUND where nothing is. */
struct error *rootfs_open(int root, const char *path, int *ret_fd);
/* The same, and what is missing is created: directories with mode 0755, at the end a directory or an empty
   file. A link that points to nothing gets its target made, inside the root. */
struct error *rootfs_make_directory(int root, const char *path, int *ret_fd);
struct error *rootfs_make_file(int root, const char *path, int *ret_fd);
/* Opens (making it where it is missing) the directory that holds the last component of the path, and gives
   that component, the caller's to free. For what mknod and symlink put there. */
struct error *rootfs_parent(int root, const char *path, int *ret_directory, char **ret_name);
