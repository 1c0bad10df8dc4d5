/* SPDX-License-Identifier: Apache-2.0 */
/* Between host/storage, which knows disks and shares, and the agent, which is told what to mount. */
#include "sandbox/creation.h"

#include "base/strv.h"

#include <string.h>
#include <sys/stat.h>

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
        binds[count++] = (struct storage_bind){.source = mounts->mounts[i].host_source,
            .read_only = read_only,
            .follows = mounts->mounts[i].follows};
        creation->sandbox->holds_data |= !read_only;
    }
    *ret_count = count;
    return binds;
}

static void storage_lost(void *context, const struct error *reason)
{
    sandbox_storage_failed(context, reason);
}

static void ignore_answer(void *context, struct error *error, const ProtobufCMessage *response)
{
    error_free(error);
}

/*
 * The guest's kernel remembers what it has seen of the container's directory, and as long as it does, the
 * file server has files of it open, which would keep a volume's device busy on the host. Being asked to make
 * something there, the guest finds that the directory is gone and forgets all below it; that nothing can be
 * made is what is expected. This is a call that every agent has.
 */
static void trees_removed(void *context, const char *guest_directory)
{
    struct sandbox *sandbox = context;
    if (!sandbox->agent || sandbox->state != SANDBOX_RUNNING)
        return;
    _cleanup_free_ char *path = must_printf("%s/gone", guest_directory);
    Grpc__CopyFileRequest request = GRPC__COPY_FILE_REQUEST__INIT;
    request.path = path;
    request.file_mode = S_IFDIR | 0755;
    agent_copy_file(sandbox->agent, &request, ignore_answer, NULL);
}

/* ---- the sandbox's ---- */

/* More containers may come: the first one is a pod's, or there is none yet. */
static bool is_pod(const struct creation *creation)
{
    return !creation->container || creation->container->kind != CONTAINER_SINGLE;
}

static struct error *make_storage(const struct creation *creation)
{
    static const struct storage_events events = {.failed = storage_lost, .removed = trees_removed};
    struct sandbox *sandbox = creation->sandbox;
    const struct storage_config config = {.name = sandbox->options.id,
        .directory = sandbox->options.directory,
        .scratch_directory = sandbox->options.scratch_directory,
        .dynamic = is_pod(creation)};
    return storage_new(sandbox->base, &config, &events, sandbox, &sandbox->storage);
}

void creation_make_storage(struct creation *creation)
{
    creation_step_done(creation, make_storage(creation));
}

void creation_release_storage(struct creation *creation)
{
    storage_free(TAKE_PTR(creation->sandbox->storage));
    creation->sandbox->holds_data = false;
}

/* ---- the container's ---- */

static void name_shared_mounts(struct creation *creation)
{
    struct guest_mounts *mounts = creation->mounts;
    const struct container_storage *storage = creation->container->storage;
    size_t bind = 0;
    for (size_t i = 0; i < mounts->count; i++)
        if (mounts->mounts[i].bind == GUEST_BIND_SHARE)
            mounts->mounts[i].guest_source = must_copy(container_storage_bind_path(storage, bind++));
}

static void storage_ready(void *context, struct error *error)
{
    struct creation *creation = context;
    if (!error) {
        name_shared_mounts(creation);
        creation->sandbox->holds_data |= container_storage_is_durable(creation->container->storage);
    }
    creation_step_done(creation, error);
}

/* The blocks of the root file system; the array is the caller's and borrows its strings. */
static struct storage_source *list_rootfs(const struct creation *creation)
{
    struct storage_source *sources = must_alloc_array(creation->rootfs_count + 1, sizeof(*sources));
    for (size_t i = 0; i < creation->rootfs_count; i++) {
        const struct sandbox_mount *mount = &creation->rootfs[i];
        sources[i] = (struct storage_source){.type = mount->type,
            .source = mount->source,
            .target = mount->target,
            .options = mount->options,
            .option_count = mount->option_count};
    }
    return sources;
}

/* Docker mounts the root file system itself, hands no mounts over, and says in config.json where it is. */
static void take_root_of_configuration(struct creation *creation)
{
    const Grpc__Root *root = creation->spec->root;
    if (creation->rootfs_count > 0 || !root || !*root->path)
        return;
    const char **options = must_alloc_array(1, sizeof(*options));
    options[0] = must_copy("rbind");
    creation->rootfs = must_resize(creation->rootfs, 1, sizeof(*creation->rootfs));
    creation->rootfs[creation->rootfs_count++] = (struct sandbox_mount){.type = must_copy("bind"),
        .source = *root->path == '/' ? must_copy(root->path)
                                     : must_printf("%s/%s", creation->container->bundle, root->path),
        .options = options,
        .option_count = 1};
}

void creation_add_storage(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    struct error *error = creation_open_host_sockets(creation);
    if (error) {
        creation_step_done(creation, error);
        return;
    }
    take_root_of_configuration(creation);
    _cleanup_free_ struct storage_source *rootfs = list_rootfs(creation);
    struct container_storage_config config = {.container = creation->container->id,
        .rootfs = rootfs,
        .rootfs_count = creation->rootfs_count,
        .scratch_size = sandbox->settings->scratch_size};
    _cleanup_free_ struct storage_bind *binds = list_binds(creation, &config.bind_count);
    config.binds = binds;
    storage_add(sandbox->storage, &config, storage_ready, creation, &creation->container->storage);
}

void creation_remove_storage(struct creation *creation)
{
    container_storage_free(TAKE_PTR(creation->container->storage));
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
