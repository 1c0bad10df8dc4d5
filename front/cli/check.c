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

/* As the shim names them. */
static const struct column check_columns[] = {
    {"name", "HYPERVISOR"},
    {"usable", "USABLE"},
    {"reason", "WHY"},
    {"advice", "WHAT TO DO"},
    {NULL, NULL},
};

static bool any_usable(const json_t *rows)
{
    size_t index;
    json_t *row;

    json_array_foreach (rows, index, row) {
        if (json_is_true(json_object_get(row, "usable")))
            return true;
    }
    return false;
}

static void words_for_people(json_t *rows)
{
    size_t index;
    json_t *row;

    json_array_foreach (rows, index, row) {
        bool usable = json_is_true(json_object_get(row, "usable"));
        json_object_set_new(row, "usable", json_string(usable ? "yes" : "no"));
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
    *ret_code = any_usable(rows) ? 0 : EXIT_RUNTIME_FAILED;
    if (!settings->json && !settings->format)
        words_for_people(rows);
    return listing_print(&options, check_columns, rows);
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

/* "containerd-shim-caisson-v2 0.1.0": the last word of the first line. */
static char *shim_version(void)
{
    _cleanup_free_ char *text = NULL;
    struct error *error = ask_shim("-v", &text);

    if (error) {
        error_free(error);
        return must_copy("not found");
    }
    text[strcspn(text, "\n")] = '\0';
    const char *word = strrchr(text, ' ');
    return must_copy(word ? word + 1 : text);
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
