/* SPDX-License-Identifier: Apache-2.0 */
#include "client/record.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>

/* The file is made with the container's directory. Making it here could put one into a directory that is just
   being removed. */
static struct error *open_lock(const struct directories *directories, const char *id, int *ret_fd)
{
    _cleanup_free_ char *path = directories_record_file(directories, id, "lock");
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return error_errno(errno, "cannot lock container %.12s", id);
    *ret_fd = fd;
    return NULL;
}

static struct error *try_lock(const char *id, int fd, bool *ret_locked)
{
    bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;

    if (!locked && errno != EWOULDBLOCK)
        return error_errno(errno, "cannot lock container %.12s", id);
    *ret_locked = locked;
    return NULL;
}

struct error *record_try_lock(const struct directories *directories, const char *id, int *ret_fd)
{
    _cleanup_fd_ int fd = -1;
    bool locked;

    TRY(open_lock(directories, id, &fd));
    TRY(try_lock(id, fd, &locked));
    *ret_fd = locked ? TAKE_FD(fd) : -1;
    return NULL;
}

/* The holder opened the lock for writing: its close is IN_CLOSE_WRITE. */
static struct error *watch_lock(const struct directories *directories, const char *id, int *ret_fd)
{
    _cleanup_free_ char *path = directories_record_file(directories, id, "lock");
    _cleanup_fd_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd < 0 || inotify_add_watch(fd, path, IN_CLOSE_WRITE) < 0)
        return error_errno(errno, "cannot watch the lock of container %.12s", id);
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

static struct error *wait_for_close(const char *id, int watch, int timeout)
{
    struct pollfd poll_fd = {.fd = watch, .events = POLLIN};
    char events[sizeof(struct inotify_event) + NAME_MAX + 1];
    int ready = poll(&poll_fd, 1, timeout);

    if (ready == 0)
        return error_new(
            ERROR_DEADLINE_EXCEEDED, "container %.12s is still held by the command that started it", id);
    if (ready < 0 && errno != EINTR)
        return error_errno(errno, "waiting for container %.12s", id);
    while (read(watch, events, sizeof(events)) > 0)
        ;
    return NULL;
}

struct error *record_lock(const struct directories *directories, const char *id, int timeout, int *ret_fd)
{
    _cleanup_fd_ int fd = -1, watch = -1;
    bool locked;

    TRY(open_lock(directories, id, &fd));
    TRY(try_lock(id, fd, &locked));
    if (!locked)
        TRY(watch_lock(directories, id, &watch));
    while (!locked) {
        /* Looked at once more after the watch began, so that a close in between is not missed. */
        TRY(try_lock(id, fd, &locked));
        if (!locked)
            TRY(wait_for_close(id, watch, timeout));
    }
    *ret_fd = TAKE_FD(fd);
    return NULL;
}
