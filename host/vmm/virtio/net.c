/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packet from the tap is read into the guest's next buffer, and what does not fit there into memory of ours
 * (`rest`). Most packets fit. Where a driver merges buffers, the rest follows into the buffers behind, which
 * the driver sees all at once; while there are too few, the packet waits with those that it has. Other
 * drivers give buffers that hold the largest packet, and one that does not fit is dropped, as a wire would.
 */
#include "vmm/virtio/net.h"

#include "base/fd.h"

#include <linux/if_tun.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#define HEADER sizeof(struct virtio_net_hdr_mrg_rxbuf)
/* The largest segment that is offloaded, with its Ethernet header and ours. */
#define PACKET_MAX (65535u + 14 + HEADER)

#define HAS(feature) (UINT64_C(1) << VIRTIO_NET_F_##feature)
#define FEATURES                                                                                       \
    (HAS(CSUM) | HAS(GUEST_CSUM) | HAS(HOST_TSO4) | HAS(HOST_TSO6) | HAS(HOST_ECN) | HAS(GUEST_TSO4) | \
        HAS(GUEST_TSO6) | HAS(GUEST_ECN) | HAS(MRG_RXBUF) | HAS(MAC))

enum { RECEIVE, TRANSMIT, QUEUES };

struct net {
    struct virtio_device device;
    struct virtio_net_config config;
    int tap;
    struct virtio_watch *readable, *writable;
    struct rate *receive_rate, *transmit_rate;

    /* The packet that is being received: buffers that it has, and what has none yet. */
    struct virtqueue_chain first;
    unsigned buffer_count;
    struct {
        uint16_t head;
        uint32_t written;
    } buffers[VIRTQUEUE_SIZE_MAX];
    size_t rest_begin, rest_end;
    uint8_t rest[PACKET_MAX];
};

static struct net *net_of(struct virtio_device *device)
{
    return (struct net *)device;
}

/* Takes a buffer of the guest for the packet; false: there is none. */
static bool take_buffer(struct net *net, struct virtqueue_chain *chain)
{
    if (net->buffer_count == VIRTQUEUE_SIZE_MAX || !virtio_device_next(&net->device, RECEIVE, chain))
        return false;
    if (chain->writable_bytes >= HEADER)
        return true;
    virtio_device_fail(&net->device,
        error_new(ERROR_INVALID_ARGUMENT, "a buffer for packets of %zu bytes", chain->writable_bytes));
    return false;
}

static void add_buffer(struct net *net, const struct virtqueue_chain *chain, size_t written)
{
    net->buffers[net->buffer_count].head = chain->head;
    net->buffers[net->buffer_count++].written = (uint32_t)written;
}

static void give_back_all(struct net *net)
{
    struct virtqueue *queue = &net->device.queues[RECEIVE];
    virtqueue_unpop(queue, net->buffer_count);
    net->buffer_count = 0;
    net->rest_begin = net->rest_end = 0;
}

/* Reads a packet; false: there is none, or no buffer for it. */
static bool read_packet(struct net *net)
{
    struct iovec parts[VIRTQUEUE_SIZE_MAX + 1];
    if (!take_buffer(net, &net->first)) {
        virtio_watch_enable(net->readable, false);
        return false;
    }
    unsigned count = net->first.writable_count;
    memcpy(parts, net->first.writable, count * sizeof(parts[0]));
    parts[count++] = (struct iovec){.iov_base = net->rest, .iov_len = sizeof(net->rest)};
    ssize_t length = readv(net->tap, parts, (int)count);
    if (length < 0) {
        virtqueue_unpop(&net->device.queues[RECEIVE], 1);
        if (errno != EAGAIN && errno != EINTR)
            virtio_device_fail(&net->device, error_errno(errno, "reading from the tap device"));
        return false;
    }
    bool fits = (size_t)length <= net->first.writable_bytes;
    add_buffer(net, &net->first, fits ? (size_t)length : net->first.writable_bytes);
    net->rest_begin = 0;
    net->rest_end = fits ? 0 : (size_t)length - net->first.writable_bytes;
    rate_charge(net->receive_rate, (size_t)length);
    return true;
}

/* Puts the rest into more buffers; false: it has to wait for them. */
static bool spread_rest(struct net *net)
{
    struct virtqueue_chain chain;
    while (net->rest_begin < net->rest_end) {
        if (!take_buffer(net, &chain)) {
            virtio_watch_enable(net->readable, false);
            return false;
        }
        size_t written = chain_write(&chain, 0, net->rest + net->rest_begin, net->rest_end - net->rest_begin);
        add_buffer(net, &chain, written);
        net->rest_begin += written;
    }
    return true;
}

static void deliver(struct net *net)
{
    const uint16_t count = (uint16_t)net->buffer_count;
    chain_write(&net->first, offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers), &count, sizeof(count));
    for (unsigned i = 0; i < net->buffer_count; i++)
        virtqueue_push(&net->device.queues[RECEIVE], net->buffers[i].head, net->buffers[i].written);
    net->buffer_count = 0;
}

