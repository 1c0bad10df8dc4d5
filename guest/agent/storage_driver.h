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
    bool is_device; /* source has to appear in /dev first */
    bool is_mount;  /* something is mounted, as opposed to a directory */
    struct error *(*mount)(const Grpc__Storage *storage);
};

/* UNIMPLEMENTED for a driver that is not there. */
struct error *storage_driver_find(const char *name, const struct storage_driver **ret_driver);
