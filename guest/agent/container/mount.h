/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mounts of a container, made in its new mount namespace before it moves into its root.
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>

struct mount_world {
    int root;            /* O_PATH descriptor of the root file system's own mount */
    const char *bundle;  /* where relative sources of bind mounts begin */
    bool user_namespace; /* the container has one of its own */
};

/* Makes one mount of the Spec. Mount points that are missing are created. A tmpfs or /dev that is to be
   read-only is still writable afterwards: mount_make_read_only ends that. */
struct error *mount_make(const struct mount_world *world, const Grpc__Mount *mount);
/* Inside the container's root, after all that is to be created there has been. */
struct error *mount_make_read_only(const Grpc__Mount *mount);
