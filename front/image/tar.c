/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How it works: `window` is the piece that the stream gave last, used from its front. A header block is
 * copied out, its checksum checked, then typed. Extension headers (pax 'x', GNU 'L' and 'K') are collected
 * until the entry that they describe comes; their values win over those of its header block.
 */
#include "image/tar.h"

#include "image/tar_pax.h"

#include <string.h>
#include <sys/stat.h>

enum { BLOCK = 512 };

/* POSIX.1-2017, pax: ustar header block; all text, numbers in octal. */
struct header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6];
    char version[2];
    char owner[32];
    char group[32];
    char major[8];
    char minor[8];
    char prefix[155];
    char padding[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

struct tar_reader {
    tar_pull *pull;
    void *context;
    const char *window;
    size_t window_length;
    uint64_t position; /* of the window's front in the stream */
    uint64_t left;     /* bytes of the entry's contents still to come */
    uint64_t padding;  /* and of the zeros behind them */
    struct tar_entry entry;
    struct pax pax;
};

/* The stream. */

static struct error *fill(struct tar_reader *reader)
{
    if (reader->window_length > 0)
        return NULL;
    const void *data = NULL;
    TRY(reader->pull(reader->context, &data, &reader->window_length));
    reader->window = data;
    return NULL;
}

static void take(struct tar_reader *reader, size_t length)
{
    reader->window += length;
    reader->window_length -= length;
    reader->position += length;
}

static size_t at_most(size_t length, uint64_t limit)
{
    return length < limit ? length : (size_t)limit;
}

/* Fewer bytes than asked for only at the end of the stream. */
static struct error *read_bytes(struct tar_reader *reader, char *buffer, size_t length, size_t *ret_length)
{
    size_t done = 0;
    while (done < length) {
        TRY(fill(reader));
        if (reader->window_length == 0)
            break;
        size_t piece = at_most(reader->window_length, length - done);
        memcpy(buffer + done, reader->window, piece);
        take(reader, piece);
        done += piece;
    }
    *ret_length = done;
    return NULL;
}

static struct error *truncated(void)
{
    return error_new(ERROR_DATA_LOSS, "the tar stream ends in the middle of an entry");
}

static struct error *pass_over(struct tar_reader *reader, uint64_t length)
{
    while (length > 0) {
        TRY(fill(reader));
        if (reader->window_length == 0)
            return truncated();
        size_t piece = at_most(reader->window_length, length);
        take(reader, piece);
        length -= piece;
    }
    return NULL;
}

/* The header block. */

static bool is_zero(const struct header *header)
{
    static const struct header zero;
    return memcmp(header, &zero, BLOCK) == 0;
}

/* Some old writers summed signed bytes; both are accepted, as everywhere. */
static bool checksum_fits(const struct header *header)
{
    const unsigned char *bytes = (const unsigned char *)header;
    const size_t start = offsetof(struct header, checksum);
    int64_t sum = 0;
    int64_t signed_sum = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        bool blank = i >= start && i < start + sizeof(header->checksum);
        sum += blank ? ' ' : bytes[i];
        signed_sum += blank ? ' ' : (signed char)bytes[i];
    }
    uint64_t claimed = 0;
    for (size_t i = start; i < start + sizeof(header->checksum); i++)
        if (bytes[i] >= '0' && bytes[i] <= '7')
            claimed = claimed * 8 + (bytes[i] - '0');
    return (int64_t)claimed == sum || (int64_t)claimed == signed_sum;
}

/* GNU's base 256: the first bit set, then a big-endian number. */
static struct error *read_binary(const char *field, size_t length, int64_t *ret_value)
{
    const unsigned char *bytes = (const unsigned char *)field;
    bool negative = bytes[0] & 0x40;
    uint64_t value = negative ? UINT64_MAX << 6 | (bytes[0] & 0x3f) : bytes[0] & 0x3f;
    for (size_t i = 1; i < length; i++) {
        uint64_t top = value >> 55;
        if (top != 0 && top != UINT64_MAX >> 55)
            return error_new(ERROR_INVALID_ARGUMENT, "a number in its header is out of range");
        value = value << 8 | bytes[i];
    }
    *ret_value = (int64_t)value;
    return NULL;
}

static struct error *read_number(const char *field, size_t length, int64_t *ret_value)
{
    if (field[0] & 0x80)
        return read_binary(field, length, ret_value);
    size_t i = 0;
    while (i < length && field[i] == ' ')
        i++;
    int64_t value = 0; /* at most 12 octal digits: 36 bits */
    for (; i < length && field[i] >= '0' && field[i] <= '7'; i++)
        value = value * 8 + (field[i] - '0');
    if (i < length && field[i] != '\0' && field[i] != ' ')
        return error_new(ERROR_INVALID_ARGUMENT, "a number in its header is not octal");
    *ret_value = value;
    return NULL;
}

