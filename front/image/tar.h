/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader of tar streams: POSIX ustar and pax, GNU's long names and large numbers, and the old format before
 * them (POSIX.1-2017, pax, "ustar Interchange Format"; tar(5) of libarchive for GNU's part).
 *
 * It is our own because names must come through byte for byte: libarchive 3.6 rewrites the UTF-8 names of pax
 * headers (a decomposed "é" comes out composed), and a container would not find its files. What a
 * layer of an image cannot need (sparse maps, volumes, incremental dumps) is refused.
 */
#pragma once

#include "image/xattr.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    TAR_NAME_MAX = 4095,             /* PATH_MAX less the NUL */
    TAR_EXTENSION_MAX = 1024 * 1024, /* one pax header */
};

/* The bytes of a stream, piece by piece; a length of 0 is its end. A piece is valid until the next call. */
typedef struct error *tar_pull(void *context, const void **ret_data, size_t *ret_length);

enum tar_type {
    TAR_FILE,
    TAR_HARD_LINK,
    TAR_SYMBOLIC_LINK,
    TAR_CHARACTER_DEVICE,
    TAR_BLOCK_DEVICE,
    TAR_DIRECTORY,
    TAR_FIFO,
};

struct tar_entry {
    enum tar_type type;
    char *path;
    char *link; /* target of a link; never NULL */
    mode_t permissions;
    uint32_t uid;
    uint32_t gid;
    int64_t mtime;
    uint32_t mtime_nanoseconds;
    uint64_t size; /* of a file; 0 for all others */
    uint32_t major;
    uint32_t minor;
    struct xattrs xattrs;
};

struct tar_reader;
struct tar_reader *tar_reader_new(tar_pull *pull, void *context);
void tar_reader_free(struct tar_reader *reader);
DEFINE_CLEANUP(struct tar_reader *, tar_reader_free);
#define _cleanup_tar_reader_ _cleanup_(tar_reader_free)

/* The next entry; what is left of the one before is passed over. NULL at the end. Valid until the next call.
   The caller may move xattrs out. Errors about an entry name it. */
struct error *tar_next(struct tar_reader *reader, struct tar_entry **ret_entry);
/* Where the entry's contents begin: bytes from the start of the stream. */
uint64_t tar_position(const struct tar_reader *reader);
/* A piece of the entry's contents; a length of 0 is its end. */
struct error *tar_data(struct tar_reader *reader, const void **ret_data, size_t *ret_length);
