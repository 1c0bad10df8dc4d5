/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store.h"

#include "base/fd.h"
#include "base/strv.h"

#include <fcntl.h>
#include <string.h>

enum {
    RECORD_VERSION = 1, /* of the record and of what stands in the image file */
    RECORD_BYTES_MAX = 2 * DOCUMENT_BYTES_MAX,
};

void image_free(struct image *image)
{
    if (!image)
        return;
    free(image->digest);
    free(image->manifest_digest);
    strv_free(image->names);
    free(image->rootfs_path);
    free(image->rootfs_type);
    free(image->rootfs_digest);
    free(image->architecture);
    image_config_clear(&image->config);
    free(image);
}

int64_t store_file_time(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000 * 1000 * 1000 + status->st_mtim.tv_nsec;
}

struct error *record_write(const struct image_store *store, const struct record *record)
{
    _cleanup_free_ char *path = store_path(store, "rootfs", digest_hex(&record->digest), ".json");
    _cleanup_json_ json_t *document = NULL;
    TRY(json_read("image configuration", record->config, record->config_length, &document));
    _cleanup_json_ json_t *root = json_pack("{s:i, s:s, s:I, s:{s:s, s:s, s:I, s:I}, s:O}", "version",
        RECORD_VERSION, "digest", record->digest.text, "loaded", (json_int_t)record->loaded, "rootfs", "type",
        "erofs", "digest", record->rootfs_digest.text, "size", (json_int_t)record->rootfs_size, "time",
        (json_int_t)record->rootfs_time, "document", document);
    if (record->has_manifest_digest)
        json_object_set_new(root, "manifestDigest", json_string(record->manifest_digest.text));
    _cleanup_free_ char *text = json_write(root);
    return file_replace(AT_FDCWD, path, text, strlen(text), 0600);
}

static struct error *missing(const char *path, const char *key)
{
    return error_new(ERROR_DATA_LOSS, "%s has no %s; remove it and load the image again", path, key);
}

static struct error *get_digest(const json_t *object, const char *path, const char *key, char **ret_text)
{
    const char *text = NULL;
    struct digest digest;
    TRY(json_get_string(object, path, key, &text));
    if (!text)
        return missing(path, key);
    TRY(digest_parse(path, text, &digest));
    *ret_text = must_copy(text);
    return NULL;
}

static struct error *fill_rootfs(const struct image_store *store, const json_t *root, const char *path,
    const char *hex, struct image *image)
{
    json_t *rootfs = NULL;
    const char *type = NULL;
    int64_t size = 0;
    TRY(json_get_object(root, path, "rootfs", &rootfs));
    TRY(get_digest(rootfs, path, "digest", &image->rootfs_digest));
    TRY(json_get_string(rootfs, path, "type", &type));
    TRY(json_get_integer(rootfs, path, "size", 0, INT64_MAX, &size));
    TRY(json_get_integer(rootfs, path, "time", INT64_MIN, INT64_MAX, &image->rootfs_time));
    if (!type)
        return missing(path, "type");
    image->rootfs_type = must_copy(type);
    image->rootfs_path = store_path(store, "rootfs", hex, ".erofs");
    image->size = (uint64_t)size;
    return NULL;
}

static struct error *fill_image(const struct image_store *store, const json_t *root, const char *path,
    const char *hex, struct image *image)
{
    _cleanup_document_ struct document document = {0};
    const char *manifest = NULL;
    json_t *value = NULL;
    TRY(get_digest(root, path, "digest", &image->digest));
    TRY(json_get_string(root, path, "manifestDigest", &manifest));
    TRY(json_get_integer(root, path, "loaded", 0, INT64_MAX, &image->loaded));
    TRY(json_get_object(root, path, "document", &value));
    if (!value)
        return missing(path, "document");
    TRY(document_take(path, value, &document));
    TRY(fill_rootfs(store, root, path, hex, image));
    image->manifest_digest = must_copy_or_null(manifest);
    image->created = document.created;
    image->architecture = must_copy(document.architecture ? document.architecture : architecture_here());
    image->config = document.config;
    document.config = (struct image_config){0};
    return NULL;
}

struct error *record_read(const struct image_store *store, const char *hex, struct image **ret_image)
{
    _cleanup_free_ char *path = store_path(store, "rootfs", hex, ".json");
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *root = NULL;
    size_t length = 0;
    int64_t version = 0;
    TRY(file_read(AT_FDCWD, path, RECORD_BYTES_MAX, &text, &length));
    TRY(json_read(path, text, length, &root));
    TRY(json_get_integer(root, path, "version", INT64_MIN, INT64_MAX, &version));
    if (version != RECORD_VERSION)
        return error_new(
            ERROR_NOT_FOUND, "%s was written by another version of Caisson; load the image again", path);
    _cleanup_image_ struct image *image = must_new(struct image);
    TRY(fill_image(store, root, path, hex, image));
    *ret_image = TAKE_PTR(image);
    return NULL;
}

struct error *record_list(const struct image_store *store, char ***ret_hexes)
{
    _cleanup_free_ char *path = must_printf("%s/rootfs", store->images);
    _cleanup_strv_ char **hexes = NULL;
    _cleanup_dir_ DIR *directory = opendir(path);
    if (!directory)
        return error_errno(errno, "%s", path);
    for (struct dirent *entry; (entry = readdir(directory));) {
        size_t length = strspn(entry->d_name, "0123456789abcdef");
        if (length > 0 && strcmp(entry->d_name + length, ".json") == 0)
            strv_take(&hexes, must_copy_length(entry->d_name, length));
    }
    *ret_hexes = TAKE_PTR(hexes);
    return NULL;
}
