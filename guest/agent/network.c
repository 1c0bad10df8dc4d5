/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/network.h"

#include "agent/network_link.h"
#include "netlink/netlink.h"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <string.h>

/* More addresses or routes than an interface of a sandbox has. */
#define NETWORK_OBJECTS_MAX 256

/* ---- links ---- */

static struct error *set_link(
    int fd, int index, unsigned flags, unsigned change, const char *name, uint32_t mtu)
{
    const struct ifinfomsg header = {
        .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = flags, .ifi_change = change};
    struct netlink_request request;
    netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
    if (name)
        netlink_put_text(&request, IFLA_IFNAME, name);
    if (mtu > 0)
        netlink_put_number(&request, IFLA_MTU, mtu);
    return netlink_call(fd, &request);
}

/* NULL for an empty text, and where no link has the address. */
static struct error *find_by_hardware(
    const struct network_links *links, const char *text, const struct network_link **ret_link)
{
    uint8_t hardware[HARDWARE_ADDRESS_SIZE];
    *ret_link = NULL;
    if (text[0] == '\0')
        return NULL;
    TRY(hardware_address_parse(text, hardware));
    *ret_link = network_links_by_hardware(links, hardware);
    return NULL;
}

/* A card in reserve has another hardware address than the interface that it will be: the host gives it as the
   device's path. A path of another kind is none. */
static const struct network_link *find_reserve(const struct network_links *links, const char *path)
{
    const struct network_link *found = NULL;
    error_free(find_by_hardware(links, path, &found));
    return found;
}

static struct error *find_link(int fd, const Types__Interface *interface, struct network_link *ret_link)
{
    struct network_links links;
    const struct network_link *found;
    TRY(network_links_read(fd, &links));
    TRY(find_by_hardware(&links, interface->hw_addr, &found));
    if (!found)
        found = find_reserve(&links, interface->device_path);
    if (!found && interface->hw_addr[0] == '\0')
        found = network_links_by_name(&links, interface->name[0] ? interface->name : interface->device);
    if (!found)
        return error_new(ERROR_NOT_FOUND,
            "the guest has no network interface with the address \"%.32s\" "
            "or name \"%.32s\"",
            interface->hw_addr, interface->name);
    *ret_link = *found;
    return NULL;
}

/* A link keeps its name while it is up. */
static struct error *rename_link(int fd, const struct network_link *link, const char *name)
{
    if (name[0] == '\0' || strcmp(name, link->name) == 0)
        return NULL;
    if (strlen(name) >= IFNAMSIZ || strchr(name, '/'))
        return error_new(ERROR_INVALID_ARGUMENT, "\"%.32s\" cannot name a network interface", name);
    TRY(set_link(fd, link->index, 0, IFF_UP, NULL, 0));
    return error_wrap(
        set_link(fd, link->index, 0, 0, name, 0), "renaming the interface %s to %s", link->name, name);
}

/* Two interfaces may change places: the one in the way gets a name that nobody else has. */
static struct error *clear_name(int fd, const struct network_link *wanted, const char *name)
{
    struct network_links links;
    TRY(network_links_read(fd, &links));
    const struct network_link *other = network_links_by_name(&links, name);
    if (!other || other->index == wanted->index || other->flags & IFF_UP)
        return NULL;
    _cleanup_free_ char *aside = must_printf("aside%d", other->index);
    return rename_link(fd, other, aside);
}

static struct error *set_hardware(int fd, const struct network_link *link, const char *text)
{
    uint8_t hardware[HARDWARE_ADDRESS_SIZE];
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = link->index};
    if (text[0] == '\0')
        return NULL;
    TRY(hardware_address_parse(text, hardware));
    if (link->has_hardware && memcmp(link->hardware, hardware, sizeof(hardware)) == 0)
        return NULL;
    struct netlink_request request;
    netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
    netlink_put(&request, IFLA_ADDRESS, hardware, sizeof(hardware));
    return error_wrap(
        netlink_call(fd, &request), "giving the interface %s the hardware address %s", link->name, text);
}

/* ---- addresses ---- */

/* Objects of a dump that are to be deleted; deleting while reading would confuse the dump. */
struct removal {
    int index;
    struct netlink_request requests[NETWORK_OBJECTS_MAX];
    size_t count;
};

/* The message itself as a request of another type. One that is too long is none that we have made. */
static void remember(struct removal *removal, const struct nlmsghdr *message, int type)
{
    if (removal->count == NETWORK_OBJECTS_MAX || message->nlmsg_len > NETLINK_REQUEST_MAX)
        return;
    struct netlink_request *request = &removal->requests[removal->count++];
    memcpy(request->bytes, message, message->nlmsg_len);
    struct nlmsghdr *header = (struct nlmsghdr *)(void *)request->bytes;
    header->nlmsg_type = (uint16_t)type;
    header->nlmsg_flags = NLM_F_REQUEST;
    header->nlmsg_seq = 0;
    header->nlmsg_pid = 0;
}

