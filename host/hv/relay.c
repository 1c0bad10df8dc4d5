/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/relay.h"

#include "hv/hash.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

struct half {
    struct bufferevent *stream;
    bool ended; /* its peer sent end of file */
};

struct connection {
    struct relay *relay;
    struct half client, guest;
    LIST_ENTRY(connection) entry;
};

struct relay {
    struct event_base *base;
    struct evconnlistener *listener;
    struct sockaddr_in target;
    unsigned count;
    LIST_HEAD(, connection) connections;
};

bool relay_is_needed(const char *host_address)
{
    return host_address && strchr(host_address, ':');
}

void relay_address(const char *machine, char ret_text[RELAY_ADDRESS_SIZE])
{
    unsigned hash = hash_text(machine);
    snprintf(ret_text, RELAY_ADDRESS_SIZE, "127.%u.%u.%u", 64 + (hash >> 16 & 63), hash >> 8 & 255,
        1 + (hash & 255) % 254);
}

static void connection_free(struct connection *connection)
{
    LIST_REMOVE(connection, entry);
    connection->relay->count--;
    if (connection->client.stream)
        bufferevent_free(connection->client.stream);
    if (connection->guest.stream)
        bufferevent_free(connection->guest.stream);
    free(connection);
}

static struct half *half_of(struct connection *connection, const struct bufferevent *stream)
{
    return connection->client.stream == stream ? &connection->client : &connection->guest;
}

static struct half *other_half(struct connection *connection, const struct bufferevent *stream)
{
    return connection->client.stream == stream ? &connection->guest : &connection->client;
}

/* Passes on an end of file once all before it is written; done when both directions have ended. */
static void pass_end(struct connection *connection, struct half *from, struct half *to)
{
    if (!from->ended || evbuffer_get_length(bufferevent_get_output(to->stream)) > 0)
        return;
    shutdown(bufferevent_getfd(to->stream), SHUT_WR);
    if (to->ended && evbuffer_get_length(bufferevent_get_output(from->stream)) == 0)
        connection_free(connection);
}

static void on_read(struct bufferevent *stream, void *context)
{
    struct bufferevent *out = other_half(context, stream)->stream;
    bufferevent_read_buffer(stream, bufferevent_get_output(out));
    if (evbuffer_get_length(bufferevent_get_output(out)) >= RELAY_WINDOW)
        bufferevent_disable(stream, EV_READ);
}

static void on_written(struct bufferevent *stream, void *context)
{
    struct half *to = half_of(context, stream), *from = other_half(context, stream);
    if (from->ended)
        pass_end(context, from, to);
    else
        bufferevent_enable(from->stream, EV_READ);
}

static void on_event(struct bufferevent *stream, short what, void *context)
{
    struct connection *connection = context;
    if (what & BEV_EVENT_CONNECTED) {
        pass_end(connection, &connection->client, &connection->guest);
        return;
    }
    struct half *from = half_of(context, stream);
    if (!(what & BEV_EVENT_EOF)) {
        connection_free(connection);
        return;
    }
    from->ended = true;
    pass_end(connection, from, other_half(connection, stream));
}

static struct bufferevent *open_half(struct connection *connection, int fd)
{
    struct bufferevent *stream = bufferevent_socket_new(connection->relay->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!stream)
        return NULL;
    bufferevent_setcb(stream, on_read, on_written, on_event, connection);
    bufferevent_setwatermark(stream, EV_READ, 0, RELAY_WINDOW);
    return stream;
}

static void on_accepted(
    struct evconnlistener *listener, int fd, struct sockaddr *peer, int length, void *context)
{
    struct relay *relay = context;
    if (relay->count >= RELAY_CONNECTIONS_MAX) {
        close_fd(fd);
        return;
    }
    struct connection *connection = must_new(struct connection);
    connection->relay = relay;
    LIST_INSERT_HEAD(&relay->connections, connection, entry);
    relay->count++;
    connection->client.stream = open_half(connection, fd);
    if (!connection->client.stream)
        close_fd(fd);
    connection->guest.stream = open_half(connection, -1);
    if (!connection->client.stream || !connection->guest.stream) {
        connection_free(connection);
        return;
    }
    bufferevent_enable(connection->client.stream, EV_READ);
    bufferevent_enable(connection->guest.stream, EV_READ);
    /* A refusal at once is told through on_event only where the connect began. */
    if (bufferevent_socket_connect(
            connection->guest.stream, (struct sockaddr *)&relay->target, sizeof(relay->target)) < 0)
        connection_free(connection);
}

static struct error *listen_on(const struct sockaddr_in6 *address, const char *text, int *ret_fd)
{
    _cleanup_fd_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int yes = 1;
    if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
        bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 || listen(fd, 128) < 0) {
        struct error *error = error_errno(
            errno, "port [%s]:%u/tcp of the host cannot be published", text, ntohs(address->sin6_port));
        return error_number(error) == EADDRINUSE ? error_recode(error, ERROR_ALREADY_EXISTS) : error;
    }
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

struct error *relay_new(struct event_base *base, const char *host_address, uint16_t port, const char *target,
    struct relay **ret_relay)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET6, host_address, &address.sin6_addr) != 1 ||
        inet_pton(AF_INET, target, &to.sin_addr) != 1)
        return error_new(ERROR_INVALID_ARGUMENT, "publishing a port on %s: not an address", host_address);
    int fd = -1;
    TRY(listen_on(&address, host_address, &fd));
    struct relay *relay = must_new(struct relay);
    *relay = (struct relay){.base = base, .target = to};
    relay->listener =
        evconnlistener_new(base, on_accepted, relay, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!relay->listener) {
        close_fd(fd);
        free(relay);
        return error_new(ERROR_INTERNAL, "the event loop refused a listener");
    }
    *ret_relay = relay;
    return NULL;
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    struct connection *next;
    for (struct connection *connection = LIST_FIRST(&relay->connections); connection; connection = next) {
        next = LIST_NEXT(connection, entry);
        connection_free(connection);
    }
    evconnlistener_free(relay->listener);
    free(relay);
}
