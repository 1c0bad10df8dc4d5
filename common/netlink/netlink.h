/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the kernel's routing socket (rtnetlink(7)), built and read with bounds checked. The
 * distribution's libnl would add 490 KB to the static agent, mostly the resolver of its address parser; this
 * is what of it the agent, and the host's side of its network, need.
 */
#pragma once

#include "base/error.h"

#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A request of a few attributes. */
#define NETLINK_REQUEST_MAX 512

struct netlink_request {
    _Alignas(NLMSG_ALIGNTO) uint8_t bytes[NETLINK_REQUEST_MAX];
};

/* A blocking socket; its answers come from the kernel at once. */
struct error *netlink_open(int *ret_fd);

/* `header` is the struct that belongs to the type: ifinfomsg, ifaddrmsg, rtmsg, ndmsg. */
void netlink_begin(struct netlink_request *request, int type, int flags, const void *header, size_t length);
/* Attributes; what does not fit is a programming error (abort). */
void netlink_put(struct netlink_request *request, int type, const void *data, size_t length);
void netlink_put_number(struct netlink_request *request, int type, uint32_t number);
void netlink_put_text(struct netlink_request *request, int type, const char *text);
/* An attribute that holds those put until netlink_end_nested. */
struct rtattr *netlink_begin_nested(struct netlink_request *request, int type);
void netlink_end_nested(struct netlink_request *request, struct rtattr *nested);

/* Sends, and waits for the kernel's verdict, which is the error. */
struct error *netlink_call(int fd, struct netlink_request *request);

/* One object of an answer. */
typedef struct error *netlink_each(void *context, const struct nlmsghdr *message);
/* Calls for every object in the bytes of one answer, until the kernel's verdict: *ret_done, and it is the
   error. Lengths are checked; DATA_LOSS where they are wrong. */
struct error *netlink_walk(
    const uint8_t *bytes, size_t length, netlink_each *each, void *context, bool *ret_done);
/* Sends a request with NLM_F_DUMP and calls for every object of the answer. */
struct error *netlink_dump(int fd, struct netlink_request *request, netlink_each *each, void *context);

/* What follows the netlink header of a message: the struct that belongs to its type. */
static inline const void *netlink_body(const struct nlmsghdr *message)
{
    return (const uint8_t *)message + NLMSG_HDRLEN;
}

/* The value of an attribute; data is NULL where the message has none of that type. */
struct netlink_attribute {
    const void *data;
    size_t length;
};

/* The attributes of a message after its body of that length, by type; those over `maximum` are skipped.
   DATA_LOSS for a message that is shorter than it says. The table has maximum + 1 entries. */
struct error *netlink_attributes(
    const struct nlmsghdr *message, size_t body, size_t maximum, struct netlink_attribute *ret_table);
/* The same of the attributes inside one. */
void netlink_nested(
    const struct netlink_attribute *nested, size_t maximum, struct netlink_attribute *ret_table);
/* 0 for one that is missing or has another size. */
uint32_t netlink_number(const struct netlink_attribute *attribute);
