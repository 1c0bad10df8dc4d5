/* SPDX-License-Identifier: Apache-2.0 */
/* Between host_sockets, which connects, and the agent, which listens. */
#include "sandbox/creation.h"

#include "base/strv.h"

#include <string.h>

/* Without mappings, or for an id that has none, it is the guest's number. */
static uint32_t map_id(Grpc__LinuxIDMapping *const *mappings, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (id >= mappings[i]->container_id && id - mappings[i]->container_id < mappings[i]->size)
            return mappings[i]->host_id + (id - mappings[i]->container_id);
    return id;
}

static void act_as_container(const struct creation *creation)
{
    const Grpc__User *user = creation->spec->process->user;
    const Grpc__Linux *config = creation->spec->linux_config;
    if (!creation->sandbox->host_sockets || !user || !config)
        return;
    _cleanup_free_ gid_t *groups = must_alloc_array(user->n_additional_gids + 1, sizeof(*groups));
    for (size_t i = 0; i < user->n_additional_gids; i++)
        groups[i] = map_id(config->gid_mappings, config->n_gid_mappings, user->additional_gids[i]);
    const struct host_socket_user as = {
        .uid = map_id(config->uid_mappings, config->n_uid_mappings, user->uid),
        .gid = map_id(config->gid_mappings, config->n_gid_mappings, user->gid),
        .groups = groups,
        .group_count = user->n_additional_gids};
    host_sockets_act_as(creation->sandbox->host_sockets, creation->container, &as);
}

struct error *creation_open_host_sockets(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    const struct guest_mounts *mounts = creation->mounts;
    for (size_t i = 0; i < mounts->count; i++) {
        struct guest_mount *mount = &mounts->mounts[i];
        uint32_t port;
        if (mount->bind != GUEST_BIND_SOCKET)
            continue;
        if (!sandbox->host_sockets)
            sandbox->host_sockets = host_sockets_new();
        TRY(host_sockets_add(sandbox->host_sockets, creation->container, mount->host_source, &port));
        mount->guest_source = must_printf(GUEST_SOCKETS "/%u", port);
    }
    act_as_container(creation);
    return NULL;
}

/* The name of the agent's socket file is the port. */
static Grpc__Storage *describe(const struct guest_mount *mount)
{
    Grpc__Storage *storage = must_new(Grpc__Storage);
    *storage = (Grpc__Storage)GRPC__STORAGE__INIT;
    storage->driver = "host-socket";
    storage->source = strrchr(mount->guest_source, '/') + 1;
    storage->mount_point = mount->guest_source;
    storage->options = (const char **)(uintptr_t)mount->options;
    storage->n_options = strv_length(mount->options);
    return storage;
}

void creation_add_host_sockets(const struct creation *creation, Grpc__Storage ***storages, size_t *count)
{
    const struct guest_mounts *mounts = creation->mounts;
    for (size_t i = 0; i < mounts->count; i++) {
        if (mounts->mounts[i].bind != GUEST_BIND_SOCKET)
            continue;
        *storages = must_resize(*storages, *count + 2, sizeof(**storages));
        (*storages)[(*count)++] = describe(&mounts->mounts[i]);
        (*storages)[*count] = NULL;
    }
}
