/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/state.h"

#define S(state) (1u << SANDBOX_##state)
#define C(state) (1u << CONTAINER_##state)
#define C_MADE (C(CREATED) | C(RUNNING) | C(PAUSED))

struct state_rule {
    const char *what;    /* completes "cannot ..." */
    unsigned sandbox;    /* states of the sandbox that allow the call */
    unsigned containers; /* states of the container; 0 where it concerns none that exists */
};

static const struct state_rule rules[] = {
    [CALL_CREATE_SANDBOX] = {"be created", S(BOOTED), 0},
    [CALL_DESTROY_SANDBOX] = {"be destroyed", S(BOOTED) | S(CREATING) | S(READY), 0},
    [CALL_CREATE_CONTAINER] = {"take a container", S(READY), 0},
    [CALL_START_CONTAINER] = {"be started", S(READY), C(CREATED)},
    [CALL_REMOVE_CONTAINER] = {"be removed", S(READY), C(CREATING) | C_MADE | C(STOPPED)},
    [CALL_EXEC_PROCESS] = {"run another process", S(READY), C(RUNNING)},
    [CALL_SIGNAL_PROCESS] = {"take a signal", S(READY), C_MADE | C(STOPPED)},
    [CALL_WAIT_PROCESS] = {"be waited for", S(READY), C_MADE | C(STOPPED)},
    [CALL_UPDATE_CONTAINER] = {"be updated", S(READY), C_MADE},
    [CALL_STATS_CONTAINER] = {"be measured", S(READY), C_MADE | C(STOPPED)},
    [CALL_PAUSE_CONTAINER] = {"be paused", S(READY), C(RUNNING)},
    [CALL_RESUME_CONTAINER] = {"be resumed", S(READY), C(PAUSED)},
    [CALL_STREAM] = {"move input or output", S(READY), C_MADE | C(STOPPED)},
    [CALL_TTY_WIN_RESIZE] = {"resize a terminal", S(READY), C_MADE},
    [CALL_SETUP] = {"be set up", S(BOOTED) | S(CREATING) | S(READY), 0},
};

static const char *const sandbox_names[] = {
    [SANDBOX_BOOTED] = "not created yet",
    [SANDBOX_CREATING] = "being created",
    [SANDBOX_READY] = "ready",
    [SANDBOX_STOPPING] = "being destroyed",
};

static const char *const container_names[] = {
    [CONTAINER_CREATING] = "being created",
    [CONTAINER_CREATED] = "created",
    [CONTAINER_RUNNING] = "running",
    [CONTAINER_PAUSED] = "paused",
    [CONTAINER_STOPPED] = "stopped",
    [CONTAINER_REMOVING] = "being removed",
};

const char *sandbox_state_name(enum sandbox_state state)
{
    return sandbox_names[state];
}

const char *container_state_name(enum container_state state)
{
    return container_names[state];
}

struct error *sandbox_state_check(enum sandbox_state state, enum state_call call)
{
    if (rules[call].sandbox & 1u << state)
        return NULL;
    return error_new(
        ERROR_FAILED_PRECONDITION, "the sandbox is %s and cannot %s", sandbox_names[state], rules[call].what);
}

struct error *container_state_check(const char *id, enum container_state state, enum state_call call)
{
    if (rules[call].containers & 1u << state)
        return NULL;
    return error_new(ERROR_FAILED_PRECONDITION, "the container %s is %s and cannot %s", id,
        container_names[state], rules[call].what);
}
