/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "base/path.h"

#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

/* More than a process takes from SIGKILL to its end, unless it hangs in the kernel. */
#define KILLED_PROCESS_MS 1000

/* ---- finding ---- */

static struct agent_container *find_container(struct agent *agent, const char *id)
{
    struct agent_container *container;
    LIST_FOREACH (container, &agent->containers, entry) {
        if (strcmp(container->id, id) == 0)
            return container;
    }
    return NULL;
}

static struct agent_process *find_process(struct agent_container *container, const char *exec_id)
{
    if (exec_id[0] == '\0')
        return container->init;
    struct agent_process *process;
    LIST_FOREACH (process, &container->processes, entry) {
        if (strcmp(process->id, exec_id) == 0)
            return process;
    }
    return NULL;
}

struct error *agent_find_container(struct agent *agent, const char *id, struct agent_container **ret)
{
    TRY(identifier_check("container id", id));
    struct agent_container *container = find_container(agent, id);
    if (!container)
        return error_new(ERROR_NOT_FOUND, "there is no container %s in this sandbox", id);
    *ret = container;
    return NULL;
}

struct error *agent_find_container_for(
    struct agent *agent, const char *id, enum state_call call, struct agent_container **ret)
{
    struct agent_container *container;
    TRY(agent_find_container(agent, id, &container));
    TRY(sandbox_state_check(agent->state, call));
    TRY(container_state_check(id, container->state, call));
    *ret = container;
    return NULL;
}

struct error *agent_find_process_for(struct agent *agent, const char *id, const char *exec_id,
    enum state_call call, struct agent_process **ret)
{
    struct agent_container *container;
    TRY(agent_find_container_for(agent, id, call, &container));
    if (exec_id[0] != '\0')
        TRY(identifier_check("exec id", exec_id));
    struct agent_process *process = find_process(container, exec_id);
    if (!process)
        return error_new(ERROR_NOT_FOUND, "there is no process %s in the container %s", exec_id, id);
    *ret = process;
    return NULL;
}

/* ---- adding ---- */

struct error *agent_add_container(struct agent *agent, const char *id, struct agent_container **ret)
{
    TRY(identifier_check("container id", id));
    if (find_container(agent, id))
        return error_new(ERROR_ALREADY_EXISTS, "the container %s exists already", id);
    if (agent->container_count == AGENT_CONTAINERS_MAX)
        return error_new(ERROR_RESOURCE_EXHAUSTED, "this sandbox has %u containers, which is the most",
            AGENT_CONTAINERS_MAX);
    struct agent_container *container = must_new(struct agent_container);
    container->agent = agent;
    container->id = must_copy(id);
    container->state = CONTAINER_CREATING;
    LIST_INIT(&container->processes);
    LIST_INSERT_HEAD(&agent->containers, container, entry);
    agent->container_count++;
    *ret = container;
    return NULL;
}

static void drop_process(struct agent_process *process)
{
    LIST_REMOVE(process, entry);
    process->container->process_count--;
    for (size_t i = 0; i < process->waiters.count; i++)
        ttrpc_fail(process->waiters.calls[i],
            error_new(ERROR_ABORTED, "the container %s was removed", process->container->id));
    stdio_free(process->stdio);
    free(process->id);
    free(process);
}

/* The oldest record that nobody needs any more, or NULL. New records are at the head of the list. */
static struct agent_process *oldest_waited(struct agent_container *container)
{
    struct agent_process *process, *oldest = NULL;
    LIST_FOREACH (process, &container->processes, entry) {
        if (process->waited && process != container->init)
            oldest = process;
    }
    return oldest;
}

struct error *agent_reserve_process(struct agent_container *container, const char *exec_id)
{
    TRY(identifier_check("exec id", exec_id));
    struct agent_process *old = find_process(container, exec_id);
    if (old && (!old->waited || old == container->init))
        return error_new(
            ERROR_ALREADY_EXISTS, "the container %s has a process %s already", container->id, exec_id);
    if (!old && container->process_count == AGENT_PROCESSES_MAX) {
        old = oldest_waited(container);
        if (!old)
            return error_new(ERROR_RESOURCE_EXHAUSTED,
                "the container %s has %u processes that run or have not been waited for, which is the most",
                container->id, AGENT_PROCESSES_MAX);
    }
    if (old)
        drop_process(old);
    return NULL;
}

