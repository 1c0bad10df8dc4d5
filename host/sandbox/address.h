/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a standard stream goes, as containerd's clients write it: a bare path, or a URI of which the scheme,
 * the path and the query count (RFC 3986; the query as HTML forms encode it: & = + and %XX).
 */
#pragma once

#include "base/error.h"

#define ADDRESS_LENGTH_MAX 4096

struct address {
    char *scheme; /* "fifo" for a bare path */
    char *path;   /* absolute, decoded */
    char **query; /* name, value, name, value; each name once, with its first value; or NULL */
};

/* INVALID_ARGUMENT quotes what is wrong with the text. */
struct error *address_parse(const char *text, struct address *ret_address);
void address_clear(struct address *address);

#define _cleanup_address_ __attribute__((cleanup(address_clear)))
