/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's network as the guest protocol describes it: interfaces with their addresses, routes,
 * neighbours. Everything that comes in is text of the host's, checked here.
 */
#pragma once

#include "base/error.h"
#include "proto/agent.pb-c.h"

/* Finds the interface by its hardware address, else by the one that device_path holds (a card in reserve,
   which takes over the first), by name where there is none; gives it the name, the addresses (and no others)
   and the MTU, and brings it up. NOT_FOUND where there is no such interface. */
struct error *network_update_interface(const Types__Interface *interface);
/* These routes and no others, except what the kernel itself has added. Direct ones first, so that gateways
   can be reached. */
struct error *network_update_routes(const Grpc__Routes *routes);
struct error *network_add_neighbours(const Grpc__ARPNeighbors *neighbours);

/* The caller's, to be freed with grpc__..._free_unpacked. */
struct error *network_list_interfaces(Grpc__Interfaces **ret_interfaces);
struct error *network_list_routes(Grpc__Routes **ret_routes);
