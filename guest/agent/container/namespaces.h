/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The namespaces of a Spec: which are made for the container and which are joined.
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct namespaces {
    uint64_t created; /* CLONE_NEW* */
    uint64_t joined;  /* CLONE_NEW* of those that have a path */
};

/* A container needs a mount namespace of its own. A pid, mount or user namespace that is to be joined by path
   is UNIMPLEMENTED. */
struct error *namespaces_of(const Grpc__Linux *linux_config, struct namespaces *ret_namespaces);
/* In the child: enters those that have a path. */
struct error *namespaces_join(const Grpc__Linux *linux_config);

/* By the agent, for a child that is in its new user namespace. */
struct error *namespaces_write_maps(pid_t pid, const Grpc__Linux *linux_config);
/* The guest's id of an id in the container. False where it has none. */
bool namespaces_map_id(Grpc__LinuxIDMapping *const *mappings, size_t count, uint32_t id, uint32_t *ret_id);

/* In the child: host name, domain name and sysctls, of its own namespaces. `proc` is the guest's /proc. */
struct error *namespaces_name(const Grpc__Spec *spec, const struct namespaces *namespaces);
struct error *namespaces_write_sysctls(const Grpc__Linux *linux_config, int proc);
