/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state document of the OCI runtime specification ("State" in its runtime.md): what hooks get on standard
 * input. A library of its own, without jansson, because the guest agent writes it too.
 */
#pragma once

#include "proto/oci.pb-c.h"

#include <stddef.h>
#include <sys/types.h>

struct oci_state {
    const char *version; /* ociVersion of the configuration */
    const char *id;
    const char *status; /* creating, created, running or stopped */
    pid_t pid;          /* as the hook's namespace sees it; 0 leaves it out */
    const char *bundle;
    Grpc__StringEntry *const *annotations;
    size_t annotation_count;
};

/* Compact JSON, owned by the caller. */
char *oci_state_json(const struct oci_state *state);
