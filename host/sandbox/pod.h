/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container is in its sandbox. The annotations are those of containerd's CRI and of CRI-O, and the
 * older ones of Docker under Kubernetes.
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>

/* Where the agent has what all containers of a pod see, below the directory of Kata's agent. */
#define POD_SHARED_MEMORY "/run/kata-containers/sandbox/shm"
#define POD_VOLUMES "/run/kata-containers/sandbox/ephemeral"
/* Of /dev/shm, where nobody says otherwise: as containerd, Docker and Kubernetes have it. */
#define POD_SHARED_MEMORY_SIZE (64ull << 20)

enum container_kind {
    CONTAINER_SINGLE,  /* alone: its machine ends with it */
    CONTAINER_SANDBOX, /* a pod's first one (the pause container): its machine lives until it is deleted */
    CONTAINER_OF_POD,  /* any other one of a pod */
};

struct sandbox_pod;

/* INVALID_ARGUMENT for a kind that nobody knows. */
struct error *pod_read_kind(const Grpc__Spec *spec, enum container_kind *ret_kind);
/* Whether such a container can be in this sandbox: FAILED_PRECONDITION says why not. with_machine: the
   machine is started for it. */
struct error *pod_check(const Grpc__Spec *spec, enum container_kind kind, bool with_machine, bool standalone);
/* The configuration, without a process, of a pod that has no container yet. Owned by the caller. */
Grpc__Spec *pod_spec_new(const struct sandbox_pod *pod);
