/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-vsock with real unix sockets at the host's side, and the test as the guest's kernel. */
#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "vmm/virtio/vsock.h"
#include "vmm_driver.h"

#include <inttypes.h>
#include <linux/virtio_vsock.h>
#include <sys/socket.h>

enum { RECEIVE, TRANSMIT, EVENTS };

#define CID UINT64_C(42)
#define HEADER ((uint32_t)sizeof(struct virtio_vsock_hdr))
#define BUFFER_SIZE 4096u
#define BUFFERS 32u
#define IN_PACKETS DRIVER_BUFFERS /* BUFFERS of BUFFER_SIZE */
#define EVENT (DRIVER_BUFFERS + 0x40000)
#define OUT_PACKET (DRIVER_BUFFERS + 0x50000)
#define OUR_SPACE (UINT32_C(128) << 10) /* what the device says that it buffers */

struct fixture {
    struct driver driver;
    struct event_base *base;
    char directory[32];
    char path[64];
    int connected; /* the test's end of what the guest connected to last */
    uint32_t connected_port;
    struct virtio_vsock_hdr heard; /* the last packet */
    uint8_t data[BUFFER_SIZE];     /* and what was in it */
};

static int on_connect(void *context, uint32_t port)
{
    struct fixture *fixture = context;
    int end;
    if (port == 99)
        return -1;
    assert_ok(unix_pair(&fixture->connected, &end));
    fixture->connected_port = port;
    return end;
}

static void offer_buffer(struct fixture *fixture, unsigned index)
{
    const struct driver_part part = {IN_PACKETS + index * BUFFER_SIZE, BUFFER_SIZE, true};
    driver_offer(&fixture->driver, RECEIVE, &part, 1);
    driver_notify(&fixture->driver, RECEIVE);
}

