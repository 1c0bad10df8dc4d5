/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blob that is read, decompressed and checked in one go: its size and digest as its descriptor claims, and
 * the digest of what is inside as the image's configuration claims (the diff_id).
 * Compression is found by looking at the bytes: none, gzip or zstd, as libarchive does it.
 */
#pragma once

#include "image/digest.h"
#include "image/progress.h"

struct blob_expectation {
    const struct digest *digest;   /* of the bytes as stored; NULL: not checked */
    uint64_t size;                 /* of the bytes as stored; with a digest only */
    const struct digest *contents; /* after decompression; NULL: not checked */
    bool bounded; /* the blob is `available` bytes of the descriptor's file, else all up to its end */
    uint64_t available;
};

struct blob;

/* Reads from the descriptor's position; it stays the caller's. The expectation and progress are borrowed. */
struct error *blob_open(
    int fd, const struct blob_expectation *expectation, struct progress *progress, struct blob **ret_blob);
void blob_free(struct blob *blob);
DEFINE_CLEANUP(struct blob *, blob_free);
#define _cleanup_blob_ _cleanup_(blob_free)

/* A piece of the contents, valid until the next call; a length of 0 is the end. Fits tar_pull. */
struct error *blob_pull(void *blob, const void **ret_data, size_t *ret_length);
/* Reads whatever is left and compares both digests: DATA_LOSS. ret_contents (may be NULL): the digest of the
   contents. */
struct error *blob_check(struct blob *blob, struct digest *ret_contents);
/* For an error that came up while the blob was read: takes it and returns the one to report, since bytes that
   do not fit their digest explain every other error. */
struct error *blob_explain(struct blob *blob, struct error *error);
