/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells of events: to containerd's event service over ttrpc, or, where there is none, by running the
 * publish-binary (exits and out-of-memory only, for each costs a process).
 *
 * Events go out one after the other in the order of publisher_send. One that cannot be delivered is tried
 * again PUBLISHER_ATTEMPTS times, a second apart, and then dropped with a line in the log; so is the oldest
 * when more than PUBLISHER_QUEUE_MAX wait.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <protobuf-c/protobuf-c.h>

#define PUBLISHER_ATTEMPTS 10
#define PUBLISHER_QUEUE_MAX 2048

struct publisher_options {
    const char *namespace;
    const char *ttrpc_address;  /* path of containerd's socket; NULL: none */
    const char *publish_binary; /* NULL or "": none */
    const char *binary_address; /* what the binary gets as --address */
    const char *directory;      /* the binary runs here */
};

struct publisher;

/* The options are copied. */
struct publisher *publisher_new(struct event_base *base, const struct publisher_options *options);
/* topic: "/tasks/exit". The event is packed before this returns. */
void publisher_send(struct publisher *publisher, const char *topic, const ProtobufCMessage *event);
/* Calls `done`, from the loop, when nothing waits for delivery any more, or after `milliseconds`. A running
   publish-binary is not waited for: it may be waiting for this program. Once at a time. */
void publisher_flush(
    struct publisher *publisher, unsigned milliseconds, void (*done)(void *context), void *context);
/* Takes NULL. */
void publisher_free(struct publisher *publisher);