static void start(struct fixture *fixture)
{
    driver_start(&fixture->driver, 0);
    for (unsigned i = 0; i < BUFFERS; i++)
        offer_buffer(fixture, i);
}

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    struct virtio_device *device;
    struct vsock_options options = {.guest_cid = CID, .connect = on_connect, .context = fixture};
    fixture->connected = -1;
    strcpy(fixture->directory, "/tmp/caisson-vsock-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof(fixture->path), "%s/socket", fixture->directory);
    assert_ok(unix_listen(fixture->path, &options.listener));
    assert_ok(driver_open(&fixture->driver, false));
    fixture->base = fixture->driver.base;
    assert_ok(vsock_new(fixture->driver.bus, &options, &device));
    assert_ok(driver_attach(&fixture->driver, device));
    start(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    driver_close(&fixture->driver);
    close_fd(fixture->connected);
    assert_ok(tree_remove(fixture->directory));
    free(fixture);
    return 0;
}

/* Takes the next packet for the guest, and gives its buffer back to the device. */
static void hear(struct fixture *fixture)
{
    struct driver *driver = &fixture->driver;
    AWAIT(fixture, driver_has_used(driver, RECEIVE));
    struct vring_used_elem used = driver_take(driver, RECEIVE);
    uint64_t at = driver_descriptors(driver, RECEIVE)[used.id].addr;
    memcpy(&fixture->heard, driver_at(driver, at), HEADER);
    memcpy(fixture->data, driver_at(driver, at + HEADER), used.len - HEADER);
    assert_int_equal(fixture->heard.len, used.len - HEADER);
    assert_int_equal(fixture->heard.dst_cid, CID);
    offer_buffer(fixture, (unsigned)((at - IN_PACKETS) / BUFFER_SIZE));
}

static void hear_operation(struct fixture *fixture, unsigned operation)
{
    hear(fixture);
    assert_int_equal(fixture->heard.op, operation);
}

/* A packet of the guest. */
static void say_packet(struct fixture *fixture, const struct virtio_vsock_hdr *header, const void *data)
{
    struct driver *driver = &fixture->driver;
    const struct driver_part parts[] = {
        {OUT_PACKET, HEADER, false}, {OUT_PACKET + HEADER, header->len, false}};
    memcpy(driver_at(driver, OUT_PACKET), header, HEADER);
    if (header->len)
        memcpy(driver_at(driver, OUT_PACKET + HEADER), data, header->len);
    driver_offer(driver, TRANSMIT, parts, header->len ? 2 : 1);
    driver_notify(driver, TRANSMIT);
    AWAIT(fixture, driver_has_used(driver, TRANSMIT) || driver->failures);
    if (!driver->failures)
        driver_take(driver, TRANSMIT);
}

struct stream {
    uint32_t guest_port, host_port;
    uint32_t space, taken; /* what the guest says of its buffer */
};

static void say(struct fixture *fixture, const struct stream *stream, unsigned operation, const void *data,
    uint32_t length)
{
    const struct virtio_vsock_hdr header = {.src_cid = CID,
        .dst_cid = 2,
        .src_port = stream->guest_port,
        .dst_port = stream->host_port,
        .len = length,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = (uint16_t)operation,
        .flags = operation == VIRTIO_VSOCK_OP_SHUTDOWN ? 3 : 0,
        .buf_alloc = stream->space,
        .fwd_cnt = stream->taken};
    say_packet(fixture, &header, data);
}

static void read_text(struct fixture *fixture, int fd, const char *text)
{
    char found[128] = {0};
    assert_ok(fd_set_nonblocking(fd, true));
    for (size_t length = 0; length < strlen(text);) {
        ssize_t got = read(fd, found + length, strlen(text) - length);
        length += got > 0 ? (size_t)got : 0;
        driver_turn(&fixture->driver);
    }
    assert_string_equal(found, text);
}

static void assert_closed(struct fixture *fixture, int fd)
{
    char byte;
    assert_ok(fd_set_nonblocking(fd, true));
    ssize_t got;
    while ((got = read(fd, &byte, 1)) < 0 && errno == EAGAIN)
        driver_turn(&fixture->driver);
    assert_true(got <= 0);
}

/* From a program of the host to the guest's port. */
static int connect_to_guest(struct fixture *fixture, uint32_t port, struct stream *ret_stream)
{
    int fd;
    assert_ok(unix_connect(fixture->path, &fd));
    _cleanup_free_ char *line = must_printf("CONNECT %" PRIu32 "\n", port);
    assert_ok(fd_write_all(fd, line, strlen(line)));
    hear_operation(fixture, VIRTIO_VSOCK_OP_REQUEST);
    assert_int_equal(fixture->heard.dst_port, port);
    *ret_stream = (struct stream){.guest_port = port, .host_port = fixture->heard.src_port, .space = 1 << 16};
    say(fixture, ret_stream, VIRTIO_VSOCK_OP_RESPONSE, NULL, 0);
    _cleanup_free_ char *answer = must_printf("OK %" PRIu32 "\n", ret_stream->host_port);
    read_text(fixture, fd, answer);
    return fd;
}

static void test_the_host_reaches_the_guest(void **state)
{
    struct fixture *fixture = *state;
    struct stream stream;
    int fd = connect_to_guest(fixture, 1024, &stream);
    assert_ok(fd_set_nonblocking(fd, false));
    assert_ok(fd_write_all(fd, "ping", 4));
    hear_operation(fixture, VIRTIO_VSOCK_OP_RW);
    assert_memory_equal(fixture->data, "ping", 4);
    say(fixture, &stream, VIRTIO_VSOCK_OP_RW, "pong", 4);
    read_text(fixture, fd, "pong");
    shutdown(fd, SHUT_WR);
    hear_operation(fixture, VIRTIO_VSOCK_OP_SHUTDOWN);
    assert_int_equal(fixture->heard.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
    say(fixture, &stream, VIRTIO_VSOCK_OP_RW, "late", 4);
    read_text(fixture, fd, "late");
    say(fixture, &stream, VIRTIO_VSOCK_OP_SHUTDOWN, NULL, 0);
    hear_operation(fixture, VIRTIO_VSOCK_OP_RST);
    assert_closed(fixture, fd);
    close(fd);
}

static void test_the_guest_reaches_the_host(void **state)
{
    struct fixture *fixture = *state;
    const struct stream stream = {.guest_port = 5000, .host_port = 1025, .space = 1 << 16};
    say(fixture, &stream, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
    hear_operation(fixture, VIRTIO_VSOCK_OP_RESPONSE);
    assert_int_equal(fixture->connected_port, 1025);
    say(fixture, &stream, VIRTIO_VSOCK_OP_RW, "hello", 5);
    read_text(fixture, fixture->connected, "hello");
    say(fixture, &stream, VIRTIO_VSOCK_OP_RST, NULL, 0);
    assert_closed(fixture, fixture->connected);
    const struct stream nobody = {.guest_port = 5001, .host_port = 99};
    say(fixture, &nobody, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
    hear_operation(fixture, VIRTIO_VSOCK_OP_RST);
    assert_int_equal(fixture->heard.src_port, 99);
}

static void test_nobody_listens_in_the_guest(void **state)
{
    struct fixture *fixture = *state;
    int fd;
    assert_ok(unix_connect(fixture->path, &fd));
    assert_ok(fd_write_all(fd, "CONNECT 7\n", 10));
    hear_operation(fixture, VIRTIO_VSOCK_OP_REQUEST);
    const struct stream stream = {.guest_port = 7, .host_port = fixture->heard.src_port};
    say(fixture, &stream, VIRTIO_VSOCK_OP_RST, NULL, 0);
    assert_closed(fixture, fd);
    close(fd);
}

/* A greeting in pieces, with data right behind it, which is not lost. */
static void test_greetings_may_come_in_pieces(void **state)
{
    struct fixture *fixture = *state;
    static const char *const pieces[] = {"CON", "NECT 1", "2\nfirst words"};
    int fd;
    assert_ok(unix_connect(fixture->path, &fd));
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        assert_ok(fd_write_all(fd, pieces[i], strlen(pieces[i])));
        driver_turn(&fixture->driver);
        driver_turn(&fixture->driver);
    }
    hear_operation(fixture, VIRTIO_VSOCK_OP_REQUEST);
    assert_int_equal(fixture->heard.dst_port, 12);
    const struct stream stream = {.guest_port = 12, .host_port = fixture->heard.src_port, .space = 1 << 16};
    say(fixture, &stream, VIRTIO_VSOCK_OP_RESPONSE, NULL, 0);
    hear_operation(fixture, VIRTIO_VSOCK_OP_RW);
    assert_memory_equal(fixture->data, "first words", 11);
    close(fd);
}

static void test_bad_greetings_are_hung_up_on(void **state)
{
    struct fixture *fixture = *state;
    static const char *const lines[] = {"HELLO 1\n", "CONNECT\n", "CONNECT -1\n", "CONNECT 4294967296\n",
        "CONNECT 1 2\n", "CONNECT 11111111111111111111111111111111111111111\n", "\n"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        int fd;
        assert_ok(unix_connect(fixture->path, &fd));
        assert_ok(fd_write_all(fd, lines[i], strlen(lines[i])));
        assert_closed(fixture, fd);
        close(fd);
    }
    assert_false(driver_has_used(&fixture->driver, RECEIVE));
}

/* The guest takes 100 bytes, and then 50 more. */
static void test_the_device_keeps_to_the_guests_credit(void **state)
{
    struct fixture *fixture = *state;
    struct stream stream;
    uint8_t data[1000];
    size_t total = 0;
    int fd = connect_to_guest(fixture, 1024, &stream);
    stream.space = 100;
    say(fixture, &stream, VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)i;
    assert_ok(fd_set_nonblocking(fd, false));
    assert_ok(fd_write_all(fd, data, sizeof(data)));
    while (total < sizeof(data)) {
        uint32_t credit = stream.space - ((uint32_t)total - stream.taken), before = (uint32_t)total;
        while (total - before < credit && total < sizeof(data)) {
            hear_operation(fixture, VIRTIO_VSOCK_OP_RW);
            assert_memory_equal(fixture->data, data + total, fixture->heard.len);
            total += fixture->heard.len;
        }
        assert_true(total - before <= credit);
        driver_turn(&fixture->driver);
        assert_false(driver_has_used(&fixture->driver, RECEIVE));
        stream.taken += 50;
        say(fixture, &stream, VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
    }
    close(fd);
}

/* A host that does not read: the guest may send what the device buffers and not a byte more; when the host
   reads, the guest hears of new credit, and nothing is lost. */
static void test_a_slow_reader_gets_everything(void **state)
{
    struct fixture *fixture = *state;
    const struct stream stream = {.guest_port = 1, .host_port = 2, .space = 1 << 16};
    const uint32_t chunk = 16384, total = 64 * chunk;
    uint8_t *data = must_alloc(chunk);
    uint32_t said = 0, credited = OUR_SPACE, seen = 0;
    say(fixture, &stream, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
    hear_operation(fixture, VIRTIO_VSOCK_OP_RESPONSE);
    assert_ok(fd_set_nonblocking(fixture->connected, true));
    while (seen < total) {
        while (said < total && said + chunk <= credited) {
            for (uint32_t i = 0; i < chunk; i++)
                data[i] = (uint8_t)((said + i) * 7 + (said + i) / 253);
            say(fixture, &stream, VIRTIO_VSOCK_OP_RW, data, chunk);
            said += chunk;
        }
        ssize_t got = read(fixture->connected, data, chunk);
        for (ssize_t i = 0; i < got; i++, seen++)
            assert_int_equal(data[i], (uint8_t)(seen * 7 + seen / 253));
        driver_turn(&fixture->driver);
        while (driver_has_used(&fixture->driver, RECEIVE)) {
            hear_operation(fixture, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
            credited = fixture->heard.fwd_cnt + OUR_SPACE;
        }
    }
    free(data);
}

static void test_who_overdraws_loses_the_stream(void **state)
{
    struct fixture *fixture = *state;
    const struct stream stream = {.guest_port = 1, .host_port = 2, .space = 1 << 16};
    static uint8_t data[65536];
    say(fixture, &stream, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
    hear_operation(fixture, VIRTIO_VSOCK_OP_RESPONSE);
    do {
        say(fixture, &stream, VIRTIO_VSOCK_OP_RW, data, sizeof(data));
        while (driver_has_used(&fixture->driver, RECEIVE))
            hear(fixture);
    } while (fixture->heard.op != VIRTIO_VSOCK_OP_RST);
    assert_int_equal(fixture->driver.failures, 0);
    say(fixture, &stream, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
    hear_operation(fixture, VIRTIO_VSOCK_OP_RESPONSE);
}

static void test_many_streams_do_not_mix(void **state)
{
    struct fixture *fixture = *state;
    enum { STREAMS = 200 };
    struct stream streams[STREAMS];
    int fds[STREAMS];
    unsigned counts[STREAMS] = {0};
    for (unsigned i = 0; i < STREAMS; i++)
        fds[i] = connect_to_guest(fixture, 1000 + i % 3, &streams[i]);
    for (unsigned i = 0; i < STREAMS; i++)
        assert_int_equal(write(fds[i], &i, sizeof(i)), sizeof(i));
    for (unsigned i = 0; i < STREAMS; i++) {
        unsigned number;
        hear_operation(fixture, VIRTIO_VSOCK_OP_RW);
        memcpy(&number, fixture->data, sizeof(number));
        assert_int_equal(fixture->heard.src_port, streams[number].host_port);
        counts[number]++;
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        assert_int_equal(counts[i], 1);
        say(fixture, &streams[i], VIRTIO_VSOCK_OP_RW, "bye", 3);
        read_text(fixture, fds[i], "bye");
        close(fds[i]);
    }
}

/* Beyond the most there are refusals, and no memory that grows. */
static void test_streams_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    unsigned accepted = 0, refused = 0;
    for (uint32_t i = 0; i < VSOCK_STREAMS_MAX + 20; i++) {
        const struct stream stream = {.guest_port = 10000 + i, .host_port = 1};
        close_fd(TAKE_FD(fixture->connected));
        say(fixture, &stream, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
        do {
            hear(fixture);
        } while (fixture->heard.op == VIRTIO_VSOCK_OP_SHUTDOWN);
        accepted += fixture->heard.op == VIRTIO_VSOCK_OP_RESPONSE;
        refused += fixture->heard.op == VIRTIO_VSOCK_OP_RST;
    }
    assert_int_equal(accepted, VSOCK_STREAMS_MAX);
    assert_int_equal(refused, 20);
}

static void test_strange_packets_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct virtio_vsock_hdr header = {.src_cid = CID, .dst_cid = 2, .src_port = 3, .dst_port = 4, .type = 1};
    for (uint16_t operation = 0; operation < 10; operation++) {
        header.op = operation;
        say_packet(fixture, &header, NULL);
        if (operation != VIRTIO_VSOCK_OP_RST)
            hear_operation(fixture,
                operation == VIRTIO_VSOCK_OP_REQUEST ? VIRTIO_VSOCK_OP_RESPONSE : VIRTIO_VSOCK_OP_RST);
    }
    header.op = VIRTIO_VSOCK_OP_REQUEST;
    header.src_cid = CID + 1;
    say_packet(fixture, &header, NULL);
    hear_operation(fixture, VIRTIO_VSOCK_OP_RST);
    header.src_cid = CID;
    header.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
    say_packet(fixture, &header, NULL);
    hear_operation(fixture, VIRTIO_VSOCK_OP_RST);
    assert_int_equal(fixture->driver.failures, 0);
}

/* Answers to nonsense are kept while the guest has no buffers, so many and no more. */
static void test_refusals_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    const struct stream nobody = {.guest_port = 7, .host_port = 99};
    driver_start(&fixture->driver, 0);
    for (unsigned i = 0; i < 200; i++)
        say(fixture, &nobody, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
    for (unsigned i = 0; i < DRIVER_QUEUE_SIZE; i++)
        offer_buffer(fixture, i % BUFFERS);
    AWAIT(fixture, driver_has_used(&fixture->driver, RECEIVE));
    assert_int_equal(driver_used(&fixture->driver, RECEIVE)->idx, 32);
}

static void test_stumps_stop_the_device(void **state)
{
    struct fixture *fixture = *state;
    const struct driver_part stump = {OUT_PACKET, HEADER - 1, false}, small = {IN_PACKETS, HEADER, true};
    const struct stream stream = {.guest_port = 5, .host_port = 1};
    struct virtio_vsock_hdr header = {.src_cid = CID, .dst_cid = 2, .type = 1, .op = 1, .len = 0};
    driver_offer(&fixture->driver, TRANSMIT, &stump, 1);
    driver_notify(&fixture->driver, TRANSMIT);
    AWAIT(fixture, fixture->driver.failures == 1);
    fixture->driver.failures = 0;
    start(fixture);
    const struct driver_part part = {OUT_PACKET, HEADER, false};
    header.len = 1;
    memcpy(driver_at(&fixture->driver, OUT_PACKET), &header, HEADER);
    driver_offer(&fixture->driver, TRANSMIT, &part, 1);
    driver_notify(&fixture->driver, TRANSMIT);
    AWAIT(fixture, fixture->driver.failures == 1);
    fixture->driver.failures = 0;
    driver_start(&fixture->driver, 0);
    driver_offer(&fixture->driver, RECEIVE, &small, 1);
    say(fixture, &stream, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
    AWAIT(fixture, fixture->driver.failures == 1);
}

static void test_a_reset_ends_all_streams(void **state)
{
    struct fixture *fixture = *state;
    struct stream stream;
    int open = connect_to_guest(fixture, 1, &stream), asked;
    assert_ok(unix_connect(fixture->path, &asked));
    assert_ok(fd_write_all(asked, "CONNECT 2\n", 10));
    hear_operation(fixture, VIRTIO_VSOCK_OP_REQUEST);
    driver_write(&fixture->driver, VIRTIO_MMIO_STATUS, 0);
    assert_closed(fixture, open);
    assert_closed(fixture, asked);
    start(fixture);
    close(open);
    close(asked);
    close(connect_to_guest(fixture, 1, &stream));
}

static void test_a_cut_is_told_to_the_guest(void **state)
{
    struct fixture *fixture = *state;
    const struct driver_part part = {EVENT, sizeof(struct virtio_vsock_event), true};
    struct stream stream;
    int fd = connect_to_guest(fixture, 1, &stream);
    vsock_cut(fixture->driver.device);
    assert_closed(fixture, fd);
    driver_offer(&fixture->driver, EVENTS, &part, 1);
    driver_notify(&fixture->driver, EVENTS);
    AWAIT(fixture, driver_has_used(&fixture->driver, EVENTS));
    close(fd);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_the_host_reaches_the_guest),
        CASE(test_the_guest_reaches_the_host),
        CASE(test_nobody_listens_in_the_guest),
        CASE(test_greetings_may_come_in_pieces),
        CASE(test_bad_greetings_are_hung_up_on),
        CASE(test_the_device_keeps_to_the_guests_credit),
        CASE(test_a_slow_reader_gets_everything),
        CASE(test_who_overdraws_loses_the_stream),
        CASE(test_many_streams_do_not_mix),
        CASE(test_streams_are_bounded),
        CASE(test_strange_packets_are_refused),
        CASE(test_refusals_are_bounded),
        CASE(test_stumps_stop_the_device),
        CASE(test_a_reset_ends_all_streams),
        CASE(test_a_cut_is_told_to_the_guest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
