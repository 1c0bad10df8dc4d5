/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What containerd writes to the standard input of `start`: nothing, an Any of runtime options (up to 2.2), or
 * BootstrapParams (2.3 and later). The two are told apart by what they must contain; anything else is passed
 * over, because a start must not fail for it.
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
};

struct handshake handshake_parse(const uint8_t *bytes, size_t length, const struct shim_options *options);
/* Reads the descriptor to its end, but no longer than HANDSHAKE_MILLISECONDS. */
#define HANDSHAKE_MILLISECONDS 1000
struct handshake handshake_read(int fd, const struct shim_options *options);
void handshake_clear(struct handshake *handshake);

#define _cleanup_handshake_ __attribute__((cleanup(handshake_clear)))
