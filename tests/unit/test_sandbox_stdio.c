/* SPDX-License-Identifier: Apache-2.0 */
/* Standard streams with real fifos and files: slow readers, closed ends, ends of file. */
#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "sandbox/pump.h"
#include "sandbox/stdio.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { IN, OUT, ERROR, COUNT };

struct fixture {
    struct event_base *base;
    char directory[64];
    char *paths[COUNT];
    int front[COUNT]; /* the front end's ends */
    int guest[COUNT]; /* the guest's ends of the connections, in the order they were asked for */
    int guest_count;
    struct stdio *stdio;
    bool drained;
    bool complete;
};

/* Lets everything happen that can happen now. */
static void settle(struct fixture *fixture)
{
    for (int turn = 0; turn < 50; turn++)
        event_base_loop(fixture->base, EVLOOP_NONBLOCK);
}

static int set_up(void **state)
{
    static const char *const names[COUNT] = {"in", "out", "err"};
    struct fixture *fixture = must_new(struct fixture);
    signal(SIGPIPE, SIG_IGN);
    strcpy(fixture->directory, "/tmp/caisson-stdio-XXXXXX");
    if (!mkdtemp(fixture->directory))
        return -1;
    fixture->base = event_base_new();
    for (int i = 0; i < COUNT; i++) {
        fixture->paths[i] = must_printf("%s/%s", fixture->directory, names[i]);
        assert_int_equal(mkfifo(fixture->paths[i], 0600), 0);
        fixture->front[i] = fixture->guest[i] = -1;
    }
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    stdio_free(fixture->stdio);
    event_base_free(fixture->base);
    for (int i = 0; i < COUNT; i++) {
        close_fd(fixture->front[i]);
        close_fd(fixture->guest[i]);
        free(fixture->paths[i]);
    }
    assert_ok(tree_remove(fixture->directory));
    free(fixture);
    return 0;
}

static struct error *connect_guest(void *context, int *ret_fd, uint32_t *ret_port)
{
    struct fixture *fixture = context;
    int host = -1;
    int guest = -1;
    TRY(unix_pair(&host, &guest));
    assert_ok(fd_set_nonblocking(guest, true));
    fixture->guest[fixture->guest_count] = guest;
    *ret_port = (uint32_t)++fixture->guest_count;
    *ret_fd = host;
    return NULL;
}

