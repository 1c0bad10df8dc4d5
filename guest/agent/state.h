/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of the sandbox and of a container in the guest, and which call each state allows. This table is
 * the only place that decides it; docs/states.md shows it to people.
 */
#pragma once

#include "base/error.h"

/* booted -> creating (storages are being mounted) -> ready -> stopping; creating falls back to booted. */
enum sandbox_state { SANDBOX_BOOTED, SANDBOX_CREATING, SANDBOX_READY, SANDBOX_STOPPING };

/* creating (storages, namespaces) -> created (its first process waits) -> running <-> paused -> stopped ->
   removing. A container that cannot be created, or was removed, is not there. */
enum container_state {
    CONTAINER_CREATING,
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_PAUSED,
    CONTAINER_STOPPED,
    CONTAINER_REMOVING,
};

/* What a state can refuse. */
enum state_call {
    CALL_CREATE_SANDBOX,
    CALL_DESTROY_SANDBOX,
    CALL_CREATE_CONTAINER,
    CALL_START_CONTAINER,
    CALL_REMOVE_CONTAINER,
    CALL_EXEC_PROCESS,
    CALL_SIGNAL_PROCESS,
    CALL_WAIT_PROCESS,
    CALL_UPDATE_CONTAINER,
    CALL_STATS_CONTAINER,
    CALL_PAUSE_CONTAINER,
    CALL_RESUME_CONTAINER,
    CALL_STREAM, /* WriteStdin, ReadStdout, ReadStderr, CloseStdin */
    CALL_TTY_WIN_RESIZE,
    CALL_SETUP, /* network, files, clock and what else concerns the whole guest */
};

const char *sandbox_state_name(enum sandbox_state state) __attribute__((returns_nonnull));
const char *container_state_name(enum container_state state) __attribute__((returns_nonnull));

/* FAILED_PRECONDITION with a sentence where the state does not allow the call. */
struct error *sandbox_state_check(enum sandbox_state state, enum state_call call);
struct error *container_state_check(const char *id, enum container_state state, enum state_call call);
