/* SPDX-License-Identifier: Apache-2.0 */
/* Events reach whoever listens: in order, after a while without a listener, and through a publish-binary. */
#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "proto/events.pb-c.h"
#include "proto/publisher.pb-c.h"
#include "shim/publisher.h"
#include "ttrpc/ttrpc.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct fixture {
    struct event_base *base;
    char directory[64];
    char *socket;
    struct ttrpc_server *server;
    struct publisher *publisher;
    char topics[1024];
    unsigned refuse; /* so many calls are failed first */
    bool flushed;
};

static void forward(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    struct fixture *fixture = context;
    const Containerd__Envelope *envelope = ((const Publisher__ForwardRequest *)message)->envelope;
    if (fixture->refuse > 0) {
        fixture->refuse--;
        ttrpc_fail(call, error_new(ERROR_UNAVAILABLE, "not now"));
        return;
    }
    assert_string_equal(envelope->event->type_url, "containerd.events.TaskStart");
    strcat(fixture->topics, envelope->topic);
    ttrpc_reply_empty(call);
}

static const struct ttrpc_method methods[] = {{"Forward", forward}};
static const struct ttrpc_service service = {.name = "containerd.services.events.ttrpc.v1.Events",
    .descriptor = &publisher__events__descriptor,
    .methods = methods,
    .method_count = 1};
static const struct ttrpc_service *const services[] = {&service};

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    signal(SIGPIPE, SIG_IGN);
    strcpy(fixture->directory, "/tmp/caisson-publisher-XXXXXX");
    if (!mkdtemp(fixture->directory))
        return -1;
    fixture->socket = must_printf("%s/events.sock", fixture->directory);
    fixture->base = event_base_new();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    publisher_free(fixture->publisher);
    ttrpc_server_free(fixture->server);
    event_base_free(fixture->base);
    assert_ok(tree_remove(fixture->directory));
    free(fixture->socket);
    free(fixture);
    return 0;
}

static void serve(struct fixture *fixture)
{
    int listener = -1;
    fixture->server = ttrpc_server_new(fixture->base, services, 1, fixture);
    assert_ok(unix_listen(fixture->socket, &listener));
    assert_ok(ttrpc_server_listen(fixture->server, listener));
}

static void publish_to_socket(struct fixture *fixture)
{
    struct publisher_options options = {.namespace = "ns", .ttrpc_address = fixture->socket};
    fixture->publisher = publisher_new(fixture->base, &options);
}

static void publish(struct fixture *fixture, const char *topic)
{
    Event__TaskStart event = EVENT__TASK_START__INIT;
    event.container_id = "c1";
    publisher_send(fixture->publisher, topic, &event.base);
}

static void on_flushed(void *context)
{
    ((struct fixture *)context)->flushed = true;
}

static void test_in_order(void **state)
{
    struct fixture *fixture = *state;
    serve(fixture);
    publish_to_socket(fixture);
    publish(fixture, "/a");
    publish(fixture, "/b");
    publish(fixture, "/c");
    publisher_flush(fixture->publisher, 60000, on_flushed, fixture);
    AWAIT(fixture, fixture->flushed);
    assert_string_equal(fixture->topics, "/a/b/c");
}

static void test_tries_again(void **state)
{
    struct fixture *fixture = *state;
    serve(fixture);
    publish_to_socket(fixture);
    fixture->refuse = 1;
    publish(fixture, "/a");
    publish(fixture, "/b");
    AWAIT(fixture, strcmp(fixture->topics, "/a/b") == 0);
}

/* containerd restarts: its socket is not there for a while. */
static void test_listener_comes_late(void **state)
{
    struct fixture *fixture = *state;
    publish_to_socket(fixture);
    publish(fixture, "/a");
    event_base_loop(fixture->base, EVLOOP_NONBLOCK);
    serve(fixture);
    AWAIT(fixture, strcmp(fixture->topics, "/a") == 0);
}

static void test_flush_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    publish_to_socket(fixture);
    publish(fixture, "/a");
    publisher_flush(fixture->publisher, 20, on_flushed, fixture);
    AWAIT(fixture, fixture->flushed);
}

/* The program notes its arguments and its input. */
static char *make_binary(struct fixture *fixture)
{
    char *path = must_printf("%s/binary", fixture->directory);
    _cleanup_free_ char *text =
        must_printf("#!/bin/sh\necho \"$@\" > %s/arguments\ncat > %s/input.new\nmv %s/input.new %s/input\n",
            fixture->directory, fixture->directory, fixture->directory, fixture->directory);
    assert_ok(file_replace(AT_FDCWD, path, text, strlen(text), 0700));
    return path;
}

static char *read_file(struct fixture *fixture, const char *name, size_t *length)
{
    _cleanup_free_ char *path = must_printf("%s/%s", fixture->directory, name);
    char *text = NULL;
    struct timeval soon = {0, 5000};
    while (access(path, F_OK) < 0) {
        event_base_loopexit(fixture->base, &soon);
        event_base_dispatch(fixture->base);
    }
    assert_ok(file_read(AT_FDCWD, path, 4096, &text, length));
    return text;
}

static void test_publish_binary(void **state)
{
    struct fixture *fixture = *state;
    _cleanup_free_ char *binary = make_binary(fixture);
    struct publisher_options options = {
        .namespace = "ns", .publish_binary = binary, .binary_address = "/address"};
    fixture->publisher = publisher_new(fixture->base, &options);
    publish(fixture, "/tasks/start");
    publish(fixture, "/tasks/exit");
    size_t length = 0;
    _cleanup_free_ char *input = read_file(fixture, "input", &length);
    _cleanup_free_ char *arguments = read_file(fixture, "arguments", NULL);
    assert_string_equal(arguments, "--address /address publish --topic /tasks/exit --namespace ns\n");
    Google__Protobuf__Any *any = google__protobuf__any__unpack(NULL, length, (uint8_t *)input);
    assert_non_null(any);
    assert_string_equal(any->type_url, "containerd.events.TaskStart");
    google__protobuf__any__free_unpacked(any, NULL);
}

#define PUBLISHER_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PUBLISHER_TEST(test_in_order),
        PUBLISHER_TEST(test_tries_again),
        PUBLISHER_TEST(test_listener_comes_late),
        PUBLISHER_TEST(test_flush_is_bounded),
        PUBLISHER_TEST(test_publish_binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
