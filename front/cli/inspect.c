/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "base/json.h"
#include "base/strv.h"
#include "cli/container.h"
#include "cli/listing.h"
#include "cli/spec.h"
#include "cli/verb.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define MACHINE_LIMIT 4096

struct inspect_settings {
    const char *format;
};

static const struct option inspect_options[] = {
    OPTION(inspect_settings, "format", 'f', OPTION_TEXT, format, "TEMPLATE", "as in '{{.State.ExitCode}}'"),
    OPTIONS_END,
};

static void set_time(json_t *object, const char *key, int64_t milliseconds)
{
    _cleanup_free_ char *text = time_text(milliseconds);
    json_object_set_new(object, key, json_string(text));
}

static json_t *strings(char *const *vector)
{
    json_t *array = json_array();

    STRV_FOREACH (text, vector) {
        json_array_append_new(array, json_string(*text) ?: json_string("?"));
    }
    return array;
}

static json_t *assignments(char *const *vector)
{
    json_t *object = json_object();

    STRV_FOREACH (text, vector) {
        _cleanup_free_ char *key = must_copy_length(*text, strcspn(*text, "="));
        const char *value = strchr(*text, '=');
        json_object_set_new(object, key, json_string(value ? value + 1 : ""));
    }
    return object;
}

/* docker's names. */
static json_t *state_object(struct container *container)
{
    const struct record *record = container->record;
    const char *state = container_state(container);
    struct task_state task = {0};

    if (container->task)
        error_free(task_read_state(container->task, NULL, &task));
    json_t *object = json_pack("{s:s, s:b, s:b, s:b, s:I, s:I, s:s}", "Status", state, "Running",
        record->status == CONTAINER_RUNNING, "Paused", !strcmp(state, "paused"), "OOMKilled", record->oom,
        "Pid", (json_int_t)task.pid, "ExitCode", (json_int_t)record->exit_code, "Error",
        record->reason ?: "");
    set_time(object, "StartedAt", record->started);
    set_time(object, "FinishedAt", record->finished);
    return object;
}

/* Which hypervisor runs it and why, processors and memory: the shim's own words; none before it has a
 * machine. */
static void add_machine(const char *bundle, json_t *object)
{
    _cleanup_free_ char *path = must_printf("%s/machine.json", bundle);
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *machine = NULL;
    size_t length;

    struct error *error = file_read(AT_FDCWD, path, MACHINE_LIMIT, &text, &length);
    if (!error)
        error = json_read("machine.json", text, length, &machine);
    error_free(error);
    if (machine)
        json_object_set(object, "Machine", machine);
}

/* What only the sandbox's own files tell. */
static void add_sandbox(const struct container *container, json_t *object)
{
    _cleanup_free_ char *bundle = directories_bundle(container->directories, container->record->id);
    _cleanup_json_ json_t *spec = NULL;

    error_free(spec_read(bundle, &spec));
    if (spec)
        json_object_set(object, "Spec", spec);
    add_machine(bundle, object);
    json_object_set_new(object, "Bundle", json_string(bundle));
}

static json_t *inspect_object(struct container *container)
{
    const struct record *record = container->record;
    _cleanup_free_ char *log = directories_record_file(container->directories, record->id, "log");
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "Id", record->id, "Name",
        record->name, "Image", record->image, "ImageDigest", record->image_digest ?: "", "Command",
        strings(record->command), "State", state_object(container), "Labels", assignments(record->labels),
        "Annotations", assignments(record->annotations), "Ports", strings(record->ports), "Volumes",
        strings(record->volumes));

    set_time(object, "Created", record->created);
    json_object_set_new(object, "Hypervisor", json_string(record->hypervisor ?: ""));
    json_object_set_new(object, "Network", json_string(record->network ?: ""));
    json_object_set_new(object, "StopSignal", json_string(record->stop_signal ?: ""));
    json_object_set_new(object, "StopTimeout", json_integer(record->stop_timeout));
    json_object_set_new(object, "Terminal", json_boolean(record->terminal));
    json_object_set_new(object, "Detached", json_boolean(record->detached));
    json_object_set_new(object, "AutoRemove", json_boolean(record->auto_remove));
    json_object_set_new(object, "LogPath", json_string(record->detached ? log : ""));
    if (record->status != CONTAINER_EXITED)
        add_sandbox(container, object);
    return object;
}

struct inspection {
    const char *format;
    json_t *objects;
};

static struct error *inspect_one(struct container *container, const void *context)
{
    const struct inspection *inspection = context;
    _cleanup_json_ json_t *object = inspect_object(container);
    _cleanup_free_ char *text = NULL;

    if (!inspection->format) {
        json_array_append(inspection->objects, object);
        return NULL;
    }
    if (!strcmp(inspection->format, "json"))
        text = json_write(object);
    else
        TRY(template_expand(inspection->format, object, &text));
    puts(text);
    return NULL;
}

static struct error *inspect(void *context, char **arguments, int *ret_code)
{
    const struct inspect_settings *settings = context;
    _cleanup_json_ json_t *objects = json_array();
    const struct inspection inspection = {.format = settings->format, .objects = objects};

    TRY(for_each_container(arguments, inspect_one, &inspection, ret_code));
    if (settings->format || json_array_size(objects) == 0)
        return NULL;
    char *text = json_dumps(objects, JSON_INDENT(4));
    puts(text);
    free(text);
    return NULL;
}

const struct verb verb_inspect = {
    .name = "inspect",
    .arguments = "CONTAINER...",
    .summary = "Print all that is known of containers, as JSON",
    .example = "caisson inspect -f '{{.State.ExitCode}} {{.State.Error}}' job",
    .options = inspect_options,
    .settings_size = sizeof(struct inspect_settings),
    .minimum = 1,
    .maximum = UINT32_MAX,
    .run = inspect,
};
