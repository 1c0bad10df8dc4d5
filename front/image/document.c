/* SPDX-License-Identifier: Apache-2.0 */
#include "image/document.h"

#include "image/builder.h"

#include "base/strv.h"

#include <string.h>
#include <time.h>

const char *architecture_here(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#elif defined(__riscv) && __riscv_xlen == 64
    return "riscv64";
#else
#error "this architecture has no name here yet"
#endif
}

/* "2024-05-01T12:00:00.123Z", "2024-05-01T14:00:00+02:00" (RFC 3339); anything else is 0, for a time of
   creation is only shown. */
static int64_t read_time(const char *text)
{
    struct tm fields = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &fields);
    if (!rest)
        return 0;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    int hours = 0;
    int minutes = 0;
    char sign = '+';
    if (*rest != 'Z' && sscanf(rest, "%c%2d:%2d", &sign, &hours, &minutes) != 3)
        return 0;
    int64_t offset = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    return timegm(&fields) - (sign == '-' ? -offset : offset);
}

static struct error *get_copy(const json_t *object, const char *path, const char *key, char **ret_text)
{
    const char *text = NULL;
    TRY(json_get_string(object, path, key, &text));
    if (text && *text)
        *ret_text = must_copy(text);
    return NULL;
}

/* The keys of an object whose values mean nothing ("Volumes", "ExposedPorts"). */
static struct error *get_keys(const json_t *object, const char *path, const char *key, char ***ret_keys)
{
    json_t *set = NULL;
    const char *name;
    json_t *value;
    TRY(json_get_object(object, path, key, &set));
    if (json_object_size(set) > DOCUMENT_STRINGS_MAX)
        return error_new(
            ERROR_OUT_OF_RANGE, "%s.%s has more than %d members", path, key, DOCUMENT_STRINGS_MAX);
    json_object_foreach (set, name, value)
        strv_append(ret_keys, name);
    return NULL;
}

static struct error *get_labels(const json_t *object, const char *path, char ***ret_labels)
{
    json_t *labels = NULL;
    const char *name;
    json_t *value;
    TRY(json_get_object(object, path, "Labels", &labels));
    if (json_object_size(labels) > DOCUMENT_STRINGS_MAX)
        return error_new(
            ERROR_OUT_OF_RANGE, "%s.Labels has more than %d members", path, DOCUMENT_STRINGS_MAX);
    json_object_foreach (labels, name, value) {
        if (!json_is_string(value))
            return error_new(ERROR_INVALID_ARGUMENT, "%s.Labels.%s must be a string", path, name);
        strv_append_printf(ret_labels, "%s=%s", name, json_string_value(value));
    }
    return NULL;
}

static struct error *read_config(const json_t *root, const char *name, struct image_config *config)
{
    json_t *object = NULL;
    TRY(json_get_object(root, name, "config", &object));
    if (!object)
        return NULL;
    _cleanup_free_ char *path = must_printf("%s: config", name);
    TRY(json_get_strings(object, path, "Entrypoint", DOCUMENT_STRINGS_MAX, &config->entrypoint));
    TRY(json_get_strings(object, path, "Cmd", DOCUMENT_STRINGS_MAX, &config->command));
    TRY(json_get_strings(object, path, "Env", DOCUMENT_STRINGS_MAX, &config->environment));
    TRY(get_copy(object, path, "User", &config->user));
    TRY(get_copy(object, path, "WorkingDir", &config->working_directory));
    TRY(get_copy(object, path, "StopSignal", &config->stop_signal));
    TRY(get_keys(object, path, "Volumes", &config->volumes));
    TRY(get_keys(object, path, "ExposedPorts", &config->exposed_ports));
    return get_labels(object, path, &config->labels);
}

static struct error *read_contents(const json_t *root, const char *name, struct document *document)
{
    json_t *rootfs = NULL;
    _cleanup_free_ char *path = must_printf("%s: rootfs", name);
    _cleanup_strv_ char **digests = NULL;
    TRY(json_get_object(root, name, "rootfs", &rootfs));
    if (!rootfs)
        return error_new(
            ERROR_INVALID_ARGUMENT, "%s has no member \"rootfs\": not an image's configuration", name);
    TRY(json_get_strings(rootfs, path, "diff_ids", BUILDER_LAYERS_MAX, &digests));
    document->contents = must_alloc_array(strv_length(digests) + 1, sizeof(*document->contents));
    STRV_FOREACH (digest, digests)
        TRY(digest_parse(path, *digest, &document->contents[document->contents_count++]));
    return NULL;
}

struct error *document_take(const char *name, const json_t *value, struct document *ret_document)
{
    _cleanup_document_ struct document document = {0};
    const char *created = "";
    if (!json_is_object(value))
        return error_new(ERROR_INVALID_ARGUMENT, "%s must be an object", name);
    TRY(get_copy(value, name, "architecture", &document.architecture));
    TRY(get_copy(value, name, "os", &document.system));
    TRY(json_get_string(value, name, "created", &created));
    document.created = read_time(created);
    TRY(read_contents(value, name, &document));
    TRY(read_config(value, name, &document.config));
    *ret_document = document;
    document = (struct document){0};
    return NULL;
}

struct error *document_read(const char *name, const char *text, size_t length, struct document *ret_document)
{
    _cleanup_json_ json_t *value = NULL;
    TRY(json_read(name, text, length, &value));
    return document_take(name, value, ret_document);
}

void image_config_clear(struct image_config *config)
{
    strv_free(config->entrypoint);
    strv_free(config->command);
    strv_free(config->environment);
    free(config->user);
    free(config->working_directory);
    free(config->stop_signal);
    strv_free(config->volumes);
    strv_free(config->exposed_ports);
    strv_free(config->labels);
    *config = (struct image_config){0};
}

void document_clear(struct document *document)
{
    free(document->architecture);
    free(document->system);
    free(document->contents);
    image_config_clear(&document->config);
    *document = (struct document){0};
}
