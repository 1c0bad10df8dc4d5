/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What loading and pulling share.
 */
#pragma once

#include "image/parts.h"
#include "image/store.h"

/* Converts the image unless the store has it; waits for another process that converts it. */
struct error *load_parts(struct image_store *store, const struct files *files, const struct parts *parts,
    struct progress *progress);
struct error *rootfs_hash(int fd, struct progress *progress, struct digest *ret_digest, uint64_t *ret_size);
/* Gives complete names to an image of the store; see image_load for what becomes of others that had them. */
struct error *names_give(struct image_store *store, const struct digest *digest, char *const *names);