/* One packet, whole; false: nothing more to do now. */
static bool receive_packet(struct net *net)
{
    if (net->buffer_count == 0) {
        if (rate_holds(net->receive_rate)) {
            virtio_watch_enable(net->readable, false);
            return false;
        }
        if (!read_packet(net))
            return false;
    }
    if (net->rest_end > 0 && !virtio_device_has(&net->device, VIRTIO_NET_F_MRG_RXBUF)) {
        give_back_all(net);
        return true;
    }
    if (!spread_rest(net))
        return false;
    deliver(net);
    return true;
}

static void receive(void *context)
{
    struct net *net = context;
    while (receive_packet(net)) {
    }
    virtio_device_publish(&net->device, RECEIVE);
}

/* False: the tap takes no more now. A packet that it does not like is lost, as on a wire. */
static bool send_packet(struct net *net, const struct virtqueue_chain *chain)
{
    if (chain->readable_bytes < HEADER) {
        virtio_device_fail(
            &net->device, error_new(ERROR_INVALID_ARGUMENT, "a packet of %zu bytes", chain->readable_bytes));
        return false;
    }
    if (writev(net->tap, chain->vector, (int)chain->readable_count) < 0 && errno == EAGAIN) {
        virtqueue_unpop(&net->device.queues[TRANSMIT], 1);
        virtio_watch_enable(net->writable, true);
        return false;
    }
    rate_charge(net->transmit_rate, chain->readable_bytes);
    virtqueue_push(&net->device.queues[TRANSMIT], chain->head, 0);
    return true;
}

static void transmit(void *context)
{
    struct net *net = context;
    struct virtqueue_chain chain;
    virtio_watch_enable(net->writable, false);
    while (!rate_holds(net->transmit_rate) && virtio_device_next(&net->device, TRANSMIT, &chain) &&
           send_packet(net, &chain)) {
    }
    virtio_device_publish(&net->device, TRANSMIT);
}

static void net_notify(struct virtio_device *device, unsigned queue)
{
    struct net *net = net_of(device);
    if (queue == TRANSMIT) {
        transmit(net);
        return;
    }
    virtio_watch_enable(net->readable, true);
    receive(net);
}

/* The tap offloads towards the guest what the guest has accepted. */
static struct error *net_activate(struct virtio_device *device)
{
    static const struct {
        unsigned feature, offload;
    } table[] = {{VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM}, {VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4},
        {VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6}, {VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN}};
    unsigned long offloads = 0;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        offloads |= virtio_device_has(device, table[i].feature) ? table[i].offload : 0;
    if (ioctl(net_of(device)->tap, TUNSETOFFLOAD, offloads) < 0)
        return error_errno(errno, "setting the offloads of the tap device");
    return NULL;
}

static void net_reset(struct virtio_device *device)
{
    struct net *net = net_of(device);
    net->buffer_count = 0;
    net->rest_begin = net->rest_end = 0;
}

static void net_free(struct virtio_device *device)
{
    struct net *net = net_of(device);
    virtio_watch_free(net->readable);
    virtio_watch_free(net->writable);
    rate_free(net->receive_rate);
    rate_free(net->transmit_rate);
    close_fd(net->tap);
    free(net);
}

static const struct virtio_device_ops net_ops = {.name = "net",
    .id = VIRTIO_ID_NET,
    .activate = net_activate,
    .notify = net_notify,
    .reset = net_reset,
    .free = net_free};

static struct error *prepare(struct net *net, const struct net_options *options)
{
    struct virtio_device *device = &net->device;
    const int header = HEADER;
    TRY(fd_set_nonblocking(net->tap, true));
    if (ioctl(net->tap, TUNSETVNETHDRSZ, &header) < 0)
        return error_errno(errno, "setting the header of the tap device");
    TRY(virtio_watch_new(device->bus, net->tap, EV_READ, receive, net, &net->readable));
    TRY(virtio_watch_new(device->bus, net->tap, EV_WRITE, transmit, net, &net->writable));
    TRY(rate_new(device, RECEIVE, &options->receive, &net->receive_rate));
    return rate_new(device, TRANSMIT, &options->transmit, &net->transmit_rate);
}

struct error *net_new(
    struct virtio_bus *bus, const struct net_options *options, struct virtio_device **ret_device)
{
    struct net *net = must_new(struct net);
    _cleanup_(virtio_device_free) struct virtio_device *device = &net->device;
    *device = (struct virtio_device){.ops = &net_ops,
        .bus = bus,
        .features = FEATURES | (options->mtu ? HAS(MTU) : 0),
        .queue_count = QUEUES,
        .config = &net->config,
        .config_size = sizeof(net->config)};
    net->tap = options->tap;
    net->config.mtu = options->mtu;
    memcpy(net->config.mac, options->mac, sizeof(net->config.mac));
    TRY(prepare(net, options));
    *ret_device = TAKE_PTR(device);
    return NULL;
}
