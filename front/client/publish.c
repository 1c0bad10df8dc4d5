/* SPDX-License-Identifier: Apache-2.0 */
#include "client/publish.h"

#include "base/fd.h"
#include "base/path.h"
#include "client/lifecycle.h"
#include "proto/events.pb-c.h"

#include <event2/event.h>
#include <string.h>

#define EVENT_LIMIT 65536
#define TOPIC_EXIT "/tasks/exit"

static struct error *read_exit(int input, Event__TaskExit **ret_event)
{
    _cleanup_free_ char *bytes = NULL;
    size_t length;

    TRY(fd_read_all(input, EVENT_LIMIT, &bytes, &length));
    Google__Protobuf__Any *any = google__protobuf__any__unpack(NULL, length, (const uint8_t *)bytes);
    if (!any)
        return error_new(ERROR_INVALID_ARGUMENT, "the event on standard input is not a protobuf Any");
    Event__TaskExit *event = NULL;
    if (!strcmp(any->type_url, event__task_exit__descriptor.name))
        event = event__task_exit__unpack(NULL, any->value.len, any->value.data);
    google__protobuf__any__free_unpacked(any, NULL);
    if (!event)
        return error_new(ERROR_INVALID_ARGUMENT, "the event on standard input is not a TaskExit");
    *ret_event = event;
    return NULL;
}

/* Where a front end holds the lock, it does this itself. */
static struct error *record_exit(const struct directories *directories, const char *id)
{
    _cleanup_record_ struct record *record = NULL;

    TRY(identifier_check("container id", id));
    struct error *error = record_load(directories, id, &record);
    if (error_code(error) == ERROR_NOT_FOUND) {
        error_free(error);
        return NULL;
    }
    TRY(error);
    struct event_base *base = event_base_new();
    error = lifecycle_settle(directories, base, 0, &record);
    event_base_free(base);
    return error;
}

static struct error *delete_exec(const struct directories *directories, const char *id, const char *exec_id)
{
    struct event_base *base = event_base_new();
    struct task *task = NULL;

    struct error *error = identifier_check("container id", id);
    if (!error)
        error = task_open(base, directories, id, &task);
    if (!error)
        error = task_delete(task, exec_id, NULL);
    task_free(task);
    event_base_free(base);
    return error;
}

static struct error *handle_exit(const Event__TaskExit *event)
{
    _cleanup_directories_ struct directories *directories = NULL;
    bool detached = !strncmp(event->id, PUBLISH_DETACHED_EXEC, strlen(PUBLISH_DETACHED_EXEC));

    /* Another exec's exit is for its own front end. */
    if (!detached && strcmp(event->id, event->container_id))
        return NULL;
    TRY(directories_open(&directories));
    return detached ? delete_exec(directories, event->container_id, event->id)
                    : record_exit(directories, event->container_id);
}

struct error *publish_event(const char *topic, int input)
{
    Event__TaskExit *event;

    if (strcmp(topic, TOPIC_EXIT))
        return NULL;
    TRY(read_exit(input, &event));
    struct error *error = handle_exit(event);
    event__task_exit__free_unpacked(event, NULL);
    return error;
}
