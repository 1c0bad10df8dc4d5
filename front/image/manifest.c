/* SPDX-License-Identifier: Apache-2.0 */
#include "image/manifest.h"

#include "image/builder.h"
#include "image/manifest_parts.h"

#include "base/strv.h"

#include <string.h>

void descriptor_clear(struct descriptor *descriptor)
{
    free(descriptor->media_type);
    *descriptor = (struct descriptor){0};
}

void manifest_clear(struct manifest *manifest)
{
    descriptor_clear(&manifest->config);
    for (size_t i = 0; i < manifest->layer_count; i++)
        descriptor_clear(&manifest->layers[i]);
    free(manifest->layers);
    *manifest = (struct manifest){0};
}

struct error *descriptor_read(const json_t *object, const char *path, struct descriptor *ret_descriptor)
{
    const char *media_type = NULL;
    const char *digest = NULL;
    int64_t size = -1;
    if (!json_is_object(object))
        return error_new(ERROR_INVALID_ARGUMENT, "%s must be an object", path);
    TRY(json_get_string(object, path, "mediaType", &media_type));
    TRY(json_get_string(object, path, "digest", &digest));
    TRY(json_get_integer(object, path, "size", 0, INT64_MAX, &size));
    if (!digest || size < 0)
        return error_new(ERROR_INVALID_ARGUMENT, "%s has no %s", path, digest ? "size" : "digest");
    struct descriptor descriptor = {.size = (uint64_t)size};
    TRY(digest_parse(path, digest, &descriptor.digest));
    descriptor.media_type = must_copy_or_null(media_type);
    *ret_descriptor = descriptor;
    return NULL;
}

static const char *const index_types[] = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
};

static bool is_index_type(const char *media_type)
{
    for (size_t i = 0; i < ARRAY_SIZE(index_types); i++)
        if (strcmp(media_type, index_types[i]) == 0)
            return true;
    return false;
}

bool manifest_is_index(const char *media_type, const char *text, size_t length)
{
    if (media_type && is_index_type(media_type))
        return true;
    if (media_type && strstr(media_type, ".manifest."))
        return false;
    _cleanup_json_ json_t *value = NULL;
    _cleanup_error_ struct error *error = json_read("manifest", text, length, &value);
    return !error && json_is_array(json_object_get(value, "manifests"));
}

/* Media types end with the compression; nothing else about them matters here. */
static bool layer_type_known(const char *media_type)
{
    static const char *const endings[] = {
        ".tar",
        ".tar+gzip",
        ".tar+zstd",
        ".tar.gzip",
        ".tar.zstd",
    };
    size_t length = strlen(media_type);
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        size_t ending = strlen(endings[i]);
        if (length >= ending && strcmp(media_type + length - ending, endings[i]) == 0)
            return true;
    }
    return false;
}

static struct error *read_layers(const json_t *root, const char *name, struct manifest *manifest)
{
    json_t *layers = NULL;
    size_t i;
    json_t *layer;
    TRY(json_get_array(root, name, "layers", &layers));
    if (!layers)
        return error_new(
            ERROR_INVALID_ARGUMENT, "%s has no layers: it is no image manifest of a kind known here", name);
    if (json_array_size(layers) > BUILDER_LAYERS_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "%s has %zu layers, more than the %d that are allowed", name,
            json_array_size(layers), BUILDER_LAYERS_MAX);
    manifest->layers = must_alloc_array(json_array_size(layers) + 1, sizeof(*manifest->layers));
    json_array_foreach (layers, i, layer) {
        _cleanup_free_ char *path = must_printf("%s: layers[%zu]", name, i);
        TRY(descriptor_read(layer, path, &manifest->layers[i]));
        manifest->layer_count++;
        const char *type = manifest->layers[i].media_type;
        if (type && !layer_type_known(type))
            return error_new(ERROR_INVALID_ARGUMENT,
                "%s is \"%.100s\": layers can be tar, plain or compressed with gzip or zstd", path, type);
    }
    return NULL;
}

