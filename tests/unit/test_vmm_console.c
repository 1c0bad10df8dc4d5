/* SPDX-License-Identifier: Apache-2.0 */
#include "assertions.h"
#include "base/fd.h"
#include "vmm/virtio/console.h"
#include "vmm_driver.h"

#include <linux/virtio_console.h>
#include <sys/socket.h>

enum { CONTROL_RECEIVE = 2, CONTROL_TRANSMIT, RECEIVE, TRANSMIT };

#define MULTIPORT (UINT64_C(1) << VIRTIO_CONSOLE_F_MULTIPORT)
#define CONTROL_BUFFER (DRIVER_BUFFERS + 0x1000)
#define INPUT (DRIVER_BUFFERS + 0x2000)
#define OUTPUT (DRIVER_BUFFERS + 0x100000)

struct fixture {
    struct driver driver;
    struct event_base *base;
    int host;
};

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    struct virtio_device *device;
    int socket;
    assert_ok(unix_pair(&fixture->host, &socket));
    assert_ok(driver_open(&fixture->driver, false));
    assert_ok(console_new(fixture->driver.bus, socket, "caisson.link.0", &device));
    assert_ok(driver_attach(&fixture->driver, device));
    fixture->base = fixture->driver.base;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    driver_close(&fixture->driver);
    close_fd(fixture->host);
    free(fixture);
    return 0;
}

static void say(struct fixture *fixture, uint16_t event, uint16_t value)
{
    const struct virtio_console_control control = {.id = 1, .event = event, .value = value};
    const struct driver_part part = {DRIVER_BUFFERS, sizeof(control), false};
    memcpy(driver_at(&fixture->driver, DRIVER_BUFFERS), &control, sizeof(control));
    driver_offer(&fixture->driver, CONTROL_TRANSMIT, &part, 1);
    driver_notify(&fixture->driver, CONTROL_TRANSMIT);
    AWAIT(fixture, driver_has_used(&fixture->driver, CONTROL_TRANSMIT));
    driver_take(&fixture->driver, CONTROL_TRANSMIT);
}

/* Awaits a message of the device; returns the length of what follows its header. */
static size_t hear(struct fixture *fixture, uint16_t event, uint16_t value)
{
    struct driver *driver = &fixture->driver;
    const struct driver_part part = {CONTROL_BUFFER, 256, true};
    driver_offer(driver, CONTROL_RECEIVE, &part, 1);
    driver_notify(driver, CONTROL_RECEIVE);
    AWAIT(fixture, driver_has_used(driver, CONTROL_RECEIVE));
    struct virtio_console_control control;
    memcpy(&control, driver_at(driver, CONTROL_BUFFER), sizeof(control));
    assert_int_equal(control.id, 1);
    assert_int_equal(control.event, event);
    assert_int_equal(control.value, value);
    return driver_take(driver, CONTROL_RECEIVE).len - sizeof(control);
}

