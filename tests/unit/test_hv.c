/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real machines: boots the guest kernel with guest_hello as /init. Needs $CAISSON_KERNEL and
 * $CAISSON_HELLO_INITRD, and is skipped without them. On each hypervisor there is (hv_offers.h).
 */
#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "hv/hv.h"
#include "hv_offers.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

struct fixture {
    const struct hv_ops *ops;
    struct event_base *base;
    char *directory;
    struct hv_config config;
    struct hv *hv;
    bool started;
    bool stopped;
    struct error *start_error;
    char *stop_reason; /* NULL: orderly */
};

static void on_stopped(void *context, const struct error *reason)
{
    struct fixture *fixture = context;
    fixture->stopped = true;
    fixture->stop_reason = reason ? must_copy(error_message(reason)) : NULL;
    event_base_loopbreak(fixture->base);
}

static void on_started(void *context, struct error *error)
{
    struct fixture *fixture = context;
    fixture->started = true;
    fixture->start_error = error;
    event_base_loopbreak(fixture->base);
}

static void ignore_broken_pipe(void)
{
    signal(SIGPIPE, SIG_IGN);
}

static int set_up(void **state)
{
    ignore_broken_pipe();
    struct fixture *fixture = must_new(struct fixture);
    fixture->ops = *state;
    const char *temporary = getenv("TMPDIR");
    fixture->directory = must_printf("%s/caisson-hv-XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(fixture->directory))
        return -1;
    fixture->base = event_base_new();
    fixture->config = (struct hv_config){
        .name = "test",
        .directory = fixture->directory,
        .kernel = getenv("CAISSON_KERNEL"),
        .initrd = getenv("CAISSON_HELLO_INITRD"),
        .vcpus = 1,
        .memory = UINT64_C(128) << 20,
    };
    *state = fixture;
    return 0;
}

static void assert_no_child(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    hv_free(fixture->hv);
    assert_no_child();
    /* rmdir fails on a directory that is not empty: nothing may remain. */
    assert_int_equal(rmdir(fixture->directory), 0);
    event_base_free(fixture->base);
    error_free(fixture->start_error);
    free(fixture->stop_reason);
    free(fixture->directory);
    free(fixture);
    return 0;
}

static void need_guest(const struct fixture *fixture)
{
    if (!fixture->config.kernel || !fixture->config.initrd)
        skip();
}

static void new_machine(struct fixture *fixture)
{
    static const struct hv_events events = {on_stopped};
    assert_ok(hv_new(fixture->ops, fixture->base, &fixture->config, &events, fixture, &fixture->hv));
}

static void start(struct fixture *fixture)
{
    need_guest(fixture);
    new_machine(fixture);
    hv_start(fixture->hv, on_started, fixture);
    assert_false(fixture->started);
    while (!fixture->started)
        event_base_dispatch(fixture->base);
    assert_ok(fixture->start_error);
}

static void run_until_stopped(struct fixture *fixture)
{
    while (!fixture->stopped)
        event_base_dispatch(fixture->base);
}

static void expect_orderly_end(struct fixture *fixture)
{
    run_until_stopped(fixture);
    if (fixture->stop_reason)
        fail_msg("the machine has ended: %s", fixture->stop_reason);
}

static int connect_port(struct fixture *fixture, uint32_t port)
{
    int fd = -1;
    uint32_t number = 0;
    assert_ok(hv_connect(fixture->hv, port, &fd, &number));
    assert_int_equal(number % 2, 1);
    return fd;
}

struct reading {
    struct event_base *base;
    char text[4096];
    size_t length;
    bool ended;
};

static void on_text(evutil_socket_t fd, short what, void *context)
{
    struct reading *reading = context;
    ssize_t count = read(fd, reading->text + reading->length, sizeof(reading->text) - 1 - reading->length);
    if (count > 0)
        reading->length += (size_t)count;
    if (count > 0 || (count < 0 && errno == EAGAIN))
        return;
    reading->ended = true;
    event_base_loopbreak(reading->base);
}

/* All that the port says until it ends. */
static void read_port(struct fixture *fixture, int fd, struct reading *ret_reading)
{
    *ret_reading = (struct reading){.base = fixture->base};
    struct event *event = event_new(fixture->base, fd, EV_READ | EV_PERSIST, on_text, ret_reading);
    event_add(event, NULL);
    while (!ret_reading->ended)
        event_base_dispatch(fixture->base);
    event_free(event);
    close(fd);
}

static void test_boots_echoes_powers_off(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    struct hv_timings timings;
    hv_timings(fixture->hv, &timings);
    assert_true(timings.spawned > 0 && timings.ready >= timings.spawned);
    assert_true(hv_process(fixture->hv) > 0);

    int fd = connect_port(fixture, 7);
    assert_int_equal(write(fd, "hello", 5), 5);
    shutdown(fd, SHUT_WR);
    struct reading reading;
    read_port(fixture, fd, &reading);
    assert_string_equal(reading.text, "hello");

    close(connect_port(fixture, 1));
    expect_orderly_end(fixture);
    assert_int_equal(hv_process(fixture->hv), 0);
}

static void test_closed_port_ends(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    struct reading reading;
    read_port(fixture, connect_port(fixture, 99), &reading);
    assert_int_equal(reading.length, 0);
}

static void test_panic_is_told(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    close(connect_port(fixture, 2));
    run_until_stopped(fixture);
    assert_non_null(fixture->stop_reason);
    if (!strstr(fixture->stop_reason, "Attempted to kill init!"))
        fail_msg("the machine has ended: %s", fixture->stop_reason);
}

static void test_killed_monitor_is_told(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    kill(hv_process(fixture->hv), SIGKILL);
    run_until_stopped(fixture);
    assert_non_null(strstr(fixture->stop_reason, "was killed"));
}

static void test_stop_is_orderly(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    hv_stop(fixture->hv);
    expect_orderly_end(fixture);
}

static void test_stop_while_starting(void **state)
{
    struct fixture *fixture = *state;
    need_guest(fixture);
    new_machine(fixture);
    hv_start(fixture->hv, on_started, fixture);
    hv_stop(fixture->hv);
    while (!fixture->started)
        event_base_dispatch(fixture->base);
    assert_int_equal(error_code(fixture->start_error), ERROR_CANCELLED);
    assert_false(fixture->stopped);
}

static void test_free_while_starting(void **state)
{
    struct fixture *fixture = *state;
    need_guest(fixture);
    new_machine(fixture);
    hv_start(fixture->hv, on_started, fixture);
    hv_free(TAKE_PTR(fixture->hv));
    event_base_loop(fixture->base, EVLOOP_NONBLOCK);
    assert_false(fixture->started);
}

static void on_changed(void *context, struct error *error)
{
    assert_ok(error);
    *(bool *)context = true;
}

static void test_pause_stops_the_guest(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    bool paused = false, resumed = false;
    hv_pause(fixture->hv, on_changed, &paused);
    while (!paused)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    int fd = connect_port(fixture, 3);
    struct reading reading = {0};
    struct event *event = event_new(fixture->base, fd, EV_READ, on_text, &reading);
    const struct timeval while_paused = {0, 100000};
    event_add(event, &while_paused);
    event_base_loop(fixture->base, EVLOOP_ONCE);
    event_free(event);
    assert_int_equal(reading.length, 0);

    hv_resume(fixture->hv, on_changed, &resumed);
    while (!resumed)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    read_port(fixture, fd, &reading);
    assert_non_null(strstr(reading.text, "cpus=1"));
}

static void test_disks_and_processors(void **state)
{
    struct fixture *fixture = *state;
    need_guest(fixture);
    int scratch = open(fixture->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(scratch >= 0);
    assert_int_equal(ftruncate(scratch, 1 << 20), 0);
    const struct hv_disk disks[] = {
        {.path = fixture->config.kernel, .read_only = true},
        {.fd = scratch},
    };
    fixture->config.disks = disks;
    fixture->config.disk_count = ARRAY_SIZE(disks);
    fixture->config.vcpus = 2;
    start(fixture);
    close(scratch);
    struct reading reading;
    read_port(fixture, connect_port(fixture, 3), &reading);
    assert_non_null(strstr(reading.text, "cpus=2"));
    assert_non_null(strstr(reading.text, "disks=vda,vdb,"));
}

static int bound_port(int *ret_socket)
{
    struct sockaddr_storage address = {.ss_family = AF_INET};
    socklen_t length = sizeof(address);
    *ret_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint8_t *bytes = (uint8_t *)&address;
    bytes[4] = 127, bytes[7] = 1; /* 127.0.0.1 */
    assert_int_equal(bind(*ret_socket, (struct sockaddr *)&address, 16), 0);
    assert_int_equal(listen(*ret_socket, 1), 0);
    assert_int_equal(getsockname(*ret_socket, (struct sockaddr *)&address, &length), 0);
    return bytes[2] << 8 | bytes[3];
}

static void test_taken_port_is_told(void **state)
{
    struct fixture *fixture = *state;
    need_guest(fixture);
    if (!(fixture->ops->capabilities & HV_USER_NETWORK))
        skip();
    int listener;
    const struct hv_port port = {
        .host_address = "127.0.0.1", .host_port = (uint16_t)bound_port(&listener), .guest_port = 80};
    fixture->config.network = (struct hv_network){
        .kind = HV_NETWORK_USER, .ports = &port, .port_count = 1, .mac = {0x52, 0x54, 0, 1, 2, 3}};
    new_machine(fixture);
    hv_start(fixture->hv, on_started, fixture);
    while (!fixture->started)
        event_base_dispatch(fixture->base);
    assert_int_equal(error_code(fixture->start_error), ERROR_ALREADY_EXISTS);
    char expected[64];
    snprintf(expected, sizeof(expected), "port 127.0.0.1:%d/tcp of the host", port.host_port);
    assert_non_null(strstr(error_message(fixture->start_error), expected));
    close(listener);
}

static void test_missing_parts_are_named(void **state)
{
    struct fixture *fixture = *state;
    static const struct hv_events events = {on_stopped};
    fixture->config.kernel = "/nonexistent/vmlinux";
    fixture->config.initrd = "/nonexistent/initrd";
    struct error *error =
        hv_new(fixture->ops, fixture->base, &fixture->config, &events, fixture, &fixture->hv);
    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error_message(error), "/nonexistent/vmlinux"));
    error_free(error);
}

