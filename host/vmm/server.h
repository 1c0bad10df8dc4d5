/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does what the owner of the machine asks for on the control channel (control.h), and tells of its end.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>

struct server;

/* The socket and the descriptor of /dev/kvm are taken, also on failure; base is borrowed. */
struct error *server_new(struct event_base *base, int socket, int kvm, struct server **ret_server);
/* Runs the event loop until the owner or the guest ended the machine; an error is what the owner did wrong.
 */
struct error *server_run(struct server *server);
/* Takes NULL. */
void server_free(struct server *server);

DEFINE_CLEANUP(struct server *, server_free);
