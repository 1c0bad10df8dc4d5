/* SPDX-License-Identifier: Apache-2.0 */
#include "net/scan.h"

#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <string.h>

/* Room for one more in an array of the scan. */
#define GROW(what, array, count)                                                                            \
    do {                                                                                                    \
        if ((count) == NET_OBJECTS_MAX)                                                                     \
            return error_new(                                                                               \
                ERROR_RESOURCE_EXHAUSTED, "the network namespace has more than %d " what, NET_OBJECTS_MAX); \
        (array) = must_resize(array, (count) + 1, sizeof(*(array)));                                        \
    } while (0)

/* ---- attributes ---- */

/* False where the attribute is missing or not an address of the family. */
static bool read_address(
    int family, const struct netlink_attribute *attribute, uint8_t prefix, struct ip_address *ret_address)
{
    size_t length = family == AF_INET6 ? 16 : 4;
    if (attribute->length != length || prefix > length * 8)
        return false;
    *ret_address =
        (struct ip_address){.family = (uint8_t)family, .prefix = prefix, .length = (uint8_t)length};
    memcpy(ret_address->bytes, attribute->data, length);
    return true;
}

static bool is_text(const struct netlink_attribute *attribute, const char *text)
{
    size_t length = strlen(text);
    return attribute->length > length && memcmp(attribute->data, text, length + 1) == 0;
}

static bool is_internet(int family)
{
    return family == AF_INET || family == AF_INET6;
}

/* ---- interfaces ---- */

static bool is_tap(const struct netlink_attribute *information)
{
    struct netlink_attribute attributes[IFLA_INFO_KIND + 1];
    netlink_nested(information, IFLA_INFO_KIND, attributes);
    return is_text(&attributes[IFLA_INFO_KIND], "tun");
}

static bool is_carried(const struct ifinfomsg *header, const struct netlink_attribute *attributes)
{
    const struct netlink_attribute *name = &attributes[IFLA_IFNAME];
    return header->ifi_type == ARPHRD_ETHER && header->ifi_flags & IFF_UP &&
           attributes[IFLA_ADDRESS].length == HARDWARE_ADDRESS_SIZE && name->length > 1 &&
           name->length <= IFNAMSIZ && !is_tap(&attributes[IFLA_LINKINFO]);
}

static struct error *take_link(struct net_scan *scan, const struct nlmsghdr *message)
{
    struct netlink_attribute attributes[IFLA_LINKINFO + 1];
    TRY(netlink_attributes(message, sizeof(struct ifinfomsg), IFLA_LINKINFO, attributes));
    const struct ifinfomsg *header = netlink_body(message);
    if (!is_carried(header, attributes))
        return NULL;
    GROW("interfaces", scan->interfaces, scan->interface_count);
    struct net_interface *interface = &scan->interfaces[scan->interface_count++];
    *interface = (struct net_interface){
        .index = header->ifi_index, .mtu = netlink_number(&attributes[IFLA_MTU]), .flags = header->ifi_flags};
    memcpy(interface->name, attributes[IFLA_IFNAME].data, attributes[IFLA_IFNAME].length);
    interface->name[IFNAMSIZ - 1] = '\0';
    memcpy(interface->mac, attributes[IFLA_ADDRESS].data, HARDWARE_ADDRESS_SIZE);
    return NULL;
}

const struct net_interface *net_scan_interface(const struct net_scan *scan, int index)
{
    for (size_t i = 0; i < scan->interface_count; i++)
        if (scan->interfaces[i].index == index)
            return &scan->interfaces[i];
    return NULL;
}

/* ---- addresses ---- */

