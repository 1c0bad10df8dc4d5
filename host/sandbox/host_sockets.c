/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/host_sockets.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Clear of the guest's own numbers, so that a log shows which side a port is of. */
#define FIRST_PORT 0x20000u

struct host_socket {
    LIST_ENTRY(host_socket) entry;
    const void *owner;
    uint32_t port;
    int file; /* O_PATH */
    unsigned count;
    bool has_user;
    struct host_socket_user user; /* owned groups */
};

struct connection {
    LIST_ENTRY(connection) entry;
    struct host_sockets *sockets;
    struct host_socket *host_socket; /* NULL: was removed */
    int socket;                      /* the machine's, once more: to end it from here */
};

struct host_sockets {
    LIST_HEAD(, host_socket) list;
    LIST_HEAD(, connection) connections;
    unsigned count;
    unsigned connection_count;
    uint32_t next_port;
};

struct host_sockets *host_sockets_new(void)
{
    struct host_sockets *sockets = must_new(struct host_sockets);
    sockets->next_port = FIRST_PORT;
    LIST_INIT(&sockets->list);
    LIST_INIT(&sockets->connections);
    return sockets;
}

static void connection_free(struct connection *connection)
{
    connection->sockets->connection_count--;
    if (connection->host_socket)
        connection->host_socket->count--;
    LIST_REMOVE(connection, entry);
    close_fd(connection->socket);
    free(connection);
}

static void connection_over(void *context, bool reset)
{
    connection_free(context);
}

/* The machine sees both directions end, and says so. */
static void orphan_connections(struct host_sockets *sockets, const struct host_socket *host_socket)
{
    struct connection *connection;
    LIST_FOREACH (connection, &sockets->connections, entry) {
        if (connection->host_socket != host_socket)
            continue;
        connection->host_socket = NULL;
        shutdown(connection->socket, SHUT_RDWR);
    }
}

static void remove_socket(struct host_sockets *sockets, struct host_socket *host_socket)
{
    orphan_connections(sockets, host_socket);
    LIST_REMOVE(host_socket, entry);
    sockets->count--;
    close_fd(host_socket->file);
    free((gid_t *)(uintptr_t)host_socket->user.groups);
    free(host_socket);
}

void host_sockets_remove(struct host_sockets *sockets, const void *owner)
{
    struct host_socket *next = LIST_FIRST(&sockets->list);
    while (next) {
        struct host_socket *host_socket = next;
        next = LIST_NEXT(host_socket, entry);
        if (host_socket->owner == owner)
            remove_socket(sockets, host_socket);
    }
}

void host_sockets_free(struct host_sockets *sockets)
{
    if (!sockets)
        return;
    while (!LIST_EMPTY(&sockets->connections))
        connection_free(LIST_FIRST(&sockets->connections));
    while (!LIST_EMPTY(&sockets->list))
        remove_socket(sockets, LIST_FIRST(&sockets->list));
    free(sockets);
}

/* Of the very file, whatever its name leads to by now. */
static struct sockaddr_un address_of(int file)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file);
    return address;
}

/* The kernel compares the kinds before anything else, so a stream socket does not notice. One that nobody
   listens on may get a listener later. */
static struct error *check_kind(const char *path, const struct sockaddr_un *address)
{
    _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(errno, "making a socket");
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno != EPERM)
        return NULL;
    return error_new(
        ERROR_UNIMPLEMENTED, "%s is a datagram socket; only stream sockets of the host can be mounted", path);
}

struct error *host_sockets_add(
    struct host_sockets *sockets, const void *owner, const char *path, uint32_t *ret_port)
{
    if (sockets->count >= HOST_SOCKETS_MAX)
        return error_new(ERROR_RESOURCE_EXHAUSTED, "%d sockets of the host are mounted already, at %s",
            HOST_SOCKETS_MAX, path);
    _cleanup_fd_ int file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return error_errno(errno, "%s", path);
    const struct sockaddr_un address = address_of(file);
    TRY(check_kind(path, &address));
    struct host_socket *host_socket = must_new(struct host_socket);
    *host_socket = (struct host_socket){.owner = owner, .port = sockets->next_port++, .file = TAKE_FD(file)};
    LIST_INSERT_HEAD(&sockets->list, host_socket, entry);
    sockets->count++;
    *ret_port = host_socket->port;
    return NULL;
}

void host_sockets_act_as(struct host_sockets *sockets, const void *owner, const struct host_socket_user *user)
{
    struct host_socket *host_socket;
    LIST_FOREACH (host_socket, &sockets->list, entry) {
        if (host_socket->owner != owner || host_socket->has_user || geteuid() != 0)
            continue;
        gid_t *groups = must_alloc_array(user->group_count + 1, sizeof(*groups));
        for (size_t i = 0; i < user->group_count; i++)
            groups[i] = user->groups[i];
        host_socket->user = *user;
        host_socket->user.groups = groups;
        host_socket->has_user = true;
    }
}

/* ---- as somebody else ---- */

/* What this process is otherwise. */
struct self {
    gid_t gid;
    gid_t groups[NGROUPS_MAX];
    int group_count;
};

/* This process has one thread. Whether all of it took effect. */
static bool become(const struct host_socket_user *user, struct self *ret_self)
{
    ret_self->gid = getegid();
    ret_self->group_count = getgroups(NGROUPS_MAX, ret_self->groups);
    return ret_self->group_count >= 0 && setgroups(user->group_count, user->groups) == 0 &&
           setegid(user->gid) == 0 && seteuid(user->uid) == 0;
}

static void become_self(const struct self *self)
{
    if (seteuid(0) < 0 || setegid(self->gid) < 0 ||
        (self->group_count >= 0 && setgroups((size_t)self->group_count, self->groups) < 0))
        abort(); /* a supervisor that is somebody else from now on must not go on */
}

/* The server sees who connects, and its socket file says who may. */
static int connect_as(const struct host_socket *host_socket, int fd, const struct sockaddr_un *address)
{
    static struct self self; /* too large for the stack */
    if (!host_socket->has_user)
        return connect(fd, (const struct sockaddr *)address, sizeof(*address));
    int result = -1;
    if (become(&host_socket->user, &self))
        result = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    become_self(&self);
    return result;
}

/* -1 where it refuses. */
static int connect_to(const struct host_socket *host_socket)
{
    const struct sockaddr_un address = address_of(host_socket->file);
    _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect_as(host_socket, fd, &address) < 0)
        return -1;
    return TAKE_FD(fd);
}

static struct host_socket *find(const struct host_sockets *sockets, uint32_t port)
{
    struct host_socket *host_socket;
    LIST_FOREACH (host_socket, &sockets->list, entry)
        if (host_socket->port == port)
            return host_socket;
    return NULL;
}

bool host_sockets_connect(struct host_sockets *sockets, uint32_t port, struct hv_joined *ret_joined)
{
    struct host_socket *host_socket = find(sockets, port);
    if (!host_socket || host_socket->count >= HOST_SOCKET_CONNECTIONS_MAX ||
        sockets->connection_count >= HOST_SOCKETS_CONNECTIONS_MAX)
        return false;
    _cleanup_fd_ int fd = connect_to(host_socket);
    int again = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (again < 0)
        return false;
    struct connection *connection = must_new(struct connection);
    *connection = (struct connection){.sockets = sockets, .host_socket = host_socket, .socket = again};
    LIST_INSERT_HEAD(&sockets->connections, connection, entry);
    sockets->connection_count++;
    host_socket->count++;
    *ret_joined = (struct hv_joined){.socket = TAKE_FD(fd), .over = connection_over, .context = connection};
    return true;
}
