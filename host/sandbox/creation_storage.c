/* SPDX-License-Identifier: Apache-2.0 */
/* Between host/storage, which knows disks and shares, and the agent, which is told what to mount. */
#include "sandbox/creation.h"

#include "base/strv.h"

#include <string.h>

static bool is_read_only(const Grpc__Mount *mount)
{
    for (size_t i = 0; i < mount->n_options; i++)
        if (strcmp(mount->options[i], "ro") == 0 || strcmp(mount->options[i], "rro") == 0)
            return true;
    return false;
}

/* The shared mounts in the order of the configuration; the array is the caller's. */
static struct storage_bind *list_binds(struct creation *creation, size_t *ret_count)
{
    const struct guest_mounts *mounts = creation->mounts;
    struct storage_bind *binds = must_alloc_array(mounts->count, sizeof(*binds));
    size_t count = 0;
    for (size_t i = 0; i < mounts->count; i++) {
        if (mounts->mounts[i].bind != GUEST_BIND_SHARE)
            continue;
        bool read_only = is_read_only(creation->spec->mounts[i]);
        binds[count++] =
            (struct storage_bind){.source = mounts->mounts[i].host_source, .read_only = read_only};
        creation->sandbox->holds_data |= !read_only;
    }
    *ret_count = count;
    return binds;
}

static void storage_lost(void *context, const struct error *reason)
{
    sandbox_storage_failed(context, reason);
}

static struct error *make_storage(struct creation *creation)
{
    static const struct storage_events events = {.failed = storage_lost};
    struct sandbox *sandbox = creation->sandbox;
    if (!creation->with_machine)
        return error_new(ERROR_UNIMPLEMENTED, "disks and shares cannot be added to a machine that runs");
    if (creation->rootfs_count != 1)
        return error_new(ERROR_UNIMPLEMENTED,
            "a root file system of %zu mounts is not supported, one image is", creation->rootfs_count);
    struct storage_config config = {.name = sandbox->options.id,
        .directory = sandbox->options.directory,
        .container = creation->container->id,
        .rootfs = creation->rootfs->source,
        .rootfs_type = creation->rootfs->type,
        .scratch_size = sandbox->settings->scratch_size,
        .scratch_directory = sandbox->options.scratch_directory};
    _cleanup_free_ struct storage_bind *binds = list_binds(creation, &config.bind_count);
    config.binds = binds;
    return storage_new(sandbox->base, &config, &events, sandbox, &sandbox->storage);
}

static void name_shared_mounts(struct creation *creation)
{
    struct guest_mounts *mounts = creation->mounts;
    size_t bind = 0;
    for (size_t i = 0; i < mounts->count; i++)
        if (mounts->mounts[i].bind == GUEST_BIND_SHARE)
            mounts->mounts[i].guest_source = must_copy(storage_bind_path(creation->sandbox->storage, bind++));
}

static void storage_ready(void *context, struct error *error)
{
    struct creation *creation = context;
    if (!error)
        name_shared_mounts(creation);
    creation_step_done(creation, error);
}

void creation_prepare_storage(struct creation *creation)
{
    struct error *error = make_storage(creation);
    if (error)
        creation_step_done(creation, error);
    else
        storage_start(creation->sandbox->storage, storage_ready, creation);
}

void creation_release_storage(struct creation *creation)
{
    if (!creation->with_machine)
        return;
    storage_free(TAKE_PTR(creation->sandbox->storage));
    creation->sandbox->holds_data = false;
}

/* ---- what the agent is told ---- */

Grpc__Storage **creation_storages(const struct storage_mount *mounts, size_t count)
{
    Grpc__Storage **storages = must_alloc_array(count + 1, sizeof(*storages));
    for (size_t i = 0; i < count; i++) {
        Grpc__Storage *storage = storages[i] = must_new(Grpc__Storage);
        *storage = (Grpc__Storage)GRPC__STORAGE__INIT;
        storage->driver = mounts[i].driver;
        storage->source = mounts[i].source;
        storage->fstype = mounts[i].fstype;
        storage->mount_point = mounts[i].mount_point;
        storage->options = (const char **)(uintptr_t)mounts[i].options;
        storage->n_options = strv_length(mounts[i].options);
    }
    return storages;
}

void creation_storages_free(Grpc__Storage **storages)
{
    for (size_t i = 0; storages && storages[i]; i++)
        free(storages[i]);
    free(storages);
}