static struct error *read_unsigned(
    const char *what, const char *field, size_t length, uint64_t maximum, uint64_t *ret_value)
{
    int64_t value = 0;
    TRY(read_number(field, length, &value));
    if (value < 0 || (uint64_t)value > maximum)
        return error_new(ERROR_INVALID_ARGUMENT, "its %s is out of range", what);
    *ret_value = (uint64_t)value;
    return NULL;
}

static struct error *read_id(
    const char *what, const char *field, size_t length, uint64_t maximum, uint32_t *ret_value)
{
    uint64_t value = 0;
    TRY(read_unsigned(what, field, length, maximum, &value));
    *ret_value = (uint32_t)value;
    return NULL;
}

static char *read_name(const struct header *header)
{
    char *name = must_copy_length(header->name, sizeof(header->name));
    if (memcmp(header->magic, "ustar", 6) != 0 || header->prefix[0] == '\0')
        return name;
    char *whole = must_printf("%.*s/%s", (int)sizeof(header->prefix), header->prefix, name);
    free(name);
    return whole;
}

static struct error *read_type(const struct header *header, const char *path, enum tar_type *ret_type)
{
    size_t length = strlen(path);
    switch (header->type) {
    case '0':
    case '\0': /* before POSIX a slash at the end made a directory */
        *ret_type = length > 0 && path[length - 1] == '/' ? TAR_DIRECTORY : TAR_FILE;
        return NULL;
    case '7': /* "contiguous": a file */
        *ret_type = TAR_FILE;
        return NULL;
    case '1':
        *ret_type = TAR_HARD_LINK;
        return NULL;
    case '2':
        *ret_type = TAR_SYMBOLIC_LINK;
        return NULL;
    case '3':
        *ret_type = TAR_CHARACTER_DEVICE;
        return NULL;
    case '4':
        *ret_type = TAR_BLOCK_DEVICE;
        return NULL;
    case '5':
        *ret_type = TAR_DIRECTORY;
        return NULL;
    case '6':
        *ret_type = TAR_FIFO;
        return NULL;
    case 'S':
        return error_new(ERROR_INVALID_ARGUMENT, "it is a GNU sparse file, which an image layer cannot hold");
    default:
        return error_new(
            ERROR_INVALID_ARGUMENT, "its type 0x%02x is unknown", (unsigned)(unsigned char)header->type);
    }
}

/* The numbers of the header block, where no pax header gave a better one. */
static struct error *read_numbers(const struct header *header, const struct pax *pax, struct tar_entry *entry)
{
    uint64_t mode = 0;
    TRY(read_unsigned("mode", header->mode, sizeof(header->mode), INT64_MAX, &mode));
    entry->permissions = (mode_t)(mode & 07777);
    if (!(pax->present & PAX_UID))
        TRY(read_id("owner", header->uid, sizeof(header->uid), UINT32_MAX - 1, &entry->uid));
    if (!(pax->present & PAX_GID))
        TRY(read_id("group", header->gid, sizeof(header->gid), UINT32_MAX - 1, &entry->gid));
    if (!(pax->present & PAX_MTIME))
        TRY(read_number(header->mtime, sizeof(header->mtime), &entry->mtime));
    if (!(pax->present & PAX_SIZE))
        TRY(read_unsigned("size", header->size, sizeof(header->size), INT64_MAX, &entry->size));
    if (entry->type != TAR_CHARACTER_DEVICE && entry->type != TAR_BLOCK_DEVICE)
        return NULL;
    /* 12 and 20 bits: what Linux has for them. */
    TRY(read_id("device number", header->major, sizeof(header->major), (1 << 12) - 1, &entry->major));
    return read_id("device number", header->minor, sizeof(header->minor), (1 << 20) - 1, &entry->minor);
}

static struct error *read_entry(struct tar_reader *reader, const struct header *header)
{
    struct tar_entry *entry = &reader->entry;
    struct pax *pax = &reader->pax;
    entry->path = pax->path ? TAKE_PTR(pax->path) : read_name(header);
    entry->link = pax->link ? TAKE_PTR(pax->link) : must_copy_length(header->link, sizeof(header->link));
    entry->uid = pax->uid;
    entry->gid = pax->gid;
    entry->mtime = pax->mtime;
    entry->mtime_nanoseconds = pax->mtime_nanoseconds;
    entry->size = pax->size;
    entry->xattrs = pax->xattrs;
    pax->xattrs = (struct xattrs){0};
    TRY(read_type(header, entry->path, &entry->type));
    if (pax->present & PAX_SPARSE)
        return error_new(ERROR_INVALID_ARGUMENT, "it is a GNU sparse file, which an image layer cannot hold");
    TRY(read_numbers(header, pax, entry));
    /* Links and devices have no contents even where a writer noted a size (Go's archive/tar reads it so too).
     */
    if (entry->type != TAR_FILE)
        entry->size = 0;
    return NULL;
}

