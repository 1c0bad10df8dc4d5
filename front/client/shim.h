/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shim of a container: starting it as containerd does, finding a running one, cleaning up after a dead
 * one.
 */
#pragma once

#include "client/directories.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct ttrpc_client;

/* Runs `containerd-shim-caisson-v2 ... start` in the bundle and returns its address, unix:///path. What it
   says on stderr becomes the error's sentence. The shim calls this program for `publish`. */
struct error *shim_start(const struct directories *directories, const char *id, char **ret_address);
/* The address that the shim left in the bundle. NOT_FOUND where there is no shim. */
struct error *shim_address(const struct directories *directories, const char *id, char **ret_address);
/* UNAVAILABLE where nobody listens. */
struct error *shim_connect(struct event_base *base, const char *address, struct ttrpc_client **ret_client);

/* How a container ended, as far as the shim knows. */
struct shim_exit {
    uint32_t status;
    int64_t at; /* milliseconds since 1970; 0 when unknown */
};

/* Runs `containerd-shim-caisson-v2 ... delete` for a shim that is gone: it ends what is left of the sandbox
   and unmounts what is mounted in the bundle. */
struct error *shim_delete(const struct directories *directories, const char *id, struct shim_exit *ret_exit);
