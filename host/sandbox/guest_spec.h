/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's configuration as the guest is to see it.
 *
 * config.json is written for a container on the host. In the guest the host's paths, namespaces, CPU numbers
 * and security labels mean nothing: they are replaced by the guest's, or left out.
 *
 *   namespaces    network and time go (the guest's own network is the sandbox's); the others lose their path
 *   cgroup path   /CONTAINER
 *   root          where the root file system is mounted in the guest
 *   bind mounts   by class, see enum guest_bind; type bind on /dev/shm becomes a tmpfs
 *   hooks         those of the container's world stay (createContainer, startContainer, poststart); those of
 *                 the host's world (prestart, createRuntime, poststop) are left out
 *   resources     cpuset, block device and network class numbers are the host's: left out
 *   labels        AppArmor, SELinux, RDT: left out
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

/* Below the directory of Kata's agent. */
#define GUEST_COPIES "/run/kata-containers/copies"

enum guest_bind {
    GUEST_BIND_NONE,  /* not a bind mount, or one whose source means the guest's own: /dev, /proc, /sys */
    GUEST_BIND_COPY,  /* a small file of the bundle: copied into the guest */
    GUEST_BIND_SHARE, /* through virtio-fs */
};

/* What is known of one mount of the configuration. */
struct guest_mount {
    enum guest_bind bind;
    bool directory;     /* of the source */
    char *host_source;  /* resolved; for COPY and SHARE */
    char *guest_source; /* set by whoever brings it there; becomes the mount's source */
};

struct guest_mounts {
    struct guest_mount *mounts; /* one for each of spec->mounts, in that order */
    size_t count;
};

/* Files of the bundle up to this size are copied; larger ones are shared. */
#define GUEST_COPY_MAX (1u << 20)

/* Looks at the sources on the host; relative ones are the bundle's. A missing one is NOT_FOUND and named. */
struct error *guest_mounts_read(const Grpc__Spec *spec, const char *bundle, struct guest_mounts **ret_mounts);
size_t guest_mounts_count(const struct guest_mounts *mounts, enum guest_bind bind);
/* Takes NULL. */
void guest_mounts_free(struct guest_mounts *mounts);

/* Rewrites the configuration in place. Every COPY and SHARE mount has its guest_source by then. */
void guest_spec_rewrite(
    Grpc__Spec *spec, const char *container_id, const char *root_path, const struct guest_mounts *mounts);
/* The part of it that holds for exec processes too. */
void guest_process_rewrite(Grpc__Process *process);
/* The same for the resources of Update. */
void guest_resources_rewrite(Grpc__LinuxResources *resources);

DEFINE_CLEANUP(struct guest_mounts *, guest_mounts_free);
#define _cleanup_guest_mounts_ _cleanup_(guest_mounts_free)
