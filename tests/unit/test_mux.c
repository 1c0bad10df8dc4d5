/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "mux/link.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <cmocka.h>

/* Two ends of one link in one event loop. */
struct side {
    struct mux *mux;
    int ready;
    bool refuse;
    struct mux_stream *incoming;
    uint32_t port;
    char *failure;
    int closed;
    int resets;
};

struct pair {
    struct event_base *base;
    struct side host, guest;
};

static void on_ready(void *context)
{
    ((struct side *)context)->ready++;
}

static bool on_incoming(void *context, uint32_t port, struct mux_stream *stream)
{
    struct side *side = context;
    side->port = port;
    side->incoming = stream;
    return !side->refuse;
}

static void on_failed(void *context, const struct error *reason)
{
    struct side *side = context;
    side->failure = must_copy(error_message(reason));
}

static void on_closed(void *context, bool reset)
{
    struct side *side = context;
    side->closed++;
    side->resets += reset;
}

static const struct mux_events test_events = {
    .ready = on_ready, .incoming = on_incoming, .failed = on_failed};

/* Runs the loop until the condition holds; a hang is ended by the test's own time limit. */
#define RUN_UNTIL(pair, condition) \
    while (!(condition))           \
    assert_int_equal(event_base_loop((pair)->base, EVLOOP_ONCE), 0)

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    struct pair *pair = must_new(struct pair);
    pair->base = event_base_new();
    int one, other;
    assert_null(unix_pair(&one, &other));
    assert_null(mux_new(pair->base, one, true, &test_events, &pair->host, &pair->host.mux));
    assert_null(mux_new(pair->base, other, false, &test_events, &pair->guest, &pair->guest.mux));
    RUN_UNTIL(pair, pair->host.ready == 1 && pair->guest.ready == 1);
    *state = pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;
    mux_free(pair->host.mux);
    mux_free(pair->guest.mux);
    event_base_free(pair->base);
    free(pair->host.failure);
    free(pair->guest.failure);
    free(pair);
    return 0;
}

static struct mux_stream *open_stream(struct pair *pair, uint32_t port)
{
    struct mux_stream *stream = NULL;
    pair->guest.incoming = NULL;
    assert_null(mux_open(pair->host.mux, port, &stream));
    RUN_UNTIL(pair, pair->guest.incoming);
    assert_int_equal(pair->guest.port, port);
    assert_int_equal(mux_stream_id(stream), mux_stream_id(pair->guest.incoming));
    return stream;
}

static void make_pipe(int ends[2])
{
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
}

struct transfer {
    int source, target; /* the far ends of the two pipes */
    size_t total, sent, received, slow_after;
    uint64_t sum_sent, sum_received;
};

static uint64_t checksum(uint64_t sum, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum = sum * 1099511628211u + data[i];
    return sum;
}

/* One step of the process that writes and of the one that reads. */
static void step(struct transfer *transfer)
{
    uint8_t block[40000];
    if (transfer->source >= 0 && transfer->sent < transfer->total) {
        size_t want = transfer->total - transfer->sent;
        want = want < sizeof(block) ? want : sizeof(block);
        assert_int_equal(getrandom(block, want, 0), want);
        ssize_t written = write(transfer->source, block, want);
        if (written > 0) {
            transfer->sum_sent = checksum(transfer->sum_sent, block, (size_t)written);
            transfer->sent += (size_t)written;
        }
    }
    if (transfer->source >= 0 && transfer->sent == transfer->total) {
        close(transfer->source);
        transfer->source = -1;
    }
    size_t most = transfer->received > transfer->slow_after ? 100 : sizeof(block);
    ssize_t count = read(transfer->target, block, most);
    if (count > 0) {
        transfer->sum_received = checksum(transfer->sum_received, block, (size_t)count);
        transfer->received += (size_t)count;
    }
}

static void test_data_arrives_whole_with_a_slow_reader(void **state)
{
    struct pair *pair = *state;
    int from[2], to[2];
    make_pipe(from);
    make_pipe(to);
    struct mux_stream *stream = open_stream(pair, 1027);
    mux_attach(stream, from[0], -1, on_closed, &pair->host);
    mux_attach(pair->guest.incoming, -1, to[1], on_closed, &pair->guest);
    struct transfer transfer = {
        .source = from[1], .target = to[0], .total = 4 << 20, .slow_after = (4 << 20) - 100000};
    while (pair->host.closed + pair->guest.closed < 2 || transfer.received < transfer.total) {
        assert_true(event_base_loop(pair->base, EVLOOP_NONBLOCK) >= 0);
        step(&transfer);
    }
    assert_true(transfer.sum_sent == transfer.sum_received);
    assert_int_equal(pair->host.resets + pair->guest.resets, 0);
    char end;
    assert_int_equal(read(to[0], &end, 1), 0);
    close(to[0]);
}

