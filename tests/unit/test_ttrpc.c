/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "proto/health.pb-c.h"
#include "ttrpc/ttrpc.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A health service whose Check answers with the name it was asked about, whose Version keeps its caller
   waiting, and a client, in one event loop. */
struct fixture {
    struct event_base *base;
    struct ttrpc_server *server;
    struct ttrpc_client *client;
    struct ttrpc_call *waiting;
    int lost;
};

static void check(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__CheckRequest *request = (const Grpc__CheckRequest *)message;
    if (strcmp(request->service, "unknown") == 0) {
        ttrpc_fail(call, error_new(ERROR_NOT_FOUND, "no service %s", request->service));
        return;
    }
    Grpc__VersionCheckResponse response = GRPC__VERSION_CHECK_RESPONSE__INIT;
    response.grpc_version = request->service;
    ttrpc_reply(call, &response.base);
}

static void wait_forever(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    ((struct fixture *)context)->waiting = call;
}

static const struct ttrpc_method methods[] = {{"Version", check}, {"Check", wait_forever}};
static const struct ttrpc_method few_methods[] = {{"Version", check}};
static struct ttrpc_service service = {.name = "grpc.Health", .methods = methods, .method_count = 2};
static struct ttrpc_service renamed = {.name = "other.Health", .methods = few_methods, .method_count = 1};

static void on_lost(void *context, const struct error *reason)
{
    ((struct fixture *)context)->lost++;
}

static void start_server(struct fixture *fixture)
{
    service.descriptor = renamed.descriptor = &grpc__health__descriptor;
    const struct ttrpc_service *const services[] = {&service, &renamed};
    fixture->base = event_base_new();
    fixture->server = ttrpc_server_new(fixture->base, services, 2, fixture);
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    struct fixture *fixture = must_new(struct fixture);
    start_server(fixture);
    int one, other;
    assert_null(unix_pair(&one, &other));
    assert_null(ttrpc_server_serve(fixture->server, one));
    assert_null(ttrpc_client_new(fixture->base, other, on_lost, fixture, &fixture->client));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ttrpc_client_free(fixture->client);
    ttrpc_server_free(fixture->server);
    if (fixture->waiting)
        ttrpc_reply_empty(fixture->waiting);
    event_base_free(fixture->base);
    free(fixture);
    return 0;
}

static struct error *ask(struct fixture *fixture, const char *text, uint64_t timeout, char **ret_answer)
{
    Grpc__CheckRequest request = GRPC__CHECK_REQUEST__INIT;
    request.service = (char *)(uintptr_t)text;
    ProtobufCMessage *response = NULL;
    struct error *error = ttrpc_client_call_and_wait(
        fixture->client, &grpc__health__descriptor, "Version", &request.base, timeout, &response);
    if (error)
        return error;
    *ret_answer = must_copy(((Grpc__VersionCheckResponse *)response)->grpc_version);
    protobuf_c_message_free_unpacked(response, NULL);
    return NULL;
}

static void test_calls_and_errors(void **state)
{
    struct fixture *fixture = *state;
    _cleanup_free_ char *answer = NULL;
    assert_null(ask(fixture, "hello", 0, &answer));
    assert_string_equal(answer, "hello");
    char *none = NULL;
    _cleanup_error_ struct error *error = ask(fixture, "unknown", 1000, &none);
    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
    assert_string_equal(error_message(error), "no service unknown");
    assert_null(none);
}

static void test_messages_up_to_the_limit(void **state)
{
    struct fixture *fixture = *state;
    size_t length = TTRPC_MESSAGE_MAX - 100;
    _cleanup_free_ char *text = must_alloc(length + 1000);
    memset(text, 'x', length);
    _cleanup_free_ char *answer = NULL;
    assert_null(ask(fixture, text, 0, &answer));
    assert_string_equal(answer, text);
    memset(text, 'x', length + 200);
    char *none = NULL;
    _cleanup_error_ struct error *error = ask(fixture, text, 0, &none);
    assert_int_equal(error_code(error), ERROR_RESOURCE_EXHAUSTED);
    _cleanup_free_ char *after = NULL;
    assert_null(ask(fixture, "still there", 0, &after));
}

struct outcome {
    int calls;
    enum error_code code;
};

static void note(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct outcome *outcome = context;
    outcome->calls++;
    outcome->code = error_code(error);
    error_free(error);
}

