/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/channel.h"

#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define CHANNEL_TEXT_MAX 4000

struct channel_packet {
    uint32_t type;
    uint32_t code;               /* of an error */
    char text[CHANNEL_TEXT_MAX]; /* of an error, without the terminator */
};

#define CHANNEL_HEADER offsetof(struct channel_packet, text)

struct error *channel_open(int *ret_agent, int *ret_child)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_errno(errno, "making the channel to a child");
    *ret_agent = ends[0];
    *ret_child = ends[1];
    return NULL;
}

struct error *channel_send(int channel, enum channel_type type)
{
    struct channel_packet packet = {.type = type};
    if (write(channel, &packet, CHANNEL_HEADER) < 0)
        return error_errno(errno, "writing to the channel between agent and child");
    return NULL;
}

struct error *channel_send_fd(int channel, enum channel_type type, int fd)
{
    struct channel_packet packet = {.type = type};
    struct iovec data = {.iov_base = &packet, .iov_len = CHANNEL_HEADER};
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    if (sendmsg(channel, &message, MSG_NOSIGNAL) < 0)
        return error_errno(errno, "sending a descriptor to the agent");
    return NULL;
}

void channel_send_error(int channel, const struct error *error)
{
    struct channel_packet packet = {.type = CHANNEL_ERROR, .code = error_code(error)};
    size_t length = strnlen(error_message(error), sizeof(packet.text));
    memcpy(packet.text, error_message(error), length);
    ssize_t written = write(channel, &packet, CHANNEL_HEADER + length);
    (void)written;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct error *wait_readable(int channel, int timeout_ms)
{
    int64_t deadline = now_ms() + timeout_ms;
    for (;;) {
        int64_t left = deadline - now_ms();
        struct pollfd wanted = {.fd = channel, .events = POLLIN};
        int ready = poll(&wanted, 1, left > 0 ? (int)left : 0);
        if (ready > 0)
            return NULL;
        if (ready == 0)
            return error_new(ERROR_DEADLINE_EXCEEDED, "the process did not become ready within %d seconds",
                timeout_ms / 1000);
        if (errno != EINTR)
            return error_errno(errno, "waiting for a child");
    }
}

static int received_fd(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

/* The child's sentence as an error of the same code. */
static struct error *child_error(const struct channel_packet *packet, size_t length)
{
    size_t text_length = length - CHANNEL_HEADER;
    return error_new((enum error_code)packet->code, "%.*s", (int)text_length, packet->text);
}

struct error *channel_receive(int channel, int timeout_ms, enum channel_type *ret_type, int *ret_fd)
{
    TRY(wait_readable(channel, timeout_ms));
    struct channel_packet packet;
    struct iovec data = {.iov_base = &packet, .iov_len = sizeof(packet)};
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t length;
    do {
        length = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    } while (length < 0 && errno == EINTR);
    if (length < 0 && errno != ECONNRESET)
        return error_errno(errno, "reading from a child");
    _cleanup_fd_ int fd = received_fd(&message);
    if (length > 0 && (size_t)length < CHANNEL_HEADER)
        return error_new(ERROR_INTERNAL, "a child sent a short message");
    if (length > 0 && packet.type == CHANNEL_ERROR)
        return child_error(&packet, (size_t)length);
    *ret_type = length <= 0 ? CHANNEL_CLOSED : (enum channel_type)packet.type;
    if (ret_fd)
        *ret_fd = TAKE_FD(fd);
    return NULL;
}

struct error *channel_wait_go(int channel)
{
    struct channel_packet packet;
    ssize_t length;
    do {
        length = read(channel, &packet, sizeof(packet));
    } while (length < 0 && errno == EINTR);
    if (length < (ssize_t)CHANNEL_HEADER || packet.type != CHANNEL_GO)
        return error_new(ERROR_CANCELLED, "the agent gave the process up");
    return NULL;
}