struct agent_process *agent_add_process(
    struct agent_container *container, const char *exec_id, pid_t pid, struct stdio *stdio)
{
    struct agent_process *process = must_new(struct agent_process);
    *process =
        (struct agent_process){.container = container, .id = must_copy(exec_id), .pid = pid, .stdio = stdio};
    LIST_INSERT_HEAD(&container->processes, process, entry);
    container->process_count++;
    return process;
}

/* ---- removing ---- */

static void drop_container(struct agent_container *container)
{
    struct agent *agent = container->agent;
    if (container->create_call)
        ttrpc_fail(container->create_call,
            error_new(ERROR_ABORTED, "the container %s was removed while it was created", container->id));
    if (container->oom_event)
        event_free(container->oom_event);
    while (!LIST_EMPTY(&container->processes))
        drop_process(LIST_FIRST(&container->processes));
    LIST_REMOVE(container, entry);
    agent->container_count--;
    free(container->id);
    free(container);
}

/* The first error; another one says nothing new. */
static struct error *first_error(struct error *first, struct error *second)
{
    if (!first)
        return second;
    error_free(second);
    return first;
}

/* A killed process leaves its control group a moment before it can be reaped, and the init process of a pid
   namespace can only when all others are; it is the last of the list. */
static void await_exits(const struct agent_container *container)
{
    struct agent_process *process;
    LIST_FOREACH (process, &container->processes, entry) {
        _cleanup_fd_ int fd = process->exited ? -1 : (int)syscall(SYS_pidfd_open, process->pid, 0);
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (fd >= 0)
            poll(&wait, 1, KILLED_PROCESS_MS);
        agent_reap(container->agent);
    }
}

/* The directory of its mount points, which is empty by now, and the files that were copied for it. */
static struct error *remove_directories(const char *id)
{
    _cleanup_free_ char *own = must_printf("%s/%s", AGENT_RUN_DIRECTORY, id);
    _cleanup_free_ char *copies = must_printf("%s/%s", AGENT_COPIES_DIRECTORY, id);
    rmdir(own);
    return tree_remove(copies);
}

struct error *agent_remove_container(struct agent_container *container)
{
    agent_check_oom(container);
    container->state = CONTAINER_REMOVING;
    if (container->oom_event) {
        event_free(container->oom_event);
        container->oom_event = NULL;
    }
    device_set_free(TAKE_PTR(container->devices));
    struct error *error = container_destroy(TAKE_PTR(container->container));
    /* Before the records go, so that the last waiters learn how their processes ended. */
    await_exits(container);
    error = first_error(error, storage_set_free(TAKE_PTR(container->storages)));
    error = first_error(error, remove_directories(container->id));
    error = error_wrap(error, "removing the container %s", container->id);
    drop_container(container);
    return error;
}

/* ---- out of memory ---- */

void agent_waiters_add(struct agent_waiters *waiters, struct ttrpc_call *call)
{
    if (waiters->count == AGENT_WAITERS_MAX) {
        ttrpc_fail(waiters->calls[0], error_new(ERROR_RESOURCE_EXHAUSTED,
                                          "more than %u calls wait for the same event", AGENT_WAITERS_MAX));
        waiters->count--;
        memmove(waiters->calls, waiters->calls + 1, waiters->count * sizeof(*waiters->calls));
    }
    waiters->calls[waiters->count++] = call;
}

void agent_waiters_answer(struct agent_waiters *waiters, const ProtobufCMessage *reply)
{
    for (size_t i = 0; i < waiters->count; i++)
        ttrpc_reply(waiters->calls[i], reply);
    waiters->count = 0;
}

void agent_check_oom(struct agent_container *container)
{
    if (!container->container || !container->oom_event)
        return;
    uint64_t kills = container->oom_kills;
    kmsg_error(
        &container->agent->options.kmsg, KMSG_WARNING, container_oom_kills(container->container, &kills));
    if (kills > container->oom_kills)
        container->oom_pending = true;
    container->oom_kills = kills;

    struct agent_waiters *waiters = &container->agent->oom_waiters;
    if (!container->oom_pending || waiters->count == 0)
        return;
    Grpc__OOMEvent reply = GRPC__OOMEVENT__INIT;
    reply.container_id = container->id;
    agent_waiters_answer(waiters, &reply.base);
    container->oom_pending = false;
}

static void on_oom(evutil_socket_t fd, short what, void *context)
{
    agent_check_oom(context);
}

void agent_watch_oom(struct agent_container *container)
{
    int fd = container_oom_fd(container->container);
    if (fd < 0)
        return;
    container->oom_event = event_new(container->agent->base, fd, EV_READ | EV_PERSIST, on_oom, container);
    event_add(container->oom_event, NULL);
}
