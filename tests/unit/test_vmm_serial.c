/* SPDX-License-Identifier: Apache-2.0 */
/* The debug console, driven as Linux's 8250 driver does it. */
#include "assertions.h"
#include "base/cleanup.h"
#include "vmm/serial.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/eventfd.h>

struct fixture {
    int pipes[2];
    int interrupt;
    struct serial *serial;
};

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    if (pipe2(fixture->pipes, O_NONBLOCK | O_CLOEXEC) < 0)
        return -1;
    fixture->interrupt = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    fixture->serial = serial_new(fixture->pipes[1], fixture->interrupt);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    serial_free(fixture->serial);
    close_fd(fixture->pipes[0]);
    close_fd(fixture->pipes[1]);
    close_fd(fixture->interrupt);
    free(fixture);
    return 0;
}

static void send(struct fixture *fixture, const char *text)
{
    for (; *text; text++)
        serial_write(fixture->serial, 0, (uint8_t)*text);
}

static void assert_received(struct fixture *fixture, const char *text)
{
    char buffer[1024];
    ssize_t count = read(fixture->pipes[0], buffer, sizeof(buffer) - 1);
    buffer[count < 0 ? 0 : count] = '\0';
    assert_string_equal(buffer, text);
}

static bool interrupted(struct fixture *fixture)
{
    eventfd_t value;
    return eventfd_read(fixture->interrupt, &value) == 0;
}

static void lines_come_out(void **state)
{
    struct fixture *fixture = *state;
    send(fixture, "one\ntw");
    assert_received(fixture, "one\n");
    send(fixture, "o\n");
    assert_received(fixture, "two\n");
    send(fixture, "rest");
    assert_received(fixture, "");
    serial_flush(fixture->serial);
    assert_received(fixture, "rest");
    assert_false(interrupted(fixture));
}

static void long_lines_do_not_wait(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 256; i++)
        send(fixture, "x");
    char buffer[512];
    assert_int_equal(read(fixture->pipes[0], buffer, sizeof(buffer)), 256);
}

static void nobody_who_reads_stops_nobody(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 1 << 17; i++)
        send(fixture, "\n");
    char byte;
    assert_int_equal(read(fixture->pipes[0], &byte, 1), 1);
}

static void divisor_is_no_data(void **state)
{
    struct fixture *fixture = *state;
    serial_write(fixture->serial, 3, 0x83);
    serial_write(fixture->serial, 0, 1);
    serial_write(fixture->serial, 1, 2);
    assert_int_equal(serial_read(fixture->serial, 0), 1);
    assert_int_equal(serial_read(fixture->serial, 1), 2);
    serial_write(fixture->serial, 3, 0x03);
    assert_int_equal(serial_read(fixture->serial, 1), 0);
    send(fixture, "\n");
    assert_received(fixture, "\n");
}

/* As drivers/tty/serial/8250/8250_port.c (autoconfig) looks for a port and which it is. */
static void driver_finds_a_16550a(void **state)
{
    struct fixture *fixture = *state;
    serial_write(fixture->serial, 1, 0x0f);
    assert_int_equal(serial_read(fixture->serial, 1), 0x0f);
    serial_write(fixture->serial, 1, 0);
    serial_write(fixture->serial, 4, 0x1a); /* loopback, OUT2, RTS */
    assert_int_equal(serial_read(fixture->serial, 6) & 0xf0, 0x90);
    send(fixture, "lost\n");
    serial_write(fixture->serial, 4, 0);
    assert_received(fixture, "");
    serial_write(fixture->serial, 2, 1);
    assert_int_equal(serial_read(fixture->serial, 2) >> 6, 3);
    serial_write(fixture->serial, 7, 0xa5);
    assert_int_equal(serial_read(fixture->serial, 7), 0xa5);
}

static void transmitter_interrupts(void **state)
{
    struct fixture *fixture = *state;
    serial_write(fixture->serial, 1, 2);
    assert_true(interrupted(fixture));
    assert_int_equal(serial_read(fixture->serial, 2) & 0x0f, 2);
    assert_int_equal(serial_read(fixture->serial, 2) & 0x0f, 1);
    send(fixture, "x");
    assert_true(interrupted(fixture));
    assert_int_equal(serial_read(fixture->serial, 5), 0x60);
    serial_write(fixture->serial, 1, 0);
    assert_false(interrupted(fixture));
}

int main(void)
{
#define WITH_SERIAL(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        WITH_SERIAL(lines_come_out),
        WITH_SERIAL(long_lines_do_not_wait),
        WITH_SERIAL(nobody_who_reads_stops_nobody),
        WITH_SERIAL(divisor_is_no_data),
        WITH_SERIAL(driver_finds_a_16550a),
        WITH_SERIAL(transmitter_interrupts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
