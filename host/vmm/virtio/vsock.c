/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vsock.h"

#include "base/fd.h"
#include "vmm/virtio/vsock_stream.h"

#include <linux/virtio_ids.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

/* Above the ports that people choose. */
#define FIRST_HOST_PORT (UINT32_C(1) << 30)
#define GUEST_CID_MIN 3u

enum { RECEIVE, TRANSMIT, EVENTS, QUEUES };

static struct vsock *vsock_of(struct virtio_device *device)
{
    return (struct vsock *)device;
}

static unsigned bucket_of(uint32_t guest_port, uint32_t host_port)
{
    return (guest_port * 31 + host_port) % VSOCK_BUCKETS;
}

static struct vsock_stream *find_stream(struct vsock *vsock, uint32_t guest_port, uint32_t host_port)
{
    struct vsock_stream *stream;
    LIST_FOREACH (stream, &vsock->buckets[bucket_of(guest_port, host_port)], bucket) {
        if (stream->guest_port == guest_port && stream->host_port == host_port)
            return stream;
    }
    return NULL;
}

void vsock_publish_stream(struct vsock *vsock, struct vsock_stream *stream)
{
    unsigned bucket = bucket_of(stream->guest_port, stream->host_port);
    LIST_REMOVE(stream, bucket);
    LIST_INSERT_HEAD(&vsock->buckets[bucket], stream, bucket);
}

uint32_t vsock_new_host_port(struct vsock *vsock)
{
    uint32_t port = vsock->next_host_port++;
    if (vsock->next_host_port < FIRST_HOST_PORT)
        vsock->next_host_port = FIRST_HOST_PORT;
    return port;
}

void vsock_schedule(struct vsock_stream *stream)
{
    if (stream->has_turn || !vsock_stream_wants_turn(stream))
        return;
    stream->has_turn = true;
    TAILQ_INSERT_TAIL(&stream->vsock->turns, stream, turn);
}

/* The next buffer of the guest; false: there is none. */
static bool next_buffer(struct vsock *vsock, struct virtqueue_chain *chain)
{
    if (!virtio_device_next(&vsock->device, RECEIVE, chain))
        return false;
    /* With room for data, so that nothing that is read can look like an end. */
    if (chain->writable_bytes > VSOCK_HEADER)
        return true;
    virtio_device_fail(
        &vsock->device, error_new(ERROR_INVALID_ARGUMENT, "a buffer of %zu bytes", chain->writable_bytes));
    return false;
}

static void speak_refusals(struct vsock *vsock)
{
    struct virtqueue_chain chain;
    while (vsock->refusal_count > 0 && next_buffer(vsock, &chain)) {
        const struct virtio_vsock_hdr *refusal = &vsock->refusals[--vsock->refusal_count];
        virtqueue_push(&vsock->device.queues[RECEIVE], chain.head,
            (uint32_t)chain_write(&chain, 0, refusal, sizeof(*refusal)));
    }
}

/* One packet of the stream whose turn it is; then it goes to the end of the line, or out of it. */
static void speak_in_turn(
    struct vsock *vsock, struct vsock_stream *stream, const struct virtqueue_chain *chain)
{
    size_t length = vsock_stream_speak(stream, chain);
    if (length == 0)
        virtqueue_unpop(&vsock->device.queues[RECEIVE], 1);
    else
        virtqueue_push(&vsock->device.queues[RECEIVE], chain->head, (uint32_t)length);
    TAILQ_REMOVE(&vsock->turns, stream, turn);
    stream->has_turn = false;
    if (stream->state == VSOCK_ENDED && !stream->unsaid)
        vsock_stream_free(stream);
    else
        vsock_schedule(stream);
}

void vsock_pump(struct vsock *vsock)
{
    struct virtqueue_chain chain;
    speak_refusals(vsock);
    while (!TAILQ_EMPTY(&vsock->turns) && next_buffer(vsock, &chain))
        speak_in_turn(vsock, TAILQ_FIRST(&vsock->turns), &chain);
    virtio_device_publish(&vsock->device, RECEIVE);
}

/* Beyond what fits the guest has to find out by itself. */
static void refuse(struct vsock *vsock, const struct virtio_vsock_hdr *header)
{
    if (header->op == VIRTIO_VSOCK_OP_RST || vsock->refusal_count == VSOCK_REFUSALS_MAX)
        return;
    vsock->refusals[vsock->refusal_count++] = (struct virtio_vsock_hdr){.src_cid = header->dst_cid,
        .dst_cid = vsock->config.guest_cid,
        .src_port = header->dst_port,
        .dst_port = header->src_port,
        .type = header->type,
        .op = VIRTIO_VSOCK_OP_RST};
}

/* The guest connects to a port of the host. */
static void connect_stream(struct vsock *vsock, const struct virtio_vsock_hdr *header)
{
    int fd = vsock->connect && vsock->stream_count < VSOCK_STREAMS_MAX
                 ? vsock->connect(vsock->context, header->dst_port)
                 : -1;
    struct vsock_stream *stream = fd >= 0 ? vsock_stream_new(vsock, fd, VSOCK_OPEN) : NULL;
    if (!stream) {
        refuse(vsock, header);
        return;
    }
    stream->guest_port = header->src_port;
    stream->host_port = header->dst_port;
    stream->peer_space = header->buf_alloc;
    stream->peer_taken = header->fwd_cnt;
    stream->unsaid = VSOCK_SAY_RESPONSE;
    vsock_publish_stream(vsock, stream);
    vsock_schedule(stream);
}

