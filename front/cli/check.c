/* SPDX-License-Identifier: Apache-2.0 */
/* check, version, and the hidden publish. */
#include "base/json.h"
#include "base/process.h"
#include "cli/listing.h"
#include "cli/verb.h"
#include "client/directories.h"
#include "client/publish.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define OUTPUT_LIMIT 65536

static struct error *ask_shim(const char *action, char **ret_output)
{
    _cleanup_free_ char *shim = NULL;

    TRY(program_shim(&shim));
    _cleanup_free_ char *argument = must_copy(action);
    char *const arguments[] = {shim, argument, NULL};
    const struct process_options options = {.arguments = arguments};
    return process_run_checked(&options, OUTPUT_LIMIT, ret_output);
}

/* ---- check ---- */

struct check_settings {
    bool json;
    const char *format;
};

static const struct option check_options[] = {
    LISTING_OPTIONS(check_settings),
    OPTIONS_END,
};

/* What can run a container is named after the hypervisor's program and its accelerator. */
static bool is_hypervisor(const json_t *row)
{
    _cleanup_free_ char *name = value_text(json_object_get(row, "name"));
    return strchr(name, '-') != NULL;
}

static bool any_hypervisor(const json_t *rows)
{
    size_t index;
    json_t *row;

    json_array_foreach (rows, index, row) {
        if (is_hypervisor(row) && json_is_true(json_object_get(row, "usable")))
            return true;
    }
    return false;
}

/* The reasons are sentences, too long for a table's cells: what to do stands on a line of its own. */
static void print_for_people(const json_t *rows)
{
    size_t index;
    json_t *row;

    json_array_foreach (rows, index, row) {
        bool usable = json_is_true(json_object_get(row, "usable"));
        bool chosen = json_is_true(json_object_get(json_object_get(row, "details"), "chosen"));
        _cleanup_free_ char *name = value_text(json_object_get(row, "name"));
        _cleanup_free_ char *reason = value_text(json_object_get(row, "reason"));
        _cleanup_free_ char *advice = value_text(json_object_get(row, "advice"));
        printf("%-12s %-4s %s%s\n", name, usable ? "yes" : "no", reason, chosen ? " (chosen)" : "");
        if (*advice)
            printf("%-12s %-4s what to do: %s\n", "", "", advice);
    }
}

static struct error *check(void *context, char **arguments, int *ret_code)
{
    const struct check_settings *settings = context;
    const struct listing_options options = {.json = settings->json, .format = settings->format};
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *rows = NULL;

    TRY(ask_shim("check", &text));
    TRY(json_read("the shim's check", text, strlen(text), &rows));
    if (!json_is_array(rows))
        return error_new(ERROR_DATA_LOSS, "the shim's check gave no list");
    *ret_code = any_hypervisor(rows) ? 0 : EXIT_RUNTIME_FAILED;
    if (settings->json || (settings->format && strcmp(settings->format, "table")))
        return listing_print(&options, NULL, rows);
    print_for_people(rows);
    return NULL;
}

const struct verb verb_check = {
    .name = "check",
    .arguments = "",
    .summary = "Show which hypervisors can be used here, and why",
    .details = "The exit code is 0 when there is one, else 125.",
    .example = "caisson check\ncaisson check --json",
    .options = check_options,
    .settings_size = sizeof(struct check_settings),
    .run = check,
};

/* ---- version ---- */

static const struct option version_options[] = {
    LISTING_OPTIONS(check_settings),
    OPTIONS_END,
};

static const struct column version_columns[] = {
    {"Name", "NAME"},
    {"Version", "VERSION"},
    {NULL, NULL},
};

/* "io.containerd.caisson.v2 0.1.0 (Caisson)": the second word. */
static char *shim_version(void)
{
    _cleanup_free_ char *text = NULL;
    struct error *error = ask_shim("-v", &text);

    if (error) {
        error_free(error);
        return must_copy("not found");
    }
    const char *word = text + strcspn(text, " ");
    word += strspn(word, " ");
    return must_copy_length(word, strcspn(word, " \n"));
}

static struct error *version(void *context, char **arguments, int *ret_code)
{
    const struct check_settings *settings = context;
    const struct listing_options options = {.json = settings->json, .format = settings->format};
    _cleanup_free_ char *shim = shim_version();
    struct utsname kernel;

    uname(&kernel);
    _cleanup_json_ json_t *rows = json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "Name", "caisson",
        "Version", CAISSON_VERSION, "Name", "containerd-shim-caisson-v2", "Version", shim, "Name",
        "host kernel", "Version", kernel.release);
    *ret_code = 0;
    return listing_print(&options, version_columns, rows);
}

const struct verb verb_version = {
    .name = "version",
    .arguments = "",
    .summary = "Print the versions of the programs",
    .example = "caisson version --json",
    .options = version_options,
    .settings_size = sizeof(struct check_settings),
    .run = version,
};

/* ---- publish ---- */

struct publish_settings {
    const char *topic;
    const char *namespace;
};

static const struct option publish_options[] = {
    OPTION(publish_settings, "topic", 0, OPTION_TEXT, topic, "TOPIC", "of the event"),
    OPTION(publish_settings, "namespace", 0, OPTION_TEXT, namespace, "NAME", "of the container"),
    OPTIONS_END,
};

static struct error *publish(void *context, char **arguments, int *ret_code)
{
    const struct publish_settings *settings = context;

    if (!settings->topic)
        return error_new(ERROR_INVALID_ARGUMENT, "publish needs --topic");
    *ret_code = 0;
    return publish_event(settings->topic, STDIN_FILENO);
}

const struct verb verb_publish = {
    .name = "publish",
    .arguments = "",
    .summary = "Take an event from a shim",
    .details = "The shim runs this; it is containerd's contract of -publish-binary.",
    .example = "caisson --address A publish --topic /tasks/exit --namespace caisson <event",
    .options = publish_options,
    .settings_size = sizeof(struct publish_settings),
    .hidden = true,
    .run = publish,
};
