/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/guest_mounts.h"

#include "base/path.h"
#include "base/strv.h"
#include "sandbox/guest_devices.h"
#include "sandbox/guest_spec.h"
#include "sandbox/pod.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

/* The kubelet keeps a pod's emptyDir volumes in .../volumes/kubernetes.io~empty-dir/NAME. */
#define EMPTY_DIRECTORY "/kubernetes.io~empty-dir/"

/* ---- what kind of mount it is ---- */

static bool has_option(const Grpc__Mount *mount, const char *option)
{
    for (size_t i = 0; i < mount->n_options; i++)
        if (strcmp(mount->options[i], option) == 0)
            return true;
    return false;
}

static bool is_bind(const Grpc__Mount *mount)
{
    return strcmp(mount->type, "bind") == 0 || has_option(mount, "bind") || has_option(mount, "rbind");
}

static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static bool is_socket(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* Below /dev/shm are files of the host like any others, and a socket, like /dev/log, is so anywhere. */
static bool means_the_guest(const Grpc__Mount *mount)
{
    const char *source = mount->source;
    if (is_socket(source))
        return false;
    return (is_below(source, "/dev") && strncmp(source, "/dev/shm/", strlen("/dev/shm/")) != 0) ||
           is_below(source, "/proc") || is_below(source, "/sys");
}

static struct error *resolve_source(const Grpc__Mount *mount, const char *bundle, char **ret_path)
{
    _cleanup_free_ char *path =
        *mount->source == '/' ? must_copy(mount->source) : must_printf("%s/%s", bundle, mount->source);
    struct error *error = path_resolve(path, ret_path);
    if (error_code(error) == ERROR_NOT_FOUND) {
        error_free(error);
        return error_new(ERROR_NOT_FOUND, "the source of the mount at %s does not exist on the host: %s",
            mount->destination, mount->source);
    }
    return error_wrap(error, "mount at %s", mount->destination);
}

/* ---- memory ---- */

static bool is_in_memory(const char *path, struct statfs *ret_system)
{
    return statfs(path, ret_system) == 0 && ret_system->f_type == TMPFS_MAGIC;
}

static bool is_in_huge_pages(const char *path, struct statfs *ret_system)
{
    return statfs(path, ret_system) == 0 && ret_system->f_type == HUGETLBFS_MAGIC;
}

/* A source that cannot be looked at means the usual size: the guest has its own in any case. */
static void read_shared_memory(const Grpc__Mount *mount, struct guest_mount *ret_mount)
{
    struct statfs system;
    bool known = is_in_memory(mount->source, &system);
    ret_mount->bind = GUEST_BIND_SHARED_MEMORY;
    ret_mount->directory = true;
    ret_mount->host_source = must_copy(mount->source);
    ret_mount->size = known ? system.f_blocks * (uint64_t)system.f_bsize : POD_SHARED_MEMORY_SIZE;
}

static void read_owner(const struct stat *status, struct guest_mount *ret_mount)
{
    strv_append_printf(&ret_mount->options, "mode=%04o", status->st_mode & 07777);
    strv_append_printf(&ret_mount->options, "uid=%u", status->st_uid);
    strv_append_printf(&ret_mount->options, "gid=%u", status->st_gid);
}

/* The kubelet has given the volume's directory its owner, group (fsGroup) and mode. */
static void read_volume(const struct stat *status, const struct statfs *system, struct guest_mount *ret_mount)
{
    ret_mount->bind = GUEST_BIND_VOLUME;
    ret_mount->guest_source = must_printf(POD_VOLUMES "%s", strrchr(ret_mount->host_source, '/'));
    ret_mount->size = system->f_blocks * (uint64_t)system->f_bsize;
    ret_mount->page_size = system->f_type == HUGETLBFS_MAGIC ? (uint64_t)system->f_bsize : 0;
    read_owner(status, ret_mount);
}

static bool is_volume_in_memory(const char *path, struct statfs *ret_system)
{
    const char *place = strstr(path, EMPTY_DIRECTORY);
    return place && !strchr(place + strlen(EMPTY_DIRECTORY), '/') &&
           (is_in_memory(path, ret_system) || is_in_huge_pages(path, ret_system));
}

/* ---- files and directories ---- */

static struct error *refuse(const Grpc__Mount *mount, const char *what)
{
    return error_new(ERROR_UNIMPLEMENTED,
        "the source of the mount at %s is %s, which a virtual machine cannot share with the host: %s",
        mount->destination, what, mount->source);
}

static struct error *check_type(const Grpc__Mount *mount, mode_t mode)
{
    if (S_ISBLK(mode))
        return refuse(mount, "a block device");
    if (S_ISCHR(mode))
        return refuse(mount, "a character device");
    return NULL;
}

/* The guest has a device of this name, or none. */
static struct error *check_guest_path(const Grpc__Mount *mount)
{
    struct stat status;
    if (stat(mount->source, &status) < 0 || guest_device_is_known(status.st_mode, status.st_rdev))
        return NULL;
    return check_type(mount, status.st_mode);
}

static bool has_either(const Grpc__Mount *mount, const char *one, const char *other)
{
    return has_option(mount, one) || has_option(mount, other);
}

static struct error *read_propagation(const Grpc__Mount *mount, struct guest_mount *ret_mount)
{
    if (has_either(mount, "rshared", "shared"))
        return error_new(ERROR_UNIMPLEMENTED,
            "the mount at %s asks that what the container mounts there appears on the host (%s, Kubernetes' "
            "Bidirectional); a container in a virtual machine cannot do that",
            mount->destination, has_option(mount, "rshared") ? "rshared" : "shared");
    ret_mount->follows = has_either(mount, "rslave", "slave") && !has_either(mount, "ro", "rro");
    return NULL;
}

static struct error *read_source(
    const Grpc__Mount *mount, const char *bundle, bool standalone, struct guest_mount *ret_mount)
{
    struct stat status;
    struct statfs system;
    TRY(resolve_source(mount, bundle, &ret_mount->host_source));
    const char *path = ret_mount->host_source;
    if (stat(path, &status) < 0)
        return error_errno(errno, "source of the mount at %s: %s", mount->destination, path);
    TRY(check_type(mount, status.st_mode));
    ret_mount->directory = S_ISDIR(status.st_mode);
    if (is_volume_in_memory(path, &system)) {
        read_volume(&status, &system, ret_mount);
        return NULL;
    }
    if (S_ISSOCK(status.st_mode)) {
        ret_mount->bind = GUEST_BIND_SOCKET;
        read_owner(&status, ret_mount);
        return NULL;
    }
    bool small_file = S_ISREG(status.st_mode) && status.st_size <= GUEST_COPY_MAX;
    bool copied = standalone && small_file && is_below(path, bundle);
    ret_mount->bind = copied ? GUEST_BIND_COPY : GUEST_BIND_SHARE;
    return ret_mount->directory ? read_propagation(mount, ret_mount) : NULL;
}

static struct error *read_mount(
    const Grpc__Mount *mount, const char *bundle, bool standalone, struct guest_mount *ret_mount)
{
    if (!is_bind(mount))
        return NULL;
    if (strcmp(mount->destination, "/dev/shm") == 0) {
        read_shared_memory(mount, ret_mount);
        return NULL;
    }
    if (means_the_guest(mount))
        return check_guest_path(mount);
    return read_source(mount, bundle, standalone, ret_mount);
}

/* The host's file system shows all that the host has. */
static void limit_huge_pages(const Grpc__Spec *spec, struct guest_mount *mount)
{
    const Grpc__LinuxResources *resources = spec->linux_config ? spec->linux_config->resources : NULL;
    uint64_t limit = guest_huge_page_limit(resources, mount->page_size);
    if (mount->page_size > 0 && limit > 0)
        mount->size = limit;
}

struct error *guest_mounts_read(
    const Grpc__Spec *spec, const char *bundle, bool standalone, struct guest_mounts **ret_mounts)
{
    _cleanup_guest_mounts_ struct guest_mounts *mounts = must_new(struct guest_mounts);
    _cleanup_free_ char *resolved = NULL;
    TRY(path_resolve(bundle, &resolved));
    mounts->count = spec->n_mounts;
    mounts->mounts = must_alloc_array(spec->n_mounts, sizeof(*mounts->mounts));
    for (size_t i = 0; i < spec->n_mounts; i++) {
        TRY(read_mount(spec->mounts[i], resolved, standalone, &mounts->mounts[i]));
        limit_huge_pages(spec, &mounts->mounts[i]);
    }
    *ret_mounts = TAKE_PTR(mounts);
    return NULL;
}

size_t guest_mounts_count(const struct guest_mounts *mounts, enum guest_bind bind)
{
    size_t count = 0;
    for (size_t i = 0; i < mounts->count; i++)
        count += mounts->mounts[i].bind == bind;
    return count;
}

uint64_t guest_mounts_shared_memory(const struct guest_mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++)
        if (mounts->mounts[i].bind == GUEST_BIND_SHARED_MEMORY)
            return mounts->mounts[i].size;
    return 0;
}

void guest_mounts_free(struct guest_mounts *mounts)
{
    if (!mounts)
        return;
    for (size_t i = 0; i < mounts->count; i++) {
        free(mounts->mounts[i].host_source);
        free(mounts->mounts[i].guest_source);
        strv_free(mounts->mounts[i].options);
    }
    free(mounts->mounts);
    free(mounts);
}
