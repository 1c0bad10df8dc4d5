/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request is a header, data, and one byte at its end for the status. Its header and the segments of a
 * discard are copied and checked; data goes between the file and guest memory by the iovecs of its chain.
 */
#include "vmm/virtio/blk.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <string.h>
#include <sys/uio.h>

#define SECTOR UINT64_C(512)
/* What the I/O thread copies out of the page cache itself, while the other devices wait. */
#define AT_ONCE_MAX (UINT32_C(128) << 10)
#define SEGMENTS_MAX 32u
/* Of one segment: 1 GiB, so that no single request keeps a worker for long. */
#define SEGMENT_SECTORS_MAX (UINT32_C(1) << 21)
/* Of the host's pages, which is what a hole can be made of. */
#define HOLE_SECTORS 8u

struct blk {
    struct virtio_device device;
    struct virtio_blk_config config;
    struct worker_pool *pool;
    struct rate *rate;
    int fd;
    bool read_only;
    bool tries_cache; /* reads that do not wait are supported */
    char identifier[VIRTIO_BLK_ID_BYTES];
};

struct blk_request {
    struct worker_job job;
    struct blk *blk;
    uint16_t head;
    uint8_t status;       /* VIRTIO_BLK_S_* */
    struct iovec outcome; /* where the status goes */
    uint32_t type;
    uint64_t offset;      /* of the data in the file */
    size_t length, moved; /* of the data, in bytes */
    unsigned segment_count;
    struct virtio_blk_discard_write_zeroes segments[SEGMENTS_MAX];
    unsigned part_count;
    struct iovec parts[]; /* the data */
};

static struct blk *blk_of(struct virtio_device *device)
{
    return (struct blk *)device;
}

