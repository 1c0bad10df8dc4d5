/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pod's containers share in the guest's memory. The agent keeps what is mounted below the sandbox's
 * own directory until the sandbox ends, so a volume outlives the init container that filled it.
 */
#include "sandbox/creation.h"

#include "base/strv.h"

bool creation_is_of_pod(const struct creation *creation)
{
    return !creation->container || creation->container->kind == CONTAINER_SANDBOX;
}

/* Strings and options are borrowed. */
static void append(
    Grpc__Storage ***storages, size_t *count, const char *type, const char *mount_point, char *const *options)
{
    Grpc__Storage *storage = must_new(Grpc__Storage);
    *storage = (Grpc__Storage)GRPC__STORAGE__INIT;
    storage->driver = "ephemeral";
    storage->source = type;
    storage->fstype = type;
    storage->mount_point = mount_point;
    storage->shared = true;
    storage->options = (const char **)(uintptr_t)options;
    storage->n_options = strv_length(options);
    *storages = must_resize(*storages, *count + 2, sizeof(**storages));
    (*storages)[(*count)++] = storage;
    (*storages)[*count] = NULL;
}

void creation_add_shared_memory(struct creation *creation, Grpc__Storage ***storages, size_t *count)
{
    static const char *const options[] = {"noexec", "nosuid", "nodev", "mode=1777"};
    if (!creation_is_of_pod(creation))
        return;
    uint64_t size = creation->mounts ? guest_mounts_shared_memory(creation->mounts) : 0;
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        strv_append(&creation->shared_memory, options[i]);
    strv_append_printf(
        &creation->shared_memory, "size=%llu", (unsigned long long)(size ? size : POD_SHARED_MEMORY_SIZE));
    append(storages, count, "tmpfs", POD_SHARED_MEMORY, creation->shared_memory);
}

/* What the volume may hold has been set aside when it is there; there is no more than that. */
static void describe_huge_pages(struct guest_mount *mount)
{
    strv_append_printf(&mount->options, "pagesize=%llu", (unsigned long long)mount->page_size);
    strv_append_printf(&mount->options, "size=%llu", (unsigned long long)mount->size);
}

/* The kubelet gives a volume without a limit half of the host; its guest gets half of the machine, which is
   what a tmpfs has by itself. */
static void limit_volume(struct guest_mount *mount, uint64_t machine)
{
    if (mount->size > 0 && mount->size < machine / 2)
        strv_append_printf(&mount->options, "size=%llu", (unsigned long long)mount->size);
    mount->size = 0;
}

void creation_add_volumes(struct creation *creation, Grpc__Storage ***storages, size_t *count)
{
    const struct guest_mounts *mounts = creation->mounts;
    for (size_t i = 0; i < mounts->count; i++) {
        struct guest_mount *mount = &mounts->mounts[i];
        if (mount->bind != GUEST_BIND_VOLUME)
            continue;
        bool huge = mount->page_size > 0;
        if (huge)
            describe_huge_pages(mount);
        else
            limit_volume(mount, creation->sandbox->settings->memory);
        append(storages, count, huge ? "hugetlbfs" : "tmpfs", mount->guest_source, mount->options);
    }
}
