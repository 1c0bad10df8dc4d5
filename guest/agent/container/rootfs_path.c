/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/rootfs_path.h"

#include "base/path.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 40 /* as the kernel's own limit for one path */

static struct error *make(int root, const char *path, bool directory, int links, int *ret_fd);

struct error *rootfs_open(int root, const char *path, int *ret_fd)
{
    return open_in_root(root, path, O_PATH | O_CLOEXEC, 0, ret_fd);
}

/* "/a/b/c/" is "c" in "/a/b"; "/a" is "a" in "/". */
static struct error *split(const char *path, char **ret_parent, char **ret_name)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    if (end == 0 || end >= PATH_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "\"%.100s\" names nothing that can be made", path);
    *ret_parent = start == 0 ? must_copy("/") : must_copy_length(path, start);
    *ret_name = must_copy_length(path + start, end - start);
    return NULL;
}

static int create(int directory, const char *name, bool is_directory)
{
    if (is_directory)
        return mkdirat(directory, name, 0755);
    int fd = openat(directory, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
    close_fd(fd);
    return fd < 0 ? -1 : 0;
}

/* The name exists and yet leads nowhere: it is a link, and its target is what has to be made. */
static struct error *make_link_target(
    int root, int parent, const char *parent_path, const char *name, bool directory, int links, int *ret_fd)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(parent, name, target, sizeof(target) - 1);
    if (length < 0)
        return error_errno(errno, "%s/%s", parent_path, name);
    target[length] = '\0';
    if (links == LINKS_MAX)
        return error_errno(ELOOP, "%s/%s", parent_path, name);
    _cleanup_free_ char *path =
        target[0] == '/' ? must_copy(target) : must_printf("%s/%s", parent_path, target);
    return make(root, path, directory, links + 1, ret_fd);
}

static struct error *make(int root, const char *path, bool directory, int links, int *ret_fd)
{
    struct error *error = rootfs_open(root, path, ret_fd);
    if (error_number(error) != ENOENT)
        return error;
    error_free(error);

    _cleanup_free_ char *parent_path = NULL;
    _cleanup_free_ char *name = NULL;
    TRY(split(path, &parent_path, &name));
    _cleanup_fd_ int parent = -1;
    TRY(make(root, parent_path, true, links, &parent));
    if (create(parent, name, directory) < 0 && errno != EEXIST)
        return error_errno(errno, "making %s", path);
    error = rootfs_open(root, path, ret_fd);
    if (error_number(error) != ENOENT)
        return error;
    error_free(error);
    return make_link_target(root, parent, parent_path, name, directory, links, ret_fd);
}

struct error *rootfs_make_directory(int root, const char *path, int *ret_fd)
{
    return make(root, path, true, 0, ret_fd);
}

struct error *rootfs_make_file(int root, const char *path, int *ret_fd)
{
    return make(root, path, false, 0, ret_fd);
}

struct error *rootfs_parent(int root, const char *path, int *ret_directory, char **ret_name)
{
    _cleanup_free_ char *parent_path = NULL;
    _cleanup_free_ char *name = NULL;
    TRY(split(path, &parent_path, &name));
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return error_new(ERROR_INVALID_ARGUMENT, "\"%.100s\" ends in \"%s\"", path, name);
    TRY(make(root, parent_path, true, 0, ret_directory));
    *ret_name = TAKE_PTR(name);
    return NULL;
}
