/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content digests as OCI writes them, "sha256:HEX" and "sha512:HEX", and the running hash that checks them.
 * https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_TEXT_MAX = sizeof("sha512:") + 128 };

/* A value; text is the whole digest, checked: a known algorithm and as many lower-case hex digits as it has.
 */
struct digest {
    char text[DIGEST_TEXT_MAX];
};

/* `what` names the place in the sentence. */
struct error *digest_parse(const char *what, const char *text, struct digest *ret_digest);
/* The digits after the colon: a safe file name. Borrowed. */
const char *digest_hex(const struct digest *digest);
bool digest_equal(const struct digest *one, const struct digest *other);

struct hasher;

/* A hash of the algorithm of `like`; NULL is sha256. */
struct hasher *hasher_new(const struct digest *like);
void hasher_add(struct hasher *hasher, const void *data, size_t length);
/* Of all that was added; the hasher is done afterwards. */
struct digest hasher_finish(struct hasher *hasher);
void hasher_free(struct hasher *hasher);
DEFINE_CLEANUP(struct hasher *, hasher_free);
#define _cleanup_hasher_ _cleanup_(hasher_free)

/* sha256 of a piece of memory. */
struct digest digest_of(const void *data, size_t length);
