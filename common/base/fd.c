/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static struct error *change_flag(int fd, int get, int set, int flag, bool on)
{
    int flags = fcntl(fd, get);
    if (flags < 0)
        return error_errno(errno, "reading the flags of descriptor %d", fd);
    int wanted = on ? flags | flag : flags & ~flag;
    if (wanted != flags && fcntl(fd, set, wanted) < 0)
        return error_errno(errno, "changing the flags of descriptor %d", fd);
    return NULL;
}

struct error *fd_set_nonblocking(int fd, bool nonblocking)
{
    return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, nonblocking);
}

struct error *fd_set_close_on_exec(int fd, bool close_on_exec)
{
    return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, close_on_exec);
}

struct error *fd_write_all(int fd, const void *data, size_t length)
{
    const char *next = data;
    while (length > 0) {
        ssize_t written = write(fd, next, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return error_errno(errno, "writing");
        next += written;
        length -= (size_t)written;
    }
    return NULL;
}

struct error *fd_of_text(const char *text, int *ret_fd)
{
    _cleanup_fd_ int fd = memfd_create("text", MFD_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "making a file in memory");
    TRY(fd_write_all(fd, text, strlen(text)));
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_errno(errno, "rewinding a file in memory");
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

struct error *fd_read_exactly(int fd, void *buffer, size_t length)
{
    char *next = buffer;
    while (length > 0) {
        ssize_t received = read(fd, next, length);
        if (received < 0 && errno == EINTR)
            continue;
        if (received < 0)
            return error_errno(errno, "reading");
        if (received == 0)
            return error_new(ERROR_DATA_LOSS, "the data ends %zu bytes early", length);
        next += received;
        length -= (size_t)received;
    }
    return NULL;
}

/* One byte past the limit tells a full file from one that is too large. */
struct error *fd_read_all(int fd, size_t limit, char **ret_text, size_t *ret_length)
{
    size_t length = 0, capacity = 0;
    _cleanup_free_ char *text = NULL;
    for (;;) {
        if (length + 1 >= capacity) {
            capacity = capacity ? capacity * 2 : 4096;
            if (capacity > limit + 2)
                capacity = limit + 2;
            text = must_resize(text, capacity, 1);
        }
        ssize_t received = read(fd, text + length, capacity - length - 1);
        if (received < 0 && errno == EINTR)
            continue;
        if (received < 0)
            return error_errno(errno, "reading");
        if (received == 0)
            break;
        length += (size_t)received;
        if (length > limit)
            return error_new(ERROR_OUT_OF_RANGE, "more than %zu bytes", limit);
    }
    text[length] = '\0';
    if (ret_length)
        *ret_length = length;
    *ret_text = TAKE_PTR(text);
    return NULL;
}

struct error *file_read(int directory, const char *path, size_t limit, char **ret_text, size_t *ret_length)
{
    _cleanup_fd_ int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "%s", path);
    return error_wrap(fd_read_all(fd, limit, ret_text, ret_length), "%s", path);
}

struct error *file_write(int directory, const char *path, const void *data, size_t length)
{
    _cleanup_fd_ int fd = openat(directory, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(errno, "%s", path);
    return error_wrap(fd_write_all(fd, data, length), "%s", path);
}

struct error *file_write_text(int directory, const char *path, const char *text)
{
    return file_write(directory, path, text, strlen(text));
}

static struct error *write_synced(
    int directory, const char *path, const void *data, size_t length, mode_t mode)
{
    _cleanup_fd_ int fd = openat(directory, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return error_errno(errno, "%s", path);
    TRY(error_wrap(fd_write_all(fd, data, length), "%s", path));
    if (fsync(fd) < 0)
        return error_errno(errno, "%s", path);
    return NULL;
}

struct error *file_replace(int directory, const char *path, const void *data, size_t length, mode_t mode)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    _cleanup_free_ char *temporary = must_printf("%s.%d.%ld.tmp", path, getpid(), now.tv_nsec);
    struct error *error = write_synced(directory, temporary, data, length, mode);
    if (!error && renameat(directory, temporary, directory, path) < 0)
        error = error_errno(errno, "%s", path);
    if (error)
        unlinkat(directory, temporary, 0);
    return error;
}
