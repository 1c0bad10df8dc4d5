/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers or a directory in, one EROFS image file out.
 */
#pragma once

#include "image/blob.h"

enum { BUILDER_LAYERS_MAX = 512 };

/* Bytes of all files of all layers together: what a decompression bomb may write at most. */
#define BUILDER_CONTENTS_MAX (UINT64_C(256) << 30)

struct builder;

/* Writes to the descriptor, an empty file that stays the caller's. */
struct error *builder_new(int fd, struct builder **ret_builder);
void builder_free(struct builder *builder);
DEFINE_CLEANUP(struct builder *, builder_free);
#define _cleanup_builder_ _cleanup_(builder_free)

/* Applies a layer above those before: a tar stream, compressed or not, read from the descriptor's position
   and checked against the expectation. Errors name the entry. ret_contents (may be NULL): the digest of the
   uncompressed tar. */
struct error *builder_add_layer(struct builder *builder, int fd, const struct blob_expectation *expectation,
    struct progress *progress, struct digest *ret_contents);

/* Takes in a directory with everything below it that is on the same file system. Sockets are left out. Owners
   as found, but for another user than root: that user's own files, and those of the user's group, become
   root's. */
struct error *builder_add_directory(struct builder *builder, const char *path, struct progress *progress);

/* Completes the file and has it on the disk. */
struct error *builder_finish(struct builder *builder, const uint8_t identity[16]);
