/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/control.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

struct format {
    enum control_end receiver;
    size_t body; /* bytes of the fixed part */
    size_t fds;
    bool text; /* follows the fixed part, without a NUL */
    struct error *(*check)(const struct control_message *message);
};

static struct error *check_machine(const struct control_message *message)
{
    const struct control_machine *machine = &message->machine;
    if (machine->memory < CONTROL_MEMORY_LEAST || machine->memory > CONTROL_MEMORY_MOST ||
        machine->memory % (UINT64_C(1) << 20) != 0)
        return error_new(
            ERROR_INVALID_ARGUMENT, "a machine with %" PRIu64 " bytes of memory", machine->memory);
    if (machine->processors < 1 || machine->processors > CONTROL_PROCESSORS_MOST)
        return error_new(ERROR_INVALID_ARGUMENT, "a machine with %u processors", machine->processors);
    if (machine->flags & ~CONTROL_SHARED)
        return error_new(ERROR_INVALID_ARGUMENT, "a machine with unknown flags 0x%x", machine->flags);
    return NULL;
}

static struct error *check_disk(const struct control_message *message)
{
    if (message->disk.flags & ~(CONTROL_READ_ONLY | CONTROL_DURABLE))
        return error_new(ERROR_INVALID_ARGUMENT, "a disk with unknown flags 0x%x", message->disk.flags);
    return NULL;
}

static struct error *check_nic(const struct control_message *message)
{
    if (message->nic.mac[0] & 1)
        return error_new(ERROR_INVALID_ARGUMENT, "a network card with an address of a group");
    return NULL;
}

static struct error *check_share(const struct control_message *message)
{
    const char *tag = message->share.tag;
    size_t length = strnlen(tag, CONTROL_TAG_SIZE);
    if (length == 0)
        return error_new(ERROR_INVALID_ARGUMENT, "a share without a tag");
    for (size_t i = length; i < CONTROL_TAG_SIZE; i++) {
        if (tag[i])
            return error_new(ERROR_INVALID_ARGUMENT, "a share with something behind its tag");
    }
    return NULL;
}

static struct error *check_answer(const struct control_message *message)
{
    if (message->answer.code > ERROR_UNAUTHENTICATED)
        return error_new(ERROR_INVALID_ARGUMENT, "an answer with the unknown code %u", message->answer.code);
    return NULL;
}

/* NULL: no such message. */
static const struct format *format_of(unsigned type)
{
    static const struct format formats[] = {
        [CONTROL_MACHINE] = {CONTROL_MONITOR, sizeof(struct control_machine), 2, true, check_machine},
        [CONTROL_DISK] = {CONTROL_MONITOR, sizeof(struct control_disk), 1, false, check_disk},
        [CONTROL_NIC] = {CONTROL_MONITOR, sizeof(struct control_nic), 1, false, check_nic},
        [CONTROL_SHARE] = {CONTROL_MONITOR, sizeof(struct control_share), 1, false, check_share},
        [CONTROL_LINK] = {CONTROL_MONITOR, 0, 1, false, NULL},
        [CONTROL_CONSOLE] = {CONTROL_MONITOR, 0, 1, false, NULL},
        [CONTROL_START] = {CONTROL_MONITOR, 0, 0, false, NULL},
        [CONTROL_PAUSE] = {CONTROL_MONITOR, 0, 0, false, NULL},
        [CONTROL_RESUME] = {CONTROL_MONITOR, 0, 0, false, NULL},
        [CONTROL_STOP] = {CONTROL_MONITOR, 0, 0, false, NULL},
        [CONTROL_COUNT_EXITS] = {CONTROL_MONITOR, 0, 0, false, NULL},
        [CONTROL_ANSWER] = {CONTROL_OWNER, sizeof(struct control_answer), 0, true, check_answer},
        [CONTROL_STOPPED] = {CONTROL_OWNER, 0, 0, true, NULL},
    };
    bool known = (type >= CONTROL_MACHINE && type <= CONTROL_COUNT_EXITS) || type == CONTROL_ANSWER ||
                 type == CONTROL_STOPPED;
    return known ? &formats[type] : NULL;
}

/* The fixed part of a message lies at the beginning of the union, whatever its type. */
static void *body_of(struct control_message *message)
{
    return &message->machine;
}

static struct error *check_header(const struct control_header *header, size_t length)
{
    if (header->magic != CONTROL_MAGIC)
        return error_new(ERROR_INVALID_ARGUMENT, "a message that does not begin as one");
    if (header->version != CONTROL_VERSION)
        return error_new(ERROR_INVALID_ARGUMENT,
            "version %u of the monitor's control channel, where %u is spoken: the programs are of different "
            "builds",
            header->version, CONTROL_VERSION);
    if (header->length != length - sizeof(*header))
        return error_new(ERROR_INVALID_ARGUMENT, "a message of %zu bytes that says %u",
            length - sizeof(*header), header->length);
    return NULL;
}

static struct error *check_format(const struct control_header *header, const struct format *format,
    enum control_end receiver, size_t fd_count)
{
    if (!format || format->receiver != receiver)
        return error_new(ERROR_INVALID_ARGUMENT, "a message of type %u, which is none here", header->type);
    size_t most = format->body + (format->text ? CONTROL_TEXT_MAX : 0);
    if (header->length < format->body || header->length > most)
        return error_new(
            ERROR_INVALID_ARGUMENT, "a message of type %u with %u bytes", header->type, header->length);
    if (fd_count != format->fds)
        return error_new(
            ERROR_INVALID_ARGUMENT, "a message of type %u with %zu descriptors", header->type, fd_count);
    return NULL;
}

