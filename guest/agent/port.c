/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/port.h"

#include "agent/uevent.h"
#include "base/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

static int milliseconds_until(const struct timespec *deadline)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long left = (deadline->tv_sec - now.tv_sec) * 1000 + (deadline->tv_nsec - now.tv_nsec) / 1000000;
    return left > 0 ? (int)left : 0;
}

/* Whether the port's name is the wanted one. A port whose name is not yet there has another. */
static bool has_name(int class, const char *port, const char *wanted)
{
    _cleanup_free_ char *path = must_printf("%s/name", port);
    _cleanup_free_ char *name = NULL;
    error_free(file_read(class, path, 256, &name, NULL));
    if (!name)
        return false;
    name[strcspn(name, "\n")] = '\0';
    return strcmp(name, wanted) == 0;
}

/* The path of the device with that name, or NULL. */
static char *find_by_name(const char *wanted)
{
    _cleanup_dir_ DIR *class = opendir("/sys/class/virtio-ports");
    if (!class)
        return NULL;
    for (struct dirent *entry; (entry = readdir(class));) {
        if (entry->d_name[0] != '.' && has_name(dirfd(class), entry->d_name, wanted))
            return must_printf("/dev/%s", entry->d_name);
    }
    return NULL;
}

static struct error *wait_for_name(const char *name, const struct timespec *deadline, char **ret_path)
{
    _cleanup_fd_ int announcements = -1;
    TRY(uevent_open(&announcements));
    char *path;
    while (!(path = find_by_name(name))) {
        struct pollfd wait = {.fd = announcements, .events = POLLIN};
        int ready = poll(&wait, 1, milliseconds_until(deadline));
        if (ready == 0)
            return error_new(ERROR_UNAVAILABLE, "this machine has no virtio-serial port named %s", name);
        if (ready < 0 && errno != EINTR)
            return error_errno(errno, "waiting for the port %s", name);
        uevent_drain(announcements);
    }
    *ret_path = path;
    return NULL;
}

/* A port whose host side is closed always polls as hung up and reads as ended. The end of that state is only
   seen as an edge. */
static struct error *wait_for_host(int port, const struct timespec *deadline)
{
    _cleanup_fd_ int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, port, &event) < 0)
        return error_errno(errno, "watching the port");
    for (;;) {
        int ready = epoll_wait(epoll, &event, 1, milliseconds_until(deadline));
        if (ready == 1 && !(event.events & EPOLLHUP))
            return NULL;
        if (ready == 0)
            return error_new(ERROR_UNAVAILABLE, "the host does not connect to the port");
        if (ready < 0 && errno != EINTR)
            return error_errno(errno, "watching the port");
    }
}

struct error *port_open(const char *name, int timeout, int *ret_fd)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout / 1000;
    deadline.tv_nsec += timeout % 1000 * 1000000;

    _cleanup_free_ char *path = NULL;
    TRY(wait_for_name(name, &deadline, &path));
    _cleanup_fd_ int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "%s", path);
    TRY(error_wrap(wait_for_host(fd, &deadline), "%s", name));
    *ret_fd = TAKE_FD(fd);
    return NULL;
}
