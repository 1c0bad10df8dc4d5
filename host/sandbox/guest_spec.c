/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/guest_spec.h"

#include "base/path.h"

#include <protobuf-c/protobuf-c.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what the bind mounts need ---- */

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

static bool is_shared_memory(const Grpc__Mount *mount)
{
    return is_bind(mount) && strcmp(mount->destination, "/dev/shm") == 0;
}

static bool means_the_guest(const Grpc__Mount *mount)
{
    return is_below(mount->source, "/dev") || is_below(mount->source, "/proc") ||
           is_below(mount->source, "/sys") || is_shared_memory(mount);
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

static struct error *read_mount(const Grpc__Mount *mount, const char *bundle, struct guest_mount *ret_mount)
{
    if (!is_bind(mount) || means_the_guest(mount))
        return NULL;
    _cleanup_free_ char *path = NULL;
    struct stat status;
    TRY(resolve_source(mount, bundle, &path));
    if (stat(path, &status) < 0)
        return error_errno(errno, "source of the mount at %s: %s", mount->destination, path);
    bool small_file = S_ISREG(status.st_mode) && status.st_size <= GUEST_COPY_MAX;
    ret_mount->bind = small_file && is_below(path, bundle) ? GUEST_BIND_COPY : GUEST_BIND_SHARE;
    ret_mount->directory = S_ISDIR(status.st_mode);
    ret_mount->host_source = TAKE_PTR(path);
    return NULL;
}

struct error *guest_mounts_read(const Grpc__Spec *spec, const char *bundle, struct guest_mounts **ret_mounts)
{
    _cleanup_guest_mounts_ struct guest_mounts *mounts = must_new(struct guest_mounts);
    _cleanup_free_ char *resolved = NULL;
    TRY(path_resolve(bundle, &resolved));
    mounts->count = spec->n_mounts;
    mounts->mounts = must_alloc_array(spec->n_mounts, sizeof(*mounts->mounts));
    for (size_t i = 0; i < spec->n_mounts; i++)
        TRY(read_mount(spec->mounts[i], resolved, &mounts->mounts[i]));
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

void guest_mounts_free(struct guest_mounts *mounts)
{
    if (!mounts)
        return;
    for (size_t i = 0; i < mounts->count; i++) {
        free(mounts->mounts[i].host_source);
        free(mounts->mounts[i].guest_source);
    }
    free(mounts->mounts);
    free(mounts);
}

/* ---- the rewriting ---- */

static void text_free(const char *text)
{
    if (text != protobuf_c_empty_string)
        free((void *)(uintptr_t)text);
}

/* Takes the new text. */
static void text_replace(const char **field, char *text)
{
    text_free(*field);
    *field = text;
}

static void text_clear(const char **field)
{
    text_free(*field);
    *field = protobuf_c_empty_string;
}

static void texts_clear(const char ***field, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        text_free((*field)[i]);
    free(*field);
    *field = NULL;
    *count = 0;
}

/* Frees the elements of a repeated message field and leaves it empty. */
#define MESSAGES_CLEAR(field, count)                                                 \
    do {                                                                             \
        for (size_t i_ = 0; i_ < (count); i_++)                                      \
            protobuf_c_message_free_unpacked((ProtobufCMessage *)(field)[i_], NULL); \
        free(field);                                                                 \
        (field) = NULL;                                                              \
        (count) = 0;                                                                 \
    } while (0)

#define MESSAGE_CLEAR(field)                                                     \
    do {                                                                         \
        if (field)                                                               \
            protobuf_c_message_free_unpacked((ProtobufCMessage *)(field), NULL); \
        (field) = NULL;                                                          \
    } while (0)

static bool is_guest_wide(const Grpc__LinuxNamespace *namespace)
{
    return strcmp(namespace->type, "network") == 0 || strcmp(namespace->type, "time") == 0;
}

static void rewrite_namespaces(Grpc__Linux *linux_config)
{
    size_t kept = 0;
    for (size_t i = 0; i < linux_config->n_namespaces; i++) {
        Grpc__LinuxNamespace *namespace = linux_config->namespaces[i];
        if (is_guest_wide(namespace)) {
            protobuf_c_message_free_unpacked((ProtobufCMessage *)namespace, NULL);
            continue;
        }
        text_clear(&namespace->path);
        linux_config->namespaces[kept++] = namespace;
    }
    linux_config->n_namespaces = kept;
}

void guest_resources_rewrite(Grpc__LinuxResources *resources)
{
    if (resources->cpu) {
        text_clear(&resources->cpu->cpus);
        text_clear(&resources->cpu->mems);
    }
    if (resources->block_io) {
        Grpc__LinuxBlockIO *io = resources->block_io;
        MESSAGES_CLEAR(io->weight_device, io->n_weight_device);
        MESSAGES_CLEAR(io->throttle_read_bps_device, io->n_throttle_read_bps_device);
        MESSAGES_CLEAR(io->throttle_write_bps_device, io->n_throttle_write_bps_device);
        MESSAGES_CLEAR(io->throttle_read_iops_device, io->n_throttle_read_iops_device);
        MESSAGES_CLEAR(io->throttle_write_iops_device, io->n_throttle_write_iops_device);
    }
    MESSAGE_CLEAR(resources->network);
}

static void rewrite_linux(Grpc__Linux *linux_config, const char *container_id)
{
    rewrite_namespaces(linux_config);
    text_replace(&linux_config->cgroups_path, must_printf("/%s", container_id));
    text_clear(&linux_config->mount_label);
    MESSAGE_CLEAR(linux_config->intel_rdt);
    if (linux_config->resources)
        guest_resources_rewrite(linux_config->resources);
}

static void rewrite_hooks(Grpc__Hooks *hooks)
{
    MESSAGES_CLEAR(hooks->prestart, hooks->n_prestart);
    MESSAGES_CLEAR(hooks->create_runtime, hooks->n_create_runtime);
    MESSAGES_CLEAR(hooks->poststop, hooks->n_poststop);
}

/* The pod's shared memory on the host cannot be the guest's: it gets its own, of the usual size. */
static void rewrite_shared_memory(Grpc__Mount *mount)
{
    static const char *const options[] = {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"};
    text_replace(&mount->type, must_copy("tmpfs"));
    text_replace(&mount->source, must_copy("shm"));
    texts_clear(&mount->options, &mount->n_options);
    mount->n_options = ARRAY_SIZE(options);
    mount->options = must_alloc_array(ARRAY_SIZE(options), sizeof(*mount->options));
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        mount->options[i] = must_copy(options[i]);
}

static void rewrite_mount(Grpc__Mount *mount, const struct guest_mount *known)
{
    if (is_shared_memory(mount))
        rewrite_shared_memory(mount);
    else if (known->bind != GUEST_BIND_NONE)
        text_replace(&mount->source, must_copy(known->guest_source));
}

void guest_process_rewrite(Grpc__Process *process)
{
    text_clear(&process->apparmor_profile);
    text_clear(&process->selinux_label);
}

void guest_spec_rewrite(
    Grpc__Spec *spec, const char *container_id, const char *root_path, const struct guest_mounts *mounts)
{
    if (spec->root)
        text_replace(&spec->root->path, must_copy(root_path));
    if (spec->process)
        guest_process_rewrite(spec->process);
    if (spec->linux_config)
        rewrite_linux(spec->linux_config, container_id);
    if (spec->hooks)
        rewrite_hooks(spec->hooks);
    for (size_t i = 0; i < spec->n_mounts; i++)
        rewrite_mount(spec->mounts[i], &mounts->mounts[i]);
}
