/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net on a real tap device in a network namespace of its own: the test is the guest's driver, and the
   other side is a packet socket on the host's end. */
#include "assertions.h"
#include "base/fd.h"
#include "vmm/virtio/net.h"
#include "vmm_driver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { RECEIVE, TRANSMIT };

#define HEADER ((uint32_t)sizeof(struct virtio_net_hdr_mrg_rxbuf))
#define ETHERTYPE 0x88b5 /* for experiments on one's own network */
#define FRAME_HEADERS (14 + 20 + 20)
#define MERGE (UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF)
#define OUT_PACKET DRIVER_BUFFERS
#define IN_PACKET (DRIVER_BUFFERS + 0x100000)

struct fixture {
    struct driver driver;
    struct event_base *base;
    int wire; /* packet socket, with virtio-net headers */
};

static int open_tap(void)
{
    struct ifreq request = {.ifr_name = "tap0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0)
        fail_msg("a tap device: %s", strerror(errno));
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request.ifr_flags = IFF_UP;
    assert_int_equal(ioctl(control, SIOCSIFFLAGS, &request), 0);
    close(control);
    return tap;
}

static int open_wire(void)
{
    int wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
    const int yes = 1;
    const struct sockaddr_ll address = {.sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = (int)if_nametoindex("tap0")};
    assert_int_equal(setsockopt(wire, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof(yes)), 0);
    assert_int_equal(bind(wire, (const struct sockaddr *)&address, sizeof(address)), 0);
    return wire;
}

static void open_card(struct fixture *fixture, const struct rate_limit *transmit)
{
    struct virtio_device *device;
    struct net_options options = {.tap = open_tap(), .mac = {2, 0, 0, 0, 0, 1}, .transmit = *transmit};
    fixture->wire = open_wire();
    assert_ok(driver_open(&fixture->driver, false));
    fixture->base = fixture->driver.base;
    assert_ok(net_new(fixture->driver.bus, &options, &device));
    assert_ok(driver_attach(&fixture->driver, device));
}

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    open_card(fixture, &(struct rate_limit){0});
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    driver_close(&fixture->driver);
    close(fixture->wire);
    free(fixture);
    return 0;
}

static uint8_t byte_at(size_t position)
{
    return (uint8_t)(position * 7 + position / 251);
}

static void write_ethernet(uint8_t *frame, uint16_t type)
{
    const uint8_t addresses[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    memcpy(frame, addresses, sizeof(addresses));
    frame[12] = (uint8_t)(type >> 8);
    frame[13] = (uint8_t)type;
}

/* The next frame of that type on the host's side; its length. */
static size_t hear(struct fixture *fixture, uint8_t *frame, size_t size)
{
    uint8_t packet[2048];
    for (;;) {
        ssize_t length = read(fixture->wire, packet, sizeof(packet));
        const uint8_t *type = packet + sizeof(struct virtio_net_hdr) + 12;
        if (length < 0)
            driver_turn(&fixture->driver);
        else if (type[0] == ETHERTYPE >> 8 && type[1] == (ETHERTYPE & 255))
            return memcpy(frame, packet + sizeof(struct virtio_net_hdr), size) ? (size_t)length - 10 : 0;
    }
}

static void offer_packet(struct fixture *fixture, uint32_t length)
{
    uint8_t *packet = driver_at(&fixture->driver, OUT_PACKET);
    memset(packet, 0, HEADER);
    write_ethernet(packet + HEADER, ETHERTYPE);
    for (uint32_t i = HEADER + 14; i < length; i++)
        packet[i] = byte_at(i);
    const struct driver_part parts[] = {{OUT_PACKET, HEADER, false}, {OUT_PACKET + HEADER, 20, false},
        {OUT_PACKET + HEADER + 20, length - HEADER - 20, false}};
    driver_offer(&fixture->driver, TRANSMIT, parts, ARRAY_SIZE(parts));
    driver_notify(&fixture->driver, TRANSMIT);
}

static void test_packets_leave(void **state)
{
    struct fixture *fixture = *state;
    uint8_t frame[1000];
    driver_start(&fixture->driver, 0);
    offer_packet(fixture, HEADER + sizeof(frame));
    AWAIT(fixture, driver_has_used(&fixture->driver, TRANSMIT));
    assert_int_equal(hear(fixture, frame, sizeof(frame)), sizeof(frame));
    assert_memory_equal(frame, driver_at(&fixture->driver, OUT_PACKET + HEADER), sizeof(frame));
}

static void send_to_guest(struct fixture *fixture, size_t length)
{
    uint8_t packet[2048] = {0};
    uint8_t *frame = packet + sizeof(struct virtio_net_hdr);
    write_ethernet(frame, ETHERTYPE);
    for (size_t i = 14; i < length; i++)
        frame[i] = byte_at(i);
    length += sizeof(struct virtio_net_hdr);
    assert_int_equal(write(fixture->wire, packet, length), length);
}

/* A TCP segment of `payload` bytes that the wire is to cut into pieces of 1400, headers not filled in more
   than the way to the tap asks for. */
static void send_segment(struct fixture *fixture, size_t payload)
{
    const struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
        .hdr_len = FRAME_HEADERS,
        .gso_size = 1400,
        .csum_start = 34,
        .csum_offset = 16};
    size_t length = FRAME_HEADERS + payload;
    uint8_t *packet = must_alloc(sizeof(header) + length), *frame = packet + sizeof(header);
    memcpy(packet, &header, sizeof(header));
    write_ethernet(frame, ETHERTYPE_IP);
    frame[14] = 0x45;
    frame[16] = (uint8_t)((length - 14) >> 8);
    frame[17] = (uint8_t)(length - 14);
    frame[22] = 64;
    frame[23] = IPPROTO_TCP;
    frame[46] = 5 << 4;
    for (size_t i = FRAME_HEADERS; i < length; i++)
        frame[i] = byte_at(i);
    assert_int_equal(write(fixture->wire, packet, sizeof(header) + length), sizeof(header) + length);
    free(packet);
}

