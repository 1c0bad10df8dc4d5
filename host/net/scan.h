/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands in a network namespace: the interfaces that a container would use, their addresses, routes and
 * permanent neighbours.
 *
 * Interfaces are the Ethernet ones that are up, except tap devices (those of virtual machines). Routes are
 * those of the main table through these interfaces, without the ones that the kernel makes for an address by
 * itself; an address whose network has no such route (its maker has taken it away, as CNI's ptp plugin does)
 * is shown with the prefix of a single address, so that whoever sets it gets none either.
 */
#pragma once

#include "base/error.h"
#include "netlink/ip_address.h"
#include "netlink/netlink.h"

#include <net/if.h>
#include <stdbool.h>

/* More of anything than a container's namespace has. */
#define NET_OBJECTS_MAX 256

struct net_address {
    struct ip_address address;
    int index;        /* of its interface */
    bool has_network; /* the kernel has a route to its network */
};

struct net_interface {
    int index;
    char name[IFNAMSIZ];
    uint8_t mac[HARDWARE_ADDRESS_SIZE];
    uint32_t mtu;
    unsigned flags; /* IFF_* */
};

struct net_route {
    int index;
    struct ip_address destination;     /* prefix 0: the default route */
    struct ip_address gateway, source; /* length 0: none */
    uint8_t scope;                     /* RT_SCOPE_* */
    uint32_t flags;                    /* RTNH_F_ONLINK or none */
    uint32_t mtu;                      /* 0: the interface's */
    uint32_t priority;                 /* the metric; 0: the kernel's default */
};

struct net_neighbour {
    int index;
    struct ip_address address;
    uint8_t mac[HARDWARE_ADDRESS_SIZE];
    uint16_t state; /* NUD_* */
    uint8_t flags;  /* NTF_* */
};

struct net_scan {
    struct net_interface *interfaces;
    size_t interface_count;
    struct net_address *addresses;
    size_t address_count;
    struct net_route *routes;
    size_t route_count;
    struct net_neighbour *neighbours;
    size_t neighbour_count;
};

/* fd is from netlink_open, in the namespace. RESOURCE_EXHAUSTED for more than NET_OBJECTS_MAX of anything. */
struct error *net_scan_new(int fd, struct net_scan **ret_scan);
/* One message of the kernel's; others than RTM_NEWLINK, NEWADDR, NEWROUTE and NEWNEIGH are skipped. */
struct error *net_scan_take(void *scan, const struct nlmsghdr *message);
/* After the last message: forgets what belongs to no interface of the list. */
void net_scan_finish(struct net_scan *scan);
/* NULL where there is none. */
const struct net_interface *net_scan_interface(const struct net_scan *scan, int index);
/* Takes NULL. */
void net_scan_free(struct net_scan *scan);

DEFINE_CLEANUP(struct net_scan *, net_scan_free);
#define _cleanup_net_scan_ _cleanup_(net_scan_free)
