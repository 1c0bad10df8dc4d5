/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/model.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* --- what the guest is told --- */

/* Keeps the text as long as the container's part lives. */
static const char *keep(struct container_storage *container, char *text)
{
    strv_take(&container->texts, text);
    return text;
}

/* The pointer is good until the next one is added. */
static struct storage_mount *add_mount(struct container_storage *container, struct storage_mount mount)
{
    container->mounts =
        must_resize(container->mounts, container->mount_count + 1, sizeof(*container->mounts));
    container->mounts[container->mount_count] = mount;
    return &container->mounts[container->mount_count++];
}

static const char *guest_path(struct container_storage *container, const char *name)
{
    return keep(container, must_printf(GUEST_RUN "/%s/%s", container->id, name));
}

static void add_image(struct container_storage *container, const char *device, const char *type)
{
    const char *point = guest_path(container, "lower");
    struct storage_mount *mount = add_mount(
        container, (struct storage_mount){"mmioblk", device, keep(container, must_copy(type)), NULL, point});
    strv_append(&mount->options, "ro");
}

static void add_scratch(struct container_storage *container)
{
    const char *point = guest_path(container, "scratch");
    container->scratch_mount = container->mount_count;
    struct storage_mount *mount =
        add_mount(container, (struct storage_mount){"ephemeral", "tmpfs", "tmpfs", NULL, point});
    if (!container->scratch_size)
        return;
    mount->driver = "mmioblk";
    mount->fstype = "ext4";
    /* Freed blocks become holes on the host; unused tables are not written out behind the container's back.
     */
    strv_append(&mount->options, "discard");
    strv_append(&mount->options, "noinit_itable");
}

static void add_overlay(struct container_storage *container)
{
    const char *lower = container->mounts[0].mount_point;
    const char *upper = container->mounts[container->scratch_mount].mount_point;
    struct storage_mount *mount = add_mount(container,
        (struct storage_mount){"overlayfs", "overlay", "overlay", NULL, guest_path(container, "rootfs")});
    strv_append_printf(&mount->options, "lowerdir=%s", lower);
    strv_append_printf(&mount->options, "upperdir=%s/upper", upper);
    strv_append_printf(&mount->options, "workdir=%s/work", upper);
}

/* --- what is checked before anything runs --- */

static struct error *check_rootfs(const struct container_storage_config *config)
{
    static const char *const types[] = {"erofs", "squashfs", "ext4"};
    if (config->rootfs_count != 1)
        return error_new(ERROR_UNIMPLEMENTED,
            "a root file system of %zu mounts is not supported, one image is", config->rootfs_count);
    const struct storage_source *rootfs = config->rootfs;
    bool known = false;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        known |= strcmp(types[i], rootfs->type) == 0;
    if (!known)
        return error_new(ERROR_UNIMPLEMENTED, "a root file system of type %s", rootfs->type);
    struct stat status;
    if (stat(rootfs->source, &status) < 0)
        return error_errno(errno, "root image %s", rootfs->source);
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return error_new(ERROR_INVALID_ARGUMENT, "root image %s is no file", rootfs->source);
    return NULL;
}

/* A directory is shared as N, a file as N/NAME: it keeps its name, and its directory holds nothing else. */
static struct error *add_bind(struct container_storage *container, const struct storage_bind *bind)
{
    _cleanup_free_ char *source = NULL;
    struct error *error = path_resolve(bind->source, &source);
    if (error)
        return error_wrap(error, "volume");
    struct stat status;
    if (stat(source, &status) < 0)
        return error_errno(errno, "volume %s", bind->source);
    size_t index = container->bind_count;
    const char *slash = strrchr(source, '/');
    char *target = S_ISDIR(status.st_mode)
                       ? must_printf("/%s/%zu", container->id, index)
                       : must_printf("/%s/%zu/%s", container->id, index, slash ? slash + 1 : source);
    strv_append_printf(&container->bind_paths, GUEST_SHARE "%s", target);
    container->binds[container->bind_count++] =
        (struct share_entry){.source = TAKE_PTR(source), .target = target, .read_only = bind->read_only};
    return NULL;
}

