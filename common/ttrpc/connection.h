/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ttrpc connection: frames in and out of a stream socket. Used by the server and the client.
 */
#pragma once

#include "ttrpc/ttrpc.h"

#include <stdbool.h>

/* PROTOCOL.md: frame types. */
enum ttrpc_frame_type { TTRPC_REQUEST = 1, TTRPC_RESPONSE = 2, TTRPC_DATA = 3 };

struct ttrpc_frame {
    uint32_t stream;
    uint8_t type;
    const uint8_t *payload; /* borrowed during the callback */
    size_t length;
};

struct ttrpc_connection;

struct ttrpc_connection_events {
    /* A whole frame came. An error ends the connection. */
    struct error *(*frame)(void *context, const struct ttrpc_frame *frame);
    /* It has ended: free it here or later. The reason is borrowed. */
    void (*closed)(void *context, const struct error *reason);
};

/* Takes the socket. */
struct error *ttrpc_connection_new(struct event_base *base, int fd,
    const struct ttrpc_connection_events *events, void *context, struct ttrpc_connection **ret_connection);
/* Sends now what the socket takes and the rest when it can. Nothing is sent on a connection that has ended.
   Answers false, and sends nothing, for a message that is too long. */
bool ttrpc_connection_send(
    struct ttrpc_connection *connection, uint32_t stream, uint8_t type, const ProtobufCMessage *message);
void ttrpc_connection_free(struct ttrpc_connection *connection);
