/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer of EROFS images: contents first, as they come, then the tree.
 *
 * It is our own because mkfs.erofs of Debian 12 (1.5) reads a directory only, and an ordinary user cannot
 * make a directory with other people's files, device nodes and capabilities in it. Writing the contents
 * straight into the image also saves a second pass over the layers and any unpacked copy.
 *
 *     block 0              superblock
 *     contents             each file on block boundaries, in the order of arrival
 *     directory blocks     whole blocks of large directories, long link targets
 *     metadata             inodes with attributes, small directories, link targets
 *
 * Nothing is compressed: under emulation the guest's processor is dearer than the disk.
 */
#pragma once

#include "image/output.h"
#include "image/tree.h"

struct erofs_writer;

/* The output is borrowed and empty. */
struct error *erofs_writer_new(struct output *output, struct erofs_writer **ret_writer);
void erofs_writer_free(struct erofs_writer *writer);
DEFINE_CLEANUP(struct erofs_writer *, erofs_writer_free);
#define _cleanup_erofs_writer_ _cleanup_(erofs_writer_free)

/* Starts the contents of a file at the output's position, which becomes inode->offset; write them to the
   output and end with erofs_end_contents. */
void erofs_begin_contents(struct erofs_writer *writer, struct tree_inode *inode);
struct error *erofs_end_contents(struct erofs_writer *writer);
/* Fits tree_discard with the output as context. */
struct error *erofs_discard(void *output, uint64_t offset, uint64_t size);

/* Writes the tree and the superblock and finishes the output. The same tree gives the same bytes; `identity`
   becomes the volume's UUID. */
struct error *erofs_finish(struct erofs_writer *writer, struct tree *tree, const uint8_t identity[16]);
