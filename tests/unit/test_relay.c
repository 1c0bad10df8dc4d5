/* SPDX-License-Identifier: Apache-2.0 */
/* Published IPv6 ports over real sockets: the "guest" is a listener on 127.0.0.1. */
#include "base/fd.h"
#include "hv/relay.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

struct world {
    struct event_base *base;
    struct relay *relay;
    uint16_t port;
    int listener; /* the guest's */
    int client, guest;
};

/* A port that is free on ::1 and listened to on 127.0.0.1. */
static int listen_in_guest(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    struct world *world = must_new(struct world);
    world->base = event_base_new();
    world->client = world->guest = -1;
    world->listener = listen_in_guest(&world->port);
    *state = world;
    struct error *error = relay_new(world->base, "::1", world->port, "127.0.0.1", &world->relay);
    bool ok = !error;
    error_free(error);
    return ok ? 0 : -1;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    relay_free(world->relay);
    close_fd(world->listener);
    close_fd(world->client);
    close_fd(world->guest);
    event_base_free(world->base);
    free(world);
    return 0;
}

static void turn(struct world *world)
{
    event_base_loop(world->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void connect_client(struct world *world)
{
    struct sockaddr_in6 address = {
        .sin6_family = AF_INET6, .sin6_port = htons(world->port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    world->client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(world->client, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_null(fd_set_nonblocking(world->client, true));
}

static void accept_guest(struct world *world)
{
    while ((world->guest = accept4(world->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0)
        turn(world);
}

/* Bytes read until `length` came or the end did. */
static size_t receive(struct world *world, int fd, char *buffer, size_t length)
{
    size_t received = 0;
    while (received < length) {
        ssize_t count = recv(fd, buffer + received, length - received, 0);
        if (count == 0)
            break;
        if (count > 0)
            received += (size_t)count;
        else
            turn(world);
    }
    return received;
}

static void test_both_ways_and_ends(void **state)
{
    struct world *world = *state;
    connect_client(world);
    assert_int_equal(send(world->client, "question", 8, 0), 8);
    assert_int_equal(shutdown(world->client, SHUT_WR), 0);
    accept_guest(world);
    char text[64];
    assert_int_equal(receive(world, world->guest, text, sizeof(text)), 8);
    assert_memory_equal(text, "question", 8);
    assert_int_equal(send(world->guest, "answer", 6, 0), 6);
    assert_int_equal(shutdown(world->guest, SHUT_WR), 0);
    assert_int_equal(receive(world, world->client, text, sizeof(text)), 6);
    assert_memory_equal(text, "answer", 6);
}

static void test_end_before_any_byte(void **state)
{
    struct world *world = *state;
    connect_client(world);
    assert_int_equal(shutdown(world->client, SHUT_WR), 0);
    accept_guest(world);
    char text[4];
    assert_int_equal(receive(world, world->guest, text, sizeof(text)), 0);
}

static void test_slow_reader_loses_nothing(void **state)
{
    struct world *world = *state;
    enum { TOTAL = 8 << 20 };
    connect_client(world);
    accept_guest(world);
    char block[65536];
    size_t sent = 0, received = 0;
    for (int idle = 0; idle < 100 && sent < TOTAL;) {
        memset(block, (int)(sent / sizeof(block) % 251), sizeof(block));
        ssize_t count = send(world->client, block, sizeof(block), 0);
        idle = count > 0 ? 0 : idle + 1;
        sent += count > 0 ? (size_t)count : 0;
        turn(world);
    }
    /* The reader has not begun: what is under way is bounded, so not all of it could be sent. */
    assert_true(sent < TOTAL);
    assert_int_equal(shutdown(world->client, SHUT_WR), 0);
    for (size_t count; (count = receive(world, world->guest, block, sizeof(block))) > 0;)
        received += count;
    assert_int_equal(received, sent);
}

static void test_nobody_in_the_guest(void **state)
{
    struct world *world = *state;
    close_fd(TAKE_FD(world->listener));
    connect_client(world);
    char text[4];
    ssize_t count;
    while ((count = recv(world->client, text, sizeof(text), 0)) < 0 && errno == EAGAIN)
        turn(world);
    assert_true(count <= 0);
}

static void test_taken_port(void **state)
{
    struct world *world = *state;
    struct relay *second = NULL;
    _cleanup_error_ struct error *error = relay_new(world->base, "::1", world->port, "127.0.0.1", &second);
    assert_int_equal(error_code(error), ERROR_ALREADY_EXISTS);
    assert_non_null(strstr(error_message(error), "[::1]:"));
    assert_null(second);
}

#define WITH_RELAY(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RELAY(test_both_ways_and_ends),
        WITH_RELAY(test_end_before_any_byte),
        WITH_RELAY(test_slow_reader_loses_nothing),
        WITH_RELAY(test_nobody_in_the_guest),
        WITH_RELAY(test_taken_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