static void open_front(struct fixture *fixture)
{
    fixture->front[IN] = open(fixture->paths[IN], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    fixture->front[OUT] = open(fixture->paths[OUT], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    fixture->front[ERROR] = open(fixture->paths[ERROR], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static void begin(struct fixture *fixture, enum stdio_style style)
{
    struct stdio_options options = {
        .in = fixture->paths[IN], .out = fixture->paths[OUT], .error = fixture->paths[ERROR], .style = style};
    struct stdio_ports ports = {0};
    assert_ok(stdio_new(fixture->base, &options, &fixture->stdio));
    assert_ok(stdio_connect(fixture->stdio, connect_guest, fixture, &ports));
    assert_int_equal(ports.in, 1);
    assert_int_equal(ports.out, 2);
    assert_int_equal(ports.error, 3);
}

static void drained(void *context, bool complete)
{
    struct fixture *fixture = context;
    fixture->drained = true;
    fixture->complete = complete;
}

static void close_guest(struct fixture *fixture, int which)
{
    close_fd(TAKE_FD(fixture->guest[which]));
}

/* Every byte arrives, in order, however the reader reads. */
static void test_whole_and_slow(void **state)
{
    struct fixture *fixture = *state;
    enum { TOTAL = 3 << 20 };
    static uint8_t block[50000];
    size_t sent = 0;
    size_t seen = 0;
    open_front(fixture);
    begin(fixture, STDIO_LIKE_PIPES);
    while (seen < TOTAL) {
        for (size_t i = 0; i < sizeof(block); i++)
            block[i] = (uint8_t)((sent + i) * 31 >> 3);
        size_t length = sent < TOTAL ? (TOTAL - sent < sizeof(block) ? TOTAL - sent : sizeof(block)) : 0;
        ssize_t written = length ? write(fixture->guest[OUT], block, length) : 0;
        sent += written > 0 ? (size_t)written : 0;
        event_base_loop(fixture->base, EVLOOP_NONBLOCK);
        uint8_t part[7000];
        ssize_t count = read(fixture->front[OUT], part, sizeof(part));
        for (ssize_t i = 0; i < count; i++)
            assert_int_equal(part[i], (uint8_t)((seen + (size_t)i) * 31 >> 3));
        seen += count > 0 ? (size_t)count : 0;
    }
}

static void test_end_of_output(void **state)
{
    struct fixture *fixture = *state;
    char text[16] = "";
    open_front(fixture);
    begin(fixture, STDIO_LIKE_PIPES);
    assert_int_equal(write(fixture->guest[OUT], "last", 4), 4);
    stdio_process_ended(fixture->stdio, 60000, drained, fixture);
    close_guest(fixture, ERROR);
    settle(fixture);
    assert_false(fixture->drained);
    close_guest(fixture, OUT);
    AWAIT(fixture, fixture->drained);
    assert_true(fixture->complete);
    assert_int_equal(read(fixture->front[OUT], text, sizeof(text)), 4);
    assert_int_equal(read(fixture->front[OUT], text, sizeof(text)), 0);
}

static void test_reader_that_stands_still(void **state)
{
    struct fixture *fixture = *state;
    static const char block[65536];
    open_front(fixture);
    begin(fixture, STDIO_LIKE_PIPES);
    while (write(fixture->guest[OUT], block, sizeof(block)) > 0)
        settle(fixture);
    stdio_process_ended(fixture->stdio, 50, drained, fixture);
    close_guest(fixture, OUT);
    close_guest(fixture, ERROR);
    AWAIT(fixture, fixture->drained);
    assert_false(fixture->complete);
}

static bool is_closed(int guest)
{
    char byte = 0;
    return read(guest, &byte, 1) == 0;
}

/* The guest's end closes as soon as the reader is gone, without a byte being written. */
static void test_closed_reader_like_a_pipe(void **state)
{
    struct fixture *fixture = *state;
    open_front(fixture);
    begin(fixture, STDIO_LIKE_PIPES);
    close_fd(TAKE_FD(fixture->front[OUT]));
    AWAIT(fixture, is_closed(fixture->guest[OUT]));
    assert_int_equal(write(fixture->guest[OUT], "x", 1), -1);
    assert_int_equal(write(fixture->guest[ERROR], "x", 1), 1);
}

/* containerd's contract: a front end may come back. */
static void test_closed_reader_kept_open(void **state)
{
    struct fixture *fixture = *state;
    char text[8] = "";
    open_front(fixture);
    begin(fixture, STDIO_KEEP_OPEN);
    close_fd(TAKE_FD(fixture->front[OUT]));
    settle(fixture);
    assert_int_equal(write(fixture->guest[OUT], "kept", 4), 4);
    settle(fixture);
    fixture->front[OUT] = open(fixture->paths[OUT], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(read(fixture->front[OUT], text, sizeof(text)), 4);
}

/* Nobody has opened the fifo yet: the supervisor does not wait for it. */
static void test_late_reader(void **state)
{
    struct fixture *fixture = *state;
    char text[8] = "";
    begin(fixture, STDIO_LIKE_PIPES);
    assert_int_equal(write(fixture->guest[OUT], "late", 4), 4);
    settle(fixture);
    fixture->front[OUT] = open(fixture->paths[OUT], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_int_equal(read(fixture->front[OUT], text, sizeof(text)), 4);
}

static void test_input_ends_with_its_writer(void **state)
{
    struct fixture *fixture = *state;
    char text[8] = "";
    open_front(fixture);
    begin(fixture, STDIO_LIKE_PIPES);
    assert_int_equal(write(fixture->front[IN], "abc", 3), 3);
    close_fd(TAKE_FD(fixture->front[IN]));
    AWAIT(fixture, read(fixture->guest[IN], text, sizeof(text)) == 3);
    AWAIT(fixture, is_closed(fixture->guest[IN]));
}

static void test_input_ends_with_close_io(void **state)
{
    struct fixture *fixture = *state;
    char text[8] = "";
    open_front(fixture);
    begin(fixture, STDIO_KEEP_OPEN);
    stdio_hold_input(fixture->stdio);
    assert_int_equal(write(fixture->front[IN], "abc", 3), 3);
    close_fd(TAKE_FD(fixture->front[IN]));
    AWAIT(fixture, read(fixture->guest[IN], text, sizeof(text)) == 3);
    settle(fixture);
    assert_int_equal(read(fixture->guest[IN], text, sizeof(text)), -1);
    stdio_close_input(fixture->stdio);
    AWAIT(fixture, is_closed(fixture->guest[IN]));
}

/* containerd's clients cannot call CloseIO before Create is answered, and do not call it afterwards. */
static void test_input_ends_before_the_start(void **state)
{
    struct fixture *fixture = *state;
    char text[8] = "";
    open_front(fixture);
    begin(fixture, STDIO_KEEP_OPEN);
    assert_int_equal(write(fixture->front[IN], "abc", 3), 3);
    close_fd(TAKE_FD(fixture->front[IN]));
    stdio_hold_input(fixture->stdio); /* what was written has not been moved yet */
    AWAIT(fixture, read(fixture->guest[IN], text, sizeof(text)) == 3);
    AWAIT(fixture, is_closed(fixture->guest[IN]));
}

/* A writer that comes only after the start, and one that comes back. */
static void test_input_that_comes_late(void **state)
{
    struct fixture *fixture = *state;
    char text[8] = "";
    begin(fixture, STDIO_KEEP_OPEN);
    settle(fixture);
    stdio_hold_input(fixture->stdio);
    for (int i = 0; i < 2; i++) {
        fixture->front[IN] = open(fixture->paths[IN], O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        assert_int_equal(write(fixture->front[IN], "abc", 3), 3);
        close_fd(TAKE_FD(fixture->front[IN]));
        AWAIT(fixture, read(fixture->guest[IN], text, sizeof(text)) == 3);
    }
    stdio_close_input(fixture->stdio);
    AWAIT(fixture, is_closed(fixture->guest[IN]));
}

/* All of a large input is delivered although CloseIO came early. */
static void test_close_io_with_much_waiting(void **state)
{
    struct fixture *fixture = *state;
    static char block[60000];
    size_t seen = 0;
    open_front(fixture);
    begin(fixture, STDIO_KEEP_OPEN);
    assert_int_equal(write(fixture->front[IN], block, sizeof(block)), sizeof(block));
    stdio_close_input(fixture->stdio);
    for (ssize_t count = -1; count != 0;) {
        settle(fixture);
        count = read(fixture->guest[IN], block, sizeof(block));
        seen += count > 0 ? (size_t)count : 0;
    }
    assert_int_equal(seen, sizeof(block));
}

static void test_process_that_closes_its_input(void **state)
{
    struct fixture *fixture = *state;
    open_front(fixture);
    begin(fixture, STDIO_LIKE_PIPES);
    fixture->front[OUT] = TAKE_FD(fixture->front[IN]);
    fixture->front[IN] = open(fixture->paths[IN], O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    close_fd(TAKE_FD(fixture->front[OUT]));
    close_guest(fixture, IN);
    assert_int_equal(write(fixture->front[IN], "x", 1), 1);
    settle(fixture);
    assert_int_equal(write(fixture->front[IN], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
}

static void test_file_endpoint(void **state)
{
    struct fixture *fixture = *state;
    _cleanup_free_ char *address = must_printf("file://%s/log", fixture->directory);
    _cleanup_free_ char *text = NULL;
    struct stdio_options options = {.out = address, .error = address};
    struct stdio_ports ports = {0};
    assert_ok(stdio_new(fixture->base, &options, &fixture->stdio));
    assert_ok(stdio_connect(fixture->stdio, connect_guest, fixture, &ports));
    assert_int_equal(ports.in, 0);
    assert_int_equal(write(fixture->guest[0], "one\n", 4), 4);
    settle(fixture);
    assert_int_equal(write(fixture->guest[1], "two\n", 4), 4);
    close_guest(fixture, 0);
    close_guest(fixture, 1);
    stdio_process_ended(fixture->stdio, 60000, drained, fixture);
    AWAIT(fixture, fixture->drained);
    assert_true(fixture->complete);
    assert_ok(file_read(AT_FDCWD, address + strlen("file://"), 100, &text, NULL));
    assert_string_equal(text, "one\ntwo\n");
}

/* A full disk: the process lives on, the log says what was lost. */
static void test_full_disk(void **state)
{
    struct fixture *fixture = *state;
    struct stdio_options options = {.out = "file:///dev/full", .terminal = true};
    struct stdio_ports ports = {0};
    assert_ok(stdio_new(fixture->base, &options, &fixture->stdio));
    assert_ok(stdio_connect(fixture->stdio, connect_guest, fixture, &ports));
    assert_int_equal(write(fixture->guest[0], "text", 4), 4);
    settle(fixture);
    assert_int_equal(write(fixture->guest[0], "text", 4), 4);
    close_guest(fixture, 0);
    stdio_process_ended(fixture->stdio, 60000, drained, fixture);
    AWAIT(fixture, fixture->drained);
    assert_non_null(stdio_complaint(fixture->stdio));
    assert_non_null(strstr(stdio_complaint(fixture->stdio), "No space left"));
}

static void test_refused_endpoints(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *address;
        enum error_code code;
    } cases[] = {{"/does/not/exist", ERROR_NOT_FOUND}, {"binary:///bin/logger", ERROR_UNIMPLEMENTED},
        {"/dev/null", ERROR_INVALID_ARGUMENT}, {"file:///dev/null/log", ERROR_INVALID_ARGUMENT},
        {"relative", ERROR_INVALID_ARGUMENT}, {"file:///a%zz", ERROR_INVALID_ARGUMENT}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct stdio_options options = {.out = cases[i].address};
        _cleanup_error_ struct error *error = stdio_new(fixture->base, &options, &fixture->stdio);
        assert_int_equal(error_code(error), cases[i].code);
        assert_non_null(strstr(error_message(error), "standard output"));
    }
}

#define STDIO_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STDIO_TEST(test_whole_and_slow),
        STDIO_TEST(test_end_of_output),
        STDIO_TEST(test_reader_that_stands_still),
        STDIO_TEST(test_closed_reader_like_a_pipe),
        STDIO_TEST(test_closed_reader_kept_open),
        STDIO_TEST(test_late_reader),
        STDIO_TEST(test_input_ends_with_its_writer),
        STDIO_TEST(test_input_ends_with_close_io),
        STDIO_TEST(test_input_ends_before_the_start),
        STDIO_TEST(test_input_that_comes_late),
        STDIO_TEST(test_close_io_with_much_waiting),
        STDIO_TEST(test_process_that_closes_its_input),
        STDIO_TEST(test_file_endpoint),
        STDIO_TEST(test_full_disk),
        STDIO_TEST(test_refused_endpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