static struct error *check_binds(
    struct container_storage *container, const struct container_storage_config *config)
{
    if (config->bind_count > STORAGE_BINDS_MAX)
        return error_new(ERROR_RESOURCE_EXHAUSTED, "%zu volumes; a container can have %d", config->bind_count,
            STORAGE_BINDS_MAX);
    container->binds = must_alloc_array(config->bind_count + 1, sizeof(*container->binds));
    for (size_t i = 0; i < config->bind_count; i++)
        TRY(add_bind(container, &config->binds[i]));
    return NULL;
}

static struct error *open_image(struct container_storage *container, const struct storage_source *rootfs)
{
    int fd = open(rootfs->source, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "root image %s", rootfs->source);
    char *device = NULL;
    TRY(storage_give_disk(container->storage, fd, true, &device));
    add_image(container, keep(container, device), rootfs->type);
    return NULL;
}

/* --- adding --- */

static struct error *share_binds(struct container_storage *container)
{
    struct storage *storage = container->storage;
    if (container->bind_count == 0)
        return NULL;
    if (storage->released || storage->share)
        return error_new(ERROR_UNIMPLEMENTED, "volumes cannot be added to a machine that runs");
    return storage_start_share(storage, container->binds, container->bind_count);
}

static void on_scratch_made(void *context, struct error *error, int fd)
{
    struct container_storage *container = context;
    char *device = NULL;
    if (!error)
        error = storage_give_disk(container->storage, fd, false, &device);
    if (!error)
        container->mounts[container->scratch_mount].source = keep(container, device);
    container->done(container->done_context, error);
}

static struct error *prepare(
    struct container_storage *container, const struct container_storage_config *config)
{
    TRY(check_rootfs(config));
    TRY(check_binds(container, config));
    TRY(open_image(container, &config->rootfs[0]));
    add_scratch(container);
    add_overlay(container);
    return share_binds(container);
}

void storage_add(struct storage *storage, const struct container_storage_config *config, storage_done *done,
    void *context, struct container_storage **ret_container)
{
    struct container_storage *container = must_new(struct container_storage);
    *container = (struct container_storage){.storage = storage,
        .id = must_copy(config->container),
        .scratch_size = config->scratch_size,
        .done = done,
        .done_context = context};
    LIST_INSERT_HEAD(&storage->containers, container, entry);
    *ret_container = container;
    struct error *error = prepare(container, config);
    if (!error && container->scratch_size) {
        error = scratch_new(storage->base, storage->scratch_directory, container->scratch_size,
            on_scratch_made, container, &container->scratch);
        if (!error)
            return;
    }
    done(context, error);
}

/* --- what the owner asks for --- */

const struct storage_mount *container_storage_mounts(
    const struct container_storage *container, size_t *ret_count)
{
    *ret_count = container->mount_count;
    return container->mounts;
}

const char *container_storage_rootfs(const struct container_storage *container)
{
    return container->mounts[container->mount_count - 1].mount_point;
}

const char *container_storage_bind_path(const struct container_storage *container, size_t index)
{
    return index < container->bind_count ? container->bind_paths[index] : NULL;
}

int container_storage_host_root(const struct container_storage *container)
{
    return -1;
}

void container_storage_free(struct container_storage *container)
{
    if (!container)
        return;
    if (container->storage)
        LIST_REMOVE(container, entry);
    scratch_free(container->scratch);
    for (size_t i = 0; i < container->bind_count; i++) {
        free(container->binds[i].source);
        free(container->binds[i].target);
    }
    for (size_t i = 0; i < container->mount_count; i++)
        strv_free(container->mounts[i].options);
    free(container->binds);
    strv_free(container->bind_paths);
    free(container->mounts);
    strv_free(container->texts);
    free(container->id);
    free(container);
}

void container_storage_remove(struct container_storage *container, storage_done *done, void *context)
{
    container_storage_free(container);
    done(context, NULL);
}
