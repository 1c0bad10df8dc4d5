/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that take a container's output: real ones (shell scripts), with streams as a guest has them. */
#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "sandbox/address.h"
#include "sandbox/stdio.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

struct fixture {
    struct event_base *base;
    struct loggers *loggers;
    char directory[64];
    int guest[3]; /* the guest's ends, in the order they were asked for */
    int guest_count;
    struct stdio *stdio;
    bool ready;
    enum error_code ready_code;
    bool drained;
    bool complete;
    bool ended;
};

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    signal(SIGPIPE, SIG_IGN);
    strcpy(fixture->directory, "/tmp/caisson-logger-XXXXXX");
    if (!mkdtemp(fixture->directory))
        return -1;
    fixture->base = event_base_new();
    fixture->loggers = loggers_new(fixture->base, "space");
    for (int i = 0; i < 3; i++)
        fixture->guest[i] = -1;
    *state = fixture;
    return 0;
}

static void note_end(void *context)
{
    ((struct fixture *)context)->ended = true;
}

static void await_loggers(struct fixture *fixture)
{
    fixture->ended = false;
    loggers_await_end(fixture->loggers, NULL, note_end, fixture);
    AWAIT(fixture, fixture->ended);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    stdio_free(fixture->stdio);
    await_loggers(fixture);
    loggers_free(fixture->loggers);
    event_base_free(fixture->base);
    for (int i = 0; i < 3; i++)
        close_fd(fixture->guest[i]);
    assert_ok(tree_remove(fixture->directory));
    free(fixture);
    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : -1;
}

static char *in_directory(const struct fixture *fixture, const char *name)
{
    return must_printf("%s/%s", fixture->directory, name);
}

static void write_program(const struct fixture *fixture, const char *text)
{
    _cleanup_free_ char *path = in_directory(fixture, "log it");
    _cleanup_free_ char *script = must_printf("#!/bin/sh\ncd %s\n%s\n", fixture->directory, text);
    assert_ok(file_replace(AT_FDCWD, path, script, strlen(script), 0755));
}

static struct error *open_streams(struct fixture *fixture, const char *scheme, const char *query)
{
    _cleanup_free_ char *address = must_printf("%s://%s/log%%20it%s", scheme, fixture->directory, query);
    struct stdio_options options = {.out = address,
        .error = address,
        .style = STDIO_KEEP_OPEN,
        .loggers = fixture->loggers,
        .container_id = "box"};
    return stdio_new(fixture->base, &options, &fixture->stdio);
}

static struct error *connect_guest(void *context, int *ret_fd, uint32_t *ret_port)
{
    struct fixture *fixture = context;
    int host = -1;
    TRY(unix_pair(&host, &fixture->guest[fixture->guest_count]));
    *ret_port = (uint32_t)++fixture->guest_count;
    *ret_fd = host;
    return NULL;
}

static void ready(void *context, struct error *error)
{
    struct fixture *fixture = context;
    fixture->ready = true;
    fixture->ready_code = error_code(error);
    error_free(error);
}

static void drained(void *context, bool complete)
{
    struct fixture *fixture = context;
    fixture->drained = true;
    fixture->complete = complete;
}

static void begin(struct fixture *fixture, const char *scheme, const char *query)
{
    struct stdio_ports ports = {0};
    assert_ok(open_streams(fixture, scheme, query));
    stdio_await_ready(fixture->stdio, ready, fixture);
    assert_ok(stdio_connect(fixture->stdio, connect_guest, fixture, &ports));
    assert_int_equal(fixture->guest_count, 2);
}

static void say(const struct fixture *fixture, int which, const char *text)
{
    assert_int_equal(write(fixture->guest[which], text, strlen(text)), strlen(text));
}

static void end_process(struct fixture *fixture)
{
    close_fd(TAKE_FD(fixture->guest[0]));
    close_fd(TAKE_FD(fixture->guest[1]));
    stdio_process_ended(fixture->stdio, 60000, drained, fixture);
}

static void assert_file(const struct fixture *fixture, const char *name, const char *expected)
{
    _cleanup_free_ char *path = in_directory(fixture, name);
    _cleanup_free_ char *text = NULL;
    assert_ok(file_read(AT_FDCWD, path, 1 << 20, &text, NULL));
    assert_string_equal(text, expected);
}

static void test_a_logger(void **state)
{
    struct fixture *fixture = *state;
    write_program(fixture, "exec 5>&-; echo \"$1|$2|$3|$4|$#\" >arguments\n"
                           "env | grep -v -e ^PWD= -e ^OLDPWD= -e ^_= -e ^SHLVL= | sort >environment\n"
                           "cat <&4 >errors & cat <&3 >out; wait");
    begin(fixture, "binary", "?to=a%26b+c&to=again&alone");
    AWAIT(fixture, fixture->ready);
    assert_int_equal(fixture->ready_code, ERROR_OK);
    say(fixture, 0, "one\n");
    say(fixture, 1, "wrong\n");
    say(fixture, 0, "two\n");
    end_process(fixture);
    AWAIT(fixture, fixture->drained);
    assert_true(fixture->complete);
    stdio_free(TAKE_PTR(fixture->stdio));
    await_loggers(fixture);
    assert_file(fixture, "arguments", "to|a&b c|alone||4\n");
    assert_file(fixture, "environment", "CONTAINER_ID=box\nCONTAINER_NAMESPACE=space\n");
    assert_file(fixture, "out", "one\ntwo\n");
    assert_file(fixture, "errors", "wrong\n");
}

