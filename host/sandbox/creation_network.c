/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/creation.h"
#include "sandbox/network.h"

#include "base/fd.h"

#include <fcntl.h>

/* ---- QEMU's user network ---- */

/* The addresses of QEMU's user network: see struct hv_network. */
#define GUEST_ADDRESS "10.0.2.15"
#define GUEST_PREFIX "24"
#define GUEST_GATEWAY "10.0.2.2"
#define GUEST_DEVICE "eth0"

static void add_default_route(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct creation *creation = context;
    if (error || creation->undone) {
        creation_call_done(creation, error, NULL);
        return;
    }
    Types__Route route = TYPES__ROUTE__INIT;
    route.dest = "0.0.0.0/0";
    route.gateway = GUEST_GATEWAY;
    route.device = GUEST_DEVICE;
    Types__Route *list[] = {&route};
    Grpc__Routes routes = GRPC__ROUTES__INIT;
    routes.routes = list;
    routes.n_routes = ARRAY_SIZE(list);
    Grpc__UpdateRoutesRequest request = GRPC__UPDATE_ROUTES_REQUEST__INIT;
    request.routes = &routes;
    agent_update_routes(creation->sandbox->agent, &request, creation_call_done, creation);
}

static void set_address(struct creation *creation)
{
    static const uint8_t mac[6] = GUEST_MAC;
    _cleanup_free_ char *hardware =
        must_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    Types__IPAddress address = TYPES__IPADDRESS__INIT;
    address.address = GUEST_ADDRESS;
    address.mask = GUEST_PREFIX;
    Types__IPAddress *addresses[] = {&address};
    Types__Interface interface = TYPES__INTERFACE__INIT;
    interface.device = GUEST_DEVICE;
    interface.name = GUEST_DEVICE;
    interface.hw_addr = hardware;
    interface.mtu = 1500;
    interface.ip_addresses = addresses;
    interface.n_ip_addresses = ARRAY_SIZE(addresses);
    Grpc__UpdateInterfaceRequest request = GRPC__UPDATE_INTERFACE_REQUEST__INIT;
    request.interface = &interface;
    agent_update_interface(creation->sandbox->agent, &request, add_default_route, creation);
}

/* ---- a network namespace ---- */

/* The configuration's, or a new one, which the container's stand-in has; NULL for neither. */
static char *find_namespace(const struct creation *creation)
{
    const char *path = network_namespace(creation->spec);
    if (creation->sandbox->settings->network != HV_NETWORK_NONE)
        return NULL;
    return path ? must_copy(path) : creation_stand_in_network(creation);
}

/* For the shim's `delete`, should this one be killed. */
static struct error *leave_note(const struct sandbox *sandbox)
{
    _cleanup_free_ char *path = must_printf("%s/" NETWORK_NOTE, sandbox->options.directory);
    _cleanup_free_ char *note = net_note(sandbox->net);
    return file_write_text(AT_FDCWD, path, note);
}

void creation_scan_network(struct creation *creation)
{
    _cleanup_free_ char *path = find_namespace(creation);
    struct error *error = path ? net_new(path, &creation->sandbox->net) : NULL;
    if (path && !error)
        error = leave_note(creation->sandbox);
    creation_step_done(creation, error);
}

void creation_leave_network(struct creation *creation)
{
    forward_free(TAKE_PTR(creation->sandbox->forward));
    net_free(TAKE_PTR(creation->sandbox->net));
}

void creation_add_nics(struct sandbox *sandbox, const struct hv_ops *ops, struct hv_config *config)
{
    if (!sandbox->net)
        return;
    size_t reserve = net_reserve(sandbox->net), room = ops->capabilities & HV_TAP ? hv_room(ops, config) : 0;
    net_give_up(sandbox->net, reserve > room ? reserve - room : 0);
    config->network.nics = net_nics(sandbox->net, &config->network.nic_count);
}

static void told(void *context, struct error *error)
{
    creation_call_done(context, error, NULL);
}

/* A machine without it is of use nevertheless. */
static void forward_ports(struct sandbox *sandbox)
{
    _cleanup_free_ char *note = net_note(sandbox->net);
    struct error *error = forward_new(sandbox->base, note, sandbox->hv, &sandbox->forward);
    if (error)
        sandbox_note(
            sandbox, "ports cannot be forwarded from inside the network namespace: %s", error_message(error));
    error_free(error);
}

void creation_set_up_network(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    if (sandbox->net)
        forward_ports(sandbox);
    if (sandbox->settings->network == HV_NETWORK_USER)
        set_address(creation);
    else if (sandbox->net)
        network_tell(sandbox->agent, sandbox->net, 0, told, creation);
    else
        creation_step_done(creation, NULL);
}
