/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's part, from adding to removal. Adding: trees, scratch disk, disks. Removal: the same
 * backwards, by itself in the background, for the mounter and the machine take their time; the storage knows
 * it until then, and ends it when it goes itself.
 */
#include "storage/model.h"

#include "base/fd.h"
#include "base/strv.h"

#include <string.h>

void container_destroy(struct container_storage *container)
{
    if (container->storage)
        LIST_REMOVE(container, entry);
    scratch_free(container->scratch);
    mounter_free(container->mounter);
    container_forget_files(container);
    for (size_t i = 0; i < container->disk_count; i++) {
        close_fd(container->disks[i].fd);
        free(container->disks[i].address);
    }
    for (size_t i = 0; i < container->mount_count; i++)
        strv_free(container->mounts[i].options);
    container_trees_free(container);
    close_fd(container->host_root);
    if (container->soon)
        event_free(container->soon);
    free(container->disks);
    free(container->mounts);
    strv_free(container->bind_paths);
    strv_free(container->texts);
    free(container->id);
    free(container);
}

/* ---- adding ---- */

static void answer(struct container_storage *container, struct error *error)
{
    container->done(container->done_context, error);
}

static void on_scratch_made(void *context, struct error *error, int fd)
{
    struct container_storage *container = context;
    if (error) {
        answer(container, error);
        return;
    }
    container->disks = must_resize(container->disks, container->disk_count + 1, sizeof(*container->disks));
    container->disks[container->disk_count++] =
        (struct container_disk){.fd = fd, .mount = container->scratch_mount};
    container_give_disks(container);
}

static void make_scratch(struct container_storage *container)
{
    struct storage *storage = container->storage;
    struct error *error = NULL;
    if (container->scratch_size)
        error = scratch_new(storage->base, storage->scratch_directory, container->scratch_size,
            on_scratch_made, container, &container->scratch);
    if (error)
        answer(container, error);
    else if (!container->scratch_size)
        container_give_disks(container);
}

void container_disks_given(struct container_storage *container, struct error *error)
{
    answer(container, error);
}

static void on_trees_placed(void *context, struct error *error, int host_root)
{
    struct container_storage *container = context;
    container->host_root = host_root;
    if (error)
        answer(container, error_wrap(error, "sharing with the virtual machine"));
    else
        make_scratch(container);
}

/* All at once, before the server starts: for a sandbox that has volumes only, and for ordinary users. */
static struct error *share_from_start(struct container_storage *container)
{
    struct share_entry *entries = must_alloc_array(container->tree_count, sizeof(*entries));
    for (size_t i = 0; i < container->tree_count; i++)
        entries[i] = (struct share_entry){.source = container->trees[i].source,
            .target = container->trees[i].target,
            .read_only = container->trees[i].read_only};
    struct error *error = storage_start_share(container->storage, entries, container->tree_count);
    free(entries);
    return error;
}

static bool has_root_tree(const struct container_storage *container)
{
    return container->tree_count > container->bind_count;
}

/* *ret_placed: at once; otherwise on_trees_placed follows. */
static struct error *place_trees(struct container_storage *container, bool *ret_placed)
{
    struct storage *storage = container->storage;
    *ret_placed = true;
    if (container->tree_count == 0)
        return NULL;
    if (!storage->share && has_root_tree(container) && geteuid() != 0)
        return error_new(ERROR_FAILED_PRECONDITION,
            "a root file system that is no image has to be mounted, which takes root");
    if (!storage->share && !storage->released && !has_root_tree(container))
        return share_from_start(container);
    if (!storage->share && !storage->released)
        TRY(storage_start_share(storage, NULL, 0));
    if (!storage->growing)
        return error_new(ERROR_FAILED_PRECONDITION,
            "files of the host cannot be shared with a virtual machine that was started without");
    *ret_placed = false;
    container->placed = true;
    return mounter_add(storage->base, share_process(storage->share), container->trees, container->tree_count,
        on_trees_placed, container, &container->mounter);
}

static void share(struct container_storage *container)
{
    bool placed = true;
    struct error *error = place_trees(container, &placed);
    if (error)
        answer(container, error);
    else if (placed)
        make_scratch(container);
}

static void on_file_made(void *context, struct error *error, int fd)
{
    struct container_storage *container = context;
    close_fd(fd);
    if (error) {
        answer(container, error);
        return;
    }
    free(TAKE_PTR(container->format_path));
    scratch_free(TAKE_PTR(container->scratch));
    share(container);
}