static struct error *take_address(struct net_scan *scan, const struct nlmsghdr *message)
{
    struct netlink_attribute attributes[IFA_LOCAL + 1];
    TRY(netlink_attributes(message, sizeof(struct ifaddrmsg), IFA_LOCAL, attributes));
    const struct ifaddrmsg *header = netlink_body(message);
    /* On Ethernet the two differ for IPv4 with a peer only; IPv6 has no local one beside the address. */
    const struct netlink_attribute *local = &attributes[attributes[IFA_LOCAL].data ? IFA_LOCAL : IFA_ADDRESS];
    struct net_address address = {.index = (int)header->ifa_index};
    if (!is_internet(header->ifa_family) ||
        !read_address(header->ifa_family, local, header->ifa_prefixlen, &address.address))
        return NULL;
    GROW("addresses", scan->addresses, scan->address_count);
    scan->addresses[scan->address_count++] = address;
    return NULL;
}

static bool is_in_network(const struct ip_address *address, const struct ip_address *network)
{
    unsigned whole = network->prefix / 8u, rest = network->prefix % 8u;
    if (address->family != network->family || memcmp(address->bytes, network->bytes, whole) != 0)
        return false;
    return rest == 0 || (address->bytes[whole] ^ network->bytes[whole]) >> (8 - rest) == 0;
}

/* The route that the kernel makes with an address. */
static void note_network(struct net_scan *scan, int index, const struct ip_address *network)
{
    for (size_t i = 0; i < scan->address_count; i++) {
        struct net_address *address = &scan->addresses[i];
        if (address->index == index && address->address.prefix == network->prefix &&
            is_in_network(&address->address, network))
            address->has_network = true;
    }
}

/* ---- routes ---- */

static uint32_t read_mtu(const struct netlink_attribute *metrics)
{
    struct netlink_attribute attributes[RTAX_MTU + 1];
    netlink_nested(metrics, RTAX_MTU, attributes);
    return netlink_number(&attributes[RTAX_MTU]);
}

static bool is_main_unicast(const struct rtmsg *header)
{
    return header->rtm_table == RT_TABLE_MAIN && header->rtm_type == RTN_UNICAST &&
           is_internet(header->rtm_family) && !(header->rtm_flags & RTM_F_CLONED);
}

static bool read_route(
    const struct rtmsg *header, const struct netlink_attribute *attributes, struct net_route *ret_route)
{
    struct net_route route = {.index = (int)netlink_number(&attributes[RTA_OIF]),
        .scope = header->rtm_scope,
        .flags = header->rtm_flags & RTNH_F_ONLINK,
        .mtu = read_mtu(&attributes[RTA_METRICS]),
        .priority = netlink_number(&attributes[RTA_PRIORITY])};
    uint8_t length = header->rtm_family == AF_INET6 ? 16 : 4, whole = (uint8_t)(length * 8);
    route.destination = (struct ip_address){.family = header->rtm_family, .length = length};
    if (header->rtm_dst_len > 0 &&
        !read_address(header->rtm_family, &attributes[RTA_DST], header->rtm_dst_len, &route.destination))
        return false;
    (void)read_address(header->rtm_family, &attributes[RTA_GATEWAY], whole, &route.gateway);
    (void)read_address(header->rtm_family, &attributes[RTA_PREFSRC], whole, &route.source);
    *ret_route = route;
    return route.index > 0;
}

static struct error *take_route(struct net_scan *scan, const struct nlmsghdr *message)
{
    struct netlink_attribute attributes[RTA_METRICS + 1];
    struct net_route route;
    TRY(netlink_attributes(message, sizeof(struct rtmsg), RTA_METRICS, attributes));
    const struct rtmsg *header = netlink_body(message);
    if (!is_main_unicast(header) || !read_route(header, attributes, &route))
        return NULL;
    if (header->rtm_protocol == RTPROT_KERNEL) {
        note_network(scan, route.index, &route.destination);
        return NULL;
    }
    GROW("routes", scan->routes, scan->route_count);
    scan->routes[scan->route_count++] = route;
    return NULL;
}

/* ---- neighbours ---- */

