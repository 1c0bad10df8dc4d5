/* SPDX-License-Identifier: Apache-2.0 */
#include "image/parts.h"

#include "base/fd.h"
#include "base/strv.h"

#include <string.h>

enum { INDEX_DEPTH_MAX = 4 }; /* an index may name an index; nobody nests deeper than two */

void parts_clear(struct parts *parts)
{
    free(parts->config);
    document_clear(&parts->document);
    for (size_t i = 0; i < parts->layer_count; i++)
        free(parts->layers[i].path);
    free(parts->layers);
    strv_free(parts->names);
    free(parts->tag);
    *parts = (struct parts){0};
}

/* "sha256:HEX" -> "blobs/sha256/HEX" */
static char *blob_path(const struct digest *digest)
{
    const char *hex = digest_hex(digest);
    return must_printf("blobs/%.*s/%s", (int)(hex - 1 - digest->text), digest->text, hex);
}

/* A JSON blob: its size and digest are checked before anybody reads it. */
static struct error *read_blob(const struct files *files, const struct descriptor *descriptor, size_t limit,
    char **ret_text, size_t *ret_length)
{
    _cleanup_free_ char *path = blob_path(&descriptor->digest);
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    if (descriptor->size > limit)
        return error_new(ERROR_INVALID_ARGUMENT, "%s claims %llu bytes, more than the %zu that are allowed",
            path, (unsigned long long)descriptor->size, limit);
    TRY(files_read(files, path, limit, &text, &length));
    if (length != descriptor->size)
        return error_new(ERROR_DATA_LOSS, "%s has %zu bytes, but its descriptor names %llu", path, length,
            (unsigned long long)descriptor->size);
    _cleanup_hasher_ struct hasher *hasher = hasher_new(&descriptor->digest);
    hasher_add(hasher, text, length);
    struct digest found = hasher_finish(hasher);
    if (!digest_equal(&found, &descriptor->digest))
        return error_new(ERROR_DATA_LOSS, "%s hashes to %s: it was damaged or changed", path, found.text);
    *ret_text = TAKE_PTR(text);
    *ret_length = length;
    return NULL;
}

/* What both kinds share, once parts->config, digest and layers are there. */
static struct error *finish(struct parts *parts)
{
    TRY(document_read("image configuration", parts->config, parts->config_length, &parts->document));
    const struct document *document = &parts->document;
    if (document->system && strcmp(document->system, "linux") != 0)
        return error_new(
            ERROR_FAILED_PRECONDITION, "the image is made for %s, not for linux", document->system);
    if (document->architecture && strcmp(document->architecture, architecture_here()) != 0)
        return error_new(ERROR_FAILED_PRECONDITION,
            "the image is made for linux/%s, this machine is linux/%s", document->architecture,
            architecture_here());
    if (document->contents_count != parts->layer_count)
        return error_new(ERROR_INVALID_ARGUMENT,
            "the image's configuration names %zu layers (rootfs.diff_ids), but there are %zu",
            document->contents_count, parts->layer_count);
    return NULL;
}

/* OCI. */

static struct error *choose_manifest(const struct files *files, const char *tag,
    struct index_choice *ret_choice, char **ret_text, size_t *ret_length)
{
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    _cleanup_index_choice_ struct index_choice choice = {0};
    TRY(files_read(files, "index.json", MANIFEST_BYTES_MAX, &text, &length));
    TRY(index_choose("index.json", text, length, tag, &choice));
    for (int depth = 0; depth < INDEX_DEPTH_MAX; depth++) {
        free(TAKE_PTR(text));
        TRY(read_blob(files, &choice.descriptor, MANIFEST_BYTES_MAX, &text, &length));
        if (!manifest_is_index(choice.descriptor.media_type, text, length)) {
            *ret_choice = choice;
            choice = (struct index_choice){0};
            *ret_text = TAKE_PTR(text);
            *ret_length = length;
            return NULL;
        }
        _cleanup_index_choice_ struct index_choice inner = {0};
        TRY(index_choose(choice.descriptor.digest.text, text, length, NULL, &inner));
        descriptor_clear(&choice.descriptor);
        choice.descriptor = inner.descriptor;
        inner.descriptor = (struct descriptor){0};
    }
    return error_new(ERROR_INVALID_ARGUMENT, "indexes name each other more than %d deep", INDEX_DEPTH_MAX);
}

static struct error *read_layout(const struct files *files, const char *tag, struct parts *parts)
{
    _cleanup_index_choice_ struct index_choice choice = {0};
    _cleanup_manifest_ struct manifest manifest = {0};
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    TRY(choose_manifest(files, tag, &choice, &text, &length));
    TRY(manifest_read("image manifest", text, length, &manifest));
    TRY(read_blob(files, &manifest.config, DOCUMENT_BYTES_MAX, &parts->config, &parts->config_length));
    parts->digest = manifest.config.digest;
    parts->has_manifest_digest = true;
    parts->manifest_digest = choice.descriptor.digest;
    parts->names = TAKE_PTR(choice.names);
    parts->tag = TAKE_PTR(choice.tag);
    parts->layers = must_alloc_array(manifest.layer_count + 1, sizeof(*parts->layers));
    for (size_t i = 0; i < manifest.layer_count; i++)
        parts->layers[parts->layer_count++] = (struct layer){
            .path = blob_path(&manifest.layers[i].digest),
            .has_digest = true,
            .digest = manifest.layers[i].digest,
            .size = manifest.layers[i].size,
        };
    return finish(parts);
}

/* docker save. */

/* The configuration's file is named after its digest: "HEX.json", or "blobs/sha256/HEX" since docker 25. */
static struct error *check_config_name(const char *path, const struct digest *digest)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = strspn(name, "0123456789abcdef");
    const char *hex = digest_hex(digest);
    if (length == strlen(hex) && strncmp(name, hex, length) != 0)
        return error_new(ERROR_DATA_LOSS, "%s hashes to %s: it was damaged or changed", path, digest->text);
    return NULL;
}

static struct error *read_docker_archive(const struct files *files, const char *tag, struct parts *parts)
{
    _cleanup_docker_manifest_ struct docker_manifest manifest = {0};
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    TRY(files_read(files, "manifest.json", MANIFEST_BYTES_MAX, &text, &length));
    TRY(docker_manifest_read(text, length, tag, &manifest));
    TRY(files_read(files, manifest.config, DOCUMENT_BYTES_MAX, &parts->config, &parts->config_length));
    parts->digest = digest_of(parts->config, parts->config_length);
    TRY(check_config_name(manifest.config, &parts->digest));
    parts->names = TAKE_PTR(manifest.names);
    parts->layers = must_alloc_array(strv_length(manifest.layers) + 1, sizeof(*parts->layers));
    STRV_FOREACH (path, manifest.layers)
        parts->layers[parts->layer_count++] = (struct layer){.path = must_copy(*path)};
    return finish(parts);
}

struct error *parts_read(const struct files *files, const char *tag, struct parts *ret_parts)
{
    _cleanup_parts_ struct parts parts = {0};
    if (files_has(files, "index.json"))
        TRY(read_layout(files, tag, &parts));
    else if (files_has(files, "manifest.json"))
        TRY(read_docker_archive(files, tag, &parts));
    else
        return error_new(ERROR_INVALID_ARGUMENT, "it holds no image: neither index.json (OCI) nor "
                                                 "manifest.json (docker) is in it; a root file system "
                                                 "is loaded as dir:PATH or tar:FILE");
    *ret_parts = parts;
    parts = (struct parts){0};
    return NULL;
}