/* The first of what takes time. */
static void make_files(struct container_storage *container)
{
    struct error *error = NULL;
    if (!container->format_path) {
        share(container);
        return;
    }
    error = scratch_format(container->storage->base, TAKE_FD(container->format_fd), on_file_made, container,
        &container->scratch);
    if (error)
        answer(container, error);
}

static struct error *read_config(
    struct container_storage *container, const struct container_storage_config *config)
{
    const struct storage *storage = container->storage;
    size_t most = storage->dynamic ? STORAGE_DISKS_MAX_DYNAMIC : STORAGE_DISKS_MAX;
    size_t room = STORAGE_HOT_DISKS_MAX;
    if (!storage->released)
        room = storage->disk_count < most ? most - storage->disk_count : 0;
    struct rootfs rootfs;
    TRY(container_make_files(container, config->rootfs, config->rootfs_count));
    TRY(rootfs_choose(config->rootfs, config->rootfs_count, room, &rootfs));
    TRY(container_describe(container, &rootfs, config->rootfs, config->rootfs_count));
    return container_read_binds(container, config->binds, config->bind_count);
}

static void on_removed(evutil_socket_t fd, short what, void *context);

void storage_add(struct storage *storage, const struct container_storage_config *config, storage_done *done,
    void *context, struct container_storage **ret_container)
{
    struct container_storage *container = must_new(struct container_storage);
    *container = (struct container_storage){.storage = storage,
        .id = must_copy(config->container),
        .host_root = -1,
        .format_fd = -1,
        .scratch_size = config->scratch_size,
        .done = done,
        .done_context = context};
    container->soon = event_new(storage->base, -1, 0, on_removed, container);
    LIST_INSERT_HEAD(&storage->containers, container, entry);
    *ret_container = container;
    struct error *error = container->soon ? read_config(container, config)
                                          : error_new(ERROR_INTERNAL, "the event loop refused an event");
    if (error)
        answer(container, error);
    else
        make_files(container);
}

/* ---- what the owner asks for ---- */

const struct storage_mount *container_storage_mounts(
    const struct container_storage *container, size_t *ret_count)
{
    *ret_count = container->mount_count;
    return container->mounts;
}

const char *container_storage_rootfs(const struct container_storage *container)
{
    return container->rootfs;
}

const char *container_storage_bind_path(const struct container_storage *container, size_t index)
{
    return index < container->bind_count ? container->bind_paths[index] : NULL;
}

int container_storage_host_root(const struct container_storage *container)
{
    return container->host_root;
}

bool container_storage_is_durable(const struct container_storage *container)
{
    for (size_t i = 0; i < container->disk_count; i++)
        if (container->disks[i].durable)
            return true;
    return false;
}

/* ---- removal ---- */

void container_finish_removal(struct container_storage *container)
{
    storage_done *done = container->done;
    void *done_context = container->done_context;
    container_destroy(container);
    if (done)
        done(done_context, NULL);
}

static void on_removed(evutil_socket_t fd, short what, void *context)
{
    container_finish_removal(context);
}

void container_removed(struct container_storage *container)
{
    if (container->soon)
        event_active(container->soon, EV_TIMEOUT, 0);
    else
        on_removed(-1, 0, container);
}

static void on_trees_taken(void *context, struct error *error, int host_root)
{
    struct container_storage *container = context;
    struct storage *storage = container->storage;
    /* What cannot be taken away goes with the file server. */
    error_free(error);
    if (storage->events.removed) {
        _cleanup_free_ char *directory = must_printf(GUEST_SHARE "/%s", container->id);
        storage->events.removed(storage->context, directory);
    }
    container_take_disks(container);
}

static void take_trees(struct container_storage *container)
{
    struct storage *storage = container->storage;
    pid_t server = storage ? share_process(storage->share) : 0;
    struct error *error = NULL;
    mounter_free(TAKE_PTR(container->mounter));
    if (container->placed && server > 0)
        error = mounter_remove(storage->base, server, container->trees, container->tree_count, on_trees_taken,
            container, &container->mounter);
    if (!container->mounter)
        container_take_disks(container);
    error_free(error);
}

void container_storage_remove(struct container_storage *container, storage_done *done, void *context)
{
    container->done = done;
    container->done_context = context;
    container->removing = true;
    scratch_free(TAKE_PTR(container->scratch));
    close_fd(TAKE_FD(container->host_root));
    if (!container->attaching || !container->storage)
        take_trees(container);
}

void container_attached_late(struct container_storage *container)
{
    take_trees(container);
}

void container_storage_free(struct container_storage *container)
{
    if (!container)
        return;
    bool begun = container->placed || container->attaching || container->disks_given > 0;
    if (container->storage && begun)
        container_storage_remove(container, NULL, NULL);
    else
        container_destroy(container);
}
