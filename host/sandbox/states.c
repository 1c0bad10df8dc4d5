/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/states.h"

#include <assert.h>

/* The words are those of containerd's own shim where it has some, because clients match on them. */
#define REFUSE(name, error_code, text) static const struct refusal name = {error_code, text}

REFUSE(start_twice, ERROR_ALREADY_EXISTS, "the sandbox is being created already");
REFUSE(start_again, ERROR_ALREADY_EXISTS, "the sandbox runs already");
REFUSE(machine_absent, ERROR_FAILED_PRECONDITION, "the sandbox has no machine yet");
REFUSE(machine_going, ERROR_UNAVAILABLE, "the sandbox is being stopped");
REFUSE(machine_gone, ERROR_UNAVAILABLE, "the sandbox has stopped");

REFUSE(not_created, ERROR_NOT_FOUND, "container not created: not found");
REFUSE(exec_not_started, ERROR_FAILED_PRECONDITION, "process not created: failed precondition");
REFUSE(finished, ERROR_NOT_FOUND, "process already finished: not found");

REFUSE(start_running, ERROR_FAILED_PRECONDITION, "cannot start a running process");
REFUSE(start_paused, ERROR_FAILED_PRECONDITION, "cannot start a paused process");
REFUSE(start_stopped, ERROR_FAILED_PRECONDITION, "cannot start a stopped process");
REFUSE(delete_running, ERROR_FAILED_PRECONDITION, "cannot delete a running process");
REFUSE(delete_paused, ERROR_FAILED_PRECONDITION, "cannot delete a paused process");
REFUSE(pause_created, ERROR_FAILED_PRECONDITION, "cannot pause task in created state");
REFUSE(pause_paused, ERROR_FAILED_PRECONDITION, "cannot pause a paused container");
REFUSE(pause_stopped, ERROR_FAILED_PRECONDITION, "cannot pause a stopped container");
REFUSE(resume_created, ERROR_FAILED_PRECONDITION, "cannot resume task in created state");
REFUSE(resume_running, ERROR_FAILED_PRECONDITION, "cannot resume a running process");
REFUSE(resume_stopped, ERROR_FAILED_PRECONDITION, "cannot resume a stopped container");
REFUSE(exec_created, ERROR_FAILED_PRECONDITION, "cannot exec in a container that is not running");
REFUSE(exec_paused, ERROR_FAILED_PRECONDITION, "cannot exec in a paused state");
REFUSE(exec_stopped, ERROR_FAILED_PRECONDITION, "cannot exec in a stopped state");
REFUSE(resize_created, ERROR_FAILED_PRECONDITION, "cannot resize a process that has not started");
REFUSE(resize_stopped, ERROR_FAILED_PRECONDITION, "cannot resize a stopped container");
REFUSE(update_stopped, ERROR_FAILED_PRECONDITION, "cannot update a stopped container");
REFUSE(stats_stopped, ERROR_FAILED_PRECONDITION, "cannot read the statistics of a stopped container");
REFUSE(init_only, ERROR_UNIMPLEMENTED, "this call is for containers, not for their exec processes");

static const struct refusal *const sandbox_table[SANDBOX_STATE_COUNT][SANDBOX_CALL_COUNT] = {
    [SANDBOX_EMPTY] = {[SANDBOX_USE] = &machine_absent},
    [SANDBOX_CREATING] = {[SANDBOX_START] = &start_twice, [SANDBOX_USE] = &machine_absent},
    [SANDBOX_RUNNING] = {[SANDBOX_START] = &start_again},
    [SANDBOX_STOPPING] =
        {[SANDBOX_START] = &machine_going, [SANDBOX_CREATE] = &machine_going, [SANDBOX_USE] = &machine_going},
    [SANDBOX_STOPPED] =
        {[SANDBOX_START] = &machine_gone, [SANDBOX_CREATE] = &machine_gone, [SANDBOX_USE] = &machine_gone},
};

typedef const struct refusal *const refusals[PROCESS_STATE_COUNT][PROCESS_CALL_COUNT];

#define REFUSE_ALL(refusal)                                                                      \
    {                                                                                            \
        [PROCESS_START] = refusal, [PROCESS_DELETE] = refusal, [PROCESS_KILL] = refusal,         \
        [PROCESS_PAUSE] = refusal, [PROCESS_RESUME] = refusal, [PROCESS_EXEC] = refusal,         \
        [PROCESS_RESIZE] = refusal, [PROCESS_CLOSE_STDIN] = refusal, [PROCESS_UPDATE] = refusal, \
        [PROCESS_STATS] = refusal,                                                               \
    }

