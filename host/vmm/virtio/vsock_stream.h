/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What vsock.c (queues, ports, turns) and vsock_stream.c (one stream: its socket, its credit) share.
 */
#pragma once

#include "vmm/virtio/vsock.h"

#include <event2/buffer.h>
#include <linux/virtio_vsock.h>
#include <sys/queue.h>

#define VSOCK_BUCKETS 64
#define VSOCK_REFUSALS_MAX 32
#define VSOCK_GREETING_MAX 32
#define VSOCK_HOST_CID UINT64_C(2)
#define VSOCK_HEADER sizeof(struct virtio_vsock_hdr)

/*
 * What may happen to a stream in each state:
 *   GREETING    the host's side has connected and not yet said to which port
 *   CONNECTING  the guest was asked, and accepts or refuses
 *   OPEN        data flows, until both sides have ended or one resets
 *   ENDED       it has no socket any more; the guest is still to be told
 */
enum vsock_state { VSOCK_GREETING, VSOCK_CONNECTING, VSOCK_OPEN, VSOCK_ENDED };

/* Messages are a set, not a list, so that a stream takes no memory by them. The lowest bit goes first. */
enum vsock_message {
    VSOCK_SAY_REQUEST = 1 << 0,
    VSOCK_SAY_RESPONSE = 1 << 1,
    VSOCK_SAY_CREDIT = 1 << 2,
    VSOCK_SAY_SHUTDOWN = 1 << 3,
    VSOCK_SAY_RESET = 1 << 4,
};

struct vsock_stream {
    struct vsock *vsock;
    LIST_ENTRY(vsock_stream) bucket;
    TAILQ_ENTRY(vsock_stream) turn;
    enum vsock_state state;
    uint32_t guest_port, host_port;
    int fd;
    struct virtio_watch *readable, *writable;
    char greeting[VSOCK_GREETING_MAX]; /* "CONNECT <port>", as far as it has come */
    unsigned greeting_length;
    unsigned unsaid; /* set of enum vsock_message */
    bool has_turn;   /* it is in the list of those that have something for the guest */

    /* To the guest. */
    bool has_data;       /* the socket is readable, or was when last seen */
    uint32_t sent;       /* bytes, ever; wraps */
    uint32_t peer_space; /* the guest's buffer, and what of `sent` its program has taken */
    uint32_t peer_taken;

    /* From the guest. */
    struct evbuffer *pending; /* came, and the socket did not take it yet */
    uint32_t received;        /* bytes, ever; wraps */
    uint32_t forwarded;       /* of these, written to the socket */
    uint32_t told;            /* `forwarded` when the guest last heard of it */
    unsigned guest_shut;      /* VIRTIO_VSOCK_SHUTDOWN_*: what the guest has ended */
};

struct vsock {
    struct virtio_device device;
    struct virtio_vsock_config config;
    int listener;
    struct virtio_watch *accepting;
    vsock_connect *connect;
    void *context;
    uint32_t next_host_port;
    unsigned stream_count;
    bool cut;   /* the guest is to hear that all streams are gone */
    bool stale; /* the streams are of before a reset, and only to be freed */
    LIST_HEAD(, vsock_stream) buckets[VSOCK_BUCKETS + 1]; /* the last: those that have no ports yet */
    TAILQ_HEAD(, vsock_stream) turns;
    /* Resets of streams that do not exist. */
    struct virtio_vsock_hdr refusals[VSOCK_REFUSALS_MAX];
    unsigned refusal_count;
};

/* The socket is taken; NULL where there are too many streams, or the event loop refuses. */
struct vsock_stream *vsock_stream_new(struct vsock *vsock, int fd, enum vsock_state state);
void vsock_stream_free(struct vsock_stream *stream);
/* A packet of the guest; its header was copied, and its length checked against the chain. May free the
   stream. */
void vsock_stream_take(
    struct vsock_stream *stream, const struct virtio_vsock_hdr *header, const struct virtqueue_chain *chain);
/* Fills a buffer of the guest; returns how much of it, or 0: there is nothing to say now. */
size_t vsock_stream_speak(struct vsock_stream *stream, const struct virtqueue_chain *chain);
bool vsock_stream_wants_turn(const struct vsock_stream *stream);
/* Ends the stream; the guest will be told. */
void vsock_stream_end(struct vsock_stream *stream);

/* The stream has ports now and can be found by packets. */
void vsock_publish_stream(struct vsock *vsock, struct vsock_stream *stream);
/* Frees streams of before a reset. First in everything that the I/O thread does. */
void vsock_catch_up(struct vsock *vsock);
uint32_t vsock_new_host_port(struct vsock *vsock);
/* Gives the stream a turn if it wants one. */
void vsock_schedule(struct vsock_stream *stream);
/* Lets streams speak, in turn, for as long as the guest has buffers. May free streams. */
void vsock_pump(struct vsock *vsock);
