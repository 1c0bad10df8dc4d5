/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mux.c (the link: frames, hello, turns) and stream.c (one stream: its descriptors and windows) share.
 *
 * A frame is a header of 8 bytes, little-endian, and its payload:
 *
 *     stream id (32 bits) | type (8) | length of the payload (24)
 */
#pragma once

#include "mux/mux.h"

#include <event2/buffer.h>
#include <sys/queue.h>

#define MUX_HEADER 8
/* The payload, with its header, of four full writes to a virtio-serial port, which takes at most 32 KiB at
   once (drivers/char/virtio_console.c, port_fops_write). */
#define MUX_PAYLOAD_MAX ((128 << 10) - MUX_HEADER)
#define MUX_BUCKETS 64

enum mux_type {
    MUX_FRAME_HELLO = 1,  /* magic, version: the initiator's is answered by the other side's */
    MUX_FRAME_OPEN = 2,   /* port */
    MUX_FRAME_DATA = 3,   /* bytes, within the window */
    MUX_FRAME_END = 4,    /* no more data in this direction */
    MUX_FRAME_STOP = 5,   /* the receiver takes no more of this direction */
    MUX_FRAME_WINDOW = 6, /* so many more bytes may be sent */
    MUX_FRAME_RESET = 7,  /* the stream is gone */
};

struct mux_stream {
    struct mux *mux;
    uint32_t id;
    LIST_ENTRY(mux_stream) bucket;
    TAILQ_ENTRY(mux_stream) turn;

    bool attached;
    bool is_socket;
    mux_closed *closed;
    void *context;

    /* From read_fd to the peer. */
    int read_fd;
    struct event *readable;
    uint32_t credit; /* bytes the peer is ready to take */
    bool waits_turn; /* in the mux's list of streams that have something to send */
    bool draining;   /* the process has exited: end at the first empty read */
    bool send_ended; /* END was sent */
    bool discarding; /* after END: keep a pipe that descendants still hold from filling up */

    /* From the peer to write_fd. */
    int write_fd;
    struct event *writable;
    struct evbuffer *pending; /* came, and not yet written */
    uint32_t receivable;      /* bytes the peer may still send */
    uint32_t consumed;        /* written since the last WINDOW */
    bool receive_ended;       /* the peer's END came */
    bool sink_done;           /* write_fd is closed for good */
};

LIST_HEAD(mux_bucket, mux_stream);
TAILQ_HEAD(mux_turns, mux_stream);

/* mux.c */
struct event_base *mux_base(const struct mux *mux);
void mux_remove(struct mux *mux, struct mux_stream *stream);
void mux_send_control(struct mux *mux, uint32_t stream, enum mux_type type, const uint32_t *number);
/* The stream has something to send: it gets its turn. */
void mux_request_turn(struct mux_stream *stream);

/* stream.c */
struct mux_stream *stream_new(struct mux *mux, uint32_t id);
void stream_free(struct mux_stream *stream);
/* Reads at most `space` bytes for one frame. 0 when there is nothing to send now; the direction may have
   ended meanwhile, and then the stream itself may be gone: *ret_gone. */
size_t stream_fill(struct mux_stream *stream, uint8_t *payload, size_t space, bool *ret_gone);
/* What the peer sent. An error breaks the link. The stream may be gone afterwards. */
struct error *stream_receive(
    struct mux_stream *stream, enum mux_type type, const uint8_t *payload, size_t length);
/* Both ends are told that it is over. */
void stream_close(struct mux_stream *stream, bool reset);
