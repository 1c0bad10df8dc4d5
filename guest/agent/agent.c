/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "agent/rpc.h"
#include "base/process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* ---- exits ---- */

static struct agent_process *find_by_pid(struct agent *agent, pid_t pid)
{
    struct agent_container *container;
    LIST_FOREACH (container, &agent->containers, entry) {
        struct agent_process *process;
        LIST_FOREACH (process, &container->processes, entry) {
            if (process->pid == pid && !process->exited)
                return process;
        }
    }
    return NULL;
}

static void answer_waiters(struct agent_process *process)
{
    Grpc__WaitProcessResponse reply = GRPC__WAIT_PROCESS_RESPONSE__INIT;
    reply.status = process->exit_code;
    if (process->waiters.count > 0)
        process->waited = true;
    agent_waiters_answer(&process->waiters, &reply.base);
}

static void process_has_exited(struct agent_process *process, int status)
{
    struct agent_container *container = process->container;
    process->exited = true;
    process->exit_code = process_exit_code(status);
    stdio_process_exited(process->stdio);
    if (process == container->init && container->owns_shared_pids)
        close_fd(TAKE_FD(container->agent->pid_namespace));
    if (process == container->init && container->state != CONTAINER_REMOVING) {
        container->state = CONTAINER_STOPPED;
        /* With a pid namespace of its own the kernel has done it; with a shared one it is up to us. */
        error_free(container_signal(container->container, 0, SIGKILL));
    }
    /* Whoever waits for the exit shall know by then why it came. */
    agent_check_oom(container);
    answer_waiters(process);
}

void agent_reap(struct agent *agent)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct agent_process *process = find_by_pid(agent, pid);
        if (process)
            process_has_exited(process, status);
    }
}

static void on_child(evutil_socket_t fd, short what, void *context)
{
    struct signalfd_siginfo ignored;
    /* SIGCHLD does not queue: one may stand for many. */
    while (read(fd, &ignored, sizeof(ignored)) > 0)
        ;
    agent_reap(context);
}

static struct error *watch_children(struct agent *agent)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return error_errno(errno, "preparing to reap processes");
    agent->child_signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (agent->child_signals < 0)
        return error_errno(errno, "listening for the exits of processes");
    agent->child_event = event_new(agent->base, agent->child_signals, EV_READ | EV_PERSIST, on_child, agent);
    event_add(agent->child_event, NULL);
    return NULL;
}

/* ---- the whole ---- */

struct error *agent_new(
    struct event_base *base, const struct agent_options *options, struct agent **ret_agent)
{
    _cleanup_(agent_free) struct agent *agent = must_new(struct agent);
    *agent = (struct agent){.base = base, .options = *options, .child_signals = -1, .pid_namespace = -1};
    LIST_INIT(&agent->containers);
    agent->mounts = storage_table_new();
    agent->server = rpc_server_new(base, agent);
    TRY(watch_children(agent));
    *ret_agent = TAKE_PTR(agent);
    return NULL;
}

static void destroy_everything(struct agent *agent)
{
    const struct kmsg *kmsg = &agent->options.kmsg;
    agent->state = SANDBOX_STOPPING;
    while (!LIST_EMPTY(&agent->containers))
        kmsg_error(kmsg, KMSG_WARNING, agent_remove_container(LIST_FIRST(&agent->containers)));
    if (agent->create_call)
        ttrpc_fail(TAKE_PTR(agent->create_call), error_new(ERROR_ABORTED, "the sandbox was destroyed"));
    kmsg_error(kmsg, KMSG_WARNING, storage_set_free(TAKE_PTR(agent->storages)));
    kmsg_error(kmsg, KMSG_WARNING, storage_table_clear(agent->mounts));
}

void agent_destroy_sandbox(struct agent *agent)
{
    destroy_everything(agent);
    event_base_loopbreak(agent->base);
}

void agent_free(struct agent *agent)
{
    if (!agent)
        return;
    destroy_everything(agent);
    for (size_t i = 0; i < agent->oom_waiters.count; i++)
        ttrpc_fail(agent->oom_waiters.calls[i], error_new(ERROR_ABORTED, "the agent ends"));
    ttrpc_server_free(agent->server);
    if (agent->child_event)
        event_free(agent->child_event);
    close_fd(agent->child_signals);
    close_fd(agent->pid_namespace);
    storage_table_free(agent->mounts);
    free(agent);
}