/* Extension headers. */

static struct error *read_extension(
    struct tar_reader *reader, const struct header *header, size_t limit, char **ret_text, size_t *ret_length)
{
    uint64_t size = 0;
    TRY(read_unsigned("size", header->size, sizeof(header->size), INT64_MAX, &size));
    if (size > limit)
        return error_new(ERROR_INVALID_ARGUMENT,
            "an extension header of %llu bytes, more than the %zu that are allowed", (unsigned long long)size,
            limit);
    _cleanup_free_ char *text = must_alloc((size_t)size + 1);
    size_t length = 0;
    TRY(read_bytes(reader, text, (size_t)size, &length));
    if (length < size)
        return truncated();
    TRY(pass_over(reader, -size % BLOCK));
    *ret_text = TAKE_PTR(text);
    *ret_length = (size_t)size;
    return NULL;
}

/* Sets *ret_extension when the block was about the entry that follows, not an entry. */
static struct error *take_extension(
    struct tar_reader *reader, const struct header *header, bool *ret_extension)
{
    char type = header->type;
    bool long_name = type == 'L' || type == 'K';
    *ret_extension = long_name || type == 'x' || type == 'g';
    if (!*ret_extension)
        return NULL;
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    TRY(read_extension(reader, header, long_name ? TAR_NAME_MAX + 1 : TAR_EXTENSION_MAX, &text, &length));
    if (type == 'x')
        return pax_read(&reader->pax, text, length);
    if (type == 'g') /* defaults for all entries; no builder of images uses them, and Go passes over them */
        return NULL;
    char **place = type == 'L' ? &reader->pax.path : &reader->pax.link;
    free(*place);
    *place = TAKE_PTR(text);
    return NULL;
}

/* Entries. */

static void forget_entry(struct tar_reader *reader)
{
    free(reader->entry.path);
    free(reader->entry.link);
    xattrs_clear(&reader->entry.xattrs);
    reader->entry = (struct tar_entry){0};
}

/* *ret_end: a block of zeros or the end of the stream. */
static struct error *next_block(struct tar_reader *reader, struct header *header, bool *ret_end)
{
    size_t length = 0;
    TRY(read_bytes(reader, (char *)header, BLOCK, &length));
    if (length > 0 && length < BLOCK)
        return truncated();
    *ret_end = length == 0 || is_zero(header);
    if (!*ret_end && !checksum_fits(header))
        return error_new(ERROR_INVALID_ARGUMENT, "not a tar stream: the checksum of a header is wrong");
    return NULL;
}

struct error *tar_next(struct tar_reader *reader, struct tar_entry **ret_entry)
{
    forget_entry(reader);
    TRY(pass_over(reader, reader->left + reader->padding));
    reader->left = 0;
    reader->padding = 0;
    for (;;) {
        struct header header;
        bool end = false;
        bool extension = false;
        TRY(next_block(reader, &header, &end));
        if (end) {
            *ret_entry = NULL;
            return NULL;
        }
        TRY(take_extension(reader, &header, &extension));
        if (extension)
            continue;
        struct error *error = read_entry(reader, &header);
        pax_clear(&reader->pax);
        if (error)
            return error_wrap(error, "\"%.200s\"", reader->entry.path);
        reader->left = reader->entry.size;
        reader->padding = -reader->entry.size % BLOCK;
        *ret_entry = &reader->entry;
        return NULL;
    }
}

uint64_t tar_position(const struct tar_reader *reader)
{
    return reader->position;
}

struct error *tar_data(struct tar_reader *reader, const void **ret_data, size_t *ret_length)
{
    if (reader->left == 0) {
        *ret_length = 0;
        return NULL;
    }
    TRY(fill(reader));
    if (reader->window_length == 0)
        return truncated();
    size_t piece = at_most(reader->window_length, reader->left);
    *ret_data = reader->window;
    *ret_length = piece;
    take(reader, piece);
    reader->left -= piece;
    return NULL;
}

struct tar_reader *tar_reader_new(tar_pull *pull, void *context)
{
    struct tar_reader *reader = must_new(struct tar_reader);
    reader->pull = pull;
    reader->context = context;
    return reader;
}

void tar_reader_free(struct tar_reader *reader)
{
    if (!reader)
        return;
    forget_entry(reader);
    pax_clear(&reader->pax);
    free(reader);
}
