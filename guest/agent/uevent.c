/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/uevent.h"

#include "agent/device_path.h"

#include <linux/netlink.h>
#include <sys/socket.h>

/* linux/netlink.h names no groups for uevents; the kernel multicasts to the first (lib/kobject_uevent.c). */
#define UEVENT_GROUP_KERNEL 1

struct uevent_wait {
    char *driver;
    char *source;
    int fd;
    struct event *announced;
    struct event *deadline; /* apart, so that other devices' announcements do not put it off */
    uevent_found *found;
    void *context;
};

struct error *uevent_open(int *ret_fd)
{
    _cleanup_fd_ int fd =
        socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = UEVENT_GROUP_KERNEL};
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(errno, "listening for devices");
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

void uevent_drain(int fd)
{
    char announcement[1];
    /* ENOBUFS says that some were lost, which is as good as having read them. */
    while (recv(fd, announcement, sizeof(announcement), MSG_TRUNC) >= 0 || errno == EINTR || errno == ENOBUFS)
        ;
}

static void finish(struct uevent_wait *wait, struct error *error)
{
    event_del(wait->announced);
    event_del(wait->deadline);
    wait->found(wait->context, error);
}

static void on_announcement(evutil_socket_t fd, short what, void *context)
{
    struct uevent_wait *wait = context;
    uevent_drain(fd);
    _cleanup_free_ char *path = device_path(wait->driver, wait->source);
    if (path)
        finish(wait, NULL);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    struct uevent_wait *wait = context;
    finish(wait, error_new(ERROR_DEADLINE_EXCEEDED, "the device %s does not appear", wait->source));
}

struct error *uevent_wait_new(struct event_base *base, const char *driver, const char *source, int timeout,
    uevent_found *found, void *context, struct uevent_wait **ret_wait)
{
    int fd;
    TRY(uevent_open(&fd));
    struct uevent_wait *wait = must_new(struct uevent_wait);
    *wait = (struct uevent_wait){.driver = must_copy(driver),
        .source = must_copy(source),
        .fd = fd,
        .found = found,
        .context = context};
    wait->announced = event_new(base, fd, EV_READ | EV_PERSIST, on_announcement, wait);
    wait->deadline = evtimer_new(base, on_deadline, wait);
    event_add(wait->announced, NULL);
    struct timeval limit = {.tv_sec = timeout / 1000, .tv_usec = timeout % 1000 * 1000};
    event_add(wait->deadline, &limit);
    /* It may have appeared before the socket listened. */
    event_active(wait->announced, EV_READ, 0);
    *ret_wait = wait;
    return NULL;
}

void uevent_wait_free(struct uevent_wait *wait)
{
    if (!wait)
        return;
    event_free(wait->announced);
    event_free(wait->deadline);
    close_fd(wait->fd);
    free(wait->driver);
    free(wait->source);
    free(wait);
}
