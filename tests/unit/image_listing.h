/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file tree as text, one sorted line a name: read out of an EROFS image by a reader of its own, or walked
 * on disk. Two trees are the same when their listings are.
 */
#pragma once

#include "image/digest.h"
#include "image/erofs_format.h"

#include "base/fd.h"
#include "base/strv.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* What a line says. */
struct listed {
    const char *path;
    mode_t mode;
    unsigned uid;
    unsigned gid;
    long long mtime;
    unsigned nanoseconds;
    unsigned links;
    unsigned major;
    unsigned minor;
    char *text;    /* target of a link */
    char **xattrs; /* "name=length:first bytes in hex" */
    char hash[DIGEST_TEXT_MAX];
};

static void listing_add(char ***lines, struct listed *item)
{
    _cleanup_free_ char *xattrs = item->xattrs ? strv_join(item->xattrs, ",") : must_copy("");
    bool directory = S_ISDIR(item->mode);
    strv_append_printf(lines, "%s %o %u:%u %lld.%09u links=%u dev=%u:%u [%s] {%s} %s", item->path, item->mode,
        item->uid, item->gid, directory ? 0 : item->mtime, directory ? 0 : item->nanoseconds,
        directory ? 0 : item->links, item->major, item->minor, item->text ? item->text : "", xattrs,
        item->hash);
    free(item->text);
    strv_free(item->xattrs);
}

static void listing_add_xattr(struct listed *item, const char *name, const void *value, size_t length)
{
    _cleanup_free_ char *hex = must_alloc(2 * length + 1);
    for (size_t i = 0; i < length; i++)
        sprintf(hex + 2 * i, "%02x", ((const unsigned char *)value)[i]);
    strv_append_printf(&item->xattrs, "%s=%s", name, hex);
}

