/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the host that a guest may connect to, and those that it may not. */
#include "assertions.h"
#include "sandbox/host_sockets.h"

#include "base/fd.h"
#include "base/path.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct world {
    char directory[32];
    char *path;
    int listener;
    struct host_sockets *sockets;
};

static int begin_world(void **state)
{
    struct world *world = must_new(struct world);
    strcpy(world->directory, "/tmp/caisson-sockets-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    world->path = must_printf("%s/s", world->directory);
    assert_ok(unix_listen(world->path, &world->listener));
    world->sockets = host_sockets_new();
    *state = world;
    return 0;
}

static int end_world(void **state)
{
    struct world *world = *state;
    host_sockets_free(world->sockets);
    close_fd(world->listener);
    assert_ok(tree_remove(world->directory));
    free(world->path);
    free(world);
    return 0;
}

static void test_connects(void **state)
{
    const struct world *world = *state;
    uint32_t port;
    struct hv_joined joined;
    char text[3];
    assert_ok(host_sockets_add(world->sockets, world, world->path, &port));
    assert_true(host_sockets_connect(world->sockets, port, &joined));
    _cleanup_fd_ int server = accept(world->listener, NULL, NULL);
    assert_int_equal(write(joined.socket, "up", 3), 3);
    assert_int_equal(read(server, text, sizeof(text)), 3);
    assert_string_equal(text, "up");
    close(joined.socket);
    joined.over(joined.context, false);
    assert_int_equal(read(server, text, sizeof(text)), 0);
}

/* The server sees the container's user, whose rights count; the supervisor stays what it was. */
static void test_connects_as_the_container(void **state)
{
    const struct world *world = *state;
    const gid_t groups[] = {7001, 7002};
    const struct host_socket_user user = {.uid = 4711, .gid = 4712, .groups = groups, .group_count = 2};
    uint32_t port;
    struct hv_joined joined;
    struct ucred peer;
    socklen_t length = sizeof(peer);
    if (geteuid() != 0)
        skip();
    assert_ok(host_sockets_add(world->sockets, world, world->path, &port));
    host_sockets_act_as(world->sockets, world, &user);
    assert_int_equal(chmod(world->path, 0600), 0);
    assert_false(host_sockets_connect(world->sockets, port, &joined));
    assert_int_equal(chown(world->path, 0, 7002), 0);
    assert_int_equal(chmod(world->path, 0660), 0);
    assert_true(host_sockets_connect(world->sockets, port, &joined));
    _cleanup_fd_ int server = accept(world->listener, NULL, NULL);
    assert_int_equal(getsockopt(server, SOL_SOCKET, SO_PEERCRED, &peer, &length), 0);
    assert_int_equal(peer.uid, 4711);
    assert_int_equal(peer.gid, 4712);
    assert_int_equal(geteuid(), 0);
    assert_int_equal(getegid(), 0);
    close(joined.socket);
    joined.over(joined.context, false);
}

static void test_other_ports_are_refused(void **state)
{
    const struct world *world = *state;
    uint32_t port;
    struct hv_joined joined;
    assert_false(host_sockets_connect(world->sockets, 1024, &joined));
    assert_ok(host_sockets_add(world->sockets, world, world->path, &port));
    assert_false(host_sockets_connect(world->sockets, port + 1, &joined));
    assert_false(host_sockets_connect(world->sockets, 0, &joined));
    assert_false(host_sockets_connect(world->sockets, UINT32_MAX, &joined));
}

/* The name leads elsewhere later: what was mounted stays what it was. */
static void test_name_is_not_followed_again(void **state)
{
    struct world *world = *state;
    uint32_t port;
    struct hv_joined joined;
    int other;
    assert_ok(host_sockets_add(world->sockets, world, world->path, &port));
    close_fd(TAKE_FD(world->listener));
    assert_int_equal(unlink(world->path), 0);
    assert_ok(unix_listen(world->path, &other));
    assert_false(host_sockets_connect(world->sockets, port, &joined));
    close(other);
}

static void test_connections_are_bounded(void **state)
{
    const struct world *world = *state;
    struct hv_joined joined[HOST_SOCKET_CONNECTIONS_MAX], more;
    uint32_t port;
    assert_ok(host_sockets_add(world->sockets, world, world->path, &port));
    for (size_t i = 0; i < HOST_SOCKET_CONNECTIONS_MAX; i++)
        assert_true(host_sockets_connect(world->sockets, port, &joined[i]));
    assert_false(host_sockets_connect(world->sockets, port, &more));
    for (size_t i = 0; i < HOST_SOCKET_CONNECTIONS_MAX; i++) {
        close(joined[i].socket);
        joined[i].over(joined[i].context, false);
    }
    assert_true(host_sockets_connect(world->sockets, port, &more));
    close(more.socket);
    more.over(more.context, true);
}

static void test_removal_ends_connections(void **state)
{
    const struct world *world = *state;
    uint32_t port, kept;
    struct hv_joined joined, refused;
    char byte;
    assert_ok(host_sockets_add(world->sockets, world, world->path, &port));
    assert_ok(host_sockets_add(world->sockets, NULL, world->path, &kept));
    assert_true(host_sockets_connect(world->sockets, port, &joined));
    host_sockets_remove(world->sockets, world);
    assert_int_equal(read(joined.socket, &byte, 1), 0);
    assert_false(host_sockets_connect(world->sockets, port, &refused));
    close(joined.socket);
    joined.over(joined.context, false);
    assert_true(host_sockets_connect(world->sockets, kept, &joined));
    close(joined.socket); /* and freed with the sockets, as when a machine ends */
}

static void test_datagrams_are_refused(void **state)
{
    const struct world *world = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint32_t port;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/d", world->directory);
    _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    _cleanup_error_ struct error *error = host_sockets_add(world->sockets, world, address.sun_path, &port);
    assert_int_equal(error_code(error), ERROR_UNIMPLEMENTED);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_connects),
        IN_WORLD(test_connects_as_the_container),
        IN_WORLD(test_other_ports_are_refused),
        IN_WORLD(test_name_is_not_followed_again),
        IN_WORLD(test_connections_are_bounded),
        IN_WORLD(test_removal_ends_connections),
        IN_WORLD(test_datagrams_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
