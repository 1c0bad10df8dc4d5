/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes of one inode.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>

enum {
    XATTR_NAME_LENGTH_MAX = 255, /* XATTR_NAME_MAX of linux/limits.h */
    XATTR_BYTES_MAX = 65535,     /* names and values of one inode together: a value has 16 bits in EROFS */
};

struct xattr {
    char *name;
    void *value;
    size_t length;
};

struct xattrs {
    struct xattr *items;
    size_t count;
    size_t bytes;
};

/* Sets a copy; a second value for a name replaces the first. Attributes that no read-only image can hold for
   a container are left out without an error: those outside user, trusted, security and the POSIX ACLs, and
   overlayfs' own marks, which would change what the guest's overlay shows. */
struct error *xattrs_set(struct xattrs *xattrs, const char *name, const void *value, size_t length);
void xattrs_clear(struct xattrs *xattrs);