static uint8_t status_of_errno(int number)
{
    return number == EOPNOTSUPP || number == ENOSYS ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

static void finish(struct blk_request *request)
{
    struct virtio_device *device = &request->blk->device;
    bool is_read = request->type == VIRTIO_BLK_T_IN || request->type == VIRTIO_BLK_T_GET_ID;
    size_t written = 1 + (is_read ? request->length : 0);
    memcpy(request->outcome.iov_base, &request->status, 1);
    virtqueue_push(&device->queues[0], request->head, (uint32_t)written);
    free(request);
}

/* The file ends here. What is missing of its last sector reads as zeros; more than that has been cut off. */
static void pass_end(struct blk_request *request)
{
    struct iovec rest[VIRTQUEUE_SIZE_MAX];
    size_t missing = request->length - request->moved;
    if (request->type != VIRTIO_BLK_T_IN || missing >= SECTOR) {
        request->status = VIRTIO_BLK_S_IOERR;
        return;
    }
    unsigned count = iovec_slice(request->parts, request->part_count, request->moved, missing, rest);
    for (unsigned i = 0; i < count; i++)
        memset(rest[i].iov_base, 0, rest[i].iov_len);
    request->moved = request->length;
}

/* One system call for what is left; false: it cannot go on (the status says so), or, where it must not wait,
   not now. */
static bool move_some(struct blk_request *request, int flags)
{
    struct iovec rest[VIRTQUEUE_SIZE_MAX];
    int count = (int)iovec_slice(
        request->parts, request->part_count, request->moved, request->length - request->moved, rest);
    off_t offset = (off_t)(request->offset + request->moved);
    ssize_t moved = request->type == VIRTIO_BLK_T_IN ? preadv2(request->blk->fd, rest, count, offset, flags)
                                                     : pwritev2(request->blk->fd, rest, count, offset, flags);
    if (moved < 0 && errno == EINTR)
        return true;
    if (moved < 0 && !flags)
        request->status = status_of_errno(errno);
    if (moved == 0)
        pass_end(request);
    request->moved += moved > 0 ? (size_t)moved : 0;
    return moved >= 0 && request->status == VIRTIO_BLK_S_OK;
}

static void move_all(struct blk_request *request, int flags)
{
    while (request->moved < request->length && move_some(request, flags)) {
    }
}

static int zero_segment(int fd, const struct virtio_blk_discard_write_zeroes *segment, bool is_discard)
{
    off_t offset = (off_t)(segment->sector * SECTOR), length = (off_t)(segment->num_sectors * SECTOR);
    bool unmap = is_discard || segment->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
    if (!unmap && fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length) == 0)
        return 0;
    /* Some file systems (tmpfs) make zeros by holes only. */
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

static void zero_segments(struct blk_request *request)
{
    for (unsigned i = 0; i < request->segment_count; i++) {
        const struct virtio_blk_discard_write_zeroes *segment = &request->segments[i];
        if (segment->num_sectors > 0 &&
            zero_segment(request->blk->fd, segment, request->type == VIRTIO_BLK_T_DISCARD) < 0) {
            request->status = status_of_errno(errno);
            return;
        }
    }
}

static void on_run(struct worker_job *job)
{
    struct blk_request *request = (struct blk_request *)job;
    switch (request->type) {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
        move_all(request, 0);
        return;
    case VIRTIO_BLK_T_FLUSH:
        if (fdatasync(request->blk->fd) < 0)
            request->status = VIRTIO_BLK_S_IOERR;
        return;
    default:
        zero_segments(request);
        return;
    }
}

static void on_done(struct worker_job *job)
{
    struct blk_request *request = (struct blk_request *)job;
    struct virtio_device *device = &request->blk->device;
    finish(request);
    virtio_device_publish(device, 0);
}

static void on_dropped(struct worker_job *job)
{
    free(job);
}

static void hand_over(struct blk_request *request)
{
    struct blk *blk = request->blk;
    request->job = (struct worker_job){.run = on_run, .done = on_done, .owner = blk};
    worker_submit(blk->pool, &request->job);
}

static bool lies_within(const struct blk *blk, uint64_t sector, uint64_t count)
{
    return sector <= blk->config.capacity && count <= blk->config.capacity - sector;
}

static bool check_move(struct blk_request *request, uint64_t sector)
{
    struct blk *blk = request->blk;
    if (request->type == VIRTIO_BLK_T_OUT && blk->read_only)
        return false;
    if (request->length % SECTOR != 0 || !lies_within(blk, sector, request->length / SECTOR))
        return false;
    request->offset = sector * SECTOR;
    return true;
}

static bool take_segments(struct blk_request *request, const struct virtqueue_chain *chain)
{
    size_t size = sizeof(request->segments[0]);
    if (request->blk->read_only || request->length % size != 0 || request->length / size > SEGMENTS_MAX)
        return false;
    request->segment_count = (unsigned)(request->length / size);
    chain_read(chain, sizeof(struct virtio_blk_outhdr), request->segments, request->length);
    for (unsigned i = 0; i < request->segment_count; i++) {
        const struct virtio_blk_discard_write_zeroes *segment = &request->segments[i];
        if (segment->num_sectors > SEGMENT_SECTORS_MAX ||
            !lies_within(request->blk, segment->sector, segment->num_sectors))
            return false;
    }
    return true;
}

/* Checks what the guest asks for; the status that says why it cannot be, or OK. */
static uint8_t check(struct blk_request *request, uint64_t sector, const struct virtqueue_chain *chain)
{
    bool is_valid;
    switch (request->type) {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
        is_valid = check_move(request, sector);
        break;
    case VIRTIO_BLK_T_FLUSH:
        is_valid = request->blk->device.features >> VIRTIO_BLK_F_FLUSH & 1;
        break;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        is_valid = take_segments(request, chain);
        break;
    case VIRTIO_BLK_T_GET_ID:
        is_valid = true;
        break;
    default:
        return VIRTIO_BLK_S_UNSUPP;
    }
    return is_valid ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

/* Does at once what does not wait; false: there is more to do. */
static bool do_at_once(struct blk_request *request, const struct virtqueue_chain *chain)
{
    struct blk *blk = request->blk;
    if (request->type == VIRTIO_BLK_T_GET_ID)
        request->moved = chain_write(chain, 0, blk->identifier, request->length);
    else if (request->type == VIRTIO_BLK_T_IN && blk->tries_cache && request->length <= AT_ONCE_MAX)
        move_all(request, RWF_NOWAIT);
    bool fills = request->type == VIRTIO_BLK_T_GET_ID || request->type == VIRTIO_BLK_T_IN;
    return request->status != VIRTIO_BLK_S_OK || (fills && request->moved == request->length);
}

/* Finishes the request, or hands it over. */
static void start(struct blk_request *request, uint64_t sector, const struct virtqueue_chain *chain)
{
    request->status = check(request, sector, chain);
    if (request->status != VIRTIO_BLK_S_OK || do_at_once(request, chain))
        finish(request);
    else
        hand_over(request);
}

/* The data's iovecs and the place of the status out of the chain. */
static struct blk_request *new_request(struct blk *blk, const struct virtqueue_chain *chain, uint32_t type)
{
    struct blk_request *request =
        must_alloc(sizeof(*request) + (chain->readable_count + chain->writable_count) * sizeof(struct iovec));
    request->blk = blk;
    request->head = chain->head;
    request->type = type;
    size_t room = chain->writable_bytes - 1, header = sizeof(struct virtio_blk_outhdr);
    iovec_slice(chain->writable, chain->writable_count, room, 1, &request->outcome);
    if (type == VIRTIO_BLK_T_GET_ID) {
        request->length = room < sizeof(blk->identifier) ? room : sizeof(blk->identifier);
    } else if (type == VIRTIO_BLK_T_IN) {
        request->length = room;
        request->part_count = iovec_slice(chain->writable, chain->writable_count, 0, room, request->parts);
    } else {
        request->length = chain->readable_bytes - header;
        request->part_count =
            iovec_slice(chain->vector, chain->readable_count, header, request->length, request->parts);
    }
    return request;
}

static bool take_request(struct blk *blk, const struct virtqueue_chain *chain)
{
    struct virtio_blk_outhdr header;
    if (chain->writable_bytes == 0 || chain_read(chain, 0, &header, sizeof(header)) < sizeof(header)) {
        virtio_device_fail(
            &blk->device, error_new(ERROR_INVALID_ARGUMENT, "a request of %zu bytes with room for %zu",
                              chain->readable_bytes, chain->writable_bytes));
        return false;
    }
    struct blk_request *request = new_request(blk, chain, header.type);
    rate_charge(blk->rate, request->length);
    start(request, header.sector, chain);
    return true;
}

static void blk_notify(struct virtio_device *device, unsigned queue)
{
    struct blk *blk = blk_of(device);
    struct virtqueue_chain chain;
    while (!rate_holds(blk->rate) && virtio_device_next(device, queue, &chain) && take_request(blk, &chain)) {
    }
    virtio_device_publish(device, queue);
}

static void blk_reset(struct virtio_device *device)
{
    worker_cancel(blk_of(device)->pool, device, on_dropped);
}

static void blk_free(struct virtio_device *device)
{
    rate_free(blk_of(device)->rate);
    close_fd(blk_of(device)->fd);
    free(device);
}

static const struct virtio_device_ops blk_ops = {
    .name = "blk", .id = VIRTIO_ID_BLOCK, .notify = blk_notify, .reset = blk_reset, .free = blk_free};

static uint64_t offered_features(const struct blk_options *options)
{
    uint64_t features = UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX | UINT64_C(1) << VIRTIO_BLK_F_BLK_SIZE;
    if (options->read_only)
        return features | UINT64_C(1) << VIRTIO_BLK_F_RO;
    if (options->durable)
        features |= UINT64_C(1) << VIRTIO_BLK_F_FLUSH;
    return features | UINT64_C(1) << VIRTIO_BLK_F_DISCARD | UINT64_C(1) << VIRTIO_BLK_F_WRITE_ZEROES;
}

static struct virtio_blk_config describe(uint64_t size)
{
    return (struct virtio_blk_config){
        .capacity = (size + SECTOR - 1) / SECTOR,
        .seg_max = VIRTQUEUE_SIZE_MAX - 2, /* beside the header and the status */
        .blk_size = SECTOR,
        .max_discard_sectors = SEGMENT_SECTORS_MAX,
        .max_discard_seg = SEGMENTS_MAX,
        .discard_sector_alignment = HOLE_SECTORS,
        .max_write_zeroes_sectors = SEGMENT_SECTORS_MAX,
        .max_write_zeroes_seg = SEGMENTS_MAX,
        .write_zeroes_may_unmap = 1,
    };
}

/* Whether reads of the cache alone are known to the file's file system. */
static bool can_try_cache(int fd)
{
    char byte;
    const struct iovec part = {.iov_base = &byte, .iov_len = 1};
    return preadv2(fd, &part, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
}

struct error *blk_new(struct virtio_bus *bus, struct worker_pool *pool, const struct blk_options *options,
    struct virtio_device **ret_device)
{
    struct blk *blk = must_new(struct blk);
    _cleanup_(virtio_device_free) struct virtio_device *device = &blk->device;
    *blk = (struct blk){.device = {.ops = &blk_ops,
                            .bus = bus,
                            .features = offered_features(options),
                            .queue_count = 1,
                            .config = &blk->config,
                            .config_size = sizeof(blk->config)},
        .pool = pool,
        .fd = options->fd,
        .read_only = options->read_only};
    off_t size = lseek(options->fd, 0, SEEK_END);
    if (size < 0)
        return error_errno(errno, "the size of a disk");
    blk->config = describe((uint64_t)size);
    blk->tries_cache = can_try_cache(options->fd);
    if (options->identifier)
        memcpy(blk->identifier, options->identifier, strnlen(options->identifier, VIRTIO_BLK_ID_BYTES));
    TRY(rate_new(device, 0, &options->rate, &blk->rate));
    *ret_device = TAKE_PTR(device);
    return NULL;
}