/* As drivers/char/virtio_console.c does it, up to a program that has opened the port. */
static void open_port(struct fixture *fixture)
{
    driver_start(&fixture->driver, MULTIPORT);
    say(fixture, VIRTIO_CONSOLE_DEVICE_READY, 1);
    hear(fixture, VIRTIO_CONSOLE_PORT_ADD, 1);
    say(fixture, VIRTIO_CONSOLE_PORT_READY, 1);
    assert_int_equal(hear(fixture, VIRTIO_CONSOLE_PORT_NAME, 1), strlen("caisson.link.0"));
    assert_memory_equal(driver_at(&fixture->driver, CONTROL_BUFFER + sizeof(struct virtio_console_control)),
        "caisson.link.0", strlen("caisson.link.0"));
    hear(fixture, VIRTIO_CONSOLE_PORT_OPEN, 1);
    say(fixture, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

static uint8_t byte_at(size_t position)
{
    return (uint8_t)(position * 7 + position / 251);
}

static void test_input_waits_for_the_guest_to_open(void **state)
{
    struct fixture *fixture = *state;
    const struct driver_part part = {INPUT, 64, true};
    assert_ok(fd_write_all(fixture->host, "early", 5));
    driver_start(&fixture->driver, MULTIPORT);
    driver_offer(&fixture->driver, RECEIVE, &part, 1);
    driver_notify(&fixture->driver, RECEIVE);
    driver_turn(&fixture->driver);
    assert_false(driver_has_used(&fixture->driver, RECEIVE));
    say(fixture, VIRTIO_CONSOLE_PORT_OPEN, 1);
    AWAIT(fixture, driver_has_used(&fixture->driver, RECEIVE));
    assert_int_equal(driver_take(&fixture->driver, RECEIVE).len, 5);
    assert_memory_equal(driver_at(&fixture->driver, INPUT), "early", 5);
}

/* Much input through few small buffers of odd sizes: each byte comes once and in order. */
static void test_input_keeps_its_order(void **state)
{
    struct fixture *fixture = *state;
    struct driver *driver = &fixture->driver;
    const size_t total = 100000;
    uint8_t *data = must_alloc(total);
    for (size_t i = 0; i < total; i++)
        data[i] = byte_at(i);
    open_port(fixture);
    assert_ok(fd_write_all(fixture->host, data, total));
    for (size_t seen = 0; seen < total;) {
        const struct driver_part parts[] = {
            {INPUT, (uint32_t)(1 + seen % 700), true}, {INPUT + 4096, 33, true}};
        driver_offer(driver, RECEIVE, parts, 2);
        driver_notify(driver, RECEIVE);
        AWAIT(fixture, driver_has_used(driver, RECEIVE));
        size_t length = driver_take(driver, RECEIVE).len;
        for (size_t i = 0; i < length; i++, seen++) {
            bool first = i < parts[0].length;
            uint64_t at = first ? INPUT + i : INPUT + 4096 + i - parts[0].length;
            assert_int_equal(*(uint8_t *)driver_at(driver, at), byte_at(seen));
        }
    }
    free(data);
}

/* More output than the socket holds: the device waits, and loses nothing. */
static void test_output_waits_for_a_slow_reader(void **state)
{
    struct fixture *fixture = *state;
    struct driver *driver = &fixture->driver;
    const uint32_t chunk = 65536, chunks = 32;
    uint8_t *seen = must_alloc(chunk);
    open_port(fixture);
    for (size_t i = 0; i < chunk; i++)
        *(uint8_t *)driver_at(driver, OUTPUT + i) = byte_at(i);
    const struct driver_part parts[] = {{OUTPUT, 1000, false}, {OUTPUT + 1000, chunk - 1000, false}};
    for (unsigned i = 0; i < chunks; i++)
        driver_offer(driver, TRANSMIT, parts, 2);
    driver_notify(driver, TRANSMIT);
    driver_turn(driver);
    assert_true(driver_used(driver, TRANSMIT)->idx < chunks);
    fd_set_nonblocking(fixture->host, true);
    for (size_t total = 0; total < chunk * chunks;) {
        ssize_t got = read(fixture->host, seen, chunk);
        for (ssize_t i = 0; i < got; i++, total++)
            assert_int_equal(seen[i], byte_at(total % chunk));
        driver_turn(driver);
    }
    AWAIT(fixture, driver_used(driver, TRANSMIT)->idx == chunks);
    free(seen);
}

static void test_the_guest_is_told_of_a_closed_socket(void **state)
{
    struct fixture *fixture = *state;
    const struct driver_part input = {INPUT, 64, true}, output = {OUTPUT, 64, false};
    open_port(fixture);
    driver_offer(&fixture->driver, RECEIVE, &input, 1);
    driver_notify(&fixture->driver, RECEIVE);
    close(TAKE_FD(fixture->host));
    hear(fixture, VIRTIO_CONSOLE_PORT_OPEN, 0);
    assert_false(driver_has_used(&fixture->driver, RECEIVE));
    driver_offer(&fixture->driver, TRANSMIT, &output, 1);
    driver_notify(&fixture->driver, TRANSMIT);
    AWAIT(fixture, driver_has_used(&fixture->driver, TRANSMIT));
}

static void test_a_reset_forgets_the_half_sent(void **state)
{
    struct fixture *fixture = *state;
    const struct driver_part part = {OUTPUT, 1 << 20, false};
    open_port(fixture);
    driver_offer(&fixture->driver, TRANSMIT, &part, 1);
    driver_notify(&fixture->driver, TRANSMIT);
    driver_turn(&fixture->driver);
    assert_false(driver_has_used(&fixture->driver, TRANSMIT));
    open_port(fixture);
    uint8_t drain[4096];
    while (recv(fixture->host, drain, sizeof(drain), MSG_DONTWAIT) > 0)
        driver_turn(&fixture->driver);
    assert_false(driver_has_used(&fixture->driver, TRANSMIT));
    const struct driver_part hello = {OUTPUT, 5, false};
    memcpy(driver_at(&fixture->driver, OUTPUT), "hello", 5);
    driver_offer(&fixture->driver, TRANSMIT, &hello, 1);
    driver_notify(&fixture->driver, TRANSMIT);
    AWAIT(fixture, driver_has_used(&fixture->driver, TRANSMIT));
    assert_int_equal(read(fixture->host, drain, sizeof(drain)), 5);
}

/* The next driver has buffers, and nobody there has opened the port yet. */
static void test_a_reset_closes_the_port(void **state)
{
    struct fixture *fixture = *state;
    const struct driver_part part = {INPUT, 64, true};
    open_port(fixture);
    driver_start(&fixture->driver, MULTIPORT);
    driver_offer(&fixture->driver, RECEIVE, &part, 1);
    assert_ok(fd_write_all(fixture->host, "x", 1));
    driver_turn(&fixture->driver);
    driver_turn(&fixture->driver);
    assert_false(driver_has_used(&fixture->driver, RECEIVE));
}

static void test_bad_messages_stop_the_device(void **state)
{
    struct fixture *fixture = *state;
    const struct driver_part stump = {DRIVER_BUFFERS, 3, false}, empty = {INPUT, 0, true};
    open_port(fixture);
    driver_offer(&fixture->driver, CONTROL_TRANSMIT, &stump, 1);
    driver_notify(&fixture->driver, CONTROL_TRANSMIT);
    AWAIT(fixture, fixture->driver.failures == 1);
    assert_non_null(strstr(fixture->driver.failure, "control message of 3 bytes"));
    open_port(fixture);
    assert_ok(fd_write_all(fixture->host, "x", 1));
    driver_offer(&fixture->driver, RECEIVE, &empty, 1);
    driver_notify(&fixture->driver, RECEIVE);
    AWAIT(fixture, fixture->driver.failures == 2);
    assert_non_null(strstr(fixture->driver.failure, "without room"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_input_waits_for_the_guest_to_open),
        CASE(test_input_keeps_its_order),
        CASE(test_output_waits_for_a_slow_reader),
        CASE(test_the_guest_is_told_of_a_closed_socket),
        CASE(test_a_reset_forgets_the_half_sent),
        CASE(test_a_reset_closes_the_port),
        CASE(test_bad_messages_stop_the_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