struct error *manifest_read(const char *name, const char *text, size_t length, struct manifest *ret_manifest)
{
    _cleanup_json_ json_t *root = NULL;
    _cleanup_manifest_ struct manifest manifest = {0};
    json_t *config = NULL;
    TRY(json_read(name, text, length, &root));
    if (!json_is_object(root))
        return error_new(ERROR_INVALID_ARGUMENT, "%s must be an object", name);
    TRY(json_get_object(root, name, "config", &config));
    _cleanup_free_ char *path = must_printf("%s: config", name);
    TRY(read_layers(root, name, &manifest));
    TRY(descriptor_read(config, path, &manifest.config));
    *ret_manifest = manifest;
    manifest = (struct manifest){0};
    return NULL;
}

/* docker save */

void docker_manifest_clear(struct docker_manifest *manifest)
{
    free(manifest->config);
    strv_free(manifest->layers);
    strv_free(manifest->names);
    *manifest = (struct docker_manifest){0};
}

static struct error *read_docker_image(
    const json_t *object, const char *path, struct docker_manifest *ret_image)
{
    _cleanup_docker_manifest_ struct docker_manifest image = {0};
    const char *config = NULL;
    if (!json_is_object(object))
        return error_new(ERROR_INVALID_ARGUMENT, "%s must be an object", path);
    TRY(json_get_string(object, path, "Config", &config));
    TRY(json_get_strings(object, path, "Layers", BUILDER_LAYERS_MAX, &image.layers));
    TRY(json_get_strings(object, path, "RepoTags", MANIFEST_ENTRIES_MAX, &image.names));
    if (!config)
        return error_new(ERROR_INVALID_ARGUMENT, "%s has no Config", path);
    image.config = must_copy(config);
    *ret_image = image;
    image = (struct docker_manifest){0};
    return NULL;
}

static bool name_fits(char *const *names, const char *tag)
{
    if (!tag)
        return true;
    STRV_FOREACH (name, names) {
        const char *colon = strrchr(*name, ':');
        if (strcmp(*name, tag) == 0 || (colon && strcmp(colon + 1, tag) == 0))
            return true;
    }
    return false;
}

static struct error *none_or_many(const char *tag, size_t fitting, char *const *names)
{
    _cleanup_free_ char *list = names ? strv_join(names, ", ") : must_copy("none has a name");
    if (fitting == 0)
        return error_new(
            ERROR_NOT_FOUND, "no image in it is called \"%s\" (there are: %s)", tag ? tag : "", list);
    return error_new(ERROR_INVALID_ARGUMENT,
        "it holds several images; say which one by adding \":NAME\" (there are: %s)", list);
}

struct error *docker_manifest_read(
    const char *text, size_t length, const char *tag, struct docker_manifest *ret_manifest)
{
    _cleanup_json_ json_t *root = NULL;
    _cleanup_strv_ char **names = NULL;
    _cleanup_docker_manifest_ struct docker_manifest found = {0};
    size_t fitting = 0;
    size_t i;
    json_t *item;
    TRY(json_read("manifest.json", text, length, &root));
    if (!json_is_array(root) || json_array_size(root) > MANIFEST_ENTRIES_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "manifest.json must be an array of at most %d images",
            MANIFEST_ENTRIES_MAX);
    json_array_foreach (root, i, item) {
        _cleanup_docker_manifest_ struct docker_manifest image = {0};
        _cleanup_free_ char *path = must_printf("manifest.json[%zu]", i);
        TRY(read_docker_image(item, path, &image));
        strv_extend(&names, image.names);
        if (!name_fits(image.names, tag) || fitting++ > 0)
            continue;
        found = image;
        image = (struct docker_manifest){0};
    }
    if (fitting != 1)
        return none_or_many(tag, fitting, names);
    *ret_manifest = found;
    found = (struct docker_manifest){0};
    return NULL;
}