/* The exit is not told before the logger has taken the output, but need not wait for the logger's end. */
static void test_output_is_taken(void **state)
{
    struct fixture *fixture = *state;
    _cleanup_free_ char *gate = in_directory(fixture, "gate");
    _cleanup_free_ char *end = in_directory(fixture, "end");
    assert_int_equal(mkfifo(gate, 0600), 0);
    assert_int_equal(mkfifo(end, 0600), 0);
    write_program(fixture, "exec 5>&- 6<>end; read go <gate; exec 4<&-; cat <&3 >out; read go <&6");
    begin(fixture, "binary", "");
    _cleanup_free_ char *much = must_alloc(50001);
    memset(much, 'x', 50000);
    say(fixture, 0, much);
    end_process(fixture);
    for (int turn = 0; turn < 50; turn++)
        event_base_loop(fixture->base, EVLOOP_NONBLOCK);
    assert_false(fixture->drained);
    assert_ok(file_write(AT_FDCWD, gate, "\n", 1));
    AWAIT(fixture, fixture->drained);
    assert_true(fixture->complete);
    assert_file(fixture, "out", much);
    assert_ok(file_write(AT_FDCWD, end, "\n", 1));
}

static void test_ready_by_a_byte(void **state)
{
    struct fixture *fixture = *state;
    write_program(fixture, "printf x >&5; cat <&3 >/dev/null");
    begin(fixture, "binary-v2", "");
    AWAIT(fixture, fixture->ready);
    assert_int_equal(fixture->ready_code, ERROR_OK);
}

static void test_never_ready(void **state)
{
    struct fixture *fixture = *state;
    write_program(fixture, "exit 1");
    begin(fixture, "binary-v2", "");
    AWAIT(fixture, fixture->ready);
    assert_int_equal(fixture->ready_code, ERROR_FAILED_PRECONDITION);
}

/* As with a pipe: the process is told. */
static void test_logger_that_dies(void **state)
{
    struct fixture *fixture = *state;
    char byte;
    write_program(fixture, "exec 5>&-; exit 0");
    begin(fixture, "binary", "");
    assert_ok(fd_set_nonblocking(fixture->guest[0], true));
    AWAIT(fixture, read(fixture->guest[0], &byte, 1) == 0);
    end_process(fixture);
    AWAIT(fixture, fixture->drained);
}

/* One that does not end with its streams is asked to when somebody waits for it. */
static void test_logger_that_stays(void **state)
{
    struct fixture *fixture = *state;
    write_program(fixture, "trap 'echo asked >asked; kill $!; exit' TERM; exec 5>&-\n"
                           "mkfifo never; while :; do read go <>never & wait $!; done");
    begin(fixture, "binary", "");
    AWAIT(fixture, fixture->ready);
    stdio_free(TAKE_PTR(fixture->stdio));
    await_loggers(fixture);
    assert_file(fixture, "asked", "asked\n");
}

static void test_await_end_of_one(void **state)
{
    struct fixture *fixture = *state;
    const struct logger_owner other = {"other", ""};
    write_program(fixture, "exec 5>&-; cat <&3 >/dev/null");
    begin(fixture, "binary", "");
    loggers_await_end(fixture->loggers, &other, note_end, fixture);
    AWAIT(fixture, fixture->ended);
    assert_ok(stdio_complaint(fixture->stdio) ? error_new(ERROR_INTERNAL, "complaint") : NULL);
}

static void test_refused(void **state)
{
    struct fixture *fixture = *state;
    _cleanup_error_ struct error *missing = open_streams(fixture, "binary", "");
    assert_int_equal(error_code(missing), ERROR_NOT_FOUND);
    assert_non_null(strstr(error_message(missing), "standard output"));
    struct stdio_options two = {.out = "binary:///bin/true",
        .error = "binary:///bin/false",
        .loggers = fixture->loggers,
        .container_id = "box"};
    _cleanup_error_ struct error *different = stdio_new(fixture->base, &two, &fixture->stdio);
    assert_int_equal(error_code(different), ERROR_UNIMPLEMENTED);
}

/* ---- addresses ---- */

static void test_addresses(void **state)
{
    _cleanup_address_ struct address address = {0};
    assert_ok(address_parse("file://host/a%2fb%20c?x=1#rest", &address));
    assert_string_equal(address.scheme, "file");
    assert_string_equal(address.path, "/a/b c");
    assert_string_equal(address.query[0], "x");
    assert_string_equal(address.query[1], "1");
    assert_null(address.query[2]);
    address_clear(&address);
    assert_ok(address_parse("/a%20b?c", &address));
    assert_string_equal(address.scheme, "fifo");
    assert_string_equal(address.path, "/a%20b?c");
}

static void test_wrong_addresses(void **state)
{
    static const char *const wrong[] = {
        "", "a", "file://", "file://a", "file:///a%", "file:///a%4", "file:///a%00b", "binary:///a?b=%g1"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct address address = {0};
        _cleanup_error_ struct error *error = address_parse(wrong[i], &address);
        if (error_code(error) != ERROR_INVALID_ARGUMENT)
            fail_msg("\"%s\" was not refused", wrong[i]);
    }
}

#define LOGGER_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOGGER_TEST(test_a_logger),
        LOGGER_TEST(test_output_is_taken),
        LOGGER_TEST(test_ready_by_a_byte),
        LOGGER_TEST(test_never_ready),
        LOGGER_TEST(test_logger_that_dies),
        LOGGER_TEST(test_logger_that_stays),
        LOGGER_TEST(test_await_end_of_one),
        LOGGER_TEST(test_refused),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_wrong_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
