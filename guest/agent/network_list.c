/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/network.h"

#include "agent/network_link.h"
#include "netlink/netlink.h"

#include <linux/if_addr.h>
#include <string.h>

/* Of one interface, and of routes. What is beyond it is not listed. */
#define LIST_MAX 256

/* ---- interfaces ---- */

/* What a list is made of while the kernel's messages come in. */
struct listing {
    struct network_links links;
    Grpc__Interfaces *interfaces;
    Grpc__Routes *routes;
};

static Types__Interface *describe_link(const struct network_link *link)
{
    Types__Interface *interface = must_new(Types__Interface);
    *interface = (Types__Interface)TYPES__INTERFACE__INIT;
    interface->device = must_copy(link->name);
    interface->name = must_copy(link->name);
    interface->mtu = link->mtu;
    interface->hw_addr =
        hardware_address_text(link->hardware, link->has_hardware ? HARDWARE_ADDRESS_SIZE : 0);
    interface->raw_flags = link->flags;
    interface->ip_addresses = must_alloc_array(LIST_MAX, sizeof(*interface->ip_addresses));
    return interface;
}

static Types__Interface *interface_of(const struct listing *listing, int index)
{
    for (size_t i = 0; i < listing->links.count; i++) {
        if (listing->links.links[i].index == index)
            return listing->interfaces->interfaces[i];
    }
    return NULL;
}

static struct error *add_address(void *context, const struct nlmsghdr *message)
{
    struct netlink_attribute attributes[IFA_LOCAL + 1];
    if (message->nlmsg_type != RTM_NEWADDR)
        return NULL;
    TRY(netlink_attributes(message, sizeof(struct ifaddrmsg), IFA_LOCAL, attributes));
    const struct ifaddrmsg *header = netlink_body(message);
    Types__Interface *interface = interface_of(context, (int)header->ifa_index);
    /* IPv6 has no local address apart from the address. */
    const struct netlink_attribute *address =
        &attributes[attributes[IFA_LOCAL].data ? IFA_LOCAL : IFA_ADDRESS];
    if (!interface || !address->data || interface->n_ip_addresses == LIST_MAX)
        return NULL;
    Types__IPAddress *ip = must_new(Types__IPAddress);
    *ip = (Types__IPAddress)TYPES__IPADDRESS__INIT;
    ip->family = header->ifa_family == AF_INET6 ? TYPES__IPFAMILY__v6 : TYPES__IPFAMILY__v4;
    ip->address = ip_address_text(header->ifa_family, address->data, address->length);
    ip->mask = must_printf("%u", header->ifa_prefixlen);
    interface->ip_addresses[interface->n_ip_addresses++] = ip;
    return NULL;
}

static struct error *read_addresses(int fd, struct listing *listing)
{
    const struct ifaddrmsg header = {.ifa_family = AF_UNSPEC};
    struct netlink_request request;
    netlink_begin(&request, RTM_GETADDR, 0, &header, sizeof(header));
    return netlink_dump(fd, &request, add_address, listing);
}

struct error *network_list_interfaces(Grpc__Interfaces **ret_interfaces)
{
    _cleanup_fd_ int fd = -1;
    TRY(netlink_open(&fd));
    _cleanup_free_ struct listing *listing = must_new(struct listing);
    TRY(network_links_read(fd, &listing->links));
    Grpc__Interfaces *interfaces = must_new(Grpc__Interfaces);
    *interfaces = (Grpc__Interfaces)GRPC__INTERFACES__INIT;
    listing->interfaces = interfaces;
    interfaces->interfaces = must_alloc_array(listing->links.count + 1, sizeof(*interfaces->interfaces));
    for (size_t i = 0; i < listing->links.count; i++)
        interfaces->interfaces[interfaces->n_interfaces++] = describe_link(&listing->links.links[i]);
    struct error *error = read_addresses(fd, listing);
    if (error) {
        grpc__interfaces__free_unpacked(interfaces, NULL);
        return error_wrap(error, "listing the addresses of interfaces");
    }
    *ret_interfaces = interfaces;
    return NULL;
}

/* ---- routes ---- */

static char *text_of(int family, const struct netlink_attribute *attribute)
{
    return ip_address_text(family, attribute->data, attribute->length);
}

static char *destination_text(const struct rtmsg *header, const struct netlink_attribute *attribute)
{
    _cleanup_free_ char *address = text_of(header->rtm_family, attribute);
    return address[0] ? must_printf("%s/%u", address, header->rtm_dst_len) : must_copy("");
}

static struct error *add_route(void *context, const struct nlmsghdr *message)
{
    struct listing *listing = context;
    Grpc__Routes *routes = listing->routes;
    struct netlink_attribute attributes[RTA_PREFSRC + 1];
    if (message->nlmsg_type != RTM_NEWROUTE || routes->n_routes == LIST_MAX)
        return NULL;
    TRY(netlink_attributes(message, sizeof(struct rtmsg), RTA_PREFSRC, attributes));
    const struct rtmsg *header = netlink_body(message);
    if (header->rtm_table != RT_TABLE_MAIN || header->rtm_flags & RTM_F_CLONED)
        return NULL;
    const struct network_link *link =
        network_links_by_index(&listing->links, (int)netlink_number(&attributes[RTA_OIF]));
    Types__Route *route = must_new(Types__Route);
    *route = (Types__Route)TYPES__ROUTE__INIT;
    route->dest = destination_text(header, &attributes[RTA_DST]);
    route->gateway = text_of(header->rtm_family, &attributes[RTA_GATEWAY]);
    route->source = text_of(header->rtm_family, &attributes[RTA_PREFSRC]);
    route->device = must_copy(link ? link->name : "");
    route->scope = header->rtm_scope;
    route->priority = netlink_number(&attributes[RTA_PRIORITY]);
    route->family = header->rtm_family == AF_INET6 ? TYPES__IPFAMILY__v6 : TYPES__IPFAMILY__v4;
    route->flags = header->rtm_flags & RTNH_F_ONLINK;
    routes->routes[routes->n_routes++] = route;
    return NULL;
}

static struct error *read_routes(int fd, struct listing *listing)
{
    const struct rtmsg header = {.rtm_family = AF_UNSPEC};
    struct netlink_request request;
    netlink_begin(&request, RTM_GETROUTE, 0, &header, sizeof(header));
    return netlink_dump(fd, &request, add_route, listing);
}

struct error *network_list_routes(Grpc__Routes **ret_routes)
{
    _cleanup_fd_ int fd = -1;
    TRY(netlink_open(&fd));
    _cleanup_free_ struct listing *listing = must_new(struct listing);
    TRY(network_links_read(fd, &listing->links));
    Grpc__Routes *routes = must_new(Grpc__Routes);
    *routes = (Grpc__Routes)GRPC__ROUTES__INIT;
    routes->routes = must_alloc_array(LIST_MAX, sizeof(*routes->routes));
    listing->routes = routes;
    struct error *error = read_routes(fd, listing);
    if (error) {
        grpc__routes__free_unpacked(routes, NULL);
        return error_wrap(error, "listing the routes");
    }
    *ret_routes = routes;
    return NULL;
}
