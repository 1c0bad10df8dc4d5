/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user mounts: -v, --mount, --tmpfs, and the volumes that the image declares.
 */
#pragma once

#include "cli/run_settings.h"

#include <jansson.h>
#include <stddef.h>

enum mount_kind {
    MOUNT_BIND,   /* a path of the host */
    MOUNT_VOLUME, /* a directory below DATA/volumes: named, or anonymous where the source is NULL */
    MOUNT_TMPFS,
};

struct mount_request {
    enum mount_kind kind;
    char *source; /* path or name of a volume */
    char *target; /* absolute path in the container, without "." and ".." */
    char **options;
    bool create_source; /* -v makes a missing source directory; --mount refuses, as in docker */
};

struct mount_list {
    struct mount_request *mounts;
    size_t count;
};

void mount_list_clear(struct mount_list *list);
#define _cleanup_mount_list_ __attribute__((cleanup(mount_list_clear)))

/* Reads the options and then the volumes of the image (a vector of paths, may be NULL) that no option covers.
   Two mounts on one target are refused. */
struct error *mount_list_parse(
    const struct run_settings *settings, char *const *image_volumes, struct mount_list *ret_list);

/* Finds or makes the sources; a volume's becomes its directory. Directories of anonymous volumes are added
   to ret_anonymous, and belong to the container. Missing: NOT_FOUND. */
struct error *mount_list_prepare(
    struct mount_list *list, const char *data_directory, const char *container_id, char ***ret_anonymous);

/* As OCI mounts, appended to the array. */
void mount_list_to_json(const struct mount_list *list, json_t *mounts);
