/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections through the agent's link, in both directions, with the host played by the other end of the
 * link: to TCP ports of the guest, and from a socket file of the guest to a socket of the host.
 */
#include "agent/dial.h"
#include "agent/host_socket.h"
#include "assertions.h"

#include "base/fd.h"
#include "base/path.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define HOST_PORT 131072

struct world {
    struct event_base *base;
    struct link *link;
    struct mux *host;
    char directory[32];
    char *path;
    uint32_t incoming_port;
    struct mux_stream *incoming; /* not attached */
    bool refuses;
    bool closed, was_reset;
};

/* ---- the host ---- */

static void on_ready(void *context)
{
    const struct world *world = context;
    event_base_loopbreak(world->base);
}

static bool on_incoming(void *context, uint32_t port, struct mux_stream *stream)
{
    struct world *world = context;
    world->incoming_port = port;
    world->incoming = world->refuses ? NULL : stream;
    event_base_loopbreak(world->base);
    return !world->refuses;
}

static void on_failed(void *context, const struct error *reason)
{
    fail_msg("%s", error_message(reason));
}

static void on_closed(void *context, bool reset)
{
    struct world *world = context;
    world->closed = true;
    world->was_reset = reset;
    event_base_loopbreak(world->base);
}

static void on_link_failed(void *context, const struct error *reason)
{
    fail_msg("%s", error_message(reason));
}

static int begin_world(void **state)
{
    static const struct mux_events events = {on_ready, on_incoming, on_failed};
    struct world *world = must_new(struct world);
    int host, guest;
    world->base = event_base_new();
    assert_ok(unix_pair(&host, &guest));
    assert_ok(link_new(world->base, guest, NULL, on_link_failed, world, &world->link));
    assert_ok(mux_new(world->base, host, true, &events, world, &world->host));
    event_base_dispatch(world->base);
    assert_true(mux_is_ready(world->host));
    strcpy(world->directory, "/tmp/caisson-agent-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    world->path = must_printf("%s/below/socket", world->directory);
    *state = world;
    return 0;
}

static int end_world(void **state)
{
    struct world *world = *state;
    link_free(world->link);
    mux_free(world->host);
    event_base_free(world->base);
    assert_ok(tree_remove(world->directory));
    free(world->path);
    free(world);
    return 0;
}

/* ---- a byte stream between two descriptors, with this loop in the middle ---- */

static void readable(evutil_socket_t fd, short what, void *base)
{
    event_base_loopbreak(base);
}

/* Runs the loop until there is something to read, or the end. */
static ssize_t await_bytes(const struct world *world, int fd, char *bytes, size_t size)
{
    struct event *event = event_new(world->base, fd, EV_READ, readable, world->base);
    event_add(event, NULL);
    event_base_dispatch(world->base);
    event_free(event);
    return read(fd, bytes, size);
}

/* Both ways, then the end of one direction before that of the other. */
static void expect_joined(const struct world *world, int one, int other)
{
    char bytes[8];
    assert_int_equal(write(one, "ask", 3), 3);
    assert_int_equal(await_bytes(world, other, bytes, sizeof(bytes)), 3);
    assert_int_equal(shutdown(one, SHUT_WR), 0);
    assert_int_equal(await_bytes(world, other, bytes, sizeof(bytes)), 0);
    assert_int_equal(write(other, "tell", 4), 4);
    assert_int_equal(await_bytes(world, one, bytes, sizeof(bytes)), 4);
    assert_memory_equal(bytes, "tell", 4);
    close(other);
    assert_int_equal(await_bytes(world, one, bytes, sizeof(bytes)), 0);
    close(one);
}

/* ---- to the guest's TCP ports ---- */

static int listen_on_loopback(int family, uint16_t *ret_port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    socklen_t length = family == AF_INET ? sizeof(four) : sizeof(six);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, address, length) < 0 || listen(fd, 8) < 0) {
        close_fd(fd);
        return -1;
    }
    assert_int_equal(getsockname(fd, address, &length), 0);
    *ret_port = ntohs(family == AF_INET ? four.sin_port : six.sin6_port);
    return fd;
}

static int dial(struct world *world, uint16_t port)
{
    struct mux_stream *stream;
    int ours, theirs;
    assert_ok(mux_open(world->host, LINK_PORT_TCP + port, &stream));
    assert_ok(unix_pair(&ours, &theirs));
    mux_attach_socket(stream, theirs, on_closed, world);
    return ours;
}

