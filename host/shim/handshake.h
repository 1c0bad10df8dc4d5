/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What containerd writes to the standard input of `start`: nothing, an Any of runtime options (up to 2.2), or
 * BootstrapParams (2.3 and later). The two are told apart by what they must contain; anything else is passed
 * over, because a start must not fail for it.
 *
 * Whoever writes BootstrapParams also reads BootstrapResult, and is told of version 3 of the Task service:
 * then it takes a pod's shim for the pod's other containers, too, without a `start` for each. To all others
 * the answer is the bare address, which every containerd reads as version 2.
 */
#pragma once

#include "base/error.h"
#include "shim/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct handshake {
    bool debug;          /* containerd's log level asks for it */
    char *ttrpc_address; /* of containerd's event service; NULL where it is not said */
    char *shim_cgroup;   /* ShimCgroup of runc's options: where the shim itself is to be; NULL: anywhere */
    bool reads_result;   /* it has sent BootstrapParams */
};

struct handshake handshake_parse(const uint8_t *bytes, size_t length, const struct shim_options *options);
/* Reads the descriptor to its end, but no longer than HANDSHAKE_MILLISECONDS. */
#define HANDSHAKE_MILLISECONDS 1000
struct handshake handshake_read(int fd, const struct shim_options *options);
void handshake_clear(struct handshake *handshake);
/* The answer for this address. Owned by the caller. */
uint8_t *handshake_reply(const struct handshake *handshake, const char *address, size_t *ret_length);

#define _cleanup_handshake_ __attribute__((cleanup(handshake_clear)))
