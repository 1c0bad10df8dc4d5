/* SPDX-License-Identifier: Apache-2.0 */
/* A container's disks: given to the machine before it is made, or attached to it while it runs. */
#include "storage/model.h"

#include "base/fd.h"

/* The agent's driver for a disk that came while the machine ran; its source is the disk's address. */
#define HOT_DRIVER "scsi"

static struct error *give_at_start(struct container_storage *container)
{
    for (; container->disks_given < container->disk_count; container->disks_given++) {
        struct container_disk *disk = &container->disks[container->disks_given];
        char *device = NULL;
        TRY(storage_give_disk(container->storage, TAKE_FD(disk->fd), disk, &device));
        container->mounts[disk->mount].source = container_keep(container, device);
    }
    return NULL;
}

static void note_address(struct container_storage *container, const char *address)
{
    struct container_disk *disk = &container->disks[container->disks_given++];
    close_fd(TAKE_FD(disk->fd));
    disk->address = must_copy(address);
    container->mounts[disk->mount].driver = HOT_DRIVER;
    container->mounts[disk->mount].source = disk->address;
}

static void on_attached(void *context, struct error *error, const char *address)
{
    struct container_storage *container = context;
    container->attaching = false;
    if (!error)
        note_address(container, address);
    if (container->removing) {
        error_free(error);
        container_attached_late(container);
    } else if (error) {
        container_disks_given(container, error);
    } else {
        container_give_disks(container);
    }
}

void container_give_disks(struct container_storage *container)
{
    struct storage *storage = container->storage;
    if (!storage->released) {
        container_disks_given(container, give_at_start(container));
        return;
    }
    if (container->disks_given == container->disk_count) {
        container_disks_given(container, NULL);
        return;
    }
    if (!storage->hv) {
        container_disks_given(container,
            error_new(ERROR_FAILED_PRECONDITION, "a disk cannot be attached: the machine does not run"));
        return;
    }
    const struct container_disk *disk = &container->disks[container->disks_given];
    const struct hv_disk hv_disk = {.fd = disk->fd, .read_only = disk->read_only, .durable = disk->durable};
    container->attaching = true;
    hv_attach_disk(storage->hv, &hv_disk, on_attached, container);
}

static void on_detached(void *context, struct error *error)
{
    struct container_storage *container = context;
    /* What cannot be detached goes with the machine. */
    error_free(error);
    container_take_disks(container);
}

void container_take_disks(struct container_storage *container)
{
    struct storage *storage = container->storage;
    while (container->disks_given > 0) {
        struct container_disk *disk = &container->disks[--container->disks_given];
        if (!disk->address || !storage || !storage->hv)
            continue;
        hv_detach_disk(storage->hv, disk->address, on_detached, container);
        return;
    }
    container_removed(container);
}