static struct error *remove_all(int fd, struct removal *removal)
{
    for (size_t i = 0; i < removal->count; i++) {
        _cleanup_error_ struct error *error = netlink_call(fd, &removal->requests[i]);
        /* An object may have gone with one before it. */
        int number = error_number(error);
        if (error && number != ESRCH && number != EADDRNOTAVAIL && number != ENOENT)
            return TAKE_PTR(error);
    }
    return NULL;
}

/* Link-local addresses are the kernel's own. */
static struct error *remember_address(void *context, const struct nlmsghdr *message)
{
    struct removal *removal = context;
    const struct ifaddrmsg *header = netlink_body(message);
    if (message->nlmsg_type == RTM_NEWADDR && message->nlmsg_len >= NLMSG_LENGTH(sizeof(*header)) &&
        (int)header->ifa_index == removal->index && header->ifa_scope != RT_SCOPE_LINK)
        remember(removal, message, RTM_DELADDR);
    return NULL;
}

static struct error *flush_addresses(int fd, int index)
{
    const struct ifaddrmsg header = {.ifa_family = AF_UNSPEC};
    struct netlink_request request;
    netlink_begin(&request, RTM_GETADDR, 0, &header, sizeof(header));
    _cleanup_free_ struct removal *removal = must_new(struct removal);
    removal->index = index;
    TRY(netlink_dump(fd, &request, remember_address, removal));
    return error_wrap(remove_all(fd, removal), "removing addresses");
}

static struct error *add_address(int fd, int index, const Types__IPAddress *wanted)
{
    struct ip_address address;
    TRY(ip_address_parse(wanted->address, &address));
    TRY(ip_address_set_prefix(&address, wanted->mask));
    const struct ifaddrmsg header = {.ifa_family = address.family,
        .ifa_prefixlen = address.prefix,
        /* The host has chosen it: looking for a duplicate would only delay its use. */
        .ifa_flags = address.family == AF_INET6 ? IFA_F_NODAD : 0,
        .ifa_index = (unsigned)index};
    struct netlink_request request;
    netlink_begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &header, sizeof(header));
    netlink_put(&request, IFA_LOCAL, address.bytes, address.length);
    netlink_put(&request, IFA_ADDRESS, address.bytes, address.length);
    return error_wrap(netlink_call(fd, &request), "adding the address %s", wanted->address);
}

struct error *network_update_interface(const Types__Interface *interface)
{
    _cleanup_fd_ int fd = -1;
    TRY(netlink_open(&fd));
    struct network_link link;
    TRY(find_link(fd, interface, &link));
    if (interface->mtu > UINT16_MAX)
        return error_new(
            ERROR_INVALID_ARGUMENT, "%llu is no size of a packet", (unsigned long long)interface->mtu);
    TRY(clear_name(fd, &link, interface->name));
    TRY(rename_link(fd, &link, interface->name));
    TRY(set_hardware(fd, &link, interface->hw_addr));
    TRY(flush_addresses(fd, link.index));
    for (size_t i = 0; i < interface->n_ip_addresses; i++)
        TRY(add_address(fd, link.index, interface->ip_addresses[i]));
    unsigned flags = IFF_UP | (interface->raw_flags & IFF_NOARP);
    return error_wrap(set_link(fd, link.index, flags, IFF_UP | IFF_NOARP, NULL, (uint32_t)interface->mtu),
        "bringing the interface %s up", interface->name[0] ? interface->name : link.name);
}

/* ---- routes ---- */

static struct error *remember_route(void *context, const struct nlmsghdr *message)
{
    const struct rtmsg *header = netlink_body(message);
    if (message->nlmsg_type == RTM_NEWROUTE && message->nlmsg_len >= NLMSG_LENGTH(sizeof(*header)) &&
        header->rtm_table == RT_TABLE_MAIN && header->rtm_protocol != RTPROT_KERNEL &&
        !(header->rtm_flags & RTM_F_CLONED))
        remember(context, message, RTM_DELROUTE);
    return NULL;
}

static struct error *flush_routes(int fd)
{
    const struct rtmsg header = {.rtm_family = AF_UNSPEC};
    struct netlink_request request;
    netlink_begin(&request, RTM_GETROUTE, 0, &header, sizeof(header));
    _cleanup_free_ struct removal *removal = must_new(struct removal);
    TRY(netlink_dump(fd, &request, remember_route, removal));
    return error_wrap(remove_all(fd, removal), "removing routes");
}

/* The addresses of a route; an empty text is the unspecified one. */
struct route {
    struct ip_address destination, gateway, source;
    bool has_gateway, has_source;
};