static refusals init_table = {
    /* Kill and Delete are how a creation is interrupted. */
    [PROCESS_CREATING] =
        {
            [PROCESS_START] = &not_created,
            [PROCESS_PAUSE] = &not_created,
            [PROCESS_RESUME] = &not_created,
            [PROCESS_EXEC] = &not_created,
            [PROCESS_RESIZE] = &not_created,
            [PROCESS_CLOSE_STDIN] = &not_created,
            [PROCESS_UPDATE] = &not_created,
            [PROCESS_STATS] = &not_created,
        },
    [PROCESS_CREATED] =
        {
            [PROCESS_PAUSE] = &pause_created,
            [PROCESS_RESUME] = &resume_created,
            [PROCESS_EXEC] = &exec_created,
        },
    [PROCESS_STARTING] =
        {
            [PROCESS_START] = &start_running,
            [PROCESS_DELETE] = &delete_running,
            [PROCESS_PAUSE] = &pause_created,
            [PROCESS_RESUME] = &resume_created,
            [PROCESS_EXEC] = &exec_created,
        },
    [PROCESS_RUNNING] =
        {
            [PROCESS_START] = &start_running,
            [PROCESS_DELETE] = &delete_running,
            [PROCESS_RESUME] = &resume_running,
        },
    [PROCESS_PAUSING] =
        {
            [PROCESS_START] = &start_running,
            [PROCESS_DELETE] = &delete_running,
            [PROCESS_PAUSE] = &pause_paused,
            [PROCESS_RESUME] = &resume_running,
            [PROCESS_EXEC] = &exec_paused,
        },
    [PROCESS_PAUSED] =
        {
            [PROCESS_START] = &start_paused,
            [PROCESS_DELETE] = &delete_paused,
            [PROCESS_PAUSE] = &pause_paused,
            [PROCESS_EXEC] = &exec_paused,
        },
    [PROCESS_DRAINING] =
        {
            [PROCESS_START] = &start_running,
            [PROCESS_DELETE] = &delete_running,
            [PROCESS_KILL] = &finished,
            [PROCESS_PAUSE] = &pause_stopped,
            [PROCESS_RESUME] = &resume_stopped,
            [PROCESS_EXEC] = &exec_stopped,
            [PROCESS_RESIZE] = &resize_stopped,
            [PROCESS_UPDATE] = &update_stopped,
            [PROCESS_STATS] = &stats_stopped,
        },
    [PROCESS_STOPPED] =
        {
            [PROCESS_START] = &start_stopped,
            [PROCESS_KILL] = &finished,
            [PROCESS_PAUSE] = &pause_stopped,
            [PROCESS_RESUME] = &resume_stopped,
            [PROCESS_EXEC] = &exec_stopped,
            [PROCESS_RESIZE] = &resize_stopped,
            [PROCESS_UPDATE] = &update_stopped,
            [PROCESS_STATS] = &stats_stopped,
        },
    [PROCESS_DELETED] = REFUSE_ALL(&not_created),
};

#define INIT_ONLY                                                                             \
    [PROCESS_PAUSE] = &init_only, [PROCESS_RESUME] = &init_only, [PROCESS_EXEC] = &init_only, \
    [PROCESS_UPDATE] = &init_only, [PROCESS_STATS] = &init_only

static refusals exec_table = {
    [PROCESS_CREATING] = REFUSE_ALL(&not_created), /* an exec is created at once */
    [PROCESS_CREATED] = {INIT_ONLY, [PROCESS_KILL] = &exec_not_started, [PROCESS_RESIZE] = &resize_created},
    [PROCESS_STARTING] = {INIT_ONLY, [PROCESS_START] = &start_running, [PROCESS_DELETE] = &delete_running},
    [PROCESS_RUNNING] = {INIT_ONLY, [PROCESS_START] = &start_running, [PROCESS_DELETE] = &delete_running},
    [PROCESS_PAUSING] = REFUSE_ALL(&init_only), /* only containers are paused */
    [PROCESS_PAUSED] = REFUSE_ALL(&init_only),
    [PROCESS_DRAINING] = {INIT_ONLY, [PROCESS_START] = &start_running, [PROCESS_DELETE] = &delete_running,
        [PROCESS_KILL] = &finished, [PROCESS_RESIZE] = &resize_stopped},
    [PROCESS_STOPPED] = {INIT_ONLY, [PROCESS_START] = &start_stopped, [PROCESS_KILL] = &finished,
        [PROCESS_RESIZE] = &resize_stopped},
    [PROCESS_DELETED] = REFUSE_ALL(&not_created),
};