static void take_packet(
    struct vsock *vsock, const struct virtio_vsock_hdr *header, const struct virtqueue_chain *chain)
{
    bool is_ours = header->src_cid == vsock->config.guest_cid && header->dst_cid == VSOCK_HOST_CID &&
                   header->type == VIRTIO_VSOCK_TYPE_STREAM;
    struct vsock_stream *stream = is_ours ? find_stream(vsock, header->src_port, header->dst_port) : NULL;
    if (stream)
        vsock_stream_take(stream, header, chain);
    else if (is_ours && header->op == VIRTIO_VSOCK_OP_REQUEST)
        connect_stream(vsock, header);
    else
        refuse(vsock, header);
}

static void take_packets(struct vsock *vsock)
{
    struct virtio_device *device = &vsock->device;
    struct virtqueue_chain chain;
    while (virtio_device_next(device, TRANSMIT, &chain)) {
        struct virtio_vsock_hdr header;
        if (chain_read(&chain, 0, &header, sizeof(header)) < sizeof(header) ||
            header.len > chain.readable_bytes - sizeof(header)) {
            virtio_device_fail(
                device, error_new(ERROR_INVALID_ARGUMENT, "a packet of %zu bytes", chain.readable_bytes));
            break;
        }
        take_packet(vsock, &header, &chain);
        virtqueue_push(&device->queues[TRANSMIT], chain.head, 0);
    }
    virtio_device_publish(device, TRANSMIT);
}

static void speak_cut(struct vsock *vsock)
{
    const struct virtio_vsock_event event = {.id = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET};
    struct virtqueue_chain chain;
    if (!vsock->cut || !virtio_device_next(&vsock->device, EVENTS, &chain))
        return;
    vsock->cut = false;
    virtqueue_push(
        &vsock->device.queues[EVENTS], chain.head, (uint32_t)chain_write(&chain, 0, &event, sizeof(event)));
    virtio_device_publish(&vsock->device, EVENTS);
}

static void drop_streams(struct vsock *vsock)
{
    for (unsigned i = 0; i < ARRAY_SIZE(vsock->buckets); i++) {
        while (!LIST_EMPTY(&vsock->buckets[i]))
            vsock_stream_free(LIST_FIRST(&vsock->buckets[i]));
    }
    vsock->stale = false;
}

void vsock_catch_up(struct vsock *vsock)
{
    if (vsock->stale)
        drop_streams(vsock);
}

static void on_accepting(void *context)
{
    struct vsock *vsock = context;
    vsock_catch_up(vsock);
    int fd = accept4(vsock->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        /* Without a descriptor to spare, those who wait do so until a stream gives one back. */
        virtio_watch_enable(vsock->accepting, errno == EAGAIN || errno == EINTR || errno == ECONNABORTED);
        return;
    }
    if (vsock->device.state == VIRTIO_ACTIVE && vsock->stream_count < VSOCK_STREAMS_MAX)
        vsock_stream_new(vsock, fd, VSOCK_GREETING);
    else
        close_fd(fd);
}

static void vsock_notify(struct virtio_device *device, unsigned queue)
{
    struct vsock *vsock = vsock_of(device);
    vsock_catch_up(vsock);
    if (queue == TRANSMIT)
        take_packets(vsock);
    else if (queue == EVENTS)
        speak_cut(vsock);
    vsock_pump(vsock);
}

/* The hosts' sides see the end now; the I/O thread frees what it watches when it comes by. */
static void vsock_reset(struct virtio_device *device)
{
    struct vsock *vsock = vsock_of(device);
    struct vsock_stream *stream;
    for (unsigned i = 0; i < ARRAY_SIZE(vsock->buckets); i++) {
        LIST_FOREACH (stream, &vsock->buckets[i], bucket) {
            shutdown(stream->fd, SHUT_RDWR);
        }
    }
    vsock->stale = true;
    vsock->refusal_count = 0;
}

static void vsock_free(struct virtio_device *device)
{
    struct vsock *vsock = vsock_of(device);
    drop_streams(vsock);
    virtio_watch_free(vsock->accepting);
    close_fd(vsock->listener);
    free(vsock);
}

static const struct virtio_device_ops vsock_ops = {
    .name = "vsock", .id = VIRTIO_ID_VSOCK, .notify = vsock_notify, .reset = vsock_reset, .free = vsock_free};

struct error *vsock_new(
    struct virtio_bus *bus, const struct vsock_options *options, struct virtio_device **ret_device)
{
    struct vsock *vsock = must_new(struct vsock);
    _cleanup_(virtio_device_free) struct virtio_device *device = &vsock->device;
    *vsock = (struct vsock){.device = {.ops = &vsock_ops,
                                .bus = bus,
                                .queue_count = QUEUES,
                                .config = &vsock->config,
                                .config_size = sizeof(vsock->config)},
        .config = {.guest_cid = options->guest_cid},
        .listener = options->listener,
        .connect = options->connect,
        .context = options->context,
        .next_host_port = FIRST_HOST_PORT};
    TAILQ_INIT(&vsock->turns);
    if (options->guest_cid < GUEST_CID_MIN || options->guest_cid >= UINT32_MAX)
        return error_new(
            ERROR_INVALID_ARGUMENT, "%llu is no CID of a guest", (unsigned long long)options->guest_cid);
    TRY(fd_set_nonblocking(options->listener, true));
    TRY(virtio_watch_new(bus, options->listener, EV_READ, on_accepting, vsock, &vsock->accepting));
    virtio_watch_enable(vsock->accepting, true);
    *ret_device = TAKE_PTR(device);
    return NULL;
}

void vsock_cut(struct virtio_device *device)
{
    struct vsock *vsock = vsock_of(device);
    virtio_bus_lock(device->bus);
    drop_streams(vsock);
    vsock->cut = true;
    speak_cut(vsock);
    virtio_bus_unlock(device->bus);
}
