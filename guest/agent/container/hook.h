/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks: programs that run at points of a container's life and get its state as JSON on standard input
 * (https://github.com/opencontainers/runtime-spec/blob/main/runtime.md#state). Run one after the other, in
 * the namespaces of the caller, which waits for each.
 */
#pragma once

#include "base/error.h"
#include "oci/state.h"

#include <stddef.h>

/* `kind` names the hooks in errors ("createRuntime"). The first one that fails ends the row; a hook that
   exceeds its time is killed. The error quotes the end of what it wrote to standard error. */
struct error *hook_run_all(
    const char *kind, Grpc__Hook *const *hooks, size_t count, const struct oci_state *state);

/* How long the hooks may take together. */
int hook_total_ms(Grpc__Hook *const *hooks, size_t count);
