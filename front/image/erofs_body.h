/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands behind an EROFS inode, as bytes: its attributes, and what a directory or link holds. Inside of
 * erofs.c.
 */
#pragma once

#include "image/tree.h"

#include <stddef.h>
#include <stdint.h>

/* 0 for none; otherwise the header and all entries, a multiple of 4. */
size_t erofs_xattrs_size(const struct xattrs *xattrs);
/* Fills that many bytes. */
void erofs_xattrs_encode(const struct xattrs *xattrs, uint8_t *buffer);

/* The i_size of a directory: all blocks but the last are full. */
uint64_t erofs_directory_size(const struct tree_node *directory);
/* Fills that many bytes. All inodes in it have their position. */
void erofs_directory_encode(const struct tree_node *directory, uint8_t *buffer);
