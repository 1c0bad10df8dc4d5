/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/huge_pages.h"

#include "base/fd.h"
#include "base/parse.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NUMBER_MAX 32

static struct error *read_count(const char *path, uint64_t *ret_count)
{
    _cleanup_free_ char *text = NULL;
    TRY(file_read(AT_FDCWD, path, NUMBER_MAX, &text, NULL));
    text[strcspn(text, "\n")] = '\0';
    return parse_unsigned(path, text, 0, INT64_MAX, ret_count);
}

static struct error *write_count(const char *path, uint64_t count)
{
    _cleanup_free_ char *text = must_printf("%llu", (unsigned long long)count);
    return file_write_text(AT_FDCWD, path, text);
}

/* The kernel takes what it can get and says so by the number that it shows then. */
static struct error *raise_count(const char *path, uint64_t more)
{
    uint64_t before = 0, after = 0;
    TRY(read_count(path, &before));
    TRY(write_count(path, before + more));
    TRY(read_count(path, &after));
    if (after >= before + more)
        return NULL;
    error_free(write_count(path, before));
    return error_new(ERROR_RESOURCE_EXHAUSTED, "the machine's memory has only %llu of %llu huge pages",
        (unsigned long long)(after > before ? after - before : 0), (unsigned long long)more);
}

struct error *huge_pages_add(const char *directory, const char *page_size, const char *size)
{
    uint64_t page_bytes = 0, bytes = 0;
    TRY(parse_unsigned("pagesize", page_size, 1, INT64_MAX, &page_bytes));
    TRY(parse_unsigned("size", size, 0, INT64_MAX, &bytes));
    _cleanup_free_ char *path =
        must_printf("%s/hugepages-%llukB/nr_hugepages", directory, (unsigned long long)(page_bytes >> 10));
    if (access(path, F_OK) < 0)
        return error_new(ERROR_INVALID_ARGUMENT, "this machine has no huge pages of %llu KiB",
            (unsigned long long)(page_bytes >> 10));
    return error_wrap(raise_count(path, (bytes + page_bytes - 1) / page_bytes), "huge pages of %llu KiB",
        (unsigned long long)(page_bytes >> 10));
}
