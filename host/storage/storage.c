/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/storage.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "storage/scratch.h"
#include "storage/share.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define GUEST_RUN "/run/kata-containers"
#define GUEST_SHARE GUEST_RUN "/shared/containers"
#define SHARE_TAG "kataShared"

#define DISKS_MAX 2 /* image, scratch */
#define ROOTFS_MOUNTS 3

struct storage {
    struct event_base *base;
    struct storage_events events;
    void *context;
    char *directory;
    char *scratch_directory;
    uint64_t scratch_size;

    struct share_entry *entries;
    char **bind_paths; /* in the guest, one for each entry */
    size_t entry_count;

    struct hv_disk disks[DISKS_MAX];
    size_t disk_count;
    struct hv_share hv_share;
    size_t share_count;

    struct storage_mount sandbox_mount;
    struct storage_mount rootfs_mounts[ROOTFS_MOUNTS];
    char *mount_points[ROOTFS_MOUNTS]; /* owned texts behind rootfs_mounts */
    char *rootfs_type;

    struct scratch *scratch;
    struct share *share;
    storage_done *done;
    void *done_context;
};

/* --- what the guest is told --- */

static void describe_rootfs(struct storage *storage, const struct storage_config *config)
{
    char **points = storage->mount_points;
    points[0] = must_printf(GUEST_RUN "/%s/lower", config->container);
    points[1] = must_printf(GUEST_RUN "/%s/scratch", config->container);
    points[2] = must_printf(GUEST_RUN "/%s/rootfs", config->container);
    storage->rootfs_type = must_copy(config->rootfs_type);

    struct storage_mount *lower = &storage->rootfs_mounts[0], *upper = lower + 1, *overlay = lower + 2;
    *lower = (struct storage_mount){"mmioblk", "/dev/vda", storage->rootfs_type, NULL, points[0]};
    strv_append(&lower->options, "ro");
    if (config->scratch_size) {
        *upper = (struct storage_mount){"mmioblk", "/dev/vdb", "ext4", NULL, points[1]};
        /* Freed blocks become holes on the host; unused tables are not written out behind the container's
         * back. */
        strv_append(&upper->options, "discard");
        strv_append(&upper->options, "noinit_itable");
    } else {
        *upper = (struct storage_mount){"ephemeral", "tmpfs", "tmpfs", NULL, points[1]};
    }
    *overlay = (struct storage_mount){"overlayfs", "overlay", "overlay", NULL, points[2]};
    strv_append_printf(&overlay->options, "lowerdir=%s", points[0]);
    strv_append_printf(&overlay->options, "upperdir=%s/upper", points[1]);
    strv_append_printf(&overlay->options, "workdir=%s/work", points[1]);
}

static void describe_share(struct storage *storage)
{
    storage->sandbox_mount = (struct storage_mount){"virtio-fs", SHARE_TAG, "virtiofs", NULL, GUEST_SHARE};
    strv_append(&storage->sandbox_mount.options, "nodev");
}

/* --- what is checked before anything runs --- */

static struct error *check_rootfs(const struct storage_config *config)
{
    static const char *const types[] = {"erofs", "squashfs", "ext4"};
    bool known = false;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        known |= strcmp(types[i], config->rootfs_type) == 0;
    if (!known)
        return error_new(ERROR_UNIMPLEMENTED, "a root file system of type %s", config->rootfs_type);
    struct stat status;
    if (stat(config->rootfs, &status) < 0)
        return error_errno(errno, "root image %s", config->rootfs);
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return error_new(ERROR_INVALID_ARGUMENT, "root image %s is no file", config->rootfs);
    return NULL;
}

/* A directory is shared as N, a file as N/NAME: it keeps its name, and its directory holds nothing else. */
static struct error *add_bind(struct storage *storage, const struct storage_bind *bind)
{
    _cleanup_free_ char *source = NULL;
    struct error *error = path_resolve(bind->source, &source);
    if (error)
        return error_wrap(error, "volume");
    struct stat status;
    if (stat(source, &status) < 0)
        return error_errno(errno, "volume %s", bind->source);
    size_t index = storage->entry_count;
    const char *slash = strrchr(source, '/');
    char *target = S_ISDIR(status.st_mode) ? must_printf("/%zu", index)
                                           : must_printf("/%zu/%s", index, slash ? slash + 1 : source);
    strv_append_printf(&storage->bind_paths, GUEST_SHARE "%s", target);
    storage->entries[storage->entry_count++] =
        (struct share_entry){.source = TAKE_PTR(source), .target = target, .read_only = bind->read_only};
    return NULL;
}

