/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections that processes of the host make inside a container's network namespace to its loopback
 * addresses, carried to the same port of the guest's. That is how containerd's CRI forwards ports: it dials
 * localhost in the namespace, where the host's kernel knows of no listener, because that one is in the guest.
 *
 * Ports of the host itself cannot be reached so: a connection comes only from inside the namespace, and goes
 * only into its own machine.
 */
#pragma once

#include "base/error.h"
#include "hv/hv.h"

#include <event2/event.h>

/* At one time. */
#define FORWARD_CONNECTIONS_MAX 256

/* The guest's TCP port N is the port FORWARD_PORTS + N of the machine's link; refused, or reset, where
   nothing listens there. LINK_PORT_TCP in the agent. */
#define FORWARD_PORTS 0x10000u

struct forward;

/* `note` names the namespace (net_note); the machine has started. UNIMPLEMENTED or what the kernel says where
   it does not allow this. */
struct error *forward_new(
    struct event_base *base, const char *note, struct hv *hv, struct forward **ret_forward);
/* After the machine was freed, so that none of the connections is left. Takes NULL. */
void forward_free(struct forward *forward);
