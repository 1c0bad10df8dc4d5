/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/host_socket.h"

#include "agent/storage_driver.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"

#include <event2/listener.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct connection {
    LIST_ENTRY(connection) entry;
    struct host_socket *host_socket;
    struct mux_stream *stream;
};

struct host_socket {
    struct link *link;
    uint32_t port;
    char *path;
    struct evconnlistener *listener;
    LIST_HEAD(, connection) connections;
    unsigned count;
};

static void connection_free(struct connection *connection)
{
    struct host_socket *host_socket = connection->host_socket;
    LIST_REMOVE(connection, entry);
    free(connection);
    if (host_socket->count-- == HOST_SOCKET_CONNECTIONS_MAX)
        evconnlistener_enable(host_socket->listener);
}

static void on_closed(void *context, bool reset)
{
    connection_free(context);
}

static void on_accepted(
    struct evconnlistener *listener, int fd, struct sockaddr *peer, int length, void *context)
{
    struct host_socket *host_socket = context;
    struct mux_stream *stream;
    struct error *error = link_open_stream(host_socket->link, host_socket->port, &stream);
    if (error) {
        error_free(error); /* the client sees its connection closed */
        close_fd(fd);
        return;
    }
    struct connection *connection = must_new(struct connection);
    *connection = (struct connection){.host_socket = host_socket, .stream = stream};
    LIST_INSERT_HEAD(&host_socket->connections, connection, entry);
    if (++host_socket->count == HOST_SOCKET_CONNECTIONS_MAX)
        evconnlistener_disable(listener);
    mux_attach_socket(stream, fd, on_closed, connection);
}

/* ---- the file ---- */

static struct error *read_id(const Grpc__Storage *storage, const char *name, uint64_t *ret_id)
{
    const char *text = storage_option(storage, name);
    *ret_id = 0;
    return text ? parse_unsigned(name, text, 0, UINT32_MAX, ret_id) : NULL;
}

/* Who may connect is who may do so on the host. */
static struct error *give_away(const Grpc__Storage *storage)
{
    uint64_t user, group;
    const char *mode = storage_option(storage, "mode");
    TRY(read_id(storage, "uid", &user));
    TRY(read_id(storage, "gid", &group));
    if (chown(storage->mount_point, (uid_t)user, (gid_t)group) < 0 ||
        chmod(storage->mount_point, (mode_t)(mode ? strtoul(mode, NULL, 8) & 07777 : 0600)) < 0)
        return error_errno(errno, "giving the socket %s its owner", storage->mount_point);
    return NULL;
}

static struct error *listen_at(const Grpc__Storage *storage, int *ret_fd)
{
    _cleanup_free_ char *parent = must_copy(storage->mount_point);
    *strrchr(parent, '/') = '\0';
    TRY(directory_create_all(parent, 0755));
    _cleanup_fd_ int fd = -1;
    TRY(unix_listen(storage->mount_point, &fd));
    struct error *error = give_away(storage);
    if (error)
        unlink(storage->mount_point);
    else
        *ret_fd = TAKE_FD(fd);
    return error;
}

struct error *host_socket_new(
    struct event_base *base, struct link *link, const Grpc__Storage *storage, struct host_socket **ret_socket)
{
    uint64_t port;
    int fd = -1;
    if (!link)
        return error_new(ERROR_FAILED_PRECONDITION, "a socket of the host needs a link to the host");
    TRY(parse_unsigned("port", storage->source, 1, UINT32_MAX, &port));
    TRY(listen_at(storage, &fd));
    struct host_socket *made = must_new(struct host_socket);
    *made =
        (struct host_socket){.link = link, .port = (uint32_t)port, .path = must_copy(storage->mount_point)};
    LIST_INIT(&made->connections);
    made->listener =
        evconnlistener_new(base, on_accepted, made, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!made->listener)
        abort(); /* libevent's only reason is a lack of memory */
    *ret_socket = made;
    return NULL;
}

void host_socket_free(struct host_socket *host_socket)
{
    if (!host_socket)
        return;
    while (!LIST_EMPTY(&host_socket->connections)) {
        struct connection *connection = LIST_FIRST(&host_socket->connections);
        mux_reset(connection->stream);
        connection_free(connection);
    }
    evconnlistener_free(host_socket->listener);
    unlink(host_socket->path);
    free(host_socket->path);
    free(host_socket);
}
