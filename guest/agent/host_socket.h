/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket file of the guest that leads to a unix socket of the host: every connection to it becomes a stream
 * to a port of the host, which the host joins to its own socket. Bytes and ends of file pass; descriptors and
 * credentials do not.
 */
#pragma once

#include "agent/link.h"
#include "proto/agent.pb-c.h"

#include <event2/event.h>

/* More clients wait in the socket's backlog until one has gone. The host has the same bound. */
#define HOST_SOCKET_CONNECTIONS_MAX 64

struct host_socket;

/* As the storage says: source is the port, the mount point is the file, options are mode= (octal), uid= and
   gid=. `link` may be NULL: FAILED_PRECONDITION. */
struct error *host_socket_new(struct event_base *base, struct link *link, const Grpc__Storage *storage,
    struct host_socket **ret_socket);
/* Ends its connections and removes the file. The link is not freed yet. Takes NULL. */
void host_socket_free(struct host_socket *host_socket);
