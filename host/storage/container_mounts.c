/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest is told to mount for a root file system that comes on disks. */
#include "storage/model.h"

#include "base/fd.h"
#include "base/strv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

/* The driver of Kata's agent for a disk of the machine's beginning; a later one's is set when it has come. */
#define DISK_DRIVER "mmioblk"

const char *container_keep(struct container_storage *container, char *text)
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
    container->rootfs = mount.mount_point;
    return &container->mounts[container->mount_count++];
}

static const char *guest_path(struct container_storage *container, const char *name)
{
    return container_keep(container, must_printf(GUEST_RUN "/%s/%s", container->id, name));
}

static void add_disk(struct container_storage *container, int fd, bool read_only)
{
    container->disks = must_resize(container->disks, container->disk_count + 1, sizeof(*container->disks));
    container->disks[container->disk_count++] = (struct container_disk){
        .fd = fd, .read_only = read_only, .durable = !read_only, .mount = container->mount_count};
}

static struct error *open_disk(
    struct container_storage *container, const struct storage_source *source, bool read_only)
{
    int fd = open(source->source, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "root image %s", source->source);
    add_disk(container, fd, read_only);
    return NULL;
}

/* Options for the guest's mount(2): the file system's own. A path of the host means nothing there. */
static struct error *guest_options(const struct storage_source *sources, size_t index, char *const *places,
    bool read_only, char ***ret_options)
{
    struct mount_call call = {0};
    _cleanup_strv_ char **options = NULL;
    TRY(mount_call_read(sources, index, places, &call));
    if (read_only)
        strv_append(&options, "ro");
    if (call.flags & MS_NOATIME)
        strv_append(&options, "noatime");
    /* Each for itself: the agent looks for the directories that an overlay needs. */
    _cleanup_strv_ char **data = call.data ? strv_split(call.data, ',') : NULL;
    strv_extend(&options, data);
    mount_call_clear(&call);
    *ret_options = TAKE_PTR(options);
    return NULL;
}

static struct error *add_file_system(struct container_storage *container,
    const struct storage_source *sources, size_t index, bool read_only, const char *point)
{
    const struct storage_source *source = &sources[index];
    _cleanup_strv_ char **options = NULL;
    TRY(guest_options(sources, index, NULL, read_only, &options));
    TRY(open_disk(container, source, read_only));
    const char *type = container_keep(container, must_copy(mount_type(source->type)));
    struct storage_mount *mount =
        add_mount(container, (struct storage_mount){DISK_DRIVER, NULL, type, NULL, point});
    mount->options = TAKE_PTR(options);
    return NULL;
}

/* Where a container writes above its image: a disk that is made and forgotten with it, or guest memory. */
static const char *add_scratch(struct container_storage *container)
{
    const char *point = guest_path(container, "scratch");
    container->scratch_mount = container->mount_count;
    if (!container->scratch_size) {
        add_mount(container, (struct storage_mount){"ephemeral", "tmpfs", "tmpfs", NULL, point});
        return point;
    }
    struct storage_mount *mount =
        add_mount(container, (struct storage_mount){DISK_DRIVER, NULL, "ext4", NULL, point});
    /* Freed blocks become holes on the host; unused tables are not written out behind the container's back.
     */
    strv_append(&mount->options, "discard");
    strv_append(&mount->options, "noinit_itable");
    return point;
}

static struct storage_mount *add_overlay(struct container_storage *container)
{
    return add_mount(container,
        (struct storage_mount){"overlayfs", "overlay", "overlay", NULL, guest_path(container, "rootfs")});
}

static void write_to(struct storage_mount *overlay, const char *upper)
{
    strv_append_printf(&overlay->options, "upperdir=%s/upper", upper);
    strv_append_printf(&overlay->options, "workdir=%s/work", upper);
}

static struct error *describe_image(struct container_storage *container, const struct storage_source *sources)
{
    const char *lower = guest_path(container, "lower");
    TRY(add_file_system(container, sources, 0, true, lower));
    const char *upper = add_scratch(container);
    struct storage_mount *overlay = add_overlay(container);
    strv_append_printf(&overlay->options, "lowerdir=%s", lower);
    write_to(overlay, upper);
    return NULL;
}

static struct error *describe_disk(struct container_storage *container, const struct storage_source *sources)
{
    return add_file_system(container, sources, 0, false, guest_path(container, "rootfs"));
}

static struct error *describe_layers(
    struct container_storage *container, const struct storage_source *sources, size_t count)
{
    _cleanup_strv_ char **places = NULL, **options = NULL;
    for (size_t i = 0; i + 1 < count; i++) {
        strv_append_printf(&places, GUEST_RUN "/%s/layer%zu", container->id, i);
        bool read_only = rootfs_is_image_type(sources[i].type) || mount_has_option(&sources[i], "ro");
        TRY(add_file_system(
            container, sources, i, read_only, container_keep(container, must_copy(places[i]))));
    }
    TRY(guest_options(sources, count - 1, places, false, &options));
    bool written = mount_option_value(&sources[count - 1], "upperdir=") != NULL;
    const char *upper = written ? NULL : add_scratch(container);
    struct storage_mount *overlay = add_overlay(container);
    overlay->options = TAKE_PTR(options);
    if (upper)
        write_to(overlay, upper);
    return NULL;
}

struct error *container_describe(struct container_storage *container, const struct rootfs *rootfs,
    const struct storage_source *sources, size_t count)
{
    switch (rootfs->kind) {
    case ROOTFS_IMAGE:
        return describe_image(container, sources);
    case ROOTFS_DISK:
        container->scratch_size = 0;
        return describe_disk(container, sources);
    case ROOTFS_LAYERS:
        if (mount_option_value(&sources[count - 1], "upperdir="))
            container->scratch_size = 0;
        return describe_layers(container, sources, count);
    case ROOTFS_TREE:
        break;
    }
    container->scratch_size = 0;
    return container_read_rootfs(container, sources, count);
}
