/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/fs.h"

#include "vmm/virtio/vhost.h"

#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <string.h>
#include <sys/eventfd.h>

#define REQUEST_QUEUES 1u

struct fs {
    struct virtio_device device;
    struct virtio_fs_config config;
    struct vhost *vhost;
    struct virtio_watch *peer;
    int call_fd; /* the server has used something of a queue */
    struct virtio_watch *called;
    bool lost; /* the server does not do its part any more */
};

static struct fs *fs_of(struct virtio_device *device)
{
    return (struct fs *)device;
}

static void on_called(void *context)
{
    struct fs *fs = context;
    eventfd_t count;
    if (eventfd_read(fs->call_fd, &count) == 0 && fs->device.state == VIRTIO_ACTIVE)
        fs->device.transport_ops->interrupt(fs->device.transport);
}

static void on_peer(void *context)
{
    struct fs *fs = context;
    struct error *error = vhost_check(fs->vhost);
    if (!error)
        return;
    fs->lost = true;
    virtio_watch_enable(fs->peer, false);
    virtio_device_fail(&fs->device, error);
}

static struct error *fs_activate(struct virtio_device *device)
{
    struct fs *fs = fs_of(device);
    if (fs->lost)
        return error_new(ERROR_UNAVAILABLE, "the file server is gone");
    return vhost_start(fs->vhost, device, fs->call_fd);
}

static void fs_reset(struct virtio_device *device)
{
    struct fs *fs = fs_of(device);
    struct error *error = fs->lost ? NULL : vhost_stop(fs->vhost, device);
    fs->lost = fs->lost || error;
    error_free(error);
}

static void fs_free(struct virtio_device *device)
{
    struct fs *fs = fs_of(device);
    virtio_watch_free(fs->peer);
    virtio_watch_free(fs->called);
    vhost_free(fs->vhost);
    close_fd(fs->call_fd);
    free(fs);
}

/* No `notify`: the server hears the driver itself. */
static const struct virtio_device_ops fs_ops = {
    .name = "fs", .id = VIRTIO_ID_FS, .activate = fs_activate, .reset = fs_reset, .free = fs_free};

static struct error *prepare(struct fs *fs, int socket, const char *tag)
{
    struct virtio_bus *bus = fs->device.bus;
    fs->call_fd = -1;
    TRY(vhost_new(socket, &fs->vhost));
    if (!bus->memory->shared)
        return error_new(ERROR_FAILED_PRECONDITION, "a share needs guest memory that is shared");
    if (strlen(tag) == 0 || strlen(tag) > sizeof(fs->config.tag))
        return error_new(ERROR_INVALID_ARGUMENT, "bad tag of a share: \"%s\"", tag);
    memcpy(fs->config.tag, tag, strlen(tag));
    fs->config.num_request_queues = REQUEST_QUEUES;
    fs->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fs->call_fd < 0)
        return error_errno(errno, "a descriptor for calls of the file server");
    TRY(virtio_watch_new(bus, fs->call_fd, EV_READ, on_called, fs, &fs->called));
    TRY(virtio_watch_new(bus, socket, EV_READ, on_peer, fs, &fs->peer));
    virtio_watch_enable(fs->called, true);
    virtio_watch_enable(fs->peer, true);
    return NULL;
}

struct error *fs_new(struct virtio_bus *bus, int socket, const char *tag, struct virtio_device **ret_device)
{
    struct fs *fs = must_new(struct fs);
    _cleanup_(virtio_device_free) struct virtio_device *device = &fs->device;
    *device = (struct virtio_device){.ops = &fs_ops,
        .bus = bus,
        .queue_count = 1 + REQUEST_QUEUES,
        .config = &fs->config,
        .config_size = sizeof(fs->config)};
    struct error *error = prepare(fs, socket, tag);
    if (error)
        return error_wrap(error, "share %s", tag);
    *ret_device = TAKE_PTR(device);
    return NULL;
}
