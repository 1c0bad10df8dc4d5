/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's root: from a directory in the guest to the "/" of a process, in four steps that the
 * child takes in its new mount namespace.
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>

/* 1. Cuts the namespace off from the guest's mounts and makes the root a mount of its own. *ret_root is an
   O_PATH descriptor of it. */
struct error *rootfs_enter_namespace(const Grpc__Spec *spec, int *ret_root);
/* 2. All mounts, devices and the working directory. */
struct error *rootfs_fill(const Grpc__Spec *spec, const char *bundle, int root, bool user_namespace);
/* 3. "/" is the root, and nothing of the guest is mounted any more. */
struct error *rootfs_pivot(int root);
/* 4. What had to stay writable until now becomes read-only, and what is to be hidden is covered. */
struct error *rootfs_seal(const Grpc__Spec *spec);
