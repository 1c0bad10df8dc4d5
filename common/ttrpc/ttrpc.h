/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttrpc: unary calls of protobuf messages over a stream socket, as containerd and Kata speak it
 * (https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md). Everything runs in the caller's libevent loop.
 *
 * Messages are described by the generated ProtobufCServiceDescriptor: a method is found by its name and
 * requests are decoded before a handler sees them. A frame over 4 MiB, an unknown frame type or a stream id
 * that breaks the rules ends the connection; an unknown method or an undecodable request fails that call.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

/* PROTOCOL.md: maximum data length of a frame. */
#define TTRPC_MESSAGE_MAX (4u << 20)

/* ---- server ---- */

struct ttrpc_server;
struct ttrpc_call;

/* Answers a call, now or later, by exactly one of ttrpc_reply and ttrpc_fail. The request is borrowed and
   lives until the call is answered. `context` is the server's. */
typedef void ttrpc_handler(void *context, struct ttrpc_call *call, const ProtobufCMessage *request);

struct ttrpc_method {
    const char *name;
    ttrpc_handler *handler;
};

/* Methods of the descriptor that are not in the table answer UNIMPLEMENTED. */
struct ttrpc_service {
    const char *name; /* full name: "containerd.task.v2.Task"; may differ from the descriptor's */
    const ProtobufCServiceDescriptor *descriptor;
    const struct ttrpc_method *methods;
    size_t method_count;
};

/* The services are borrowed and must outlive the server. */
struct ttrpc_server *ttrpc_server_new(struct event_base *base, const struct ttrpc_service *const *services,
    size_t service_count, void *context);
/* Accepts connections from a listening socket. Takes the descriptor. */
struct error *ttrpc_server_listen(struct ttrpc_server *server, int fd);
/* Serves one connected socket. Takes the descriptor. */
struct error *ttrpc_server_serve(struct ttrpc_server *server, int fd);
size_t ttrpc_server_connection_count(const struct ttrpc_server *server);
/* Closes everything. Calls still unanswered stay valid; their answers go nowhere. Takes NULL. */
void ttrpc_server_free(struct ttrpc_server *server);

/* Both consume the call. The response is borrowed, the error is consumed. */
void ttrpc_reply(struct ttrpc_call *call, const ProtobufCMessage *response);
void ttrpc_fail(struct ttrpc_call *call, struct error *error);
/* Answers with an empty message (any message type without required content decodes it). */
void ttrpc_reply_empty(struct ttrpc_call *call);
/* Milliseconds that the caller is willing to wait; 0 where it said nothing. */
uint64_t ttrpc_call_timeout(const struct ttrpc_call *call);

/* ---- client ---- */

struct ttrpc_client;

/* The connection is gone; outstanding calls have been failed with UNAVAILABLE before. The reason is borrowed.
   The client may be freed from here. */
typedef void ttrpc_closed(void *context, const struct error *reason);
/* One of error (owned by the callee) and response (borrowed) is set. */
typedef void ttrpc_done(void *context, struct error *error, const ProtobufCMessage *response);

/* Takes the connected socket. `closed` may be NULL. */
struct error *ttrpc_client_new(
    struct event_base *base, int fd, ttrpc_closed *closed, void *context, struct ttrpc_client **ret_client);
/* Sends a call. `done` is called exactly once, from the loop, unless the client is freed first: then it is
   called with CANCELLED from inside ttrpc_client_free. timeout 0: none, in milliseconds. The request is
   borrowed during this call only. A method that the descriptor lacks is a programming error (abort). */
void ttrpc_client_call(struct ttrpc_client *client, const ProtobufCServiceDescriptor *service,
    const char *method, const ProtobufCMessage *request, uint64_t timeout, ttrpc_done *done, void *context);
/* The same, running the event loop until the answer is there. For front ends, never in a server. The response
   is freed with protobuf_c_message_free_unpacked(response, NULL); ret_response may be NULL. */
struct error *ttrpc_client_call_and_wait(struct ttrpc_client *client,
    const ProtobufCServiceDescriptor *service, const char *method, const ProtobufCMessage *request,
    uint64_t timeout, ProtobufCMessage **ret_response);
/* Takes NULL. */
void ttrpc_client_free(struct ttrpc_client *client);

DEFINE_CLEANUP(struct ttrpc_client *, ttrpc_client_free);
#define _cleanup_ttrpc_client_ _cleanup_(ttrpc_client_free)

/* Encodes into malloc'ed memory; ret_length may not be NULL. */
uint8_t *ttrpc_pack(const ProtobufCMessage *message, size_t *ret_length);