static struct error *parse_route(const Types__Route *wanted, struct route *ret_route)
{
    struct route route = {.has_gateway = wanted->gateway[0] != '\0', .has_source = wanted->source[0] != '\0'};
    if (route.has_gateway)
        TRY(ip_address_parse(wanted->gateway, &route.gateway));
    if (route.has_source)
        TRY(ip_address_parse(wanted->source, &route.source));
    bool is_default = wanted->dest[0] == '\0' || strcmp(wanted->dest, "default") == 0;
    if (!is_default)
        TRY(ip_address_parse(wanted->dest, &route.destination));
    else
        route.destination.family = route.has_gateway                       ? route.gateway.family
                                   : wanted->family == TYPES__IPFAMILY__v6 ? AF_INET6
                                                                           : AF_INET;
    *ret_route = route;
    return NULL;
}

static struct error *add_route(int fd, const struct network_links *links, const Types__Route *wanted)
{
    struct route route;
    TRY(parse_route(wanted, &route));
    const struct network_link *link = network_links_by_name(links, wanted->device);
    if (wanted->device[0] != '\0' && !link)
        return error_new(ERROR_NOT_FOUND, "the guest has no interface %.32s", wanted->device);
    const struct rtmsg header = {.rtm_family = route.destination.family,
        .rtm_dst_len = route.destination.prefix,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_scope = (unsigned char)wanted->scope,
        .rtm_type = RTN_UNICAST,
        .rtm_flags = wanted->flags & RTNH_F_ONLINK};
    struct netlink_request request;
    netlink_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &header, sizeof(header));
    if (route.destination.prefix > 0)
        netlink_put(&request, RTA_DST, route.destination.bytes, route.destination.length);
    if (route.has_gateway)
        netlink_put(&request, RTA_GATEWAY, route.gateway.bytes, route.gateway.length);
    if (route.has_source)
        netlink_put(&request, RTA_PREFSRC, route.source.bytes, route.source.length);
    if (link)
        netlink_put_number(&request, RTA_OIF, (uint32_t)link->index);
    if (wanted->priority > 0)
        netlink_put_number(&request, RTA_PRIORITY, wanted->priority);
    if (wanted->mtu > 0) {
        struct rtattr *metrics = netlink_begin_nested(&request, RTA_METRICS);
        netlink_put_number(&request, RTAX_MTU, wanted->mtu);
        netlink_end_nested(&request, metrics);
    }
    return netlink_call(fd, &request);
}

static struct error *add_routes(int fd, const Grpc__Routes *routes, bool with_gateway)
{
    struct network_links links;
    TRY(network_links_read(fd, &links));
    for (size_t i = 0; i < routes->n_routes; i++) {
        const Types__Route *route = routes->routes[i];
        if ((route->gateway[0] != '\0') == with_gateway)
            TRY(error_wrap(add_route(fd, &links, route),
                "adding the route to \"%.64s\" by \"%.64s\" on %.32s", route->dest, route->gateway,
                route->device));
    }
    return NULL;
}

struct error *network_update_routes(const Grpc__Routes *routes)
{
    if (routes->n_routes > NETWORK_OBJECTS_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "more than %d routes", NETWORK_OBJECTS_MAX);
    _cleanup_fd_ int fd = -1;
    TRY(netlink_open(&fd));
    TRY(flush_routes(fd));
    TRY(add_routes(fd, routes, false));
    return add_routes(fd, routes, true);
}

/* ---- neighbours ---- */

static struct error *add_neighbour(
    int fd, const struct network_links *links, const Types__ARPNeighbor *wanted)
{
    const struct network_link *link = network_links_by_name(links, wanted->device);
    if (!link || !wanted->to_ip_address)
        return error_new(ERROR_INVALID_ARGUMENT, "a neighbour needs an interface and an address");
    struct ip_address address;
    uint8_t hardware[HARDWARE_ADDRESS_SIZE];
    TRY(ip_address_parse(wanted->to_ip_address->address, &address));
    TRY(hardware_address_parse(wanted->lladdr, hardware));
    const struct ndmsg header = {.ndm_family = address.family,
        .ndm_ifindex = link->index,
        .ndm_state = (uint16_t)(wanted->state ? wanted->state : NUD_PERMANENT),
        .ndm_flags = (uint8_t)wanted->flags};
    struct netlink_request request;
    netlink_begin(&request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &header, sizeof(header));
    netlink_put(&request, NDA_DST, address.bytes, address.length);
    netlink_put(&request, NDA_LLADDR, hardware, sizeof(hardware));
    return netlink_call(fd, &request);
}

struct error *network_add_neighbours(const Grpc__ARPNeighbors *neighbours)
{
    _cleanup_fd_ int fd = -1;
    TRY(netlink_open(&fd));
    struct network_links links;
    TRY(network_links_read(fd, &links));
    for (size_t i = 0; i < neighbours->n_arp_neighbors; i++)
        TRY(error_wrap(add_neighbour(fd, &links, neighbours->arp_neighbors[i]), "adding a neighbour on %.32s",
            neighbours->arp_neighbors[i]->device));
    return NULL;
}
