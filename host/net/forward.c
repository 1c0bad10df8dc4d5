/* SPDX-License-Identifier: Apache-2.0 */
#include "net/forward.h"

#include "net/namespace.h"
#include "net/steer.h"

#include <arpa/inet.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define LISTENERS 2

struct forward {
    struct hv *hv;
    struct evconnlistener *listeners[LISTENERS]; /* for IPv4 and IPv6; NULL where there is none */
    int link;                                    /* what steers connections to them */
    unsigned count;
};

static void connection_over(void *context, bool reset)
{
    struct forward *forward = context;
    forward->count--;
}

/* The port that was asked for: a steered connection keeps its own address. 0 where it is not known. */
static uint16_t wanted_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static void on_accepted(
    struct evconnlistener *listener, int fd, struct sockaddr *peer, int length, void *context)
{
    struct forward *forward = context;
    uint16_t port = wanted_port(fd);
    if (port == 0 || forward->count >= FORWARD_CONNECTIONS_MAX) {
        close_fd(fd);
        return;
    }
    const struct hv_joined joined = {.socket = fd, .over = connection_over, .context = forward};
    struct error *error = hv_join(forward->hv, FORWARD_PORTS + port, &joined);
    forward->count += !error;
    error_free(error); /* the client sees its connection closed */
}

/* Takes the socket, which may be -1. */
static struct error *add_listener(
    struct forward *forward, struct event_base *base, int fd, struct evconnlistener **ret_listener)
{
    if (fd < 0)
        return NULL;
    *ret_listener =
        evconnlistener_new(base, on_accepted, forward, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (*ret_listener)
        return NULL;
    close_fd(fd);
    return error_new(ERROR_INTERNAL, "the event loop refused a listener");
}

static struct error *set_up(struct forward *forward, struct event_base *base, const char *note)
{
    _cleanup_fd_ int namespace = -1, four = -1, six = -1;
    TRY(net_namespace_reopen(note, &namespace));
    if (namespace < 0)
        return error_new(ERROR_NOT_FOUND, "the network namespace is gone");
    TRY(net_namespace_listeners(namespace, &four, &six));
    TRY(steer_loopback(namespace, four, six, &forward->link));
    TRY(add_listener(forward, base, TAKE_FD(four), &forward->listeners[0]));
    return add_listener(forward, base, TAKE_FD(six), &forward->listeners[1]);
}

struct error *forward_new(
    struct event_base *base, const char *note, struct hv *hv, struct forward **ret_forward)
{
    struct forward *forward = must_new(struct forward);
    *forward = (struct forward){.hv = hv, .link = -1};
    struct error *error = set_up(forward, base, note);
    if (error) {
        forward_free(forward);
        return error;
    }
    *ret_forward = forward;
    return NULL;
}

void forward_free(struct forward *forward)
{
    if (!forward)
        return;
    close_fd(forward->link);
    for (size_t i = 0; i < LISTENERS; i++)
        if (forward->listeners[i])
            evconnlistener_free(forward->listeners[i]);
    free(forward);
}
