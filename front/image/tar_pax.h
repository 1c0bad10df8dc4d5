/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What extension headers say about the entry that follows them. Inside of tar.c.
 */
#pragma once

#include "image/xattr.h"

#include <stdint.h>

enum pax_number {
    PAX_UID = 1,
    PAX_GID = 2,
    PAX_MTIME = 4,
    PAX_SIZE = 8,
    PAX_SPARSE = 16, /* one of GNU.sparse.* was seen */
};

struct pax {
    unsigned present; /* bits of pax_number */
    char *path;
    char *link;
    uint32_t uid;
    uint32_t gid;
    int64_t mtime;
    uint32_t mtime_nanoseconds;
    uint64_t size;
    struct xattrs xattrs; /* SCHILY.xattr.NAME, the form that Go's and every builder's layers use */
};

/* Adds the records of one header; keywords that an image does not need are passed over. */
struct error *pax_read(struct pax *pax, const char *text, size_t length);
void pax_clear(struct pax *pax);
