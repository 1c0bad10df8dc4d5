/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/copy_up.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define COPY_CHUNK (1u << 20)
/* Each level holds descriptors open and stack in use; images have far fewer. */
#define COPY_DEPTH_MAX 100

static struct error *copy_directory(int from, int to, int depth);

static struct error *copy_file(int from, int to, const char *name, mode_t mode)
{
    _cleanup_fd_ int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_fd_ int target =
        source < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (target < 0)
        return error_errno(errno, "opening");
    for (;;) {
        ssize_t copied = sendfile(target, source, NULL, COPY_CHUNK);
        if (copied < 0)
            return error_errno(errno, "copying");
        if (copied == 0)
            return NULL;
    }
}

static struct error *copy_link(int from, int to, const char *name)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(from, name, target, sizeof(target) - 1);
    if (length < 0)
        return error_errno(errno, "reading the link");
    target[length] = '\0';
    if (symlinkat(target, to, name) < 0)
        return error_errno(errno, "making the link");
    return NULL;
}

static struct error *copy_subdirectory(int from, int to, const char *name, mode_t mode, int depth)
{
    if (depth == COPY_DEPTH_MAX)
        return error_new(ERROR_OUT_OF_RANGE, "more than %d levels of directories", COPY_DEPTH_MAX);
    if (mkdirat(to, name, mode) < 0)
        return error_errno(errno, "making the directory");
    _cleanup_fd_ int source = openat(from, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_fd_ int target =
        source < 0 ? -1 : openat(to, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0)
        return error_errno(errno, "opening the directory");
    return copy_directory(source, target, depth + 1);
}

static struct error *copy_content(int from, int to, const char *name, const struct stat *status, int depth)
{
    mode_t mode = status->st_mode & 07777;
    switch (status->st_mode & S_IFMT) {
    case S_IFREG:
        return copy_file(from, to, name, mode);
    case S_IFLNK:
        return copy_link(from, to, name);
    case S_IFDIR:
        return copy_subdirectory(from, to, name, mode, depth);
    default:
        if (mknodat(to, name, status->st_mode, status->st_rdev) < 0)
            return error_errno(errno, "making the node");
        return NULL;
    }
}

static struct error *copy_entry(int from, int to, const char *name, int depth)
{
    struct stat status;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(errno, "reading");
    TRY(copy_content(from, to, name, &status, depth));
    if (fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(errno, "setting the owner");
    /* A change of owner drops the set-id bits. */
    if (!S_ISLNK(status.st_mode) && fchmodat(to, name, status.st_mode & 07777, 0) < 0)
        return error_errno(errno, "setting the mode");
    const struct timespec times[2] = {status.st_atim, status.st_mtim};
    if (utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(errno, "setting the times");
    return NULL;
}

static struct error *copy_directory(int from, int to, int depth)
{
    int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_dir_ DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        struct error *error = error_errno(errno, "reading the directory");
        close_fd(fd);
        return error;
    }
    for (struct dirent *entry; (errno = 0, entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            TRY(error_wrap(copy_entry(from, to, entry->d_name, depth), "%s", entry->d_name));
    }
    return errno ? error_errno(errno, "reading the directory") : NULL;
}

struct error *copy_up(int from, int to)
{
    return copy_directory(from, to, 0);
}
