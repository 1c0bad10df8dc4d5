/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/network.h"

#include <linux/neighbour.h>
#include <string.h>

const char *network_namespace(const Grpc__Spec *spec)
{
    const Grpc__Linux *linux_config = spec->linux_config;
    for (size_t i = 0; linux_config && i < linux_config->n_namespaces; i++) {
        const Grpc__LinuxNamespace *namespace = linux_config->namespaces[i];
        if (strcmp(namespace->type, "network") == 0)
            return *namespace->path ? namespace->path : NULL;
    }
    return NULL;
}

/* ---- messages ---- */

static char *text_of(const struct ip_address *address)
{
    return ip_address_text(address->family, address->bytes, address->length);
}

static Types__IPFamily family_of(const struct ip_address *address)
{
    return address->family == AF_INET6 ? TYPES__IPFAMILY__v6 : TYPES__IPFAMILY__v4;
}

static Types__IPAddress *describe_address(const struct ip_address *address)
{
    Types__IPAddress *message = must_new(Types__IPAddress);
    *message = (Types__IPAddress)TYPES__IPADDRESS__INIT;
    message->family = family_of(address);
    message->address = text_of(address);
    message->mask = must_printf("%u", address->prefix);
    return message;
}

/* A card that was in reserve is known to the guest by the address that it was made with, which Kata's message
   has no field for; device_path, which names a device by its place, is the nearest. */
static Types__Interface *describe_interface(const struct net *net, const struct net_interface *interface)
{
    const struct net_scan *scan = net_state(net);
    const uint8_t *card = net_card_of(net, interface->index);
    Types__Interface *message = must_new(Types__Interface);
    *message = (Types__Interface)TYPES__INTERFACE__INIT;
    message->device = must_copy(interface->name);
    message->name = must_copy(interface->name);
    message->mtu = interface->mtu;
    message->hw_addr = hardware_address_text(interface->mac, sizeof(interface->mac));
    message->raw_flags = interface->flags & IFF_NOARP;
    if (card && memcmp(card, interface->mac, sizeof(interface->mac)) != 0)
        message->device_path = hardware_address_text(card, HARDWARE_ADDRESS_SIZE);
    message->ip_addresses = must_alloc_array(scan->address_count + 1, sizeof(*message->ip_addresses));
    for (size_t i = 0; i < scan->address_count; i++)
        if (scan->addresses[i].index == interface->index)
            message->ip_addresses[message->n_ip_addresses++] = describe_address(&scan->addresses[i].address);
    return message;
}

static Types__Route *describe_route(const struct net_scan *scan, const struct net_route *route)
{
    Types__Route *message = must_new(Types__Route);
    *message = (Types__Route)TYPES__ROUTE__INIT;
    _cleanup_free_ char *destination = text_of(&route->destination);
    message->family = family_of(&route->destination);
    message->dest = route->destination.prefix > 0
                        ? must_printf("%s/%u", destination, route->destination.prefix)
                        : must_copy("");
    message->gateway = text_of(&route->gateway);
    message->source = text_of(&route->source);
    message->device = must_copy(net_scan_interface(scan, route->index)->name);
    message->scope = route->scope;
    message->flags = route->flags;
    message->mtu = route->mtu;
    message->priority = route->priority;
    return message;
}

static Types__ARPNeighbor *describe_neighbour(
    const struct net_scan *scan, const struct net_neighbour *neighbour)
{
    Types__ARPNeighbor *message = must_new(Types__ARPNeighbor);
    *message = (Types__ARPNeighbor)TYPES__ARPNEIGHBOR__INIT;
    message->to_ip_address = describe_address(&neighbour->address);
    message->device = must_copy(net_scan_interface(scan, neighbour->index)->name);
    message->lladdr = hardware_address_text(neighbour->mac, sizeof(neighbour->mac));
    message->state = neighbour->state;
    message->flags = neighbour->flags;
    return message;
}

/* ---- telling, one call after the other ---- */

struct telling {
    struct agent *agent;
    Types__Interface **interfaces;
    size_t interface_count;
    Grpc__Routes *routes;
    Grpc__ARPNeighbors *neighbours;
    size_t step;
    sandbox_done *done;
    void *context;
};

