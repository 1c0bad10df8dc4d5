/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The links that the kernel has: what network.c (changes) and network_list.c (lists) both need.
 */
#pragma once

#include "netlink/ip_address.h"

#include <net/if.h>
#include <stdbool.h>

#define NETWORK_LINKS_MAX 64

struct network_link {
    int index;
    unsigned flags; /* IFF_* */
    uint32_t mtu;
    char name[IFNAMSIZ];
    uint8_t hardware[HARDWARE_ADDRESS_SIZE];
    bool has_hardware;
};

struct network_links {
    struct network_link links[NETWORK_LINKS_MAX]; /* more than that are not seen */
    size_t count;
};

/* fd is from netlink_open. */
struct error *network_links_read(int fd, struct network_links *ret_links);
/* NULL where there is none. */
const struct network_link *network_links_by_name(const struct network_links *links, const char *name);
const struct network_link *network_links_by_index(const struct network_links *links, int index);
const struct network_link *network_links_by_hardware(
    const struct network_links *links, const uint8_t hardware[HARDWARE_ADDRESS_SIZE]);