static void offer_buffers(struct fixture *fixture, unsigned count, uint32_t length)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = IN_PACKET + fixture->driver.queues[RECEIVE].next_descriptor * UINT64_C(0x10000) / 2;
        driver_offer(&fixture->driver, RECEIVE, &(struct driver_part){at, length, true}, 1);
    }
    driver_notify(&fixture->driver, RECEIVE);
}

/* The next packet of the guest, put together; packets of the namespace's own are skipped. */
static size_t take_packet(struct fixture *fixture, uint16_t type, uint8_t *packet)
{
    struct driver *driver = &fixture->driver;
    for (;;) {
        AWAIT(fixture, driver_has_used(driver, RECEIVE));
        uint16_t buffers = 1;
        size_t length = 0;
        for (unsigned i = 0; i < buffers; i++) {
            assert_true(driver_has_used(driver, RECEIVE));
            struct vring_used_elem used = driver_take(driver, RECEIVE);
            memcpy(packet + length, driver_at(driver, driver_descriptors(driver, RECEIVE)[used.id].addr),
                used.len);
            length += used.len;
            if (i == 0)
                memcpy(&buffers, packet + 10, sizeof(buffers));
        }
        if (packet[HEADER + 12] == type >> 8 && packet[HEADER + 13] == (type & 255))
            return length;
    }
}

static void test_packets_arrive(void **state)
{
    struct fixture *fixture = *state;
    uint8_t packet[2048];
    driver_start(&fixture->driver, 0);
    offer_buffers(fixture, 32, 2048);
    for (size_t length = 60; length < 1500; length += 97) {
        send_to_guest(fixture, length);
        offer_buffers(fixture, 1, 2048);
        assert_int_equal(take_packet(fixture, ETHERTYPE, packet), HEADER + length);
        for (size_t i = 14; i < length; i++)
            assert_int_equal(packet[HEADER + i], byte_at(i));
    }
}

static const uint64_t offloads =
    MERGE | UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4;

static void test_a_large_segment_fills_many_buffers(void **state)
{
    struct fixture *fixture = *state;
    const size_t payload = 30000;
    uint8_t *packet = must_alloc(70000);
    driver_start(&fixture->driver, offloads);
    offer_buffers(fixture, 40, 1600);
    send_segment(fixture, payload);
    assert_int_equal(take_packet(fixture, ETHERTYPE_IP, packet), HEADER + FRAME_HEADERS + payload);
    const struct virtio_net_hdr *header = (const void *)packet;
    assert_int_equal(header->gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    assert_int_equal(header->gso_size, 1400);
    for (size_t i = FRAME_HEADERS; i < FRAME_HEADERS + payload; i++)
        assert_int_equal(packet[HEADER + i], byte_at(i));
    free(packet);
}

/* Nothing of a packet shows before all of it has a place. */
static void test_a_large_segment_waits_for_buffers(void **state)
{
    struct fixture *fixture = *state;
    const size_t payload = 20000;
    uint8_t *packet = must_alloc(70000);
    driver_start(&fixture->driver, offloads);
    send_segment(fixture, payload);
    for (unsigned i = 0; i < 60; i++) {
        offer_buffers(fixture, 1, 1000);
        driver_turn(&fixture->driver);
    }
    assert_int_equal(take_packet(fixture, ETHERTYPE_IP, packet), HEADER + FRAME_HEADERS + payload);
    free(packet);
}

/* Without merged buffers, what is too large for its buffer is lost, and the next packet is not. */
static void test_what_does_not_fit_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    uint8_t packet[2048];
    driver_start(&fixture->driver, 0);
    send_to_guest(fixture, 1400);
    send_to_guest(fixture, 100);
    offer_buffers(fixture, 32, 300);
    assert_int_equal(take_packet(fixture, ETHERTYPE, packet), HEADER + 100);
}