static struct telling *telling_new(struct agent *agent, const struct net *net, size_t first)
{
    const struct net_scan *scan = net_state(net);
    struct telling *telling = must_new(struct telling);
    telling->agent = agent;
    telling->interfaces = must_alloc_array(scan->interface_count + 1, sizeof(*telling->interfaces));
    for (size_t i = first; i < scan->interface_count; i++)
        telling->interfaces[telling->interface_count++] = describe_interface(net, &scan->interfaces[i]);
    telling->routes = must_new(Grpc__Routes);
    *telling->routes = (Grpc__Routes)GRPC__ROUTES__INIT;
    telling->routes->routes = must_alloc_array(scan->route_count + 1, sizeof(*telling->routes->routes));
    for (size_t i = 0; i < scan->route_count; i++)
        telling->routes->routes[telling->routes->n_routes++] = describe_route(scan, &scan->routes[i]);
    telling->neighbours = must_new(Grpc__ARPNeighbors);
    *telling->neighbours = (Grpc__ARPNeighbors)GRPC__ARPNEIGHBORS__INIT;
    telling->neighbours->arp_neighbors =
        must_alloc_array(scan->neighbour_count + 1, sizeof(*telling->neighbours->arp_neighbors));
    for (size_t i = 0; i < scan->neighbour_count; i++)
        telling->neighbours->arp_neighbors[telling->neighbours->n_arp_neighbors++] =
            describe_neighbour(scan, &scan->neighbours[i]);
    return telling;
}

static void telling_end(struct telling *telling, struct error *error)
{
    sandbox_done *done = telling->done;
    void *context = telling->context;
    for (size_t i = 0; i < telling->interface_count; i++)
        protobuf_c_message_free_unpacked(&telling->interfaces[i]->base, NULL);
    free(telling->interfaces);
    grpc__routes__free_unpacked(telling->routes, NULL);
    grpc__arpneighbors__free_unpacked(telling->neighbours, NULL);
    free(telling);
    done(context, error);
}

static void told(void *context, struct error *error, const ProtobufCMessage *response);

static void tell_interface(struct telling *telling, Types__Interface *interface)
{
    Grpc__UpdateInterfaceRequest request = GRPC__UPDATE_INTERFACE_REQUEST__INIT;
    request.interface = interface;
    agent_update_interface(telling->agent, &request, told, telling);
}

static void tell_routes(struct telling *telling)
{
    Grpc__UpdateRoutesRequest request = GRPC__UPDATE_ROUTES_REQUEST__INIT;
    request.routes = telling->routes;
    agent_update_routes(telling->agent, &request, told, telling);
}

static void tell_neighbours(struct telling *telling)
{
    Grpc__AddARPNeighborsRequest request = GRPC__ADD_ARPNEIGHBORS_REQUEST__INIT;
    request.neighbors = telling->neighbours;
    agent_add_neighbours(telling->agent, &request, told, telling);
}

/* Interfaces, then routes, then neighbours: each needs what is before it. */
static void tell_next(struct telling *telling)
{
    size_t routes = telling->interface_count, step = telling->step++;
    if (step < telling->interface_count)
        tell_interface(telling, telling->interfaces[step]);
    else if (step == routes && telling->routes->n_routes > 0)
        tell_routes(telling);
    else if (step <= routes + 1 && telling->neighbours->n_arp_neighbors > 0) {
        telling->step = routes + 2;
        tell_neighbours(telling);
    } else
        telling_end(telling, NULL);
}

static void told(void *context, struct error *error, const ProtobufCMessage *response)
{
    if (error)
        telling_end(context, error);
    else
        tell_next(context);
}

void network_tell(
    struct agent *agent, const struct net *net, size_t first_interface, sandbox_done *done, void *context)
{
    struct telling *telling = telling_new(agent, net, first_interface);
    telling->done = done;
    telling->context = context;
    tell_next(telling);
}

void network_catch_up(struct agent *agent, struct net *net, sandbox_done *done, void *context)
{
    size_t came = 0;
    struct error *error = net && net_reserve(net) > 0 ? net_rescan(net, &came) : NULL;
    if (came > 0)
        network_tell(agent, net, net_state(net)->interface_count - came, done, context);
    else
        done(context, error_wrap(error, "looking for network interfaces that have come"));
}
