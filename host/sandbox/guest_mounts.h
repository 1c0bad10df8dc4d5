/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bind mounts of a configuration: what their sources are on the host, and by which way each comes into
 * the guest.
 *
 *   /dev/shm                      memory: the pod's own, or the container's where it is alone
 *   /dev, /proc, /sys             the guest's own
 *   an emptyDir in memory         memory of the guest that all containers of the pod share; in huge pages as
 *                                 large as the container's limit of those
 *   files of the bundle           copied, in a standalone sandbox only: elsewhere their owner changes them
 *                                 later (nerdctl its hosts file) and the container has to see it
 *   other files and directories   through virtio-fs
 *   unix sockets                  a socket of the agent's that leads to it: see host_sockets.h
 *   block devices, ...            refused: they would be there and lead nowhere
 *
 * Mount propagation. From the host to the container ("rslave", Kubernetes' HostToContainer) the file server's
 * mounts follow the host's, for directories that may be written to: what is mounted there later is protected
 * by nothing but the guest. The other way ("rshared", Bidirectional) is refused: what the guest mounts, only
 * the guest has.
 */
#pragma once

#include "base/error.h"
#include "proto/agent.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Below the directory of Kata's agent. */
#define GUEST_COPIES "/run/kata-containers/copies"
#define GUEST_SOCKETS "/run/kata-containers/sockets"

enum guest_bind {
    GUEST_BIND_NONE,          /* no bind mount, or one whose source means the guest's own */
    GUEST_BIND_COPY,          /* a small file of the bundle: copied into the guest */
    GUEST_BIND_SHARE,         /* through virtio-fs */
    GUEST_BIND_VOLUME,        /* a volume in memory, shared by the pod's containers */
    GUEST_BIND_SHARED_MEMORY, /* /dev/shm */
    GUEST_BIND_SOCKET,        /* a unix socket of the host */
};

/* What is known of one mount of the configuration. */
struct guest_mount {
    enum guest_bind bind;
    bool directory;     /* of the source */
    bool follows;       /* what the host mounts below it later is to be seen; for SHARE */
    char *host_source;  /* resolved; for all but NONE */
    char *guest_source; /* set by whoever brings it there; becomes the mount's source */
    char **options;     /* mode, uid and gid; for VOLUME and SOCKET */
    uint64_t size;      /* bytes of the file system; for VOLUME and SHARED_MEMORY */
    uint64_t page_size; /* of a VOLUME in huge pages, bytes; 0: of ordinary memory */
};

struct guest_mounts {
    struct guest_mount *mounts; /* one for each of spec->mounts, in that order */
    size_t count;
};

/* Files of the bundle up to this size are copied; larger ones are shared. */
#define GUEST_COPY_MAX (1u << 20)

/* Looks at the sources on the host; relative ones are the bundle's. A missing one is NOT_FOUND and named, one
   that cannot be had in a guest is UNIMPLEMENTED. */
struct error *guest_mounts_read(
    const Grpc__Spec *spec, const char *bundle, bool standalone, struct guest_mounts **ret_mounts);
size_t guest_mounts_count(const struct guest_mounts *mounts, enum guest_bind bind);
/* How large the file system is that the configuration binds to /dev/shm; 0 where it does not. */
uint64_t guest_mounts_shared_memory(const struct guest_mounts *mounts);
/* Takes NULL. */
void guest_mounts_free(struct guest_mounts *mounts);

DEFINE_CLEANUP(struct guest_mounts *, guest_mounts_free);
#define _cleanup_guest_mounts_ _cleanup_(guest_mounts_free)
