/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rpc.h"

#include "agent/network.h"

/* ---- changes ---- */

void rpc_update_interface(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const struct agent *agent = context;
    const Grpc__UpdateInterfaceRequest *request = (const void *)message;
    struct error *error = sandbox_state_check(agent->state, CALL_SETUP);
    if (!error && !request->interface)
        error = error_new(ERROR_INVALID_ARGUMENT, "the request has no interface");
    if (!error)
        error = network_update_interface(request->interface);
    if (error)
        ttrpc_fail(call, error);
    else
        ttrpc_reply(call, &request->interface->base);
}

static void reply_routes(struct ttrpc_call *call)
{
    Grpc__Routes *routes;
    struct error *error = network_list_routes(&routes);
    if (error) {
        ttrpc_fail(call, error);
        return;
    }
    ttrpc_reply(call, &routes->base);
    grpc__routes__free_unpacked(routes, NULL);
}

void rpc_update_routes(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const struct agent *agent = context;
    const Grpc__UpdateRoutesRequest *request = (const void *)message;
    struct error *error = sandbox_state_check(agent->state, CALL_SETUP);
    if (!error && !request->routes)
        error = error_new(ERROR_INVALID_ARGUMENT, "the request has no routes");
    if (!error)
        error = network_update_routes(request->routes);
    if (error)
        ttrpc_fail(call, error);
    else
        reply_routes(call);
}

static struct error *add_neighbours(struct agent *agent, const Grpc__AddARPNeighborsRequest *request)
{
    TRY(sandbox_state_check(agent->state, CALL_SETUP));
    return request->neighbors ? network_add_neighbours(request->neighbors) : NULL;
}
RPC_HANDLER(rpc_add_arp_neighbors, add_neighbours, Grpc__AddARPNeighborsRequest);

/* ---- lists ---- */

void rpc_list_interfaces(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    Grpc__Interfaces *interfaces;
    struct error *error = network_list_interfaces(&interfaces);
    if (error) {
        ttrpc_fail(call, error);
        return;
    }
    ttrpc_reply(call, &interfaces->base);
    grpc__interfaces__free_unpacked(interfaces, NULL);
}

void rpc_list_routes(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    reply_routes(call);
}