static int listing_compare(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static char *listing_finish(char **lines)
{
    qsort(lines, strv_length(lines), sizeof(*lines), listing_compare);
    char *text = strv_join(lines, "\n");
    strv_free(lines);
    return text;
}

/* EROFS. */

struct erofs_view {
    const uint8_t *bytes;
    size_t size;
    uint64_t metadata;
    char **lines;
};

static const void *erofs_at(const struct erofs_view *view, uint64_t offset, size_t length)
{
    assert_true(offset <= view->size && length <= view->size - offset);
    return view->bytes + offset;
}

static const struct erofs_inode *erofs_inode_at(const struct erofs_view *view, uint64_t node)
{
    const struct erofs_inode *inode = erofs_at(view, view->metadata + node * EROFS_SLOT, sizeof(*inode));
    assert_int_equal(inode->format & 1, EROFS_INODE_EXTENDED);
    return inode;
}

static uint64_t erofs_head(const struct erofs_inode *inode)
{
    return sizeof(*inode) + (inode->xattr_count
                                    ? sizeof(struct erofs_xattr_header) + 4 * ((size_t)inode->xattr_count - 1)
                                    : 0);
}

/* All bytes that an inode holds; the caller's. */
static char *erofs_contents(const struct erofs_view *view, const struct erofs_inode *inode)
{
    uint64_t size = inode->size;
    uint64_t tail = (inode->format >> 1) == EROFS_LAYOUT_INLINE ? size % EROFS_BLOCK : 0;
    char *contents = must_alloc(size + 1);
    if (size > tail)
        memcpy(contents, erofs_at(view, (uint64_t)inode->block_or_device * EROFS_BLOCK, size - tail),
            size - tail);
    uint64_t place = (uint64_t)((const uint8_t *)inode - view->bytes) + erofs_head(inode);
    if (tail) {
        assert_true(place % EROFS_BLOCK + tail <= EROFS_BLOCK);
        memcpy(contents + size - tail, erofs_at(view, place, tail), tail);
    }
    return contents;
}

static void erofs_list_xattrs(const struct erofs_inode *inode, struct listed *item)
{
    static const char *const prefixes[] = {
        [EROFS_XATTR_USER] = "user.",
        [EROFS_XATTR_ACL_ACCESS] = "system.posix_acl_access",
        [EROFS_XATTR_ACL_DEFAULT] = "system.posix_acl_default",
        [EROFS_XATTR_TRUSTED] = "trusted.",
        [EROFS_XATTR_SECURITY] = "security.",
    };
    const uint8_t *place = (const uint8_t *)(inode + 1) + sizeof(struct erofs_xattr_header);
    const uint8_t *end = (const uint8_t *)inode + erofs_head(inode);
    while (inode->xattr_count && place < end) {
        struct erofs_xattr_entry entry;
        memcpy(&entry, place, sizeof(entry));
        const char *name = (const char *)place + sizeof(entry);
        _cleanup_free_ char *whole = must_printf("%s%.*s", prefixes[entry.prefix], entry.name_length, name);
        listing_add_xattr(item, whole, name + entry.name_length, entry.value_size);
        place += (sizeof(entry) + entry.name_length + entry.value_size + 3) & ~(size_t)3;
    }
}

static void erofs_list_node(struct erofs_view *view, uint64_t node, uint64_t parent, const char *path);

static void erofs_list_block(struct erofs_view *view, const char *block, size_t length, uint64_t self,
    uint64_t parent, const char *path, char *previous)
{
    const struct erofs_dirent *entries = (const struct erofs_dirent *)block;
    size_t count = entries[0].name_offset / sizeof(*entries);
    for (size_t i = 0; i < count; i++) {
        size_t start = entries[i].name_offset;
        size_t end = i + 1 < count ? entries[i + 1].name_offset : length;
        assert_true(start < end && end <= length);
        _cleanup_free_ char *name = must_copy_length(block + start, end - start);
        assert_true(strcmp(previous, name) < 0);
        strcpy(previous, name);
        assert_int_equal(entries[i].type, erofs_inode_at(view, entries[i].node)->mode >> 12 == 4    ? 2
                                          : erofs_inode_at(view, entries[i].node)->mode >> 12 == 8  ? 1
                                          : erofs_inode_at(view, entries[i].node)->mode >> 12 == 10 ? 7
                                          : erofs_inode_at(view, entries[i].node)->mode >> 12 == 2  ? 3
                                          : erofs_inode_at(view, entries[i].node)->mode >> 12 == 6  ? 4
                                                                                                    : 5);
        if (strcmp(name, ".") == 0) {
            assert_int_equal(entries[i].node, self);
        } else if (strcmp(name, "..") == 0) {
            assert_int_equal(entries[i].node, parent);
        } else {
            _cleanup_free_ char *child = must_printf("%s/%s", path, name);
            erofs_list_node(view, entries[i].node, self, child);
        }
    }
}

static void erofs_list_node(struct erofs_view *view, uint64_t node, uint64_t parent, const char *path)
{
    const struct erofs_inode *inode = erofs_inode_at(view, node);
    struct listed item = {
        .path = path,
        .mode = inode->mode,
        .uid = inode->uid,
        .gid = inode->gid,
        .mtime = (long long)inode->mtime,
        .nanoseconds = inode->mtime_nanoseconds,
        .links = inode->links,
    };
    _cleanup_free_ char *contents = NULL;
    if (S_ISREG(item.mode) || S_ISDIR(item.mode) || S_ISLNK(item.mode))
        contents = erofs_contents(view, inode);
    if (S_ISREG(item.mode))
        memcpy(item.hash, digest_of(contents, inode->size).text, sizeof(item.hash));
    if (S_ISLNK(item.mode))
        item.text = must_copy(contents);
    if (S_ISCHR(item.mode) || S_ISBLK(item.mode)) {
        item.major = inode->block_or_device >> 8 & 0xfff;
        item.minor = (inode->block_or_device & 0xff) | (inode->block_or_device >> 12 & ~0xffu);
    }
    erofs_list_xattrs(inode, &item);
    listing_add(&view->lines, &item);
    char previous[256] = "";
    for (uint64_t i = 0; S_ISDIR(inode->mode) && i < inode->size; i += EROFS_BLOCK) {
        size_t length = inode->size - i < EROFS_BLOCK ? inode->size - i : EROFS_BLOCK;
        erofs_list_block(view, contents + i, length, node, parent, path, previous);
    }
}

/* The caller's text. */
static char *listing_of_image(const char *path)
{
    char *bytes = NULL;
    size_t size = 0;
    struct error *error = file_read(AT_FDCWD, path, (size_t)1 << 30, &bytes, &size);
    if (error)
        fail_msg("%s", error_message(error));
    const struct erofs_super_block *super = (const void *)(bytes + EROFS_SUPER_OFFSET);
    assert_int_equal(super->magic, EROFS_MAGIC);
    assert_int_equal((uint64_t)super->blocks * EROFS_BLOCK, size);
    struct erofs_view view = {
        .bytes = (const uint8_t *)bytes,
        .size = size,
        .metadata = (uint64_t)super->metadata_block * EROFS_BLOCK,
    };
    erofs_list_node(&view, super->root_node, super->root_node, "");
    free(bytes);
    return listing_finish(view.lines);
}

/* On disk. */

static void disk_list_xattrs(const char *path, struct listed *item)
{
    char names[4096];
    char value[4096];
    ssize_t length = llistxattr(path, names, sizeof(names));
    for (const char *name = names; length > 0 && name < names + length; name += strlen(name) + 1)
        listing_add_xattr(item, name, value, (size_t)lgetxattr(path, name, value, sizeof(value)));
}

static void disk_list(const char *root, const char *path, char ***lines)
{
    _cleanup_free_ char *whole = must_printf("%s%s", root, path);
    struct stat status;
    assert_int_equal(lstat(whole, &status), 0);
    struct listed item = {
        .path = path,
        .mode = status.st_mode,
        .uid = status.st_uid,
        .gid = status.st_gid,
        .mtime = status.st_mtim.tv_sec,
        .nanoseconds = (unsigned)status.st_mtim.tv_nsec,
        .links = (unsigned)status.st_nlink,
    };
    char target[4096] = "";
    if (S_ISLNK(status.st_mode) && readlink(whole, target, sizeof(target) - 1) > 0)
        item.text = must_copy(target);
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
        item.major = major(status.st_rdev);
        item.minor = minor(status.st_rdev);
    }
    if (S_ISREG(status.st_mode)) {
        _cleanup_free_ char *contents = NULL;
        size_t size = 0;
        struct error *error = file_read(AT_FDCWD, whole, (size_t)1 << 30, &contents, &size);
        if (error)
            fail_msg("%s", error_message(error));
        memcpy(item.hash, digest_of(contents, size).text, sizeof(item.hash));
    }
    disk_list_xattrs(whole, &item);
    listing_add(lines, &item);
    _cleanup_dir_ DIR *directory = S_ISDIR(status.st_mode) ? opendir(whole) : NULL;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        _cleanup_free_ char *child = must_printf("%s/%s", path, entry->d_name);
        disk_list(root, child, lines);
    }
}

static inline char *listing_of_directory(const char *path)
{
    char **lines = NULL;
    disk_list(path, "", &lines);
    return listing_finish(lines);
}