static void expect_dialled(struct world *world, int family)
{
    uint16_t port;
    int listener = listen_on_loopback(family, &port);
    if (listener < 0)
        skip(); /* no IPv6 here */
    int client = dial(world, port);
    struct event *event = event_new(world->base, listener, EV_READ, readable, world->base);
    event_add(event, NULL);
    event_base_dispatch(world->base);
    event_free(event);
    expect_joined(world, client, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    assert_false(world->was_reset);
    close(listener);
}

static void test_dial(void **state)
{
    expect_dialled(*state, AF_INET);
}

static void test_dial_second_address(void **state)
{
    expect_dialled(*state, AF_INET6);
}

static void test_dial_is_refused(void **state)
{
    struct world *world = *state;
    uint16_t port;
    close(listen_on_loopback(AF_INET, &port));
    int client = dial(world, port);
    event_base_dispatch(world->base);
    assert_true(world->closed && world->was_reset);
    close(client);
}

/* ---- to a socket of the host ---- */

static Grpc__Storage describe(const struct world *world)
{
    static const char *options[] = {"mode=0640", "uid=0", "gid=0"};
    Grpc__Storage storage = GRPC__STORAGE__INIT;
    storage.source = "131072";
    storage.mount_point = world->path;
    storage.options = options;
    storage.n_options = geteuid() == 0 ? ARRAY_SIZE(options) : 1;
    return storage;
}

static struct host_socket *make_host_socket(const struct world *world)
{
    struct host_socket *made = NULL;
    const Grpc__Storage storage = describe(world);
    struct stat status;
    assert_ok(host_socket_new(world->base, world->link, &storage, &made));
    assert_int_equal(stat(world->path, &status), 0);
    assert_int_equal(status.st_mode, S_IFSOCK | 0640);
    return made;
}

static int connect_client(struct world *world)
{
    int client;
    assert_ok(unix_connect(world->path, &client));
    event_base_dispatch(world->base);
    assert_int_equal(world->incoming_port, HOST_PORT);
    return client;
}

static void test_host_socket(void **state)
{
    struct world *world = *state;
    struct host_socket *host_socket = make_host_socket(world);
    int ours, theirs, client = connect_client(world);
    assert_ok(unix_pair(&ours, &theirs));
    mux_attach_socket(world->incoming, theirs, NULL, NULL);
    expect_joined(world, client, ours);
    host_socket_free(host_socket);
    assert_int_equal(access(world->path, F_OK), -1);
}

static void test_host_refuses(void **state)
{
    struct world *world = *state;
    struct host_socket *host_socket = make_host_socket(world);
    char byte;
    world->refuses = true;
    int client = connect_client(world);
    assert_int_equal(await_bytes(world, client, &byte, 1), 0);
    close(client);
    host_socket_free(host_socket);
}

static void test_removal_ends_connections(void **state)
{
    struct world *world = *state;
    struct host_socket *host_socket = make_host_socket(world);
    char byte;
    int client = connect_client(world);
    mux_watch(world->incoming, on_closed, world);
    host_socket_free(host_socket);
    assert_int_equal(read(client, &byte, 1), 0);
    event_base_dispatch(world->base);
    assert_true(world->closed && world->was_reset);
    close(client);
}

static void test_wrong_storages(void **state)
{
    const struct world *world = *state;
    struct host_socket *made = NULL;
    Grpc__Storage storage = describe(world);
    _cleanup_error_ struct error *no_link = host_socket_new(world->base, NULL, &storage, &made);
    assert_int_equal(error_code(no_link), ERROR_FAILED_PRECONDITION);
    storage.source = "/dev/sda";
    _cleanup_error_ struct error *no_port = host_socket_new(world->base, world->link, &storage, &made);
    assert_int_equal(error_code(no_port), ERROR_INVALID_ARGUMENT);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_dial),
        IN_WORLD(test_dial_second_address),
        IN_WORLD(test_dial_is_refused),
        IN_WORLD(test_host_socket),
        IN_WORLD(test_host_refuses),
        IN_WORLD(test_removal_ends_connections),
        IN_WORLD(test_wrong_storages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
