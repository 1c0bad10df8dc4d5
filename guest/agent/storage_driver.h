/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How each kind of storage gets to its mount point.
 */
#pragma once

#include "base/error.h"
#include "proto/agent.pb-c.h"

#include <stdbool.h>

struct storage_driver {
    const char *name;
    bool is_device; /* the source is a disk of device_path.h, which has to appear first */
    bool is_mount;  /* something is mounted, as opposed to a directory */
    /* The source is the storage's own, or the path of its device. */
    struct error *(*mount)(const Grpc__Storage *storage, const char *source); /* NULL: host_socket.h */
};

/* UNIMPLEMENTED for a driver that is not there. */
struct error *storage_driver_find(const char *name, const struct storage_driver **ret_driver);
/* What follows "name=" in the first option of that name; NULL where there is none. */
const char *storage_option(const Grpc__Storage *storage, const char *name);
/* Gives a mounted file system the options of this storage: the size of a tmpfs. */
struct error *storage_driver_remount(const Grpc__Storage *storage);
