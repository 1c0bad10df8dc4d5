/* SPDX-License-Identifier: Apache-2.0 */
#include "image/erofs_body.h"

#include "image/erofs_format.h"

#include <endian.h>
#include <string.h>
#include <sys/stat.h>

/* Extended attributes. */

static const struct prefix {
    const char *text;
    enum erofs_xattr_prefix number;
} prefixes[] = {
    {"user.", EROFS_XATTR_USER},
    {"trusted.", EROFS_XATTR_TRUSTED},
    {"security.", EROFS_XATTR_SECURITY},
    {"system.posix_acl_access", EROFS_XATTR_ACL_ACCESS},
    {"system.posix_acl_default", EROFS_XATTR_ACL_DEFAULT},
};

/* xattr.c lets no other prefix through. */
static const struct prefix *prefix_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (strncmp(name, prefixes[i].text, strlen(prefixes[i].text)) == 0)
            return &prefixes[i];
    abort();
}

static const char *short_name(const struct xattr *xattr)
{
    return xattr->name + strlen(prefix_of(xattr->name)->text);
}

static size_t xattr_size(const struct xattr *xattr)
{
    size_t size = sizeof(struct erofs_xattr_entry) + strlen(short_name(xattr)) + xattr->length;
    return (size + 3) & ~(size_t)3;
}

size_t erofs_xattrs_size(const struct xattrs *xattrs)
{
    if (xattrs->count == 0)
        return 0;
    size_t size = sizeof(struct erofs_xattr_header);
    for (size_t i = 0; i < xattrs->count; i++)
        size += xattr_size(&xattrs->items[i]);
    return size;
}

void erofs_xattrs_encode(const struct xattrs *xattrs, uint8_t *buffer)
{
    memset(buffer, 0, erofs_xattrs_size(xattrs));
    uint8_t *place = buffer + sizeof(struct erofs_xattr_header);
    for (size_t i = 0; i < xattrs->count; i++) {
        const struct xattr *xattr = &xattrs->items[i];
        const char *name = short_name(xattr);
        const struct erofs_xattr_entry entry = {
            .name_length = (uint8_t)strlen(name),
            .prefix = (uint8_t)prefix_of(xattr->name)->number,
            .value_size = htole16((uint16_t)xattr->length),
        };
        memcpy(place, &entry, sizeof(entry));
        memcpy(place + sizeof(entry), name, entry.name_length);
        memcpy(place + sizeof(entry) + entry.name_length, xattr->value, xattr->length);
        place += xattr_size(xattr);
    }
}

/* Directories. */

struct item {
    const char *name;
    const struct tree_inode *inode;
};

static int compare_items(const void *one, const void *other)
{
    return strcmp(((const struct item *)one)->name, ((const struct item *)other)->name);
}

/* Children, "." and "..", in the order of their names ("!" stands before "."). */
static struct item *list_items(const struct tree_node *directory, size_t *ret_count)
{
    _cleanup_free_ struct tree_node **children = tree_children(directory);
    struct item *items = must_alloc_array(directory->child_count + 2, sizeof(*items));
    size_t count = 0;
    items[count++] = (struct item){".", directory->inode};
    items[count++] = (struct item){"..", directory->parent->inode};
    for (size_t i = 0; i < directory->child_count; i++)
        items[count++] = (struct item){children[i]->name, children[i]->inode};
    qsort(items, count, sizeof(*items), compare_items);
    *ret_count = count;
    return items;
}

/* How many of the items fit into one block, and the bytes that they take there. */
static size_t fit_block(const struct item *items, size_t count, size_t *ret_used)
{
    size_t used = 0;
    size_t fitting = 0;
    for (; fitting < count; fitting++) {
        size_t size = sizeof(struct erofs_dirent) + strlen(items[fitting].name);
        if (used + size > EROFS_BLOCK)
            break;
        used += size;
    }
    *ret_used = used;
    return fitting;
}

uint64_t erofs_directory_size(const struct tree_node *directory)
{
    size_t count = 0;
    size_t used = 0;
    uint64_t size = 0;
    _cleanup_free_ struct item *items = list_items(directory, &count);
    for (size_t i = 0; i < count;) {
        size_t fitting = fit_block(items + i, count - i, &used);
        i += fitting;
        size += i < count ? EROFS_BLOCK : used;
    }
    return size;
}

static uint8_t file_type(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return EROFS_TYPE_DIRECTORY;
    case S_IFLNK:
        return EROFS_TYPE_SYMBOLIC_LINK;
    case S_IFCHR:
        return EROFS_TYPE_CHARACTER_DEVICE;
    case S_IFBLK:
        return EROFS_TYPE_BLOCK_DEVICE;
    case S_IFIFO:
        return EROFS_TYPE_FIFO;
    case S_IFSOCK:
        return EROFS_TYPE_SOCKET;
    default:
        return EROFS_TYPE_FILE;
    }
}

static void encode_block(const struct item *items, size_t count, uint8_t *buffer)
{
    size_t name_offset = count * sizeof(struct erofs_dirent);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(items[i].name);
        const struct erofs_dirent dirent = {
            .node = htole64(items[i].inode->position / EROFS_SLOT),
            .name_offset = htole16((uint16_t)name_offset),
            .type = file_type(items[i].inode->mode),
        };
        memcpy(buffer + i * sizeof(dirent), &dirent, sizeof(dirent));
        memcpy(buffer + name_offset, items[i].name, length);
        name_offset += length;
    }
}

void erofs_directory_encode(const struct tree_node *directory, uint8_t *buffer)
{
    size_t count = 0;
    size_t used = 0;
    _cleanup_free_ struct item *items = list_items(directory, &count);
    for (size_t i = 0; i < count;) {
        size_t fitting = fit_block(items + i, count - i, &used);
        encode_block(items + i, fitting, buffer);
        i += fitting;
        if (i < count)
            memset(buffer + used, 0, EROFS_BLOCK - used);
        buffer += i < count ? EROFS_BLOCK : used;
    }
}
