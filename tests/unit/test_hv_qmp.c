/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's client against a peer that says what it likes, and the console's memory. */
#include "base/fd.h"
#include "hv/console.h"
#include "hv/qmp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

struct world {
    struct event_base *base;
    struct qmp *qmp;
    int peer;
    int ready;
    int failed;
    char *reason;
    char *event;
    int answers;
    char *answer;
    bool free_on_event;
};

static void on_ready(void *context)
{
    ((struct world *)context)->ready++;
}

static void on_event(void *context, const char *name, const json_t *data)
{
    struct world *world = context;
    free(world->event);
    const char *reason = json_string_value(json_object_get(data, "reason"));
    world->event = must_printf("%s:%s", name, reason ? reason : "");
    if (world->free_on_event)
        qmp_free(TAKE_PTR(world->qmp));
}

static void on_failed(void *context, const struct error *reason)
{
    struct world *world = context;
    world->failed++;
    free(world->reason);
    world->reason = must_copy(reason ? error_message(reason) : "closed");
}

static void on_answer(void *context, struct error *error)
{
    struct world *world = context;
    world->answers++;
    free(world->answer);
    world->answer = error ? must_copy(error_message(error)) : NULL;
    error_free(error);
}

static int set_up(void **state)
{
    static const struct qmp_events events = {on_ready, on_event, on_failed};
    struct world *world = must_new(struct world);
    world->base = event_base_new();
    int ours;
    error_free(unix_pair(&ours, &world->peer));
    *state = world;
    return qmp_new(world->base, ours, &events, world, &world->qmp) ? -1 : 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    qmp_free(world->qmp);
    close_fd(world->peer);
    event_base_free(world->base);
    free(world->reason);
    free(world->event);
    free(world->answer);
    free(world);
    return 0;
}

