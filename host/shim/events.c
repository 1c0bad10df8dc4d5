/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/events.h"

#include "proto/events.pb-c.h"

static Google__Protobuf__Timestamp timestamp(struct timespec at)
{
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    timestamp.seconds = at.tv_sec;
    timestamp.nanos = (int32_t)at.tv_nsec;
    return timestamp;
}

static void publish_create(struct publisher *publisher, const struct process_status *status)
{
    Event__TaskIO io = EVENT__TASK_IO__INIT;
    io.stdin = status->in;
    io.stdout = status->out;
    io.stderr = status->error;
    io.terminal = status->terminal;
    Event__TaskCreate event = EVENT__TASK_CREATE__INIT;
    event.container_id = status->container_id;
    event.bundle = status->bundle;
    event.io = &io;
    event.pid = (uint32_t)status->pid;
    publisher_send(publisher, "/tasks/create", &event.base);
}

static void publish_start(struct publisher *publisher, const struct process_status *status)
{
    Event__TaskStart event = EVENT__TASK_START__INIT;
    event.container_id = status->container_id;
    event.pid = (uint32_t)status->pid;
    publisher_send(publisher, "/tasks/start", &event.base);
}

static void publish_exit(struct publisher *publisher, const struct process_status *status)
{
    Google__Protobuf__Timestamp at = timestamp(status->exited_at);
    Event__TaskExit event = EVENT__TASK_EXIT__INIT;
    event.container_id = status->container_id;
    event.id = *status->exec_id ? status->exec_id : status->container_id;
    event.pid = (uint32_t)status->pid;
    event.exit_status = status->exit_status;
    event.exited_at = &at;
    publisher_send(publisher, "/tasks/exit", &event.base);
}

static void publish_delete(struct publisher *publisher, const struct process_status *status)
{
    Google__Protobuf__Timestamp at = timestamp(status->exited_at);
    Event__TaskDelete event = EVENT__TASK_DELETE__INIT;
    event.container_id = status->container_id;
    event.pid = (uint32_t)status->pid;
    event.exit_status = status->exit_status;
    event.exited_at = &at;
    publisher_send(publisher, "/tasks/delete", &event.base);
}

static void publish_exec_added(struct publisher *publisher, const struct process_status *status)
{
    Event__TaskExecAdded event = EVENT__TASK_EXEC_ADDED__INIT;
    event.container_id = status->container_id;
    event.exec_id = status->exec_id;
    publisher_send(publisher, "/tasks/exec-added", &event.base);
}

static void publish_exec_started(struct publisher *publisher, const struct process_status *status)
{
    Event__TaskExecStarted event = EVENT__TASK_EXEC_STARTED__INIT;
    event.container_id = status->container_id;
    event.exec_id = status->exec_id;
    event.pid = (uint32_t)status->pid;
    publisher_send(publisher, "/tasks/exec-started", &event.base);
}

static void publish_paused(struct publisher *publisher, const struct process_status *status)
{
    Event__TaskPaused event = EVENT__TASK_PAUSED__INIT;
    event.container_id = status->container_id;
    publisher_send(publisher, "/tasks/paused", &event.base);
}

static void publish_resumed(struct publisher *publisher, const struct process_status *status)
{
    Event__TaskResumed event = EVENT__TASK_RESUMED__INIT;
    event.container_id = status->container_id;
    publisher_send(publisher, "/tasks/resumed", &event.base);
}

static void publish_oom(struct publisher *publisher, const struct process_status *status)
{
    Event__TaskOOM event = EVENT__TASK_OOM__INIT;
    event.container_id = status->container_id;
    publisher_send(publisher, "/tasks/oom", &event.base);
}

void events_publish(
    struct publisher *publisher, enum sandbox_event event, const struct process_status *status)
{
    static void (*const publish[])(struct publisher * publisher, const struct process_status *status) = {
        [SANDBOX_EVENT_CREATED] = publish_create,
        [SANDBOX_EVENT_STARTED] = publish_start,
        [SANDBOX_EVENT_EXITED] = publish_exit,
        [SANDBOX_EVENT_DELETED] = publish_delete,
        [SANDBOX_EVENT_EXEC_ADDED] = publish_exec_added,
        [SANDBOX_EVENT_EXEC_STARTED] = publish_exec_started,
        [SANDBOX_EVENT_PAUSED] = publish_paused,
        [SANDBOX_EVENT_RESUMED] = publish_resumed,
        [SANDBOX_EVENT_OUT_OF_MEMORY] = publish_oom,
    };
    publish[event](publisher, status);
}