static void send_waiting(struct fixture *fixture, uint64_t timeout, struct outcome *outcome)
{
    Grpc__CheckRequest request = GRPC__CHECK_REQUEST__INIT;
    ttrpc_client_call(
        fixture->client, &grpc__health__descriptor, "Check", &request.base, timeout, note, outcome);
    while (!fixture->waiting)
        assert_int_equal(event_base_loop(fixture->base, EVLOOP_ONCE), 0);
}

static void test_a_late_answer_is_passed_over(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    send_waiting(fixture, 20, &outcome);
    while (outcome.calls == 0)
        assert_int_equal(event_base_loop(fixture->base, EVLOOP_ONCE), 0);
    assert_int_equal(outcome.code, ERROR_DEADLINE_EXCEEDED);
    assert_int_equal(ttrpc_call_timeout(fixture->waiting), 20);
    ttrpc_reply_empty(TAKE_PTR(fixture->waiting));
    _cleanup_free_ char *answer = NULL;
    assert_null(ask(fixture, "next", 0, &answer));
    assert_int_equal(outcome.calls, 1);
}

static void test_a_lost_connection_fails_the_calls(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    send_waiting(fixture, 0, &outcome);
    ttrpc_server_free(TAKE_PTR(fixture->server));
    while (outcome.calls == 0)
        assert_int_equal(event_base_loop(fixture->base, EVLOOP_ONCE), 0);
    assert_int_equal(outcome.code, ERROR_UNAVAILABLE);
    assert_int_equal(fixture->lost, 1);
    char *none = NULL;
    _cleanup_error_ struct error *error = ask(fixture, "anyone", 0, &none);
    assert_int_equal(error_code(error), ERROR_UNAVAILABLE);
}

static void test_a_freed_client_cancels_its_calls(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    send_waiting(fixture, 0, &outcome);
    ttrpc_client_free(TAKE_PTR(fixture->client));
    assert_int_equal(outcome.calls, 1);
    assert_int_equal(outcome.code, ERROR_CANCELLED);
    while (ttrpc_server_connection_count(fixture->server) > 0)
        assert_int_equal(event_base_loop(fixture->base, EVLOOP_ONCE), 0);
    ttrpc_reply_empty(TAKE_PTR(fixture->waiting));
}

/* Raw frames of a client: what comes back, or the end of the connection. */
static void test_frames_of_strangers(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *answer; /* a piece of it; NULL: the connection ends */
    } cases[] = {
        {"\0\0\0\7\0\0\0\1\1\0\12\1a\22\2bc", 17, "service a is not served here"},
        {"\0\0\0\24\0\0\0\1\1\0\12\14other.Health\22\4None", 30, "method other.Health/None is not supported"},
        {"\0\0\0\25\0\0\0\1\1\0\12\14other.Health\22\5Check", 31,
            "method other.Health/Check is not supported"},
        {"\0\0\0\33\0\0\0\1\1\0\12\14other.Health\22\7Version\32\2\12\177", 37, "cannot be decoded"},
        {"\0\100\0\1\0\0\0\1\1\0", 10, NULL},
        {"\0\0\0\2\0\0\0\1\1\0\12\177", 12, NULL},
        {"\0\0\0\0\0\0\0\2\1\0", 10, NULL},
        {"\0\0\0\0\0\0\0\1\2\0", 10, NULL},
        {"\0\0\0\0\0\0\0\1\3\0", 10, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture fixture = {0};
        start_server(&fixture);
        int raw, served;
        assert_null(unix_pair(&raw, &served));
        assert_null(ttrpc_server_serve(fixture.server, served));
        assert_null(fd_write_all(raw, cases[i].bytes, cases[i].length));
        assert_int_equal(event_base_loop(fixture.base, EVLOOP_ONCE), 0);
        if (cases[i].answer) {
            char answer[200] = {0};
            ssize_t count = read(raw, answer, sizeof(answer));
            assert_true(count > 10);
            assert_int_equal(answer[8], 2);
            assert_non_null(memmem(answer, (size_t)count, cases[i].answer, strlen(cases[i].answer)));
        } else {
            assert_int_equal(ttrpc_server_connection_count(fixture.server), 0);
        }
        ttrpc_server_free(fixture.server);
        event_base_free(fixture.base);
        close(raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_calls_and_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_messages_up_to_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_late_answer_is_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_lost_connection_fails_the_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_freed_client_cancels_its_calls, set_up, tear_down),
        cmocka_unit_test(test_frames_of_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
