/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's connections into the guest: a mux on one descriptor. Port 1024 is the agent's ttrpc server, each
 * connection served apart. Streams to port 1027 wait in a bounded table until a request names them. Streams
 * to 65536 + N are joined to the guest's own TCP port N (dial.h).
 */
#pragma once

#include "mux/mux.h"
#include "ttrpc/ttrpc.h"

#define LINK_PORT_AGENT 1024
#define LINK_PORT_STREAMS 1027
#define LINK_PORT_TCP 0x10000u

/* Streams that no request has named yet; three for each process that is about to start. */
#define LINK_WAITING_MAX 96

struct link;

/* The host is gone, or broke the protocol. The reason is borrowed. The link may be freed from here. */
typedef void link_failed(void *context, const struct error *reason);

/* The host's end is another one: this machine was saved, and starts again elsewhere. No stream is left. */
typedef void link_regreeted(void *context);

/* Takes the descriptor; the server is borrowed. */
struct error *link_new(struct event_base *base, int fd, struct ttrpc_server *server, link_failed *failed,
    void *context, struct link **ret_link);
/* Who is told, with the context of link_new. */
void link_watch_host(struct link *link, link_regreeted *regreeted);
/* The waiting stream with that number, which leaves the table: the caller attaches or resets it.
   NOT_FOUND where none waits under it. */
struct error *link_take_stream(struct link *link, uint32_t number, struct mux_stream **ret_stream);
/* A stream to a port of the host, which refuses by resetting it. */
struct error *link_open_stream(struct link *link, uint32_t port, struct mux_stream **ret_stream);
/* Takes NULL. */
void link_free(struct link *link);