static void test_stumps_stop_the_card(void **state)
{
    struct fixture *fixture = *state;
    driver_start(&fixture->driver, 0);
    driver_offer(&fixture->driver, TRANSMIT, &(struct driver_part){OUT_PACKET, 11, false}, 1);
    driver_notify(&fixture->driver, TRANSMIT);
    AWAIT(fixture, fixture->driver.failures == 1);
    driver_start(&fixture->driver, 0);
    offer_buffers(fixture, 1, 11);
    AWAIT(fixture, fixture->driver.failures == 2);
}

/* Nonsense in headers is the kernel's to refuse; the card goes on. */
static void test_bad_headers_are_lost_packets(void **state)
{
    struct fixture *fixture = *state;
    uint8_t frame[100];
    driver_start(&fixture->driver, 0);
    for (unsigned i = 0; i < 40; i++) {
        offer_packet(fixture, HEADER + 100);
        memset(driver_at(&fixture->driver, OUT_PACKET), 0x11 * (1 + i % 15), HEADER);
        AWAIT(fixture, driver_has_used(&fixture->driver, TRANSMIT));
        driver_take(&fixture->driver, TRANSMIT);
    }
    offer_packet(fixture, HEADER + 100);
    assert_int_equal(hear(fixture, frame, sizeof(frame)), sizeof(frame));
    assert_int_equal(fixture->driver.failures, 0);
}

static void test_a_reset_forgets_the_packet_that_waits(void **state)
{
    struct fixture *fixture = *state;
    uint8_t packet[2048];
    driver_start(&fixture->driver, offloads);
    offer_buffers(fixture, 3, 1000);
    send_segment(fixture, 20000);
    driver_turn(&fixture->driver);
    driver_start(&fixture->driver, MERGE);
    offer_buffers(fixture, 32, 1600);
    send_to_guest(fixture, 200);
    assert_int_equal(take_packet(fixture, ETHERTYPE, packet), HEADER + 200);
}

static void test_a_limit_holds_the_rest_back(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    open_card(fixture, &(struct rate_limit){.bytes_per_second = 1, .bytes_burst = 1});
    driver_start(&fixture->driver, 0);
    offer_packet(fixture, 1000);
    offer_packet(fixture, 1000);
    driver_turn(&fixture->driver);
    driver_notify(&fixture->driver, TRANSMIT);
    driver_turn(&fixture->driver);
    assert_int_equal(driver_used(&fixture->driver, TRANSMIT)->idx, 1);
    void *old = fixture;
    tear_down(&old);
}

static void test_what_a_limit_holds_goes_on_by_itself(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    open_card(fixture, &(struct rate_limit){.operations_per_second = 2000, .operations_burst = 1});
    driver_start(&fixture->driver, 0);
    for (unsigned i = 0; i < 20; i++)
        offer_packet(fixture, 100);
    AWAIT(fixture, driver_used(&fixture->driver, TRANSMIT)->idx == 20);
    void *old = fixture;
    tear_down(&old);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    if (unshare(CLONE_NEWNET) < 0 || access("/dev/net/tun", R_OK | W_OK) < 0) {
        print_message("1..0 # SKIP a tap device needs root\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        CASE(test_packets_leave),
        CASE(test_packets_arrive),
        CASE(test_a_large_segment_fills_many_buffers),
        CASE(test_a_large_segment_waits_for_buffers),
        CASE(test_what_does_not_fit_is_dropped),
        CASE(test_stumps_stop_the_card),
        CASE(test_bad_headers_are_lost_packets),
        CASE(test_a_reset_forgets_the_packet_that_waits),
        cmocka_unit_test(test_a_limit_holds_the_rest_back),
        cmocka_unit_test(test_what_a_limit_holds_goes_on_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