static void say(struct world *world, const char *text)
{
    assert_int_equal(send(world->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    event_base_loop(world->base, EVLOOP_NONBLOCK);
}

static void assert_heard(struct world *world, const char *expected)
{
    char text[512] = "";
    ssize_t length = recv(world->peer, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[length > 0 ? length : 0] = '\0';
    assert_string_equal(text, expected);
}

static void greet(struct world *world)
{
    say(world, "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
    assert_heard(world, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
    say(world, "{\"return\": {}, \"id\": 1}\r\n");
    assert_int_equal(world->ready, 1);
}

static void test_greeting_calls_and_events(void **state)
{
    struct world *world = *state;
    greet(world);
    qmp_call(world->qmp, "stop", on_answer, world);
    qmp_call(world->qmp, "cont", on_answer, world);
    assert_heard(world, "{\"execute\":\"stop\",\"id\":2}\n{\"execute\":\"cont\",\"id\":3}\n");
    say(world, "{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-reset\"}}\r\n{\"return\"");
    assert_string_equal(world->event, "SHUTDOWN:guest-reset");
    say(world, ": {}, \"id\": 3}\r\n");
    assert_int_equal(world->answers, 1);
    assert_null(world->answer);
    say(world, "{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"no such luck\"}}\r\n");
    assert_int_equal(world->answers, 2);
    assert_non_null(strstr(world->answer, "no such luck"));
    assert_int_equal(world->failed, 0);
}

/* A descriptor arrives with the line it belongs to, and stays ours too. */
static void test_call_with_a_descriptor(void **state)
{
    struct world *world = *state;
    greet(world);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    qmp_call_with(world->qmp, "add-fd", json_pack("{s:i}", "fdset-id", 7), ends[1], on_answer, world);
    char text[256] = "", control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {text, sizeof(text) - 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    assert_true(recvmsg(world->peer, &message, MSG_DONTWAIT) > 0);
    assert_string_equal(text, "{\"execute\":\"add-fd\",\"arguments\":{\"fdset-id\":7},\"id\":2}\n");
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int received = -1;
    if (!header)
        fail_msg("no descriptor came along");
    else
        memcpy(&received, CMSG_DATA(header), sizeof(received));
    close(ends[1]);
    assert_int_equal(write(received, "x", 1), 1);
    assert_int_equal(read(ends[0], text, 1), 1);
    close(received);
    close(ends[0]);
}

static void test_hostile_lines(void **state)
{
    static const char *const lines[] = {
        "not json\n",
        "[]\n",
        "{}\n",
        "{\"return\": {}, \"id\": 77}\n",
        "{\"return\": {}, \"id\": \"1\"}\n",
        "{\"return\": {}, \"id\": -1}\n",
        "{\"event\": 5}\n",
        "{\"event\": \"X\", \"data\": []}\n",
        "{\"error\": \"text\", \"id\": 1}\n",
        "{\"QMP\": {}, \"QMP\": {}}\n",
        "{\"QMP\": {}}\n{\"QMP\": {}}\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        void *fresh = NULL;
        assert_int_equal(set_up(&fresh), 0);
        struct world *world = fresh;
        say(world, lines[i]);
        if (world->failed != 1)
            fail_msg("accepted: %s", lines[i]);
        say(world, "{\"event\": \"LATE\"}\n");
        assert_null(world->event);
        tear_down(&fresh);
    }
}

static void test_endless_line(void **state)
{
    struct world *world = *state;
    char block[4096];
    memset(block, 'x', sizeof(block));
    for (size_t sent = 0; sent <= QMP_LINE_MAX && !world->failed; sent += sizeof(block)) {
        assert_int_equal(send(world->peer, block, sizeof(block), MSG_NOSIGNAL), sizeof(block));
        event_base_loop(world->base, EVLOOP_NONBLOCK);
    }
    assert_int_equal(world->failed, 1);
    assert_non_null(strstr(world->reason, "without an end"));
}

static void test_end_of_stream(void **state)
{
    struct world *world = *state;
    greet(world);
    close_fd(TAKE_FD(world->peer));
    event_base_loop(world->base, EVLOOP_NONBLOCK);
    assert_int_equal(world->failed, 1);
    assert_string_equal(world->reason, "closed");
}

static void test_freed_in_a_callback(void **state)
{
    struct world *world = *state;
    world->free_on_event = true;
    say(world, "{\"event\": \"ONE\"}\n{\"event\": \"TWO\"}\n");
    assert_string_equal(world->event, "ONE:");
}

static void test_too_many_questions(void **state)
{
    struct world *world = *state;
    for (int i = 0; i <= QMP_CALLS_MAX; i++)
        qmp_call(world->qmp, "stop", on_answer, world);
    assert_int_equal(world->answers, 1);
    assert_non_null(strstr(world->answer, "too many"));
}

/* A console that was told this text. */
static struct console *console_with(struct event_base *base, const char *text)
{
    int ours, theirs;
    struct console *console = NULL;
    error_free(unix_pair(&ours, &theirs));
    assert_null(console_new(base, ours, NULL, NULL, &console));
    size_t length = strlen(text);
    for (size_t sent = 0; sent < length;) {
        ssize_t count = send(theirs, text + sent, length - sent < 8192 ? length - sent : 8192, MSG_NOSIGNAL);
        assert_true(count > 0);
        sent += (size_t)count;
        console_flush(console);
    }
    close(theirs);
    console_flush(console);
    return console;
}

static void test_console_sentences(void **state)
{
    struct world *world = *state;
    struct console *console =
        console_with(world->base, "[    0.5] one\r\ntwo\x1b[31m\n[    0.6] Kernel panic - not syncing: "
                                  "Attempted to kill init! \n[    0.7] \n\n");
    _cleanup_free_ char *text = console_text(console), *panic = console_panic(console);
    _cleanup_free_ char *last = console_last_lines(console, 2);
    assert_null(strchr(text, '\x1b'));
    assert_string_equal(panic, "Attempted to kill init!");
    assert_string_equal(last, "two[31m; Kernel panic - not syncing: Attempted to kill init! ");
    console_free(console);
}

static void test_console_keeps_the_end(void **state)
{
    struct world *world = *state;
    size_t length = 5 * CONSOLE_KEPT;
    _cleanup_free_ char *flood = must_alloc(length + 8);
    memset(flood, 'a', length);
    memcpy(flood + length, "\nend\n", 6);
    struct console *console = console_with(world->base, flood);
    _cleanup_free_ char *text = console_text(console), *last = console_last_lines(console, 1);
    assert_true(strlen(text) <= CONSOLE_KEPT);
    assert_string_equal(last, "end");
    assert_null(console_panic(console));
    console_free(console);
}

#define WITH_PEER(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PEER(test_greeting_calls_and_events),
        WITH_PEER(test_call_with_a_descriptor),
        cmocka_unit_test(test_hostile_lines),
        WITH_PEER(test_endless_line),
        WITH_PEER(test_end_of_stream),
        WITH_PEER(test_freed_in_a_callback),
        WITH_PEER(test_too_many_questions),
        WITH_PEER(test_console_sentences),
        WITH_PEER(test_console_keeps_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
