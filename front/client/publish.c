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

struct error *publish_event(const char *topic, int input)
{
    _cleanup_directories_ struct directories *directories = NULL;
    Event__TaskExit *event;

    if (strcmp(topic, TOPIC_EXIT))
        return NULL;
    TRY(read_exit(input, &event));
    struct error *error = NULL;
    /* An exec's exit is for the exec's own front end. */
    if (!strcmp(event->id, event->container_id))
        error = directories_open(&directories);
    if (directories)
        error = record_exit(directories, event->container_id);
    event__task_exit__free_unpacked(event, NULL);
    return error;
}