static void test_a_sleeping_reader_bounds_what_is_held(void **state)
{
    struct pair *pair = *state;
    int from[2], to[2];
    make_pipe(from);
    make_pipe(to);
    struct mux_stream *stream = open_stream(pair, 1);
    mux_attach(stream, from[0], -1, NULL, NULL);
    mux_attach(pair->guest.incoming, -1, to[1], NULL, NULL);
    char block[4096] = {0};
    size_t sent = 0;
    for (int idle = 0; idle < 50; idle++) {
        ssize_t count = write(from[1], block, sizeof(block));
        if (count > 0) {
            sent += (size_t)count;
            idle = 0;
        }
        event_base_loop(pair->base, EVLOOP_NONBLOCK);
    }
    /* Two pipes of 64 KiB, the window, and what is on the way. */
    assert_in_range(sent, MUX_WINDOW, MUX_WINDOW + 3 * 65536);
    struct mux_stream *other = open_stream(pair, 2);
    int quick[2], result[2];
    make_pipe(quick);
    make_pipe(result);
    mux_attach(other, quick[0], -1, NULL, NULL);
    mux_attach(pair->guest.incoming, -1, result[1], NULL, NULL);
    assert_int_equal(write(quick[1], "hi", 2), 2);
    char text[2];
    RUN_UNTIL(pair, read(result[0], text, 2) == 2);
    assert_memory_equal(text, "hi", 2);
    int ends[] = {from[1], to[0], quick[1], result[0]};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        close(ends[i]);
}

static void test_sockets_carry_both_directions(void **state)
{
    struct pair *pair = *state;
    int near, near_end, far, far_end;
    assert_null(unix_pair(&near, &near_end));
    assert_null(unix_pair(&far, &far_end));
    struct mux_stream *stream = open_stream(pair, 1024);
    /* Sent before either side has attached anything. */
    assert_int_equal(write(near, "ping", 4), 4);
    mux_attach_socket(stream, near_end, on_closed, &pair->host);
    mux_attach_socket(pair->guest.incoming, far_end, on_closed, &pair->guest);
    char text[4];
    fd_set_nonblocking(far, true);
    fd_set_nonblocking(near, true);
    RUN_UNTIL(pair, read(far, text, 4) == 4);
    assert_int_equal(write(far, "pong", 4), 4);
    RUN_UNTIL(pair, read(near, text, 4) == 4);
    assert_memory_equal(text, "pong", 4);
    assert_int_equal(shutdown(near, SHUT_WR), 0);
    RUN_UNTIL(pair, read(far, text, 4) == 0);
    assert_int_equal(pair->host.closed, 0);
    close(far);
    RUN_UNTIL(pair, pair->host.closed == 1 && pair->guest.closed == 1);
    assert_int_equal(read(near, text, 4), 0);
    close(near);
}

static void test_a_reader_that_leaves_stops_the_writer(void **state)
{
    struct pair *pair = *state;
    int from[2], to[2];
    make_pipe(from);
    make_pipe(to);
    struct mux_stream *stream = open_stream(pair, 1027);
    mux_attach(stream, -1, to[1], on_closed, &pair->host);
    mux_attach(pair->guest.incoming, from[0], -1, on_closed, &pair->guest);
    close(to[0]);
    assert_int_equal(write(from[1], "lost", 4), 4);
    RUN_UNTIL(pair, pair->host.closed == 1 && pair->guest.closed == 1);
    assert_int_equal(write(from[1], "more", 4), -1);
    assert_int_equal(errno, EPIPE);
    close(from[1]);
}

static void test_a_drain_ends_a_pipe_that_a_descendant_holds(void **state)
{
    struct pair *pair = *state;
    int from[2], to[2];
    make_pipe(from);
    make_pipe(to);
    struct mux_stream *stream = open_stream(pair, 1027);
    mux_attach(stream, -1, to[1], on_closed, &pair->host);
    struct mux_stream *far = pair->guest.incoming;
    mux_attach(far, from[0], -1, on_closed, &pair->guest);
    assert_int_equal(write(from[1], "last words", 10), 10);
    mux_drain(far);
    RUN_UNTIL(pair, pair->host.closed == 1);
    char text[20];
    assert_int_equal(read(to[0], text, sizeof(text)), 10);
    assert_int_equal(read(to[0], text, sizeof(text)), 0);
    /* The descendant goes on writing, to nobody, and is neither blocked nor killed. */
    for (int i = 0; i < 100; i++) {
        char block[4096] = {0};
        assert_int_equal(write(from[1], block, sizeof(block)), sizeof(block));
        event_base_loop(pair->base, EVLOOP_NONBLOCK);
    }
    assert_int_equal(pair->guest.closed, 0);
    close(from[1]);
    RUN_UNTIL(pair, pair->guest.closed == 1);
    close(to[0]);
}