static struct error *check_binds(struct storage *storage, const struct storage_config *config)
{
    if (config->bind_count > STORAGE_BINDS_MAX)
        return error_new(ERROR_RESOURCE_EXHAUSTED, "%zu volumes; a sandbox can have %d", config->bind_count,
            STORAGE_BINDS_MAX);
    storage->entries = must_alloc_array(config->bind_count + 1, sizeof(*storage->entries));
    for (size_t i = 0; i < config->bind_count; i++)
        TRY(add_bind(storage, &config->binds[i]));
    return NULL;
}

static struct error *open_image(struct storage *storage, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "root image %s", path);
    storage->disks[storage->disk_count++] = (struct hv_disk){.fd = fd, .read_only = true};
    return NULL;
}

struct error *storage_new(struct event_base *base, const struct storage_config *config,
    const struct storage_events *events, void *context, struct storage **ret_storage)
{
    _cleanup_(storage_free) struct storage *storage = must_new(struct storage);
    storage->base = base;
    storage->events = *events;
    storage->context = context;
    storage->directory = must_copy(config->directory);
    storage->scratch_directory = must_copy_or_null(config->scratch_directory);
    storage->scratch_size = config->scratch_size;
    storage->hv_share.socket = -1;
    TRY(check_rootfs(config));
    TRY(check_binds(storage, config));
    TRY(open_image(storage, config->rootfs));
    describe_rootfs(storage, config);
    if (storage->entry_count)
        describe_share(storage);
    *ret_storage = TAKE_PTR(storage);
    return NULL;
}

/* --- what is started --- */

static void on_share_failed(void *context, const struct error *reason)
{
    struct storage *storage = context;
    storage->events.failed(storage->context, reason);
}

static struct error *start_share(struct storage *storage)
{
    if (storage->entry_count == 0)
        return NULL;
    struct error *error = share_new(storage->base, storage->directory, storage->entries, storage->entry_count,
        on_share_failed, storage, &storage->share, &storage->hv_share.socket);
    if (error)
        return error_wrap(error, "sharing volumes");
    storage->hv_share.tag = SHARE_TAG;
    storage->share_count = 1;
    return NULL;
}

static void on_scratch_made(void *context, struct error *error, int fd)
{
    struct storage *storage = context;
    if (!error)
        storage->disks[storage->disk_count++] = (struct hv_disk){.fd = fd};
    storage->done(storage->done_context, error);
}

void storage_start(struct storage *storage, storage_done *done, void *context)
{
    storage->done = done;
    storage->done_context = context;
    struct error *error = start_share(storage);
    if (!error && storage->scratch_size) {
        error = scratch_new(storage->base, storage->scratch_directory, storage->scratch_size, on_scratch_made,
            storage, &storage->scratch);
        if (!error)
            return;
    }
    done(context, error);
}

/* --- what the owner asks for --- */

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

void storage_release(struct storage *storage)
{
    for (size_t i = 0; i < storage->disk_count; i++)
        close_fd(TAKE_FD(storage->disks[i].fd));
    close_fd(TAKE_FD(storage->hv_share.socket));
    storage->disk_count = 0;
    storage->share_count = 0;
}

const struct storage_mount *storage_sandbox_mounts(const struct storage *storage, size_t *ret_count)
{
    *ret_count = storage->entry_count ? 1 : 0;
    return &storage->sandbox_mount;
}

const struct storage_mount *storage_rootfs_mounts(const struct storage *storage, size_t *ret_count)
{
    *ret_count = ROOTFS_MOUNTS;
    return storage->rootfs_mounts;
}

const char *storage_rootfs_path(const struct storage *storage)
{
    return storage->mount_points[ROOTFS_MOUNTS - 1];
}

const char *storage_bind_path(const struct storage *storage, size_t index)
{
    return index < storage->entry_count ? storage->bind_paths[index] : NULL;
}

pid_t storage_process(const struct storage *storage)
{
    return share_process(storage->share);
}

void storage_free(struct storage *storage)
{
    if (!storage)
        return;
    storage_release(storage);
    scratch_free(storage->scratch);
    share_free(storage->share);
    for (size_t i = 0; i < storage->entry_count; i++) {
        free(storage->entries[i].source);
        free(storage->entries[i].target);
    }
    free(storage->entries);
    strv_free(storage->bind_paths);
    strv_free(storage->sandbox_mount.options);
    for (size_t i = 0; i < ROOTFS_MOUNTS; i++) {
        strv_free(storage->rootfs_mounts[i].options);
        free(storage->mount_points[i]);
    }
    free(storage->rootfs_type);
    free(storage->directory);
    free(storage->scratch_directory);
    free(storage);
}
