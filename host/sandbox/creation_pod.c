/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the containers of a pod have of it that was started through the Sandbox API. With a pause container
 * CRI makes these files on the host and binds them; without one they are the sandbox's to provide
 * (containerd's internal/cri/server/container_create.go, linuxContainerMounts), and the guest has them.
 */
#include "sandbox/creation.h"

#include <string.h>

#define RESOLVER "/etc/resolv.conf"
#define SHARED_MEMORY "/dev/shm"
/* Where the agent writes the lines of CreateSandbox, as Kata's does. */
#define GUEST_RESOLVER "/run/kata-containers/sandbox/resolv.conf"

static Grpc__Mount *find_mount(const Grpc__Spec *spec, const char *destination)
{
    for (size_t i = 0; i < spec->n_mounts; i++)
        if (strcmp(spec->mounts[i]->destination, destination) == 0)
            return spec->mounts[i];
    return NULL;
}

static void add_option(Grpc__Mount *mount, const char *option)
{
    mount->options = must_resize(mount->options, mount->n_options + 1, sizeof(*mount->options));
    mount->options[mount->n_options++] = must_copy(option);
}

static void add_resolver(Grpc__Spec *spec)
{
    Grpc__Mount *mount = must_new(Grpc__Mount);
    *mount = (Grpc__Mount)GRPC__MOUNT__INIT;
    mount->destination = must_copy(RESOLVER);
    mount->type = must_copy("bind");
    mount->source = must_copy(GUEST_RESOLVER);
    add_option(mount, "rbind");
    add_option(mount, spec->root && spec->root->readonly ? "ro" : "rw");
    spec->mounts = must_resize(spec->mounts, spec->n_mounts + 1, sizeof(*spec->mounts));
    spec->mounts[spec->n_mounts++] = mount;
}

static void replace(const char **text, const char *value)
{
    if (*text != protobuf_c_empty_string)
        free((char *)(uintptr_t)*text);
    *text = must_copy(value);
}

/* One for all, in place of one for each. */
static void share_memory(Grpc__Mount *mount)
{
    for (size_t i = 0; i < mount->n_options; i++)
        free((char *)(uintptr_t)mount->options[i]);
    mount->n_options = 0;
    replace(&mount->type, "bind");
    replace(&mount->source, POD_SHARED_MEMORY);
    add_option(mount, "rbind");
    add_option(mount, "rw");
}

void creation_add_pod_files(struct creation *creation)
{
    Grpc__Spec *spec = creation->spec;
    if (!creation->sandbox->held || creation->container->kind != CONTAINER_OF_POD)
        return;
    if (creation->sandbox->has_resolver && !find_mount(spec, RESOLVER))
        add_resolver(spec);
    Grpc__Mount *memory = find_mount(spec, SHARED_MEMORY);
    if (memory && strcmp(memory->type, "tmpfs") == 0)
        share_memory(memory);
}
