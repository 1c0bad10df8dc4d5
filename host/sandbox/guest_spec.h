/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's configuration as the guest is to see it.
 *
 * config.json is written for a container on the host. In the guest the host's paths, namespaces, CPU numbers
 * and security labels mean nothing: they are replaced by the guest's, or left out.
 *
 *   namespaces    see below
 *   cgroup path   /CONTAINER
 *   root          where the root file system is mounted in the guest
 *   bind mounts   by class, see guest_mounts.h; /dev/shm becomes the pod's, or a tmpfs of the container's own
 *   hooks         those of the container's world stay (createContainer, startContainer, poststart); those of
 *                 the host's world (prestart, createRuntime, poststop) are left out
 *   resources     cpuset, block device and network class numbers are the host's: left out
 *   labels        AppArmor, SELinux, RDT: left out
 *
 * Namespaces. A path means the pod's namespace, as does, for ipc and uts, being the pod's sandbox container.
 * The pod's network, ipc and uts namespaces are the guest's own, so those entries are left out, and with a
 * shared uts namespace the host name, which the guest has already. The pod's pid namespace is that of its
 * sandbox container: the agent is asked for it by sandbox_pidns. A namespace without a path is a new one, and
 * one that is not listed at all (the host's) is the pod's, or for the pid namespace of a container that is
 * alone or first a new one. Time namespaces are left out.
 */
#pragma once

#include "sandbox/guest_mounts.h"
#include "sandbox/pod.h"

#include <stdbool.h>

/* What rewriting needs to know of the container. */
struct guest_container {
    const char *id;
    const char *root_path; /* in the guest */
    enum container_kind kind;
    const struct guest_mounts *mounts;
    bool without_seccomp; /* the class has no filter in the guest */
};

/* Rewrites the configuration in place. Every mount that is not NONE or SHARED_MEMORY has its guest_source by
   then. */
void guest_spec_rewrite(Grpc__Spec *spec, const struct guest_container *container);
/* Before the rewriting: whether it is to live in the pod's pid namespace. */
bool guest_shares_pid_namespace(const Grpc__Spec *spec, enum container_kind kind);
/* The part of it that holds for exec processes too. */
void guest_process_rewrite(Grpc__Process *process);
/* The same for the resources of Update. */
void guest_resources_rewrite(Grpc__LinuxResources *resources);
/* The memory limit in bytes, with the huge pages, which come in addition; 0 where there is neither. resources
   may be NULL. */
uint64_t guest_memory_limit(const Grpc__LinuxResources *resources);
/* The limit of huge pages of this size in bytes, or of all sizes where that is 0; 0 where there is none. */
uint64_t guest_huge_page_limit(const Grpc__LinuxResources *resources, uint64_t page_size);
