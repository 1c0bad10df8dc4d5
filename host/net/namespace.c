/* SPDX-License-Identifier: Apache-2.0 */
#include "net/namespace.h"

#include "netlink/netlink.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static bool is_same(const struct stat *one, const char *path)
{
    struct stat other;
    return stat(path, &other) == 0 && one->st_dev == other.st_dev && one->st_ino == other.st_ino;
}

struct error *net_namespace_open(const char *path, int *ret_namespace)
{
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_errno(errno, "network namespace %s", path);
    if (is_same(&status, "/proc/self/ns/net") || is_same(&status, "/proc/1/ns/net"))
        return error_new(ERROR_FAILED_PRECONDITION,
            "the network namespace %s is the host's own, which a virtual machine cannot share; "
            "run without host networking",
            path);
    *ret_namespace = TAKE_FD(fd);
    return NULL;
}

char *net_namespace_note(int namespace, const char *path)
{
    struct stat status = {0};
    (void)fstat(namespace, &status);
    return must_printf("%ju:%ju %s", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino, path);
}

struct error *net_namespace_reopen(const char *note, int *ret_namespace)
{
    const char *space = strchr(note, ' ');
    if (!space)
        return error_new(ERROR_INVALID_ARGUMENT, "\"%.80s\" is no note of a network namespace", note);
    _cleanup_fd_ int fd = open(space + 1, O_RDONLY | O_CLOEXEC);
    _cleanup_free_ char *now = fd >= 0 ? net_namespace_note(fd, space + 1) : must_copy("");
    *ret_namespace = strcmp(now, note) == 0 ? TAKE_FD(fd) : -1;
    return NULL;
}

/* ---- a moment inside ---- */

typedef struct error *inside(void *context);

/* Coming back needs nothing that going did not, so it does not fail; a process that stayed would do to this
   namespace what it means for its own. */
static struct error *run_inside(int namespace, inside *function, void *context)
{
    _cleanup_fd_ int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0)
        return error_errno(errno, "opening the supervisor's network namespace");
    if (setns(namespace, CLONE_NEWNET) < 0)
        return error_errno(errno, "entering the network namespace");
    struct error *error = function(context);
    if (setns(home, CLONE_NEWNET) < 0)
        abort();
    return error;
}

static struct error *open_socket(void *context)
{
    return netlink_open(context);
}

struct error *net_namespace_socket(int namespace, int *ret_fd)
{
    return run_inside(namespace, open_socket, ret_fd);
}

/* ---- listeners ---- */

#define LISTEN_BACKLOG 128

static struct error *listen_on(const struct sockaddr *address, socklen_t length, int *ret_fd)
{
    _cleanup_fd_ int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, address, length) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
        return error_errno(errno, "listening in the network namespace");
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

struct listeners {
    int four, six;
};

static struct error *open_listeners(void *context)
{
    const struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct listeners *listeners = context;
    TRY(listen_on((const struct sockaddr *)&four, sizeof(four), &listeners->four));
    error_free(listen_on((const struct sockaddr *)&six, sizeof(six), &listeners->six));
    return NULL;
}

struct error *net_namespace_listeners(int namespace, int *ret_four, int *ret_six)
{
    struct listeners listeners = {-1, -1};
    TRY(run_inside(namespace, open_listeners, &listeners));
    *ret_four = listeners.four;
    *ret_six = listeners.six;
    return NULL;
}

/* ---- tap devices ---- */

struct tap_list {
    struct net_tap *taps;
    size_t count;
};

static struct error *open_taps(void *context)
{
    struct tap_list *list = context;
    for (size_t i = 0; i < list->count; i++) {
        list->taps[i].fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (list->taps[i].fd < 0)
            return error_errno(errno, "opening /dev/net/tun, which makes tap devices");
    }
    return NULL;
}

static struct error *make_device(struct net_tap *tap, int socket, const char *prefix)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s%%d", prefix);
    if (ioctl(tap->fd, TUNSETIFF, &request) < 0)
        return error_errno(errno, "making a tap device");
    memcpy(tap->name, request.ifr_name, sizeof(tap->name));
    if (ioctl(socket, SIOCGIFINDEX, &request) < 0)
        return error_errno(errno, "finding the tap device %s", tap->name);
    tap->index = request.ifr_ifindex;
    return NULL;
}

struct error *net_namespace_taps(
    int namespace, int socket, const char *prefix, size_t count, struct net_tap **ret_taps)
{
    struct tap_list list = {.taps = must_alloc_array(count, sizeof(*list.taps)), .count = count};
    for (size_t i = 0; i < count; i++)
        list.taps[i].fd = -1;
    struct error *error = count > 0 ? run_inside(namespace, open_taps, &list) : NULL;
    for (size_t i = 0; i < count && !error; i++)
        error = make_device(&list.taps[i], socket, prefix);
    if (error) {
        net_taps_free(list.taps, count);
        return error;
    }
    *ret_taps = list.taps;
    return NULL;
}

void net_taps_free(struct net_tap *taps, size_t count)
{
    for (size_t i = 0; taps && i < count; i++)
        close_fd(taps[i].fd);
    free(taps);
}