#define TO(state) (1u << (state))

static const unsigned sandbox_successors[SANDBOX_STATE_COUNT] = {
    [SANDBOX_EMPTY] = TO(SANDBOX_CREATING),
    [SANDBOX_CREATING] = TO(SANDBOX_RUNNING) | TO(SANDBOX_EMPTY),
    [SANDBOX_RUNNING] = TO(SANDBOX_STOPPING) | TO(SANDBOX_STOPPED),
    [SANDBOX_STOPPING] = TO(SANDBOX_STOPPED),
    [SANDBOX_STOPPED] = 0,
};

/* Any living process can find itself ended when its machine is lost. */
static const unsigned process_successors[PROCESS_STATE_COUNT] = {
    [PROCESS_CREATING] = TO(PROCESS_CREATED) | TO(PROCESS_DELETED),
    [PROCESS_CREATED] =
        TO(PROCESS_STARTING) | TO(PROCESS_DRAINING) | TO(PROCESS_STOPPED) | TO(PROCESS_DELETED),
    [PROCESS_STARTING] = TO(PROCESS_RUNNING) | TO(PROCESS_STOPPED),
    [PROCESS_RUNNING] = TO(PROCESS_PAUSING) | TO(PROCESS_DRAINING) | TO(PROCESS_STOPPED),
    [PROCESS_PAUSING] = TO(PROCESS_PAUSED) | TO(PROCESS_RUNNING) | TO(PROCESS_DRAINING) | TO(PROCESS_STOPPED),
    [PROCESS_PAUSED] = TO(PROCESS_RUNNING) | TO(PROCESS_DRAINING) | TO(PROCESS_STOPPED),
    [PROCESS_DRAINING] = TO(PROCESS_STOPPED),
    [PROCESS_STOPPED] = TO(PROCESS_DELETED),
    [PROCESS_DELETED] = 0,
};

static const char *const sandbox_state_names[] = {"empty", "creating", "running", "stopping", "stopped"};
static const char *const sandbox_call_names[] = {"start", "create", "use", "shutdown"};
static const char *const process_state_names[] = {
    "creating", "created", "starting", "running", "pausing", "paused", "draining", "stopped", "deleted"};
static const char *const process_call_names[] = {
    "start", "delete", "kill", "pause", "resume", "exec", "resize", "close stdin", "update", "stats"};

static_assert(ARRAY_SIZE(sandbox_state_names) == SANDBOX_STATE_COUNT, "a name for each state");
static_assert(ARRAY_SIZE(sandbox_call_names) == SANDBOX_CALL_COUNT, "a name for each call");
static_assert(ARRAY_SIZE(process_state_names) == PROCESS_STATE_COUNT, "a name for each state");
static_assert(ARRAY_SIZE(process_call_names) == PROCESS_CALL_COUNT, "a name for each call");

const struct refusal *sandbox_refusal(enum sandbox_state state, enum sandbox_call call)
{
    return sandbox_table[state][call];
}

const struct refusal *process_refusal(
    enum process_kind kind, enum process_state state, enum process_call call)
{
    return (kind == PROCESS_INIT ? init_table : exec_table)[state][call];
}

struct error *refusal_error(const struct refusal *refusal)
{
    return refusal ? error_new(refusal->code, "%s", refusal->words) : NULL;
}

bool sandbox_may_become(enum sandbox_state from, enum sandbox_state to)
{
    return sandbox_successors[from] & TO(to);
}

bool process_may_become(enum process_state from, enum process_state to)
{
    return process_successors[from] & TO(to);
}

const char *sandbox_state_name(enum sandbox_state state)
{
    return sandbox_state_names[state];
}

const char *sandbox_call_name(enum sandbox_call call)
{
    return sandbox_call_names[call];
}

const char *process_state_name(enum process_state state)
{
    return process_state_names[state];
}

const char *process_call_name(enum process_call call)
{
    return process_call_names[call];
}
