/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/vhost.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define ANSWER_SECONDS 5

/* The numbers of the protocol. */
enum vhost_request {
    GET_FEATURES = 1,
    SET_FEATURES = 2,
    SET_OWNER = 3,
    SET_MEMORY_TABLE = 5,
    SET_VRING_NUM = 8,
    SET_VRING_ADDR = 9,
    SET_VRING_BASE = 10,
    GET_VRING_BASE = 11,
    SET_VRING_KICK = 12,
    SET_VRING_CALL = 13,
    GET_PROTOCOL_FEATURES = 15,
    SET_PROTOCOL_FEATURES = 16,
    SET_VRING_ENABLE = 18,
};

#define FLAG_VERSION 1u
#define FLAG_VERSION_MASK 3u
#define FLAG_REPLY 4u
#define F_PROTOCOL_FEATURES (UINT64_C(1) << 30)
/* What the transport offers to the driver of any device. */
#define FEATURES_NEEDED                                                               \
    (UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | \
        UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX | F_PROTOCOL_FEATURES)

struct header {
    uint32_t request, flags, size;
};

struct vring_state {
    uint32_t index, value;
};

struct vring_addresses {
    uint32_t index, flags;
    uint64_t descriptors, used, available, log; /* in our address space */
};

struct memory_table {
    uint32_t count, padding;
    struct {
        uint64_t guest_address, size, host_address, file_offset;
    } regions[GUEST_MEMORY_REGIONS];
};

struct vhost {
    int socket;
};

/* Sends a request with up to GUEST_MEMORY_REGIONS descriptors. */
static struct error *send_request(struct vhost *vhost, enum vhost_request request, const void *payload,
    size_t size, const int *fds, unsigned fd_count)
{
    struct header header = {.request = request, .flags = FLAG_VERSION, .size = (uint32_t)size};
    struct iovec parts[] = {{.iov_base = &header, .iov_len = sizeof(header)},
        {.iov_base = (void *)(uintptr_t)payload, .iov_len = size}};
    union {
        char bytes[CMSG_SPACE(GUEST_MEMORY_REGIONS * sizeof(int))];
        struct cmsghdr alignment;
    } control = {0};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = size ? 2 : 1};
    if (fd_count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
    }
    ssize_t sent = sendmsg(vhost->socket, &message, MSG_NOSIGNAL);
    if (sent < 0)
        return error_errno(errno, "vhost-user request %d", request);
    if ((size_t)sent != sizeof(header) + size)
        return error_new(ERROR_UNAVAILABLE, "vhost-user request %d: the peer does not read", request);
    return NULL;
}

static struct error *send_number(struct vhost *vhost, enum vhost_request request, uint64_t number)
{
    return send_request(vhost, request, &number, sizeof(number), NULL, 0);
}

static struct error *send_state(
    struct vhost *vhost, enum vhost_request request, uint32_t index, uint32_t value)
{
    const struct vring_state state = {.index = index, .value = value};
    return send_request(vhost, request, &state, sizeof(state), NULL, 0);
}

static struct error *send_fd(struct vhost *vhost, enum vhost_request request, uint64_t index, int fd)
{
    return send_request(vhost, request, &index, sizeof(index), &fd, 1);
}

static struct error *receive_part(struct vhost *vhost, void *part, size_t size)
{
    ssize_t got = recv(vhost->socket, part, size, MSG_WAITALL);
    if (got < 0 && errno == EAGAIN)
        return error_new(
            ERROR_DEADLINE_EXCEEDED, "the vhost-user peer did not answer within %d s", ANSWER_SECONDS);
    if (got < 0)
        return error_errno(errno, "an answer of the vhost-user peer");
    if ((size_t)got != size)
        return error_new(ERROR_UNAVAILABLE, "the vhost-user peer has gone away");
    return NULL;
}

static struct error *receive_answer(
    struct vhost *vhost, enum vhost_request request, void *ret_payload, size_t size)
{
    struct header header;
    TRY(receive_part(vhost, &header, sizeof(header)));
    if (header.request != request || header.size != size ||
        (header.flags & FLAG_VERSION_MASK) != FLAG_VERSION || !(header.flags & FLAG_REPLY))
        return error_new(ERROR_INVALID_ARGUMENT,
            "the vhost-user peer answers request %d by %u with flags 0x%x and %u bytes", request,
            header.request, header.flags, header.size);
    return receive_part(vhost, ret_payload, size);
}

static struct error *ask_number(struct vhost *vhost, enum vhost_request request, uint64_t *ret_number)
{
    TRY(send_request(vhost, request, NULL, 0, NULL, 0));
    return receive_answer(vhost, request, ret_number, sizeof(*ret_number));
}

