/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink/netlink.h"

#include <string.h>
#include <sys/socket.h>

/* The kernel sizes the parts of a dump by what the reader offers, up to this. */
#define NETLINK_ANSWER_MAX 32768

struct error *netlink_open(int *ret_fd)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return error_errno(errno, "opening the routing socket");
    *ret_fd = fd;
    return NULL;
}

/* ---- building ---- */

static struct nlmsghdr *header_of(struct netlink_request *request)
{
    return (struct nlmsghdr *)(void *)request->bytes;
}

/* Room at the end of the message, zeroed; its length grows by it. */
static void *reserve(struct netlink_request *request, size_t length)
{
    struct nlmsghdr *header = header_of(request);
    size_t start = NLMSG_ALIGN(header->nlmsg_len);
    if (length > NETLINK_REQUEST_MAX - start)
        abort();
    memset(request->bytes + start, 0, length);
    header->nlmsg_len = (uint32_t)(start + length);
    return request->bytes + start;
}

void netlink_begin(struct netlink_request *request, int type, int flags, const void *header, size_t length)
{
    *header_of(request) = (struct nlmsghdr){.nlmsg_len = NLMSG_HDRLEN,
        .nlmsg_type = (uint16_t)type,
        .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)};
    memcpy(reserve(request, length), header, length);
}

void netlink_put(struct netlink_request *request, int type, const void *data, size_t length)
{
    struct rtattr *attribute = reserve(request, RTA_SPACE(length));
    attribute->rta_type = (uint16_t)type;
    attribute->rta_len = (uint16_t)RTA_LENGTH(length);
    if (length > 0)
        memcpy(RTA_DATA(attribute), data, length);
}

void netlink_put_number(struct netlink_request *request, int type, uint32_t number)
{
    netlink_put(request, type, &number, sizeof(number));
}

void netlink_put_text(struct netlink_request *request, int type, const char *text)
{
    netlink_put(request, type, text, strlen(text) + 1);
}

struct rtattr *netlink_begin_nested(struct netlink_request *request, int type)
{
    struct rtattr *nested = reserve(request, RTA_LENGTH(0));
    nested->rta_type = (uint16_t)(type | NLA_F_NESTED);
    return nested;
}

void netlink_end_nested(struct netlink_request *request, struct rtattr *nested)
{
    const uint8_t *end = request->bytes + header_of(request)->nlmsg_len;
    nested->rta_len = (uint16_t)(end - (const uint8_t *)nested);
}

/* ---- asking ---- */

static struct error *send_request(int fd, struct netlink_request *request)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    size_t length = header_of(request)->nlmsg_len;
    if (sendto(fd, request->bytes, length, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return error_errno(errno, "asking the routing socket");
    return NULL;
}

static struct error *receive(int fd, uint8_t *buffer, size_t *ret_length)
{
    ssize_t length;
    do
        length = recv(fd, buffer, NETLINK_ANSWER_MAX, 0);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return error_errno(errno, "reading from the routing socket");
    *ret_length = (size_t)length;
    return NULL;
}

/* The kernel's verdict: 0 or a negative errno. */
static struct error *verdict(const struct nlmsghdr *message)
{
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(int)))
        return error_new(ERROR_DATA_LOSS, "the routing socket answered with half a message");
    int code = *(const int *)netlink_body(message);
    return code == 0 ? NULL : error_errno(-code, "the kernel refuses");
}

/* One message of an answer; *ret_done at its end. */
static struct error *take(const struct nlmsghdr *message, netlink_each *each, void *context, bool *ret_done)
{
    switch (message->nlmsg_type) {
    case NLMSG_ERROR:
        *ret_done = true;
        return verdict(message);
    case NLMSG_DONE:
        *ret_done = true;
        return NULL;
    case NLMSG_NOOP:
        return NULL;
    default:
        return each ? each(context, message) : NULL;
    }
}

struct error *netlink_walk(
    const uint8_t *bytes, size_t length, netlink_each *each, void *context, bool *ret_done)
{
    for (size_t at = 0; at + NLMSG_HDRLEN <= length && !*ret_done;) {
        const struct nlmsghdr *message = (const void *)(bytes + at);
        if (message->nlmsg_len < NLMSG_HDRLEN || message->nlmsg_len > length - at)
            return error_new(ERROR_DATA_LOSS, "the routing socket answered with half a message");
        TRY(take(message, each, context, ret_done));
        at += NLMSG_ALIGN(message->nlmsg_len);
    }
    return NULL;
}

static struct error *exchange(int fd, struct netlink_request *request, netlink_each *each, void *context)
{
    _cleanup_free_ uint8_t *buffer = must_alloc(NETLINK_ANSWER_MAX);
    TRY(send_request(fd, request));
    for (bool done = false; !done;) {
        size_t length;
        TRY(receive(fd, buffer, &length));
        TRY(netlink_walk(buffer, length, each, context, &done));
    }
    return NULL;
}

struct error *netlink_call(int fd, struct netlink_request *request)
{
    header_of(request)->nlmsg_flags |= NLM_F_ACK;
    return exchange(fd, request, NULL, NULL);
}

struct error *netlink_dump(int fd, struct netlink_request *request, netlink_each *each, void *context)
{
    header_of(request)->nlmsg_flags |= NLM_F_DUMP;
    return exchange(fd, request, each, context);
}

/* ---- reading ---- */

static void read_attributes(
    const uint8_t *bytes, size_t length, size_t maximum, struct netlink_attribute *ret_table)
{
    memset(ret_table, 0, (maximum + 1) * sizeof(*ret_table));
    for (size_t at = 0; at + RTA_LENGTH(0) <= length;) {
        const struct rtattr *attribute = (const void *)(bytes + at);
        if (attribute->rta_len < RTA_LENGTH(0) || attribute->rta_len > length - at)
            break;
        size_t type = attribute->rta_type & NLA_TYPE_MASK;
        if (type <= maximum)
            ret_table[type] = (struct netlink_attribute){
                (const uint8_t *)attribute + RTA_LENGTH(0), attribute->rta_len - RTA_LENGTH(0)};
        at += RTA_ALIGN(attribute->rta_len);
    }
}

struct error *netlink_attributes(
    const struct nlmsghdr *message, size_t body, size_t maximum, struct netlink_attribute *ret_table)
{
    size_t at = NLMSG_SPACE(body);
    if (message->nlmsg_len < NLMSG_LENGTH(body))
        return error_new(ERROR_DATA_LOSS, "the routing socket answered with half a message");
    size_t length = message->nlmsg_len > at ? message->nlmsg_len - at : 0;
    read_attributes((const uint8_t *)message + at, length, maximum, ret_table);
    return NULL;
}

void netlink_nested(
    const struct netlink_attribute *nested, size_t maximum, struct netlink_attribute *ret_table)
{
    read_attributes(nested->data, nested->length, maximum, ret_table);
}

uint32_t netlink_number(const struct netlink_attribute *attribute)
{
    uint32_t number = 0;
    if (attribute->length == sizeof(number))
        memcpy(&number, attribute->data, sizeof(number));
    return number;
}
