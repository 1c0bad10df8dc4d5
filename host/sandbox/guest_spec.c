/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/guest_spec.h"

#include <protobuf-c/protobuf-c.h>
#include <string.h>

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

/* ---- namespaces ---- */

static const Grpc__LinuxNamespace *find_namespace(const Grpc__Linux *linux_config, const char *type)
{
    for (size_t i = 0; i < linux_config->n_namespaces; i++)
        if (strcmp(linux_config->namespaces[i]->type, type) == 0)
            return linux_config->namespaces[i];
    return NULL;
}

bool guest_shares_pid_namespace(const Grpc__Spec *spec, enum container_kind kind)
{
    if (kind != CONTAINER_OF_POD || !spec->linux_config)
        return false;
    const Grpc__LinuxNamespace *pid = find_namespace(spec->linux_config, "pid");
    return !pid || *pid->path;
}

/* Whether the entry stands for what the guest has anyway. */
static bool is_the_pods(const Grpc__LinuxNamespace *namespace, enum container_kind kind)
{
    bool joins = *namespace->path;
    if (strcmp(namespace->type, "network") == 0)
        return joins || kind != CONTAINER_OF_POD;
    if (strcmp(namespace->type, "ipc") == 0 || strcmp(namespace->type, "uts") == 0)
        return joins || kind == CONTAINER_SANDBOX;
    if (strcmp(namespace->type, "pid") == 0)
        return joins && kind == CONTAINER_OF_POD;
    return strcmp(namespace->type, "time") == 0;
}

static void append_namespace(Grpc__Linux *linux_config, const char *type)
{
    Grpc__LinuxNamespace *namespace = must_new(Grpc__LinuxNamespace);
    *namespace = (Grpc__LinuxNamespace)GRPC__LINUX_NAMESPACE__INIT;
    namespace->type = must_copy(type);
    linux_config->namespaces = must_resize(
        linux_config->namespaces, linux_config->n_namespaces + 1, sizeof(*linux_config->namespaces));
    linux_config->namespaces[linux_config->n_namespaces++] = namespace;
}

static void rewrite_namespaces(Grpc__Linux *linux_config, enum container_kind kind)
{
    bool hosts_pids = !find_namespace(linux_config, "pid");
    size_t kept = 0;
    for (size_t i = 0; i < linux_config->n_namespaces; i++) {
        Grpc__LinuxNamespace *namespace = linux_config->namespaces[i];
        if (is_the_pods(namespace, kind)) {
            protobuf_c_message_free_unpacked((ProtobufCMessage *)namespace, NULL);
            continue;
        }
        text_clear(&namespace->path);
        linux_config->namespaces[kept++] = namespace;
    }
    linux_config->n_namespaces = kept;
    if (hosts_pids && kind != CONTAINER_OF_POD)
        append_namespace(linux_config, "pid");
}

/* ---- the rest ---- */

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

/* "2MB", "1GB": as the specification writes sizes of pages. 0 for anything else. */
static uint64_t page_bytes(const char *text)
{
    static const char units[] = "KMG";
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    const char *unit = end != text && *end ? strchr(units, *end) : NULL;
    if (!unit || strcmp(end + 1, "B") != 0 || number > 1024)
        return 0;
    return (uint64_t)number << (10 * (unit - units + 1));
}

/* No machine has more: what is larger is a mistake or a way to say that there is no limit. */
#define HUGE_PAGES_MAX (1ull << 42)

uint64_t guest_huge_page_limit(const Grpc__LinuxResources *resources, uint64_t page_size)
{
    uint64_t sum = 0;
    for (size_t i = 0; resources && i < resources->n_hugepage_limits; i++) {
        const Grpc__LinuxHugepageLimit *limit = resources->hugepage_limits[i];
        bool meant = page_size == 0 || page_bytes(limit->pagesize) == page_size;
        sum += meant && limit->limit < HUGE_PAGES_MAX ? limit->limit : 0;
    }
    return sum;
}

uint64_t guest_memory_limit(const Grpc__LinuxResources *resources)
{
    bool limited = resources && resources->memory && resources->memory->limit > 0;
    uint64_t limit = limited ? (uint64_t)resources->memory->limit : 0;
    return limit + guest_huge_page_limit(resources, 0);
}

static void rewrite_linux(Grpc__Linux *linux_config, const struct guest_container *container)
{
    rewrite_namespaces(linux_config, container->kind);
    text_replace(&linux_config->cgroups_path, must_printf("/%s", container->id));
    text_clear(&linux_config->mount_label);
    MESSAGE_CLEAR(linux_config->intel_rdt);
    if (container->without_seccomp)
        MESSAGE_CLEAR(linux_config->seccomp);
    if (linux_config->resources)
        guest_resources_rewrite(linux_config->resources);
}

static void rewrite_hooks(Grpc__Hooks *hooks)
{
    MESSAGES_CLEAR(hooks->prestart, hooks->n_prestart);
    MESSAGES_CLEAR(hooks->create_runtime, hooks->n_create_runtime);
    MESSAGES_CLEAR(hooks->poststop, hooks->n_poststop);
}

static void add_option(Grpc__Mount *mount, char *option)
{
    mount->options = must_resize(mount->options, mount->n_options + 1, sizeof(*mount->options));
    mount->options[mount->n_options++] = option;
}

/* Without a pod to share it with: of the container's own, as large as the host's would have been. */
static void make_shared_memory(Grpc__Mount *mount, uint64_t size)
{
    static const char *const options[] = {"nosuid", "noexec", "nodev", "mode=1777"};
    text_replace(&mount->type, must_copy("tmpfs"));
    text_replace(&mount->source, must_copy("shm"));
    texts_clear(&mount->options, &mount->n_options);
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        add_option(mount, must_copy(options[i]));
    add_option(mount, must_printf("size=%lluk", (unsigned long long)(size >> 10)));
}

static void rewrite_mount(Grpc__Mount *mount, const struct guest_mount *known, enum container_kind kind)
{
    if (known->bind == GUEST_BIND_SHARED_MEMORY && kind == CONTAINER_SINGLE)
        make_shared_memory(mount, known->size);
    else if (known->bind == GUEST_BIND_SHARED_MEMORY)
        text_replace(&mount->source, must_copy(POD_SHARED_MEMORY));
    else if (known->bind != GUEST_BIND_NONE)
        text_replace(&mount->source, must_copy(known->guest_source));
}

void guest_process_rewrite(Grpc__Process *process)
{
    text_clear(&process->apparmor_profile);
    text_clear(&process->selinux_label);
}

/* A host name needs a uts namespace of the container's own; in the pod's it has been set. */
static void rewrite_names(Grpc__Spec *spec)
{
    if (spec->linux_config && find_namespace(spec->linux_config, "uts"))
        return;
    text_clear(&spec->hostname);
    text_clear(&spec->domainname);
}

void guest_spec_rewrite(Grpc__Spec *spec, const struct guest_container *container)
{
    if (spec->root)
        text_replace(&spec->root->path, must_copy(container->root_path));
    if (spec->process)
        guest_process_rewrite(spec->process);
    if (spec->linux_config)
        rewrite_linux(spec->linux_config, container);
    rewrite_names(spec);
    if (spec->hooks)
        rewrite_hooks(spec->hooks);
    for (size_t i = 0; i < spec->n_mounts; i++)
        rewrite_mount(spec->mounts[i], &container->mounts->mounts[i], container->kind);
}
