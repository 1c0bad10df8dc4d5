/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A root directory becomes an image: walked by descriptors, links never followed, other file systems left
 * out.
 */
#include "image/builder_parts.h"

#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* A file with several names, found again by its numbers. */
struct seen {
    ino_t number;
    char *path; /* the first name, as in the image */
};

struct scan {
    struct builder *builder;
    struct progress *progress;
    dev_t device;
    uid_t user; /* whose files become root's */
    gid_t group;
    void *seen; /* of tsearch(3) */
    char path[TREE_PATH_MAX + 1];
};

static int compare_seen(const void *one, const void *other)
{
    ino_t first = ((const struct seen *)one)->number;
    ino_t second = ((const struct seen *)other)->number;
    return first < second ? -1 : first > second;
}

static void free_seen(void *item)
{
    struct seen *seen = item;
    free(seen->path);
    free(seen);
}

static struct tree_inode *inode_of(const struct scan *scan, const struct stat *status)
{
    struct tree_inode *inode = tree_inode_new(status->st_mode);
    inode->uid = status->st_uid == scan->user ? 0 : status->st_uid;
    inode->gid = status->st_gid == scan->group ? 0 : status->st_gid;
    inode->mtime = status->st_mtim.tv_sec;
    inode->mtime_nanoseconds = (uint32_t)status->st_mtim.tv_nsec;
    if (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode)) {
        inode->major = major(status->st_rdev);
        inode->minor = minor(status->st_rdev);
    }
    return inode;
}

/* `path` is an O_PATH descriptor's name under /proc/self/fd: the calls for attributes want a name. */
static struct error *copy_xattr(const char *path, const char *name, struct tree_inode *inode)
{
    char value[XATTR_BYTES_MAX];
    ssize_t length = getxattr(path, name, value, sizeof(value));
    if (length < 0)
        return errno == ENODATA || errno == ENOTSUP || errno == EPERM
                   ? NULL
                   : error_errno(errno, "reading its attribute %s", name);
    return xattrs_set(&inode->xattrs, name, value, (size_t)length);
}

static struct error *copy_xattrs(int fd, struct tree_inode *inode)
{
    char names[XATTR_BYTES_MAX];
    char path[40];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t length = listxattr(path, names, sizeof(names));
    if (length < 0)
        return errno == ENOTSUP ? NULL : error_errno(errno, "reading its attributes");
    for (const char *name = names; name < names + length; name += strlen(name) + 1)
        TRY(copy_xattr(path, name, inode));
    return NULL;
}

static struct error *copy_contents(struct scan *scan, int parent, const char *name, struct tree_inode *inode)
{
    enum { PIECE = 128 * 1024 };
    struct builder *builder = scan->builder;
    _cleanup_free_ char *piece = must_alloc(PIECE);
    _cleanup_fd_ int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "reading it");
    erofs_begin_contents(builder->writer, inode);
    for (;;) {
        ssize_t length = read(fd, piece, PIECE);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return error_errno(errno, "reading it");
        if (length == 0)
            return erofs_end_contents(builder->writer);
        TRY(builder_count_contents(builder, (uint64_t)length));
        TRY(output_write(builder->output, piece, (size_t)length));
        inode->size += (uint64_t)length;
        TRY(progress_add(scan->progress, (uint64_t)length));
    }
}

static struct error *copy_target(int parent, const char *name, struct tree_inode *inode)
{
    char target[TREE_PATH_MAX + 1];
    ssize_t length = readlinkat(parent, name, target, sizeof(target));
    if (length < 0 || length == sizeof(target))
        return error_errno(length < 0 ? errno : ENAMETOOLONG, "reading the link");
    inode->target = must_copy_length(target, (size_t)length);
    return NULL;
}

/* *ret_linked: the file was there already under another name and now has this one too. */
static struct error *link_if_seen(struct scan *scan, const struct stat *status, bool *ret_linked)
{
    if (S_ISDIR(status->st_mode) || status->st_nlink < 2 || status->st_dev != scan->device)
        return NULL;
    struct seen key = {.number = status->st_ino};
    struct seen *const *found = tfind(&key, &scan->seen, compare_seen);
    if (found) {
        *ret_linked = true;
        return tree_link(scan->builder->tree, scan->path, (*found)->path);
    }
    struct seen *seen = must_new(struct seen);
    *seen = (struct seen){.number = status->st_ino, .path = must_copy(scan->path)};
    if (!tsearch(seen, &scan->seen, compare_seen))
        abort(); /* no memory for a few pointers, see memory.h */
    return NULL;
}

static struct error *add_entry(struct scan *scan, int parent, const char *name, const struct stat *status)
{
    bool linked = false;
    TRY(link_if_seen(scan, status, &linked));
    if (linked)
        return NULL;
    _cleanup_fd_ int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "opening it");
    _cleanup_tree_inode_ struct tree_inode *inode = inode_of(scan, status);
    if (S_ISLNK(status->st_mode))
        TRY(copy_target(parent, name, inode));
    else
        TRY(copy_xattrs(fd, inode));
    if (S_ISREG(status->st_mode))
        TRY(copy_contents(scan, parent, name, inode));
    return tree_add(scan->builder->tree, scan->path, TAKE_PTR(inode));
}

static struct error *scan_directory(struct scan *scan, int parent, const char *name);

/* scan->path names the entry. */
static struct error *scan_entry(struct scan *scan, int parent, const char *name)
{
    struct stat status;
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(errno, "\"%.200s\"", scan->path);
    if (S_ISSOCK(status.st_mode)) /* nobody would listen on it in the container */
        return NULL;
    TRY(error_wrap(add_entry(scan, parent, name, &status), "\"%.200s\"", scan->path));
    if (!S_ISDIR(status.st_mode) || status.st_dev != scan->device)
        return NULL;
    return scan_directory(scan, parent, name);
}

static struct error *scan_children(struct scan *scan, DIR *directory)
{
    size_t length = strlen(scan->path);
    for (struct dirent *entry; (errno = 0, entry = readdir(directory));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (length + 1 + strlen(name) > TREE_PATH_MAX)
            return error_new(ERROR_INVALID_ARGUMENT, "\"%.200s...\": the name is longer than %d bytes",
                scan->path, TREE_PATH_MAX);
        sprintf(scan->path + length, "/%s", name);
        TRY(scan_entry(scan, dirfd(directory), name));
        scan->path[length] = '\0';
    }
    return errno ? error_errno(errno, "reading the directory \"%.200s\"", scan->path) : NULL;
}

static struct error *scan_directory(struct scan *scan, int parent, const char *name)
{
    _cleanup_fd_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_dir_ DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory)
        return error_errno(errno, "reading the directory \"%.200s\"", scan->path);
    TAKE_FD(fd);
    return scan_children(scan, directory);
}

static struct error *scan_root(struct scan *scan, int root)
{
    struct stat status;
    if (fstat(root, &status) < 0)
        return error_errno(errno, "reading the directory");
    scan->device = status.st_dev;
    tree_next_layer(scan->builder->tree);
    TRY(add_entry(scan, root, ".", &status));
    return scan_directory(scan, root, ".");
}

struct error *builder_add_directory(struct builder *builder, const char *path, struct progress *progress)
{
    _cleanup_fd_ int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_errno(errno, "%s", path);
    struct scan *scan = must_new(struct scan);
    scan->builder = builder;
    scan->progress = progress;
    scan->user = geteuid();
    scan->group = getegid();
    struct error *error = scan_root(scan, root);
    tdestroy(scan->seen, free_seen);
    free(scan);
    return error;
}
