/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar_pax.h"

#include "image/tar.h"

#include "base/parse.h"

#include <string.h>

/* One record, "LENGTH KEYWORD=VALUE\n"; the value may hold any bytes and ends with a NUL here. */
struct record {
    const char *keyword;
    const char *value;
    size_t length;
};

typedef struct error *take_record(struct pax *pax, const struct record *record);

static struct error *take_name(const struct record *record, char **name)
{
    if (record->length == 0 || record->length > TAR_NAME_MAX || strlen(record->value) != record->length)
        return error_new(ERROR_INVALID_ARGUMENT,
            "a name of %zu bytes in a pax header: names have 1 to %d bytes and no NUL", record->length,
            TAR_NAME_MAX);
    free(*name);
    *name = must_copy(record->value);
    return NULL;
}

static struct error *take_path(struct pax *pax, const struct record *record)
{
    return take_name(record, &pax->path);
}

static struct error *take_link(struct pax *pax, const struct record *record)
{
    return take_name(record, &pax->link);
}

static struct error *take_uid(struct pax *pax, const struct record *record)
{
    uint64_t value = 0;
    TRY(parse_unsigned("its owner", record->value, 0, UINT32_MAX - 1, &value));
    pax->uid = (uint32_t)value;
    pax->present |= PAX_UID;
    return NULL;
}

static struct error *take_gid(struct pax *pax, const struct record *record)
{
    uint64_t value = 0;
    TRY(parse_unsigned("its group", record->value, 0, UINT32_MAX - 1, &value));
    pax->gid = (uint32_t)value;
    pax->present |= PAX_GID;
    return NULL;
}

static struct error *take_size(struct pax *pax, const struct record *record)
{
    TRY(parse_unsigned("its size", record->value, 0, INT64_MAX, &pax->size));
    pax->present |= PAX_SIZE;
    return NULL;
}

/* "1700000000.123456789", also negative; digits beyond nanoseconds are cut off. */
static struct error *take_mtime(struct pax *pax, const struct record *record)
{
    const char *point = strchrnul(record->value, '.');
    _cleanup_free_ char *whole = must_copy_length(record->value, (size_t)(point - record->value));
    int64_t seconds = 0;
    TRY(parse_signed("its time", whole, INT64_MIN / 2, INT64_MAX / 2, &seconds));
    uint32_t nanoseconds = 0;
    const char *digit = *point ? point + 1 : point;
    for (uint32_t unit = 100 * 1000 * 1000; unit > 0 && *digit >= '0' && *digit <= '9'; unit /= 10)
        nanoseconds += unit * (uint32_t)(*digit++ - '0');
    if (*whole == '-' && nanoseconds > 0) {
        seconds -= 1;
        nanoseconds = 1000 * 1000 * 1000 - nanoseconds;
    }
    pax->mtime = seconds;
    pax->mtime_nanoseconds = nanoseconds;
    pax->present |= PAX_MTIME;
    return NULL;
}

static struct error *take_sparse(struct pax *pax, const struct record *record)
{
    pax->present |= PAX_SPARSE;
    return NULL;
}

static struct error *take_xattr(struct pax *pax, const struct record *record)
{
    return xattrs_set(&pax->xattrs, record->keyword + strlen("SCHILY.xattr."), record->value, record->length);
}

static const struct {
    const char *keyword; /* one that ends with a point is the beginning of many */
    take_record *take;
} keywords[] = {
    {"path", take_path},
    {"linkpath", take_link},
    {"uid", take_uid},
    {"gid", take_gid},
    {"size", take_size},
    {"mtime", take_mtime},
    {"SCHILY.xattr.", take_xattr},
    {"GNU.sparse.", take_sparse},
};

static struct error *apply(struct pax *pax, const struct record *record)
{
    for (size_t i = 0; i < ARRAY_SIZE(keywords); i++) {
        const char *keyword = keywords[i].keyword;
        size_t length = strlen(keyword);
        bool many = keyword[length - 1] == '.';
        if (many ? strncmp(record->keyword, keyword, length) == 0 : strcmp(record->keyword, keyword) == 0)
            return keywords[i].take(pax, record);
    }
    return NULL;
}

static struct error *malformed(void)
{
    return error_new(ERROR_INVALID_ARGUMENT, "a pax header is malformed");
}

/* The decimal length at the start of a record, which counts all of it; ret_digits: how many bytes it took. */
static struct error *record_length(const char *text, size_t available, size_t *ret_length, size_t *ret_digits)
{
    size_t length = 0;
    size_t digits = 0;
    while (digits < available && text[digits] >= '0' && text[digits] <= '9') {
        length = length * 10 + (size_t)(text[digits++] - '0');
        if (length > available)
            return malformed();
    }
    /* The shortest rest is " k=\n". */
    if (digits == 0 || length < digits + 4 || text[digits] != ' ' || text[length - 1] != '\n')
        return malformed();
    *ret_length = length;
    *ret_digits = digits;
    return NULL;
}

static struct error *read_record(struct pax *pax, const char *text, size_t length)
{
    _cleanup_free_ char *copy = must_alloc(length + 1);
    memcpy(copy, text, length);
    char *equals = memchr(copy, '=', length);
    if (!equals || equals == copy || memchr(copy, '\0', (size_t)(equals - copy)))
        return malformed();
    *equals = '\0';
    const struct record record = {
        .keyword = copy,
        .value = equals + 1,
        .length = length - (size_t)(equals + 1 - copy),
    };
    return apply(pax, &record);
}

struct error *pax_read(struct pax *pax, const char *text, size_t length)
{
    while (length > 0) {
        size_t whole = 0;
        size_t digits = 0;
        TRY(record_length(text, length, &whole, &digits));
        TRY(read_record(pax, text + digits + 1, whole - digits - 2));
        text += whole;
        length -= whole;
    }
    return NULL;
}

void pax_clear(struct pax *pax)
{
    free(pax->path);
    free(pax->link);
    xattrs_clear(&pax->xattrs);
    *pax = (struct pax){0};
}
