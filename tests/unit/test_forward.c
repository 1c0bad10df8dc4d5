/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports forwarded from inside a real network namespace, into a machine that is played. The test program moves
 * to a network namespace of its own first; the container's is another one that it made on the way.
 */
#include "net/forward.h"

#include "net/namespace.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- the machine: remembers what it was asked for, and refuses on request ---- */

struct machine {
    struct hv hv;
    struct event_base *base;
    unsigned count;
    uint32_t port;
    struct hv_joined last;
    bool refuses;
};

static struct error *join(struct hv *hv, uint32_t port, const struct hv_joined *joined)
{
    struct machine *machine = (struct machine *)hv;
    machine->count++;
    machine->port = port;
    machine->last = *joined;
    event_base_loopbreak(machine->base);
    if (!machine->refuses)
        return NULL;
    close(joined->socket);
    return error_new(ERROR_UNAVAILABLE, "the link is not up");
}

static const struct hv_ops machine_ops = {.name = "played", .join = join};

/* ---- the world ---- */

struct world {
    int home, box;
    struct machine machine;
    struct forward *forward;
};

static int enter(int namespace)
{
    return setns(namespace, CLONE_NEWNET);
}

static int open_namespace(void)
{
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static bool bring_loopback_up(void)
{
    _cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

static int begin_world(void **state)
{
    struct world *world = must_new(struct world);
    *state = world;
    world->home = open_namespace();
    if (unshare(CLONE_NEWNET) < 0 || !bring_loopback_up())
        return -1;
    world->box = open_namespace();
    world->machine = (struct machine){.hv = {.ops = &machine_ops}, .base = event_base_new()};
    if (enter(world->home) < 0)
        return -1;
    _cleanup_free_ char *path = must_printf("/proc/self/fd/%d", world->box);
    _cleanup_free_ char *note = net_namespace_note(world->box, path);
    struct error *error = forward_new(world->machine.base, note, &world->machine.hv, &world->forward);
    if (error)
        print_message("%s\n", error_message(error));
    error_free(error);
    return world->forward ? 0 : -1;
}

static int end_world(void **state)
{
    struct world *world = *state;
    forward_free(world->forward);
    event_base_free(world->machine.base);
    close(world->box);
    close(world->home);
    free(world);
    return 0;
}

/* A socket of a process in the container's namespace; -1 and errno where it was refused. */
static int dial(const struct world *world, const char *address, uint16_t port)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_four = inet_pton(AF_INET, address, &four.sin_addr) == 1;
    if (!is_four)
        assert_int_equal(inet_pton(AF_INET6, address, &six.sin6_addr), 1);
    assert_int_equal(enter(world->box), 0);
    int fd = socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = is_four ? connect(fd, (const struct sockaddr *)&four, sizeof(four))
                         : connect(fd, (const struct sockaddr *)&six, sizeof(six));
    if (result < 0) {
        close(fd);
        fd = -1;
    }
    assert_int_equal(enter(world->home), 0);
    return fd;
}

static void expect_carried(struct world *world, const char *address, uint16_t port)
{
    struct machine *machine = &world->machine;
    int client = dial(world, address, port);
    assert_true(client >= 0);
    event_base_dispatch(machine->base);
    assert_int_equal(machine->port, FORWARD_PORTS + port);
    char text[3];
    assert_int_equal(write(machine->last.socket, "up", 3), 3);
    assert_int_equal(read(client, text, sizeof(text)), 3);
    assert_string_equal(text, "up");
    close(client);
    close(machine->last.socket);
    machine->last.over(machine->last.context, false);
}

static void test_every_port_of_both_families(void **state)
{
    expect_carried(*state, "127.0.0.1", 80);
    expect_carried(*state, "127.0.0.1", 65535);
    expect_carried(*state, "127.1.2.3", 8080);
    expect_carried(*state, "::1", 80);
}

static void test_refusal_closes(void **state)
{
    struct world *world = *state;
    char byte;
    world->machine.refuses = true;
    int client = dial(world, "127.0.0.1", 80);
    assert_true(client >= 0);
    event_base_dispatch(world->machine.base);
    assert_true(read(client, &byte, 1) <= 0);
    close(client);
}

static void test_other_namespace_is_left_alone(void **state)
{
    struct world *world = *state;
    const struct world outside = {.home = world->home, .box = world->home};
    assert_int_equal(dial(&outside, "127.0.0.1", 80), -1);
    assert_int_equal(errno, ECONNREFUSED);
}

static void test_number_is_bounded(void **state)
{
    struct world *world = *state;
    struct machine *machine = &world->machine;
    int clients[FORWARD_CONNECTIONS_MAX], sockets[FORWARD_CONNECTIONS_MAX];
    for (size_t i = 0; i < FORWARD_CONNECTIONS_MAX; i++) {
        clients[i] = dial(world, "127.0.0.1", 80);
        event_base_dispatch(machine->base);
        sockets[i] = machine->last.socket;
    }
    char byte;
    int one_more = dial(world, "127.0.0.1", 80);
    event_base_loop(machine->base, EVLOOP_ONCE);
    assert_int_equal(machine->count, FORWARD_CONNECTIONS_MAX);
    assert_true(read(one_more, &byte, 1) <= 0);
    close(one_more);
    for (size_t i = 0; i < FORWARD_CONNECTIONS_MAX; i++) {
        close(clients[i]);
        close(sockets[i]);
        machine->last.over(machine->last.context, false);
    }
    expect_carried(world, "127.0.0.1", 80);
}

static void test_nothing_is_left(void **state)
{
    struct world *world = *state;
    forward_free(TAKE_PTR(world->forward));
    assert_int_equal(dial(world, "127.0.0.1", 80), -1);
    assert_int_equal(errno, ECONNREFUSED);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin_world, end_world)

int main(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0 || !bring_loopback_up()) {
        puts("1..0 # SKIP needs root, to make network namespaces");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_every_port_of_both_families),
        IN_WORLD(test_refusal_closes),
        IN_WORLD(test_other_namespace_is_left_alone),
        IN_WORLD(test_number_is_bounded),
        IN_WORLD(test_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
