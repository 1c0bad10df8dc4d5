/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many streams over one byte link: what vsock is to a VM that has vsock, for one that has only a
 * virtio-serial port.
 *
 * Each side can open streams to a numbered port of the other side. A stream is two independent directions,
 * each with its own flow control, so a reader that sleeps stops only its own writer. The ends of a stream are
 * descriptors of the caller: the mux moves bytes between them and the link, in the caller's event loop, and
 * holds at most MUX_WINDOW bytes of each direction in memory.
 *
 * A link begins with a hello from each side. A hello that comes later (the peer was restarted or restored)
 * resets all streams. Nothing that a peer sends can make this side hold more than its bounds; a peer that
 * breaks the protocol ends the link. The program ignores SIGPIPE.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#define MUX_WINDOW (512u << 10)
#define MUX_STREAMS_MAX 4096

struct mux;
struct mux_stream;

struct mux_events {
    /* The peer said hello: streams can be opened. Again after a peer that restarted. */
    void (*ready)(void *context);
    /* The peer opened a stream to `port`. True keeps it: attach descriptors now or later. */
    bool (*incoming)(void *context, uint32_t port, struct mux_stream *stream);
    /* The link is gone and all streams with it. The reason is borrowed. The mux may be freed from here. */
    void (*failed)(void *context, const struct error *reason);
};

/* Takes the link's descriptor: a socket, or a virtio-serial port in the guest. The side that passes
   `initiator` gets odd stream ids (the host), the other even ones. */
struct error *mux_new(struct event_base *base, int fd, bool initiator, const struct mux_events *events,
    void *context, struct mux **ret_mux);
/* Closes the descriptors of all streams. Their `closed` is not called. Takes NULL. */
void mux_free(struct mux *mux);
bool mux_is_ready(const struct mux *mux);

/* Opens a stream. It can be attached at once; a refusal closes it later. RESOURCE_EXHAUSTED at the limit. */
struct error *mux_open(struct mux *mux, uint32_t port, struct mux_stream **ret_stream);
/* The same on both sides. */
uint32_t mux_stream_id(const struct mux_stream *stream);

/* Both directions have ended (or were reset); descriptors are closed; the stream is gone after this call. */
typedef void mux_closed(void *context, bool reset);
/* Joins the stream to descriptors, which the mux takes and makes non-blocking. What comes from read_fd goes
   to the peer, its end of file ends that direction; what the peer sends goes to write_fd, which is closed
   when the peer has ended. A direction with -1 is ended at once. A write_fd whose reader is gone stops the
   peer's source: it is closed there, so a writing process gets EPIPE. `closed` may be NULL. Once only. */
void mux_attach(struct mux_stream *stream, int read_fd, int write_fd, mux_closed *closed, void *context);
/* The same for both directions of one connected socket. */
void mux_attach_socket(struct mux_stream *stream, int socket, mux_closed *closed, void *context);
/* The process behind read_fd has exited: send what is still in the pipe, then end the direction even if some
   descendant holds the pipe open. */
void mux_drain(struct mux_stream *stream);
/* Who is told when the peer drops a stream that is not attached yet; `closed` may be NULL. */
void mux_watch(struct mux_stream *stream, mux_closed *closed, void *context);
/* Changes who is told; for an owner that goes away before its stream. */
void mux_forget(struct mux_stream *stream);
/* Drops the stream: the peer sees a reset. `closed` is not called. */
void mux_reset(struct mux_stream *stream);
