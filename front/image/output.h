/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image file while it is written: one sequential stream with holes, buffered, its write-back started
 * early so that the fsync at the end has little left to do.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum { OUTPUT_BLOCK = 4096 };

struct output;

/* Writes from offset 0 on. The descriptor stays the caller's. */
struct output *output_new(int fd);
void output_free(struct output *output);
DEFINE_CLEANUP(struct output *, output_free);
#define _cleanup_output_ _cleanup_(output_free)

uint64_t output_position(const struct output *output);
/* A full disk is RESOURCE_EXHAUSTED. */
struct error *output_write(struct output *output, const void *data, size_t length);
/* Leaves a hole: zeros that take no space. */
struct error *output_skip(struct output *output, uint64_t length);
/* Zeros up to the next multiple of `alignment`. */
struct error *output_align(struct output *output, uint64_t alignment);
/* Replaces bytes that were written before; for the superblock. */
struct error *output_write_at(struct output *output, uint64_t offset, const void *data, size_t length);
/* Gives back the space of whole blocks that nothing points to any more; they read as zeros where the file
   system can do it, else stay as they are. */
struct error *output_discard(struct output *output, uint64_t offset, uint64_t length);
/* Everything is in the file and on the disk, and the file ends at the position. */
struct error *output_finish(struct output *output);