static void test_refusal_and_reset(void **state)
{
    struct pair *pair = *state;
    int near, near_end;
    assert_null(unix_pair(&near, &near_end));
    pair->guest.refuse = true;
    struct mux_stream *stream = NULL;
    assert_null(mux_open(pair->host.mux, 9, &stream));
    mux_attach_socket(stream, near_end, on_closed, &pair->host);
    RUN_UNTIL(pair, pair->host.closed == 1);
    assert_int_equal(pair->host.resets, 1);
    char byte;
    assert_int_equal(read(near, &byte, 1), 0);
    close(near);
}

/* Ended before it was attached, and attached to nothing: still told, still gone. */
static void test_attaching_after_the_end(void **state)
{
    struct pair *pair = *state;
    struct mux_stream *stream = open_stream(pair, 5);
    mux_attach(stream, -1, -1, on_closed, &pair->host);
    for (int i = 0; i < 5; i++)
        event_base_loop(pair->base, EVLOOP_NONBLOCK);
    mux_attach(pair->guest.incoming, -1, -1, on_closed, &pair->guest);
    RUN_UNTIL(pair, pair->host.closed == 1 && pair->guest.closed == 1);
}

/* Bytes of a hostile initiator; the guest side must end the link, or pass over them, and never crash. */
static void test_hostile_frames_end_the_link(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *complaint;
    } cases[] = {
        {"\0\0\0\0\1\10\0\0xxxx\2\0\0\0", 16, "hello is not one"},
        {"\0\0\0\0\1\10\0\0cisn\3\0\0\0", 16, "version 3"},
        {"\0\0\0\0\1\377\377\377", 8, "frame of 16777215 bytes"},
        {"\0\0\0\0\1\10\0\0cisn\2\0\0\0\2\0\0\0\2\4\0\0\1\0\0\0", 28, "against the rules"},
        {"\0\0\0\0\1\10\0\0cisn\2\0\0\0\0\0\0\0\2\4\0\0\1\0\0\0", 28, "against the rules"},
        {"\0\0\0\0\1\10\0\0cisn\2\0\0\0\1\0\0\0\11\0\0\0", 24, "frame of type 9"},
        {"\0\0\0\0\1\10\0\0cisn\2\0\0\0\1\0\0\0\2\4\0\0\1\0\0\0\1\0\0\0\6\4\0\0\1\0\0\0", 40, "window"},
        {"\0\0\0\0\1\10\0\0cisn\2\0\0\0\1\0\0\0\2\4\0\0\1\0\0\0\1\0\0\0\4\0\0\0\1\0\0\0\3\1\0\0x", 45,
            "more on stream 1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct pair pair = {.base = event_base_new()};
        int raw, link;
        assert_null(unix_pair(&raw, &link));
        assert_null(mux_new(pair.base, link, false, &test_events, &pair.guest, &pair.guest.mux));
        assert_null(fd_write_all(raw, cases[i].bytes, cases[i].length));
        RUN_UNTIL(&pair, pair.guest.failure);
        assert_non_null(strstr(pair.guest.failure, cases[i].complaint));
        free(pair.guest.failure);
        mux_free(pair.guest.mux);
        event_base_free(pair.base);
        close(raw);
    }
}

static void test_a_second_hello_resets_the_streams(void **state)
{
    struct pair pair = {.base = event_base_new()};
    int raw, link, near, near_end;
    assert_null(unix_pair(&raw, &link));
    assert_null(mux_new(pair.base, link, false, &test_events, &pair.guest, &pair.guest.mux));
    static const char opened[] = "\0\0\0\0\1\10\0\0cisn\2\0\0\0\1\0\0\0\2\4\0\0\1\0\0";
    assert_null(fd_write_all(raw, opened, sizeof(opened)));
    RUN_UNTIL(&pair, pair.guest.incoming);
    assert_null(unix_pair(&near, &near_end));
    mux_attach_socket(pair.guest.incoming, near_end, on_closed, &pair.guest);
    assert_null(fd_write_all(raw, opened, 16));
    RUN_UNTIL(&pair, pair.guest.ready == 2);
    assert_int_equal(pair.guest.resets, 1);
    close(raw);
    RUN_UNTIL(&pair, pair.guest.failure);
    free(pair.guest.failure);
    mux_free(pair.guest.mux);
    event_base_free(pair.base);
    close(near);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_data_arrives_whole_with_a_slow_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_sleeping_reader_bounds_what_is_held, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sockets_carry_both_directions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_reader_that_leaves_stops_the_writer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_drain_ends_a_pipe_that_a_descendant_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusal_and_reset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_attaching_after_the_end, set_up, tear_down),
        cmocka_unit_test(test_hostile_frames_end_the_link),
        cmocka_unit_test(test_a_second_hello_resets_the_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