static void test_bad_memory_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct hv_events events = {on_stopped};
    fixture->config.kernel = fixture->config.initrd = "/dev/null";
    fixture->config.memory = 4096;
    struct error *error =
        hv_new(fixture->ops, fixture->base, &fixture->config, &events, fixture, &fixture->hv);
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    error_free(error);
}

/* What a hypervisor has no capability for is refused, not ignored. */
static void test_missing_capability_is_told(void **state)
{
    struct fixture *fixture = *state;
    static const struct hv_events events = {on_stopped};
    fixture->config.kernel = fixture->config.initrd = "/dev/null";
    const struct hv_network user = {.kind = HV_NETWORK_USER};
    const struct hv_snapshot snapshot = {.memory = "/dev/null", .state = -1};
    const struct {
        enum hv_capability capability;
        struct hv_network network;
        bool hot_disks;
        const struct hv_snapshot *snapshot;
    } wants[] = {
        {HV_USER_NETWORK, .network = user},
        {HV_ATTACH_DISK, .hot_disks = true},
        {HV_SNAPSHOT, .snapshot = &snapshot},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wants); i++) {
        if (fixture->ops->capabilities & wants[i].capability)
            continue;
        fixture->config.network = wants[i].network;
        fixture->config.hot_disks = wants[i].hot_disks;
        fixture->config.snapshot = wants[i].snapshot;
        _cleanup_error_ struct error *error =
            hv_new(fixture->ops, fixture->base, &fixture->config, &events, fixture, &fixture->hv);
        assert_int_equal(error_code(error), ERROR_UNIMPLEMENTED);
        assert_non_null(strstr(error_message(error), fixture->ops->name));
    }
}

#define WITH_MACHINE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(test_boots_echoes_powers_off),
        WITH_MACHINE(test_closed_port_ends),
        WITH_MACHINE(test_panic_is_told),
        WITH_MACHINE(test_killed_monitor_is_told),
        WITH_MACHINE(test_stop_is_orderly),
        WITH_MACHINE(test_stop_while_starting),
        WITH_MACHINE(test_free_while_starting),
        WITH_MACHINE(test_pause_stops_the_guest),
        WITH_MACHINE(test_disks_and_processors),
        WITH_MACHINE(test_taken_port_is_told),
        WITH_MACHINE(test_missing_parts_are_named),
        WITH_MACHINE(test_bad_memory_is_refused),
        WITH_MACHINE(test_missing_capability_is_told),
    };
    return hv_run_on_each(tests, ARRAY_SIZE(tests));
}
