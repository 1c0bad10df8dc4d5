/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of a sandbox and of a process, and what each state allows. docs/states.md shows the same tables for
 * people; tests/unit/test_sandbox_states.c compares the two.
 *
 * A container is its first process (init) as far as states go; further processes (execs) have a table of
 * their own, since they cannot be paused or carry execs.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum sandbox_state {
    SANDBOX_EMPTY,    /* the supervisor runs; there is no machine yet */
    SANDBOX_CREATING, /* the steps of the creation are under way */
    SANDBOX_RUNNING,  /* machine and agent answer */
    SANDBOX_STOPPING, /* the machine is being taken down */
    SANDBOX_STOPPED,  /* the machine is gone; exit codes can still be asked for */
    SANDBOX_STATE_COUNT,
};

enum sandbox_call {
    SANDBOX_START,  /* of a machine without a container */
    SANDBOX_CREATE, /* of the first container, or of one more */
    SANDBOX_USE,    /* any call that needs the agent */
    SANDBOX_SHUTDOWN,
    SANDBOX_CALL_COUNT,
};

enum process_state {
    PROCESS_CREATING, /* Create has not been answered */
    PROCESS_CREATED,
    PROCESS_STARTING, /* Start has not been answered */
    PROCESS_RUNNING,
    PROCESS_PAUSING,
    PROCESS_PAUSED,
    PROCESS_DRAINING, /* ended in the guest; its last output is still on the way */
    PROCESS_STOPPED,  /* its exit has been reported */
    PROCESS_DELETED,  /* out of reach of further calls */
    PROCESS_STATE_COUNT,
};

/* Calls of containerd's Task service that a state can refuse. State and Wait are always allowed. */
enum process_call {
    PROCESS_START,
    PROCESS_DELETE,
    PROCESS_KILL,
    PROCESS_PAUSE,
    PROCESS_RESUME,
    PROCESS_EXEC, /* adding a process to the container */
    PROCESS_RESIZE,
    PROCESS_CLOSE_STDIN,
    PROCESS_UPDATE,
    PROCESS_STATS, /* and Pids */
    PROCESS_CALL_COUNT,
};

/* What a process is: the row of tables that holds for it. */
enum process_kind { PROCESS_INIT, PROCESS_EXECED, PROCESS_KIND_COUNT };

/* Why a state refuses a call. NULL where it allows it. */
struct refusal {
    enum error_code code;
    const char *words;
};

const struct refusal *sandbox_refusal(enum sandbox_state state, enum sandbox_call call);
const struct refusal *process_refusal(
    enum process_kind kind, enum process_state state, enum process_call call);
/* The refusal as an error; NULL for NULL. */
struct error *refusal_error(const struct refusal *refusal);

/* Whether a state may follow another. */
bool sandbox_may_become(enum sandbox_state from, enum sandbox_state to);
bool process_may_become(enum process_state from, enum process_state to);

const char *sandbox_state_name(enum sandbox_state state);
const char *sandbox_call_name(enum sandbox_call call);
const char *process_state_name(enum process_state state);
const char *process_call_name(enum process_call call);