struct error *control_decode(const void *bytes, size_t length, size_t fd_count, enum control_end receiver,
    struct control_message *ret_message)
{
    struct control_header header;
    if (length < sizeof(header))
        return error_new(ERROR_INVALID_ARGUMENT, "a message of %zu bytes", length);
    memcpy(&header, bytes, sizeof(header));
    TRY(check_header(&header, length));
    const struct format *format = format_of(header.type);
    TRY(check_format(&header, format, receiver, fd_count));

    const char *body = (const char *)bytes + sizeof(header), *text = body + format->body;
    size_t text_length = header.length - format->body;
    if (memchr(text, 0, text_length))
        return error_new(ERROR_INVALID_ARGUMENT, "a text with a NUL inside");
    struct control_message message = {.type = header.type, .sequence = header.sequence, .fds = {-1, -1}};
    memcpy(body_of(&message), body, format->body);
    memcpy(message.text, text, text_length);
    if (format->check)
        TRY(format->check(&message));
    *ret_message = message;
    return NULL;
}

/* All descriptors that came along, each of them ours from now on; more than there is room for is an error,
   which the count tells. */
static size_t take_fds(struct msghdr *packet, int fds[CONTROL_FDS_MAX + 1])
{
    size_t count = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(packet); part; part = CMSG_NXTHDR(packet, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
            if (count <= CONTROL_FDS_MAX)
                fds[count++] = fd;
            else
                close_fd(fd);
        }
    }
    return count;
}

static struct error *decode_packet(const void *bytes, size_t length, int flags, size_t fd_count,
    enum control_end receiver, struct control_message *ret_message)
{
    if (flags & (MSG_TRUNC | MSG_CTRUNC))
        return error_new(ERROR_INVALID_ARGUMENT, "a message that is too long");
    return control_decode(bytes, length, fd_count, receiver, ret_message);
}

struct error *control_receive(int socket, enum control_end receiver, struct control_message *ret_message)
{
    char bytes[CONTROL_MESSAGE_MAX];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE((CONTROL_FDS_MAX + 1) * sizeof(int))];
    } ancillary;
    struct iovec vector = {bytes, sizeof(bytes)};
    struct msghdr packet = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof(ancillary)};
    ssize_t length;
    do
        length = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return error_errno(errno, "the monitor's control channel");
    int fds[CONTROL_FDS_MAX + 1];
    size_t fd_count = take_fds(&packet, fds);
    if (length == 0 && fd_count == 0) {
        *ret_message = (struct control_message){.type = CONTROL_CLOSED, .fds = {-1, -1}};
        return NULL;
    }
    struct error *error =
        decode_packet(bytes, (size_t)length, packet.msg_flags, fd_count, receiver, ret_message);
    for (size_t i = 0; i < fd_count; i++) {
        if (error)
            close_fd(fds[i]);
        else
            ret_message->fds[i] = fds[i];
    }
    if (error)
        return error_wrap(error, "the monitor's control channel");
    ret_message->fd_count = fd_count;
    return NULL;
}

static void attach_fds(struct msghdr *packet, const struct control_message *message)
{
    if (message->fd_count == 0)
        return;
    packet->msg_controllen = CMSG_SPACE(message->fd_count * sizeof(int));
    struct cmsghdr *part = packet->msg_control;
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(message->fd_count * sizeof(int));
    memcpy(CMSG_DATA(part), message->fds, message->fd_count * sizeof(int));
}

struct error *control_send(int socket, const struct control_message *message)
{
    const struct format *format = format_of(message->type);
    if (!format || message->fd_count != format->fds)
        return error_new(ERROR_INTERNAL, "a control message of type %u with %zu descriptors", message->type,
            message->fd_count);
    size_t text_length = format->text ? strlen(message->text) : 0;
    struct control_header header = {CONTROL_MAGIC, CONTROL_VERSION, (uint16_t)message->type,
        message->sequence, (uint32_t)(format->body + text_length)};
    struct iovec vectors[] = {{&header, sizeof(header)}, {(void *)(uintptr_t)&message->machine, format->body},
        {(void *)(uintptr_t)message->text, text_length}};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
    } ancillary = {0};
    struct msghdr packet = {.msg_iov = vectors, .msg_iovlen = ARRAY_SIZE(vectors), .msg_control = &ancillary};
    attach_fds(&packet, message);
    ssize_t sent;
    do
        sent = sendmsg(socket, &packet, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? error_errno(errno, "the monitor's control channel") : NULL;
}

struct error *control_answer_error(const struct control_message *answer)
{
    if (answer->answer.code == ERROR_OK)
        return NULL;
    return error_new((enum error_code)answer->answer.code, "%s", answer->text);
}

void control_answer_set(struct control_message *ret_answer, uint32_t sequence, const struct error *error)
{
    *ret_answer = (struct control_message){
        .type = CONTROL_ANSWER, .sequence = sequence, .answer = {error_code(error)}, .fds = {-1, -1}};
    if (error)
        snprintf(ret_answer->text, sizeof(ret_answer->text), "%s", error_message(error));
}

void control_message_clear(struct control_message *message)
{
    for (size_t i = 0; i < message->fd_count; i++)
        close_fd(message->fds[i]);
    *message = (struct control_message){.fds = {-1, -1}};
}
