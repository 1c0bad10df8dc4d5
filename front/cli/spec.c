/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/spec.h"

#include "base/json.h"
#include "base/strv.h"

#include <string.h>

#define ANNOTATION "io.caisson."

struct error *spec_strings(const char *what, char *const *vector, json_t **ret_array)
{
    _cleanup_json_ json_t *array = json_array();

    STRV_FOREACH (text, vector) {
        json_t *value = json_string(*text);
        if (!value)
            return error_new(
                ERROR_INVALID_ARGUMENT, "%s \"%s\" is not UTF-8, which config.json must be", what, *text);
        json_array_append_new(array, value);
    }
    *ret_array = TAKE_PTR(array);
    return NULL;
}

/* ---- annotations ---- */

static void annotate(json_t *annotations, const char *key, const char *value)
{
    _cleanup_free_ char *full = must_printf(ANNOTATION "%s", key);
    json_object_set_new(annotations, full, json_string(value));
}

static void annotate_number(json_t *annotations, const char *key, uint64_t number)
{
    _cleanup_free_ char *text = must_printf("%lu", number);

    if (number > 0)
        annotate(annotations, key, text);
}

static void annotate_list(json_t *annotations, const char *key, char *const *list)
{
    _cleanup_free_ char *text = NULL;

    if (!list)
        return;
    text = strv_join(list, ",");
    annotate(annotations, key, text);
}

static struct error *add_own_annotations(char *const *assignments, json_t *annotations)
{
    STRV_FOREACH (assignment, assignments) {
        _cleanup_free_ char *key = must_copy_length(*assignment, strcspn(*assignment, "="));
        const char *value = strchr(*assignment, '=');
        if (!*key || json_object_set_new(annotations, key, json_string(value ? value + 1 : "")) < 0)
            return error_new(
                ERROR_INVALID_ARGUMENT, "--annotation %s: it is KEY=VALUE, in UTF-8", *assignment);
    }
    return NULL;
}

/* The user's own come last: they may say what no option can. */
static struct error *build_annotations(const struct spec_input *input, json_t **ret_annotations)
{
    const struct run_settings *settings = input->settings;
    _cleanup_json_ json_t *annotations = json_object();

    annotate(annotations, "hypervisor", settings->hypervisor);
    annotate_number(annotations, "vcpus", (uint64_t)settings->vcpus);
    annotate_number(annotations, "scratch-size", settings->scratch);
    bool is_namespace = !strncmp(input->network, SPEC_NAMESPACE, strlen(SPEC_NAMESPACE));
    annotate(annotations, "network", is_namespace ? "none" : input->network);
    annotate_list(annotations, "ports", input->ports);
    annotate_list(annotations, "dns", settings->dns);
    if (settings->init)
        annotate(annotations, "init", "true");
    TRY(add_own_annotations(settings->annotations, annotations));
    *ret_annotations = TAKE_PTR(annotations);
    return NULL;
}

/* ---- the whole ---- */

struct error *spec_command(const struct spec_input *input, char ***ret_command)
{
    const struct image_config *image = input->image;
    _cleanup_strv_ char **command = NULL;
    const char *entrypoint = input->settings->entrypoint;

    /* Given by the user, even empty, it takes the image's command with it, as in docker. */
    if (!entrypoint)
        strv_extend(&command, image->entrypoint);
    else if (*entrypoint)
        strv_append(&command, entrypoint);
    if (input->arguments && *input->arguments)
        strv_extend(&command, input->arguments);
    else if (!entrypoint)
        strv_extend(&command, image->command);
    if (!command)
        return error_new(
            ERROR_INVALID_ARGUMENT, "the image has no command of its own: write one after its name");
    *ret_command = TAKE_PTR(command);
    return NULL;
}

struct error *spec_build(const struct spec_input *input, json_t **ret_spec)
{
    _cleanup_json_ json_t *process = NULL, *linux_part = NULL, *annotations = NULL;

    TRY(spec_process(input, &process));
    TRY(spec_linux(input, &linux_part));
    TRY(build_annotations(input, &annotations));
    *ret_spec = json_pack("{s:s, s:O, s:{s:s, s:b}, s:s, s:o, s:O, s:O}", "ociVersion", "1.0.2", "process",
        process, "root", "path", "rootfs", "readonly", input->settings->read_only, "hostname",
        input->hostname, "mounts", spec_mounts(input), "annotations", annotations, "linux", linux_part);
    if (!*ret_spec)
        return error_new(ERROR_INVALID_ARGUMENT, "the host name \"%s\" is not UTF-8", input->hostname);
    return NULL;
}
