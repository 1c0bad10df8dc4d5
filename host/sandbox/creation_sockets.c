/* SPDX-License-Identifier: Apache-2.0 */
/* Between host_sockets, which connects, and the agent, which listens. */
#include "sandbox/creation.h"

#include "base/strv.h"

#include <string.h>

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
