/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/strv.h"
#include "cli/container.h"
#include "cli/listing.h"
#include "cli/verb.h"

#include <stdio.h>
#include <string.h>

#define ID_SHORT 12
#define COMMAND_SHORT 20

struct ps_settings {
    bool all;
    bool quiet;
    bool no_trunc;
    bool json;
    const char *format;
    char **filters;
};

static const struct option ps_options[] = {
    OPTION(ps_settings, "all", 'a', OPTION_FLAG, all, NULL, "those that have ended, too"),
    OPTION(
        ps_settings, "filter", 'f', OPTION_LIST, filters, "KEY=VALUE", "name=, status=, label=, ancestor="),
    LISTING_OPTIONS(ps_settings),
    OPTION(ps_settings, "no-trunc", 0, OPTION_FLAG, no_trunc, NULL, "whole ids and commands"),
    OPTION(ps_settings, "quiet", 'q', OPTION_FLAG, quiet, NULL, "only the ids"),
    OPTIONS_END,
};

static const struct column columns[] = {
    {"ID", "CONTAINER ID"},
    {"Image", "IMAGE"},
    {"Command", "COMMAND"},
    {"Created", "CREATED"},
    {"Status", "STATUS"},
    {"Ports", "PORTS"},
    {"Name", "NAMES"},
    {NULL, NULL},
};

/* ---- rows ---- */

static char *status_text(struct container *container, const char *state)
{
    const struct record *record = container->record;

    if (record->status == CONTAINER_EXITED) {
        _cleanup_free_ char *ago = time_ago(record->finished);
        return must_printf("Exited (%ld) %s", (long)record->exit_code, ago);
    }
    if (record->status == CONTAINER_CREATED)
        return must_copy("Created");
    _cleanup_free_ char *span = time_span(record_now() - record->started);
    return must_printf("Up %s%s", span, strcmp(state, "paused") ? "" : " (Paused)");
}

/* "8080:80/tcp" as docker shows it: "0.0.0.0:8080->80/tcp". */
static char *ports_text(char *const *ports)
{
    _cleanup_strv_ char **shown = NULL;

    STRV_FOREACH (port, ports) {
        const char *guest = strrchr(*port, ':');
        _cleanup_free_ char *host = must_copy_length(*port, (size_t)(guest - *port));
        strv_append_printf(&shown, "%s%s->%s", strchr(host, ':') ? "" : "0.0.0.0:", host, guest + 1);
    }
    return shown ? strv_join(shown, ", ") : must_copy("");
}

static char *command_text(const struct record *record, bool whole)
{
    _cleanup_free_ char *command = record->command ? strv_join(record->command, " ") : must_copy("");

    for (char *letter = command; *letter; letter++)
        if ((unsigned char)*letter < ' ')
            *letter = ' ';
    if (whole || strlen(command) <= COMMAND_SHORT)
        return must_printf("\"%s\"", command);
    return must_printf("\"%.*s...\"", COMMAND_SHORT - 3, command);
}

static json_t *labels_object(char *const *labels)
{
    json_t *object = json_object();

    STRV_FOREACH (label, labels) {
        _cleanup_free_ char *key = must_copy_length(*label, strcspn(*label, "="));
        const char *value = strchr(*label, '=');
        json_object_set_new(object, key, json_string(value ? value + 1 : ""));
    }
    return object;
}

static json_t *make_row(struct container *container, const struct ps_settings *settings)
{
    const struct record *record = container->record;
    bool whole = settings->no_trunc || settings->json;
    const char *state = container_state(container);
    _cleanup_free_ char *status = status_text(container, state), *ports = ports_text(record->ports);
    _cleanup_free_ char *command = command_text(record, whole), *created = time_ago(record->created);
    _cleanup_free_ char *created_at = time_text(record->created);
    _cleanup_free_ char *id = must_printf("%.*s", whole ? (int)strlen(record->id) : ID_SHORT, record->id);

    /* A command may hold bytes that JSON cannot. */
    return json_pack("{s:s, s:s, s:s, s:s*, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:s, s:s}", "ID", id, "Name",
        record->name, "Image", record->image, "Command", command, "Created", created, "CreatedAt", created_at,
        "Status", status, "State", state, "Ports", ports, "ExitCode", (json_int_t)record->exit_code, "Labels",
        labels_object(record->labels), "Hypervisor", record->hypervisor ?: "", "Network",
        record->network ?: "");
}

