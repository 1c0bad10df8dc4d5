/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include "base/fd.h"

#include <ctype.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static struct error *create_one(const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0)
        return NULL;
    int saved = errno;
    struct stat status;
    if (saved == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return NULL;
    return error_errno(saved == EEXIST ? ENOTDIR : saved, "%s", path);
}

struct error *directory_create_all(const char *path, mode_t mode)
{
    _cleanup_free_ char *partial = must_copy(path);
    for (char *slash = strchr(partial + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        TRY(create_one(partial, mode));
        *slash = '/';
    }
    return create_one(partial, mode);
}

static struct error *remove_below(int parent, const char *name, dev_t device);

static struct error *remove_entries(int fd, dev_t device)
{
    _cleanup_dir_ DIR *directory = fdopendir(fd);
    if (!directory) {
        int saved = errno;
        close(fd);
        return error_errno(saved, "reading a directory");
    }
    for (struct dirent *entry; (errno = 0, entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        TRY(error_wrap(remove_below(dirfd(directory), entry->d_name, device), "%s", entry->d_name));
    }
    return errno ? error_errno(errno, "reading a directory") : NULL;
}

static struct error *remove_below(int parent, const char *name, dev_t device)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return NULL;
    if (errno != EISDIR && errno != EPERM && errno != EBUSY)
        return error_errno(errno, "removing");
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "removing");
    struct stat status;
    if (fstat(fd, &status) == 0 && status.st_dev != device) {
        close(fd);
        return error_errno(EBUSY, "something is mounted there");
    }
    TRY(remove_entries(fd, device));
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return error_errno(errno, "removing");
    return NULL;
}

struct error *tree_remove(const char *path)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? NULL : error_errno(errno, "%s", path);
    return error_wrap(remove_below(AT_FDCWD, path, status.st_dev), "%s", path);
}

struct error *path_resolve(const char *path, char **ret_path)
{
    char *resolved = realpath(path, NULL);
    if (!resolved)
        return error_errno(errno, "%s", path);
    *ret_path = resolved;
    return NULL;
}

struct error *open_in_root(int root, const char *path, int flags, mode_t mode, int *ret_fd)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    long fd;
    do {
        /* EAGAIN: a rename raced with the resolution (openat2(2)). */
        fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
    } while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    if (fd < 0)
        return error_errno(errno, "%s", path);
    *ret_fd = (int)fd;
    return NULL;
}

struct error *identifier_check(const char *what, const char *identifier)
{
    size_t length = strlen(identifier);
    if (length == 0 || length > 76)
        return error_new(
            ERROR_INVALID_ARGUMENT, "%s \"%.80s\" must have 1 to 76 characters", what, identifier);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)identifier[i];
        bool inner = i > 0 && strchr("_.-", byte);
        if (!isascii(byte) || (!isalnum(byte) && !inner))
            return error_new(ERROR_INVALID_ARGUMENT,
                "%s \"%s\" may hold letters and digits, and after the first also _ . and -", what,
                identifier);
    }
    return NULL;
}
