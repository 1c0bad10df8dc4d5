/* SPDX-License-Identifier: Apache-2.0 */
#include "image/blob.h"

#include <archive.h>
#include <archive_entry.h>
#include <poll.h>
#include <string.h>

enum {
    PIECE = 128 * 1024,
    REPORT_MILLISECONDS = 200,
};

struct blob {
    int fd;
    const struct blob_expectation *expectation;
    struct progress *progress;
    struct archive *archive; /* the "raw" format: one entry, its data is what the filters give */
    struct hasher *stored;
    struct hasher *contents;
    uint64_t size;
    bool stored_end;
    bool contents_end;
    struct error *pending; /* of stored_read, which can only hand a number through libarchive */
    char piece[PIECE];
};

/* Bytes as they are stored. */

/* A pipe may stay silent for long; the front end's wish to stop is asked for meanwhile. */
static struct error *wait_readable(struct blob *blob)
{
    struct pollfd readable = {.fd = blob->fd, .events = POLLIN};
    while (poll(&readable, 1, REPORT_MILLISECONDS) <= 0)
        TRY(progress_report(blob->progress));
    return NULL;
}

static size_t piece_size(const struct blob *blob)
{
    uint64_t left = blob->expectation->bounded ? blob->expectation->available - blob->size : PIECE;
    return left < PIECE ? (size_t)left : PIECE;
}

static struct error *stored_pull(struct blob *blob, size_t *ret_length)
{
    ssize_t length;
    size_t piece = piece_size(blob);
    TRY(wait_readable(blob));
    do
        length = read(blob->fd, blob->piece, piece);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return error_errno(errno, "reading a blob");
    blob->stored_end = length == 0;
    blob->size += (size_t)length;
    if (blob->expectation->digest && blob->size > blob->expectation->size)
        return error_new(ERROR_DATA_LOSS, "it has more than the %llu bytes that its descriptor names",
            (unsigned long long)blob->expectation->size);
    if (blob->stored)
        hasher_add(blob->stored, blob->piece, (size_t)length);
    *ret_length = (size_t)length;
    return progress_add(blob->progress, (size_t)length);
}

static la_ssize_t stored_read(struct archive *archive, void *context, const void **ret_data)
{
    struct blob *blob = context;
    size_t length = 0;
    blob->pending = stored_pull(blob, &length);
    if (blob->pending)
        return -1;
    *ret_data = blob->piece;
    return (la_ssize_t)length;
}

/* Contents. */

static struct error *archive_failure(struct blob *blob)
{
    if (blob->pending)
        return TAKE_PTR(blob->pending);
    const char *reason = archive_error_string(blob->archive);
    return error_new(ERROR_DATA_LOSS, "it cannot be decompressed: %s", reason ? reason : "no reason given");
}

static struct error *open_archive(struct blob *blob)
{
    struct archive_entry *entry = NULL;
    archive_read_support_filter_gzip(blob->archive);
    archive_read_support_filter_zstd(blob->archive);
    archive_read_support_format_raw(blob->archive);
    archive_read_support_format_empty(blob->archive);
    if (archive_read_open(blob->archive, blob, NULL, stored_read, NULL) != ARCHIVE_OK)
        return archive_failure(blob);
    int result = archive_read_next_header(blob->archive, &entry);
    if (result == ARCHIVE_EOF)
        blob->contents_end = true;
    else if (result != ARCHIVE_OK)
        return archive_failure(blob);
    return NULL;
}

struct error *blob_open(
    int fd, const struct blob_expectation *expectation, struct progress *progress, struct blob **ret_blob)
{
    _cleanup_blob_ struct blob *blob = must_new(struct blob);
    blob->fd = fd;
    blob->expectation = expectation;
    blob->progress = progress;
    blob->stored = expectation->digest ? hasher_new(expectation->digest) : NULL;
    blob->contents = hasher_new(expectation->contents);
    blob->archive = archive_read_new();
    if (!blob->archive)
        abort(); /* no memory for a small struct, see memory.h */
    struct error *error = open_archive(blob);
    if (error)
        return blob_explain(blob, error);
    *ret_blob = TAKE_PTR(blob);
    return NULL;
}

void blob_free(struct blob *blob)
{
    if (!blob)
        return;
    archive_read_free(blob->archive);
    hasher_free(blob->stored);
    hasher_free(blob->contents);
    error_free(blob->pending);
    free(blob);
}

struct error *blob_pull(void *context, const void **ret_data, size_t *ret_length)
{
    struct blob *blob = context;
    const void *data = NULL;
    size_t length = 0;
    la_int64_t offset = 0;
    while (!blob->contents_end && length == 0) {
        int result = archive_read_data_block(blob->archive, &data, &length, &offset);
        if (result == ARCHIVE_EOF)
            blob->contents_end = true;
        else if (result != ARCHIVE_OK)
            return archive_failure(blob);
    }
    hasher_add(blob->contents, data, length);
    *ret_data = data;
    *ret_length = length;
    return NULL;
}

/* The check. */

static struct error *check_stored(struct blob *blob)
{
    const struct digest *expected = blob->expectation->digest;
    size_t length = 0;
    while (!blob->stored_end)
        TRY(stored_pull(blob, &length));
    if (!expected)
        return NULL;
    if (blob->size < blob->expectation->size)
        return error_new(ERROR_DATA_LOSS, "it has %llu bytes, not the %llu that its descriptor names",
            (unsigned long long)blob->size, (unsigned long long)blob->expectation->size);
    struct digest found = hasher_finish(blob->stored);
    if (!digest_equal(&found, expected))
        return error_new(ERROR_DATA_LOSS, "its bytes hash to %s: it was damaged or changed", found.text);
    return NULL;
}

struct error *blob_explain(struct blob *blob, struct error *error)
{
    if (error_code(error) == ERROR_CANCELLED)
        return error;
    struct error *explanation = check_stored(blob);
    if (!explanation)
        return error;
    error_free(error);
    return explanation;
}

static struct error *drain_contents(struct blob *blob)
{
    const void *data = NULL;
    size_t length = 0;
    while (!blob->contents_end)
        TRY(blob_pull(blob, &data, &length));
    return NULL;
}

struct error *blob_check(struct blob *blob, struct digest *ret_contents)
{
    struct error *error = drain_contents(blob);
    if (error)
        return blob_explain(blob, error);
    TRY(check_stored(blob));
    struct digest found = hasher_finish(blob->contents);
    const struct digest *expected = blob->expectation->contents;
    if (expected && !digest_equal(&found, expected))
        return error_new(ERROR_DATA_LOSS, "its contents hash to %s, but the image's configuration names %s",
            found.text, expected->text);
    if (ret_contents)
        *ret_contents = found;
    return NULL;
}
