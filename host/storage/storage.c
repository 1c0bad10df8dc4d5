/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/model.h"

#include "base/fd.h"
#include "base/strv.h"

#define SHARE_TAG "kataShared"

static void on_share_failed(void *context, const struct error *reason)
{
    struct storage *storage = context;
    storage->events.failed(storage->context, reason);
}

struct error *storage_start_share(struct storage *storage, const struct share_entry *entries, size_t count)
{
    struct error *error = share_new(storage->base, storage->directory, entries, count, on_share_failed,
        storage, &storage->share, &storage->hv_share.socket);
    if (error)
        return error_wrap(error, "sharing files of the host");
    storage->growing = count == 0;
    storage->hv_share.tag = SHARE_TAG;
    storage->share_count = 1;
    storage->sandbox_mount = (struct storage_mount){"virtio-fs", SHARE_TAG, "virtiofs", NULL, GUEST_SHARE};
    strv_append(&storage->sandbox_mount.options, "nodev");
    return NULL;
}

struct error *storage_give_disk(
    struct storage *storage, int fd, const struct container_disk *disk, char **ret_device)
{
    if (storage->disk_count == STORAGE_DISKS_MAX) {
        close_fd(fd);
        return error_new(ERROR_RESOURCE_EXHAUSTED,
            "the container needs more than the %d disks that a "
            "virtual machine can be started with",
            STORAGE_DISKS_MAX);
    }
    *ret_device = must_printf("/dev/vd%c", (char)('a' + storage->disk_count));
    storage->disks[storage->disk_count++] =
        (struct hv_disk){.fd = fd, .read_only = disk->read_only, .durable = disk->durable};
    return NULL;
}

struct error *storage_new(struct event_base *base, const struct storage_config *config,
    const struct storage_events *events, void *context, struct storage **ret_storage)
{
    struct storage *storage = must_new(struct storage);
    *storage = (struct storage){.base = base,
        .events = *events,
        .context = context,
        .name = must_copy(config->name),
        .directory = must_copy(config->directory),
        .scratch_directory = must_copy_or_null(config->scratch_directory),
        .dynamic = config->dynamic,
        .hv_share = {.socket = -1}};
    LIST_INIT(&storage->containers);
    /* An ordinary user's file server cannot be given more trees: it is started when they are known. */
    struct error *error = config->dynamic && geteuid() == 0 ? storage_start_share(storage, NULL, 0) : NULL;
    if (error)
        storage_free(storage);
    else
        *ret_storage = storage;
    return error;
}

const struct hv_disk *storage_disks(const struct storage *storage, size_t *ret_count)
{
    *ret_count = storage->disk_count;
    return storage->disks;
}

const struct hv_share *storage_shares(const struct storage *storage, size_t *ret_count)
{
    *ret_count = storage->share_count;
    return &storage->hv_share;
}

bool storage_is_dynamic(const struct storage *storage)
{
    return storage->dynamic;
}

void storage_release(struct storage *storage)
{
    for (size_t i = 0; i < storage->disk_count; i++)
        close_fd(TAKE_FD(storage->disks[i].fd));
    close_fd(TAKE_FD(storage->hv_share.socket));
    storage->disk_count = 0;
    storage->share_count = 0;
    storage->released = true;
}

void storage_set_machine(struct storage *storage, struct hv *hv)
{
    storage->hv = hv;
}

const struct storage_mount *storage_sandbox_mounts(const struct storage *storage, size_t *ret_count)
{
    *ret_count = storage->sandbox_mount.driver ? 1 : 0;
    return &storage->sandbox_mount;
}

pid_t storage_process(const struct storage *storage)
{
    return share_process(storage->share);
}

static void leave(struct container_storage *container)
{
    LIST_REMOVE(container, entry);
    container->storage = NULL;
    mounter_free(TAKE_PTR(container->mounter));
    scratch_free(TAKE_PTR(container->scratch));
    if (container->removing)
        container_finish_removal(container);
}

void storage_free(struct storage *storage)
{
    if (!storage)
        return;
    while (!LIST_EMPTY(&storage->containers))
        leave(LIST_FIRST(&storage->containers));
    storage_release(storage);
    share_free(storage->share);
    strv_free(storage->sandbox_mount.options);
    free(storage->name);
    free(storage->directory);
    free(storage->scratch_directory);
    free(storage);
}
