/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's control channel: every message over a real socket, and everything that must be refused. */
#include "assertions.h"
#include "base/fd.h"
#include "vmm/control.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

struct channel {
    int owner, monitor;
};

static int set_up(void **state)
{
    struct channel *channel = must_new(struct channel);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -1;
    *channel = (struct channel){pair[0], pair[1]};
    *state = channel;
    return 0;
}

/* All descriptors but the standard ones. */
static unsigned open_fds(void)
{
    unsigned count = 0;
    for (int fd = 3; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int tear_down(void **state)
{
    struct channel *channel = *state;
    close_fd(channel->owner);
    close_fd(channel->monitor);
    free(channel);
    return 0;
}

static struct control_message machine_message(void)
{
    return (struct control_message){.type = CONTROL_MACHINE,
        .sequence = 7,
        .machine = {.memory = UINT64_C(128) << 20, .processors = 2, .flags = CONTROL_SHARED},
        .fds = {STDIN_FILENO, STDIN_FILENO},
        .fd_count = 2,
        .text = "console=ttyS0"};
}

static void test_machine_arrives(void **state)
{
    struct channel *channel = *state;
    const struct control_message sent = machine_message();
    assert_ok(control_send(channel->owner, &sent));
    unsigned before = open_fds();
    struct control_message got;
    assert_ok(control_receive(channel->monitor, CONTROL_MONITOR, &got));
    assert_int_equal(got.type, CONTROL_MACHINE);
    assert_int_equal(got.sequence, 7);
    assert_int_equal(got.machine.memory, sent.machine.memory);
    assert_int_equal(got.machine.processors, 2);
    assert_int_equal(got.machine.flags, CONTROL_SHARED);
    assert_string_equal(got.text, "console=ttyS0");
    assert_int_equal(got.fd_count, 2);
    assert_int_equal(fcntl(got.fds[1], F_GETFD), FD_CLOEXEC);
    assert_int_equal(open_fds(), before + 2);
    control_message_clear(&got);
    assert_int_equal(open_fds(), before);
}

static void test_every_request_arrives(void **state)
{
    struct channel *channel = *state;
    for (unsigned type = CONTROL_MACHINE; type <= CONTROL_COUNT_EXITS; type++) {
        struct control_message sent = {.type = type, .sequence = type};
        sent.fd_count = type == CONTROL_MACHINE ? 2 : type < CONTROL_START ? 1 : 0;
        if (type == CONTROL_MACHINE)
            sent = machine_message();
        else if (type == CONTROL_SHARE)
            memcpy(sent.share.tag, "volumes", 7);
        assert_ok(control_send(channel->owner, &sent));
        struct control_message got;
        assert_ok(control_receive(channel->monitor, CONTROL_MONITOR, &got));
        assert_int_equal(got.type, type);
        control_message_clear(&got);
    }
}

static void test_answers_carry_errors(void **state)
{
    struct channel *channel = *state;
    struct control_message answer, got;
    _cleanup_error_ struct error *cause = error_new(ERROR_RESOURCE_EXHAUSTED, "no room");
    control_answer_set(&answer, 3, cause);
    assert_ok(control_send(channel->monitor, &answer));
    assert_ok(control_receive(channel->owner, CONTROL_OWNER, &got));
    assert_int_equal(got.sequence, 3);
    _cleanup_error_ struct error *error = control_answer_error(&got);
    assert_int_equal(error_code(error), ERROR_RESOURCE_EXHAUSTED);
    assert_string_equal(error_message(error), "no room");
    control_answer_set(&answer, 4, NULL);
    assert_null(control_answer_error(&answer));
}

static void test_end_and_nothing_are_told_apart(void **state)
{
    struct channel *channel = *state;
    struct control_message got;
    _cleanup_error_ struct error *error = control_receive(channel->monitor, CONTROL_MONITOR, &got);
    assert_int_equal(error_number(error), EAGAIN);
    close_fd(TAKE_FD(channel->owner));
    assert_ok(control_receive(channel->monitor, CONTROL_MONITOR, &got));
    assert_int_equal(got.type, CONTROL_CLOSED);
}

static void refuse(const void *bytes, size_t length, size_t fd_count, enum control_end receiver)
{
    struct control_message message = {.sequence = 12345};
    _cleanup_error_ struct error *error = control_decode(bytes, length, fd_count, receiver, &message);
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    assert_int_equal(message.sequence, 12345); /* untouched */
}

/* Bytes of a message as they travel. */
struct packet {
    struct control_header header;
    union {
        struct control_machine machine;
        struct control_share share;
        struct control_nic nic;
        uint32_t word;
        char bytes[CONTROL_MESSAGE_MAX];
    };
};

static struct packet packet_of(unsigned type, uint32_t length)
{
    return (struct packet){.header = {CONTROL_MAGIC, CONTROL_VERSION, (uint16_t)type, 1, length}};
}

static void refuse_packet(const struct packet *packet, size_t fd_count)
{
    refuse(packet, sizeof(packet->header) + packet->header.length, fd_count, CONTROL_MONITOR);
}

static void test_headers_are_checked(void **state)
{
    struct packet packet = packet_of(CONTROL_PAUSE, 0);
    struct control_message message;
    assert_ok(control_decode(&packet, sizeof(packet.header), 0, CONTROL_MONITOR, &message));
    for (size_t length = 0; length < sizeof(packet.header); length++)
        refuse(&packet, length, 0, CONTROL_MONITOR);
    refuse(&packet, sizeof(packet.header) + 1, 0, CONTROL_MONITOR); /* says 0, has 1 */
    refuse_packet(&packet, 1);                                      /* a descriptor too many */
    refuse(&packet, sizeof(packet.header), 0, CONTROL_OWNER);       /* not for this end */
    for (unsigned type = 0; type <= UINT16_MAX; type++) {
        packet.header.type = (uint16_t)type;
        if (type >= CONTROL_START && type <= CONTROL_COUNT_EXITS)
            continue;
        refuse_packet(&packet, 0);
    }
    packet = packet_of(CONTROL_PAUSE, 0);
    packet.header.version++;
    refuse_packet(&packet, 0);
    packet = packet_of(CONTROL_PAUSE, 0);
    packet.header.magic++;
    refuse_packet(&packet, 0);
}

static void test_machines_are_checked(void **state)
{
    struct packet packet = packet_of(CONTROL_MACHINE, sizeof(struct control_machine) + 3);
    packet.machine = (struct control_machine){UINT64_C(64) << 20, 1, 0};
    memcpy(packet.bytes + sizeof(packet.machine), "a=b", 3);
    const struct packet good = packet;
    struct control_message message;
    assert_ok(
        control_decode(&packet, sizeof(packet.header) + packet.header.length, 2, CONTROL_MONITOR, &message));
    assert_string_equal(message.text, "a=b");
    refuse_packet(&packet, 1);
    static const uint64_t sizes[] = {
        0, CONTROL_MEMORY_LEAST - (1 << 20), CONTROL_MEMORY_MOST + (1 << 20), (64 << 20) + 4096, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        packet.machine.memory = sizes[i];
        refuse_packet(&packet, 2);
    }
    packet = good;
    packet.machine.processors = 0;
    refuse_packet(&packet, 2);
    packet.machine.processors = CONTROL_PROCESSORS_MOST + 1;
    refuse_packet(&packet, 2);
    packet = good;
    packet.machine.flags = 2;
    refuse_packet(&packet, 2);
    packet = good;
    packet.bytes[sizeof(packet.machine) + 1] = 0;
    refuse_packet(&packet, 2);
}

static void test_devices_are_checked(void **state)
{
    struct packet packet = packet_of(CONTROL_DISK, sizeof(struct control_disk));
    packet.word = 4;
    refuse_packet(&packet, 1);
    packet = packet_of(CONTROL_NIC, sizeof(struct control_nic));
    packet.nic.mac[0] = 1;
    refuse_packet(&packet, 1);
    packet = packet_of(CONTROL_SHARE, sizeof(struct control_share));
    refuse_packet(&packet, 1); /* no tag */
    packet.share.tag[0] = 'a';
    packet.share.tag[2] = 'b';
    refuse_packet(&packet, 1);
    packet = packet_of(CONTROL_ANSWER, sizeof(struct control_answer));
    packet.word = ERROR_UNAUTHENTICATED + 1;
    refuse(&packet, sizeof(packet.header) + packet.header.length, 0, CONTROL_OWNER);
}

/* Descriptors that come with a message that is refused are closed; also more of them than there is room for.
 */
static void test_refused_messages_leave_nothing(void **state)
{
    struct channel *channel = *state;
    unsigned before = open_fds();
    for (size_t count = 1; count <= 8; count++) {
        char bytes[] = "not a message";
        union {
            struct cmsghdr header;
            char space[CMSG_SPACE(8 * sizeof(int))];
        } ancillary = {0};
        struct iovec vector = {bytes, sizeof(bytes)};
        struct msghdr packet = {.msg_iov = &vector,
            .msg_iovlen = 1,
            .msg_control = &ancillary,
            .msg_controllen = CMSG_SPACE(count * sizeof(int))};
        ancillary.header = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memset(CMSG_DATA(&ancillary.header), 0, count * sizeof(int)); /* standard input, each time */
        assert_true(sendmsg(channel->owner, &packet, 0) > 0);
        struct control_message got;
        _cleanup_error_ struct error *error = control_receive(channel->monitor, CONTROL_MONITOR, &got);
        assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
        assert_int_equal(open_fds(), before);
    }
}

static void test_long_messages_are_refused(void **state)
{
    struct channel *channel = *state;
    char bytes[CONTROL_MESSAGE_MAX + 1] = {0};
    const struct packet packet = packet_of(CONTROL_PAUSE, sizeof(bytes) - sizeof(struct control_header));
    memcpy(bytes, &packet.header, sizeof(packet.header));
    assert_int_equal(send(channel->owner, bytes, sizeof(bytes), 0), sizeof(bytes));
    struct control_message got;
    _cleanup_error_ struct error *error = control_receive(channel->monitor, CONTROL_MONITOR, &got);
    assert_non_null(strstr(error_message(error), "too long"));
}

#define WITH_CHANNEL(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CHANNEL(test_machine_arrives),
        WITH_CHANNEL(test_every_request_arrives),
        WITH_CHANNEL(test_answers_carry_errors),
        WITH_CHANNEL(test_end_and_nothing_are_told_apart),
        cmocka_unit_test(test_headers_are_checked),
        cmocka_unit_test(test_machines_are_checked),
        cmocka_unit_test(test_devices_are_checked),
        WITH_CHANNEL(test_refused_messages_leave_nothing),
        WITH_CHANNEL(test_long_messages_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
