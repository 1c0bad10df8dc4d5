/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's network namespace, carried into a machine.
 *
 * Every interface that stands in the namespace (scan.h says which count) gets a tap device beside it, and all
 * that one of the two receives is sent by the other. The machine has a network card on the tap with the
 * interface's own hardware address; what is in it takes over name, MTU, addresses, routes and neighbours, so
 * that outside nothing shows that the container's end of the wire is inside a machine.
 *
 * A namespace that has no interface yet gets taps without partners: cards that the machine holds in reserve,
 * for interfaces that come before the container starts (Docker from version 26 on).
 *
 * Everything made in the namespace is gone after net_free: the taps live as long as a descriptor of them,
 * here or in the hypervisor, which therefore ends first; the redirections are taken away. For a supervisor
 * that was killed, net_sweep does that with the note that it kept. The calls ask the kernel and do not wait
 * for anybody else.
 */
#pragma once

#include "base/error.h"
#include "hv/hv.h"
#include "net/scan.h"

#include <stdbool.h>

/* Interfaces that may come late, one card each. */
#define NET_RESERVE 2

struct net;

/* Reads the namespace and makes the taps. FAILED_PRECONDITION where the namespace is the host's, or carried
   into another machine already. */
struct error *net_new(const char *namespace_path, struct net **ret_net);
/* Takes NULL. The hypervisor that had the cards is gone by now. */
void net_free(struct net *net);
DEFINE_CLEANUP(struct net *, net_free);
#define _cleanup_net_ _cleanup_(net_free)

/* The machine's cards, borrowed; reserves come last. */
const struct hv_nic *net_nics(const struct net *net, size_t *ret_count);
/* How many of them are in reserve, without an interface. */
size_t net_reserve(const struct net *net);
/* Gives up so many reserves, for which the machine has no room. */
void net_give_up(struct net *net, size_t count);
/* The hypervisor has its own descriptors of the taps: closes these. */
void net_release(struct net *net);

/* As it stands in the namespace since the last look at it. Borrowed until the next. */
const struct net_scan *net_state(const struct net *net);
/* The hardware address of the machine's card that carries the interface: the interface's own, unless the card
   was in reserve. NULL where none does. */
const uint8_t *net_card_of(const struct net *net, int index);
/* Looks again, and gives reserves to interfaces that have come since; *ret_came says how many. The new ones
   are at the end of net_state's interfaces. FAILED_PRECONDITION where there are more of them than reserves.
 */
struct error *net_rescan(struct net *net, size_t *ret_came);

/* Which namespace it is, as text for net_sweep; owned by the caller. */
char *net_note(const struct net *net);
/* Takes away the redirections in the namespace of the note, whose supervisor was killed and whose machine is
   ending. A namespace that is gone, or a path where there is another one now, is fine. */
struct error *net_sweep(const char *note);