static struct error *take_neighbour(struct net_scan *scan, const struct nlmsghdr *message)
{
    struct netlink_attribute attributes[NDA_LLADDR + 1];
    TRY(netlink_attributes(message, sizeof(struct ndmsg), NDA_LLADDR, attributes));
    const struct ndmsg *header = netlink_body(message);
    struct net_neighbour neighbour = {
        .index = header->ndm_ifindex, .state = header->ndm_state, .flags = header->ndm_flags};
    uint8_t whole = header->ndm_family == AF_INET6 ? 128 : 32;
    if (!is_internet(header->ndm_family) || !(header->ndm_state & NUD_PERMANENT) ||
        header->ndm_flags & NTF_PROXY || attributes[NDA_LLADDR].length != HARDWARE_ADDRESS_SIZE ||
        !read_address(header->ndm_family, &attributes[NDA_DST], whole, &neighbour.address))
        return NULL;
    memcpy(neighbour.mac, attributes[NDA_LLADDR].data, HARDWARE_ADDRESS_SIZE);
    GROW("neighbours", scan->neighbours, scan->neighbour_count);
    scan->neighbours[scan->neighbour_count++] = neighbour;
    return NULL;
}

/* ---- the whole ---- */

struct error *net_scan_take(void *context, const struct nlmsghdr *message)
{
    struct net_scan *scan = context;
    switch (message->nlmsg_type) {
    case RTM_NEWLINK:
        return take_link(scan, message);
    case RTM_NEWADDR:
        return take_address(scan, message);
    case RTM_NEWROUTE:
        return take_route(scan, message);
    case RTM_NEWNEIGH:
        return take_neighbour(scan, message);
    default:
        return NULL;
    }
}

/* Keeps of an array what belongs to an interface of the scan. */
#define KEEP_OF_INTERFACES(scan, array, count)               \
    do {                                                     \
        size_t kept_ = 0;                                    \
        for (size_t i_ = 0; i_ < (count); i_++)              \
            if (net_scan_interface(scan, (array)[i_].index)) \
                (array)[kept_++] = (array)[i_];              \
        (count) = kept_;                                     \
    } while (0)

void net_scan_finish(struct net_scan *scan)
{
    KEEP_OF_INTERFACES(scan, scan->addresses, scan->address_count);
    KEEP_OF_INTERFACES(scan, scan->routes, scan->route_count);
    KEEP_OF_INTERFACES(scan, scan->neighbours, scan->neighbour_count);
    for (size_t i = 0; i < scan->address_count; i++) {
        struct net_address *address = &scan->addresses[i];
        if (!address->has_network)
            address->address.prefix = (uint8_t)(address->address.length * 8);
    }
}

static struct error *dump(int fd, struct net_scan *scan, int type, const void *header, size_t length)
{
    struct netlink_request request;
    netlink_begin(&request, type, 0, header, length);
    return netlink_dump(fd, &request, net_scan_take, scan);
}

struct error *net_scan_new(int fd, struct net_scan **ret_scan)
{
    static const struct ifinfomsg link;
    static const struct ifaddrmsg address;
    static const struct rtmsg four = {.rtm_family = AF_INET}, six = {.rtm_family = AF_INET6};
    static const struct ndmsg neighbour;
    _cleanup_net_scan_ struct net_scan *scan = must_new(struct net_scan);
    TRY(dump(fd, scan, RTM_GETLINK, &link, sizeof(link)));
    /* Addresses before routes: see note_network. */
    TRY(dump(fd, scan, RTM_GETADDR, &address, sizeof(address)));
    TRY(dump(fd, scan, RTM_GETROUTE, &four, sizeof(four)));
    TRY(dump(fd, scan, RTM_GETROUTE, &six, sizeof(six)));
    TRY(dump(fd, scan, RTM_GETNEIGH, &neighbour, sizeof(neighbour)));
    net_scan_finish(scan);
    *ret_scan = TAKE_PTR(scan);
    return NULL;
}

void net_scan_free(struct net_scan *scan)
{
    if (!scan)
        return;
    free(scan->interfaces);
    free(scan->addresses);
    free(scan->routes);
    free(scan->neighbours);
    free(scan);
}
