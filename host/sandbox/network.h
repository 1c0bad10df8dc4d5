/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between host/net, which knows a network namespace, and the agent, which gives the guest's cards names,
 * addresses and routes.
 */
#pragma once

#include "net/net.h"
#include "oci/config.h"
#include "sandbox/agent.h"
#include "sandbox/sandbox.h"

/* A file of the sandbox's directory: see net_sweep. */
#define NETWORK_NOTE "network"

/* The path of the configuration's network namespace; NULL where it has none or a new one. */
const char *network_namespace(const Grpc__Spec *spec);

/* Tells the agent the interfaces from that one on, then all routes and neighbours. What is told is copied at
   once. `done` is called from the loop, or at once where there is nothing to tell. */
void network_tell(
    struct agent *agent, const struct net *net, size_t first_interface, sandbox_done *done, void *context);
/* Before a container starts: where the machine has cards in reserve, looks whether interfaces have come, and
   tells them. `net` may be NULL; then, or when nothing has come, `done` is called at once. */
void network_catch_up(struct agent *agent, struct net *net, sandbox_done *done, void *context);