/* ---- which ones ---- */

static struct error *matches_filter(struct container *container, const char *filter, bool *ret_matches)
{
    const struct record *record = container->record;
    const char *value = strchr(filter, '=');

    if (!value)
        return error_new(ERROR_INVALID_ARGUMENT, "--filter %s: it is KEY=VALUE", filter);
    size_t length = (size_t)(value++ - filter);
    if (!strncmp(filter, "name", length))
        *ret_matches = strstr(record->name, value) != NULL;
    else if (!strncmp(filter, "status", length))
        *ret_matches = !strcmp(container_state(container), value);
    else if (!strncmp(filter, "ancestor", length))
        *ret_matches = !strcmp(record->image, value);
    else if (!strncmp(filter, "label", length)) {
        *ret_matches = false;
        STRV_FOREACH (label, record->labels)
            if (!strcmp(*label, value) ||
                (!strncmp(*label, value, strlen(value)) && (*label)[strlen(value)] == '='))
                *ret_matches = true;
    } else
        return error_new(
            ERROR_INVALID_ARGUMENT, "--filter %s: there are name, status, label and ancestor", filter);
    return NULL;
}

static struct error *is_wanted(
    struct container *container, const struct ps_settings *settings, bool *ret_wanted)
{
    bool wanted = settings->all || settings->filters || container->record->status != CONTAINER_EXITED;

    STRV_FOREACH (filter, settings->filters) {
        bool matches;
        TRY(matches_filter(container, *filter, &matches));
        wanted = wanted && matches;
    }
    *ret_wanted = wanted;
    return NULL;
}

struct created_row {
    int64_t created;
    json_t *row;
};

static int newest_first(const void *one, const void *other)
{
    int64_t a = ((const struct created_row *)one)->created, b = ((const struct created_row *)other)->created;
    return (a < b) - (a > b);
}

/* A container that goes away while we look, or is only just being made, is not listed. */
static struct error *add_row(const struct workplace *workplace, const char *id,
    const struct ps_settings *settings, struct created_row *ret_row)
{
    _cleanup_container_ struct container container = {0};
    bool wanted;

    struct error *error = container_open(workplace, id, &container);
    if (error) {
        error_free(error);
        return NULL;
    }
    TRY(is_wanted(&container, settings, &wanted));
    if (wanted)
        *ret_row = (struct created_row){container.record->created, make_row(&container, settings)};
    return NULL;
}

static struct error *collect(const struct ps_settings *settings, json_t *rows)
{
    _cleanup_workplace_ struct workplace workplace = {0};
    _cleanup_strv_ char **ids = NULL;
    struct error *error = NULL;
    size_t count = 0;

    TRY(workplace_open(&workplace));
    error_free(lifecycle_sweep(workplace.directories, workplace.base));
    TRY(record_list_ids(workplace.directories, &ids));
    _cleanup_free_ struct created_row *found = must_alloc_array(strv_length(ids) + 1, sizeof(*found));
    for (char **id = ids; id && *id && !error; id++) {
        error = add_row(&workplace, *id, settings, &found[count]);
        count += found[count].row != NULL;
    }
    qsort(found, count, sizeof(*found), newest_first);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, found[i].row);
    return error;
}

static struct error *ps(void *context, char **arguments, int *ret_code)
{
    const struct ps_settings *settings = context;
    const struct listing_options options = {
        .json = settings->json, .quiet = settings->quiet, .format = settings->format, .quiet_key = "ID"};
    _cleanup_json_ json_t *rows = json_array();

    TRY(collect(settings, rows));
    *ret_code = 0;
    return listing_print(&options, columns, rows);
}

const struct verb verb_ps = {
    .name = "ps",
    .arguments = "",
    .summary = "List containers",
    .example = "caisson ps -a --format '{{.ID}} {{.Names}} {{.Status}}'",
    .options = ps_options,
    .settings_size = sizeof(struct ps_settings),
    .run = ps,
};