static struct error *greet(struct vhost *vhost)
{
    const struct timeval deadline = {.tv_sec = ANSWER_SECONDS};
    uint64_t features, protocol;
    if (setsockopt(vhost->socket, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)) < 0 ||
        setsockopt(vhost->socket, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)) < 0)
        return error_errno(errno, "the socket of a vhost-user peer");
    TRY(ask_number(vhost, GET_FEATURES, &features));
    if ((features & FEATURES_NEEDED) != FEATURES_NEEDED)
        return error_new(ERROR_FAILED_PRECONDITION, "the vhost-user peer lacks features: it has only 0x%llx",
            (unsigned long long)features);
    TRY(ask_number(vhost, GET_PROTOCOL_FEATURES, &protocol));
    TRY(send_number(vhost, SET_PROTOCOL_FEATURES, 0));
    return send_request(vhost, SET_OWNER, NULL, 0, NULL, 0);
}

struct error *vhost_new(int socket, struct vhost **ret_vhost)
{
    _cleanup_(vhost_free) struct vhost *vhost = must_new(struct vhost);
    vhost->socket = socket;
    TRY(greet(vhost));
    *ret_vhost = TAKE_PTR(vhost);
    return NULL;
}

void vhost_free(struct vhost *vhost)
{
    if (!vhost)
        return;
    close_fd(vhost->socket);
    free(vhost);
}

static struct error *send_memory(struct vhost *vhost, const struct guest_memory *memory)
{
    struct memory_table table = {.count = memory->region_count};
    int fds[GUEST_MEMORY_REGIONS];
    for (unsigned i = 0; i < memory->region_count; i++) {
        const struct guest_region *region = &memory->regions[i];
        table.regions[i].guest_address = region->address;
        table.regions[i].size = region->size;
        table.regions[i].host_address = (uintptr_t)region->host;
        table.regions[i].file_offset = region->offset;
        fds[i] = memory->fd;
    }
    size_t size = offsetof(struct memory_table, regions) + memory->region_count * sizeof(table.regions[0]);
    return send_request(vhost, SET_MEMORY_TABLE, &table, size, fds, memory->region_count);
}

static struct error *start_queue(
    struct vhost *vhost, const struct virtio_device *device, unsigned index, int call_fd)
{
    const struct virtqueue *queue = &device->queues[index];
    const struct vring_addresses addresses = {.index = index,
        .descriptors = (uintptr_t)queue->descriptor_table,
        .used = (uintptr_t)queue->used_ring,
        .available = (uintptr_t)queue->available_ring};
    TRY(send_state(vhost, SET_VRING_NUM, index, queue->size));
    TRY(send_state(vhost, SET_VRING_BASE, index, 0));
    TRY(send_request(vhost, SET_VRING_ADDR, &addresses, sizeof(addresses), NULL, 0));
    TRY(send_fd(vhost, SET_VRING_CALL, index, call_fd));
    TRY(send_fd(vhost, SET_VRING_KICK, index, device->notify_fds[index]));
    return send_state(vhost, SET_VRING_ENABLE, index, 1);
}

struct error *vhost_start(struct vhost *vhost, const struct virtio_device *device, int call_fd)
{
    TRY(send_number(vhost, SET_FEATURES, device->accepted | F_PROTOCOL_FEATURES));
    TRY(send_memory(vhost, device->bus->memory));
    for (unsigned i = 0; i < device->queue_count; i++) {
        if (device->queues[i].ready)
            TRY(start_queue(vhost, device, i, call_fd));
    }
    /* An answer means that all before it is done. The driver may notify only then: a queue's notification
       that overtakes its start is lost on some servers, and ends the thread of others. */
    uint64_t features;
    return ask_number(vhost, GET_FEATURES, &features);
}

struct error *vhost_stop(struct vhost *vhost, const struct virtio_device *device)
{
    for (unsigned i = 0; i < device->queue_count; i++) {
        struct vring_state state;
        if (!device->queues[i].ready)
            continue;
        TRY(send_state(vhost, GET_VRING_BASE, i, 0));
        TRY(receive_answer(vhost, GET_VRING_BASE, &state, sizeof(state)));
    }
    return NULL;
}

struct error *vhost_check(struct vhost *vhost)
{
    char byte;
    ssize_t got = recv(vhost->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return NULL;
    return got > 0 ? error_new(ERROR_INVALID_ARGUMENT, "the vhost-user peer speaks unasked")
                   : error_new(ERROR_UNAVAILABLE, "the vhost-user peer has gone away");
}
