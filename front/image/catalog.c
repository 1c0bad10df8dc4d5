/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, look-ups, removal, references and the sweep.
 */
#include "image/load.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { PREFIX_MIN = 4 };

/* Names. */

static int compare_texts(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static char **names_of(const json_t *names, const char *digest)
{
    char **found = NULL;
    const char *name;
    json_t *value;
    /* jansson's iterator wants a writable object but changes nothing. */
    json_object_foreach ((json_t *)(uintptr_t)names, name, value) {
        if (json_is_string(value) && strcmp(json_string_value(value), digest) == 0)
            strv_append(&found, name);
    }
    if (found)
        qsort(found, strv_length(found), sizeof(*found), compare_texts);
    return found;
}

static struct error *take_index_lock(struct image_store *store, struct lock *ret_lock)
{
    return lock_take(store, "index", "", NULL, ret_lock, NULL);
}

/* An image whose last name went elsewhere goes, unless a container uses it. */
static struct error *drop_if_nameless(struct image_store *store, const json_t *names, const char *digest)
{
    _cleanup_strv_ char **left = names_of(names, digest);
    _cleanup_free_ char *container = NULL;
    const char *colon = strchr(digest, ':');
    if (left || !colon)
        return NULL;
    TRY(reference_find(store, colon + 1, &container));
    return container ? NULL : store_delete_image(store, colon + 1);
}

static struct error *give_name(
    struct image_store *store, json_t *names, const char *name, const char *digest, char ***replaced)
{
    const char *old = json_string_value(json_object_get(names, name));
    if (old && strcmp(old, digest) != 0)
        strv_append(replaced, old);
    json_object_set_new(names, name, json_string(digest));
    return NULL;
}

struct error *names_give(struct image_store *store, const struct digest *digest, char *const *given)
{
    _cleanup_lock_ struct lock lock = LOCK_NONE;
    _cleanup_json_ json_t *names = NULL;
    _cleanup_image_ struct image *image = NULL;
    _cleanup_strv_ char **replaced = NULL;
    TRY(take_index_lock(store, &lock));
    TRY(record_read(store, digest_hex(digest), &image)); /* it may have been removed meanwhile */
    TRY(names_load(store, &names));
    STRV_FOREACH (name, given)
        TRY(give_name(store, names, *name, digest->text, &replaced));
    if (given)
        TRY(names_save(store, names));
    STRV_FOREACH (old, replaced)
        TRY(drop_if_nameless(store, names, *old));
    return NULL;
}

/* Look-ups. */

static struct error *not_found(const char *text)
{
    return error_new(ERROR_NOT_FOUND, "there is no image \"%.300s\"", text);
}

/* The digest that a name stands for; NULL when there is no such name. */
static const char *find_name(const json_t *names, const char *text)
{
    static struct error *(*const forms[])(const char *, char **) = {
        image_name_complete,
        image_reference_normalise,
    };
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        _cleanup_free_ char *name = NULL;
        _cleanup_error_ struct error *error = forms[i](text, &name);
        const char *digest = error ? NULL : json_string_value(json_object_get(names, name));
        if (digest)
            return digest;
    }
    return NULL;
}

static bool manifest_fits(const struct image_store *store, const char *hex, const char *text)
{
    _cleanup_image_ struct image *image = NULL;
    _cleanup_error_ struct error *error = record_read(store, hex, &image);
    return !error && image->manifest_digest && strcmp(image->manifest_digest, text) == 0;
}

/* By digest of the configuration, whole or its first digits, or by the whole digest of the manifest. */
static struct error *find_digest(const struct image_store *store, const char *text, char **ret_hex)
{
    const char *prefix = strncmp(text, "sha256:", 7) == 0 ? text + 7 : text;
    size_t length = strlen(prefix);
    _cleanup_strv_ char **hexes = NULL;
    const char *found = NULL;
    if (length < PREFIX_MIN || strspn(prefix, "0123456789abcdef") != length)
        return not_found(text);
    TRY(record_list(store, &hexes));
    STRV_FOREACH (hex, hexes) {
        if (strncmp(*hex, prefix, length) != 0 && !manifest_fits(store, *hex, text))
            continue;
        if (found)
            return error_new(
                ERROR_INVALID_ARGUMENT, "several images begin with \"%s\"; give more of the digest", text);
        found = *hex;
    }
    if (!found)
        return not_found(text);
    *ret_hex = must_copy(found);
    return NULL;
}

static struct error *find_image(
    const struct image_store *store, const json_t *names, const char *text, struct image **ret_image)
{
    _cleanup_free_ char *hex = NULL;
    const char *digest = find_name(names, text);
    const char *colon = digest ? strchr(digest, ':') : NULL;
    const char *at = strchr(text, '@'); /* "name@sha256:HEX": the digest alone says which */
    if (colon)
        hex = must_copy(colon + 1);
    else
        TRY(find_digest(store, at ? at + 1 : text, &hex));
    struct error *error = record_read(store, hex, ret_image);
    if (error_number(error) == ENOENT) {
        error_free(error);
        return not_found(text);
    }
    return error;
}

struct error *image_resolve(struct image_store *store, const char *text, struct image **ret_image)
{
    _cleanup_json_ json_t *names = NULL;
    _cleanup_image_ struct image *image = NULL;
    TRY(names_load(store, &names));
    TRY(find_image(store, names, text, &image));
    image->names = names_of(names, image->digest);
    *ret_image = TAKE_PTR(image);
    return NULL;
}

static int compare_images(const void *one, const void *other)
{
    const struct image *first = *(struct image *const *)one;
    const struct image *second = *(struct image *const *)other;
    if (first->loaded != second->loaded)
        return first->loaded < second->loaded ? 1 : -1;
    return strcmp(first->digest, second->digest);
}

void image_list_free(struct image **images, size_t count)
{
    for (size_t i = 0; i < count; i++)
        image_free(images[i]);
    free(images);
}

static struct error *read_all(const struct image_store *store, const json_t *names, char *const *hexes,
    struct image **images, size_t *count)
{
    STRV_FOREACH (hex, hexes) {
        struct image *image = NULL;
        struct error *error = record_read(store, *hex, &image);
        if (error && error_code(error) != ERROR_NOT_FOUND)
            return error;
        error_free(error); /* removed since the directory was read */
        if (!image)
            continue;
        image->names = names_of(names, image->digest);
        images[(*count)++] = image;
    }
    return NULL;
}

struct error *image_list(struct image_store *store, struct image ***ret_images, size_t *ret_count)
{
    _cleanup_json_ json_t *names = NULL;
    _cleanup_strv_ char **hexes = NULL;
    size_t count = 0;
    TRY(names_load(store, &names));
    TRY(record_list(store, &hexes));
    struct image **images = must_alloc_array(strv_length(hexes) + 1, sizeof(*images));
    struct error *error = read_all(store, names, hexes, images, &count);
    if (error) {
        image_list_free(images, count);
        return error;
    }
    qsort(images, count, sizeof(*images), compare_images);
    *ret_images = images;
    *ret_count = count;
    return NULL;
}

/* References. */

static char *references_path(const struct image_store *store, const char *hex)
{
    return store_path(store, "references", hex, "");
}

static bool container_exists(const struct image_store *store, const char *id)
{
    _cleanup_free_ char *path = must_printf("%s/containers/%s", store->data, id);
    return access(path, F_OK) == 0;
}

struct error *reference_find(const struct image_store *store, const char *hex, char **ret_container)
{
    _cleanup_free_ char *path = references_path(store, hex);
    _cleanup_dir_ DIR *directory = opendir(path);
    if (!directory)
        return errno == ENOENT ? NULL : error_errno(errno, "%s", path);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        if (!container_exists(store, entry->d_name)) {
            unlinkat(dirfd(directory), entry->d_name, 0);
        } else if (!*ret_container) {
            *ret_container = must_copy(entry->d_name);
        }
    }
    return NULL;
}

static struct error *reference_path(const struct image_store *store, const char *digest_text, const char *id,
    struct digest *ret_digest, char **ret_path)
{
    TRY(digest_parse("image", digest_text, ret_digest));
    TRY(identifier_check("container ID", id));
    *ret_path = must_printf("%s/references/%s/%s", store->images, digest_hex(ret_digest), id);
    return NULL;
}

/* Cheap unless somebody wrote to the file, or put it back from a copy. */
static struct error *check_rootfs(struct image_store *store, const struct image *image)
{
    struct stat status;
    if (stat(image->rootfs_path, &status) == 0 && (uint64_t)status.st_size == image->size &&
        store_file_time(&status) == image->rootfs_time)
        return NULL;
    return image_verify(store, image, NULL);
}

struct error *image_reference(struct image_store *store, const char *digest_text, const char *container_id)
{
    struct digest digest;
    _cleanup_free_ char *path = NULL;
    _cleanup_lock_ struct lock lock = LOCK_NONE;
    _cleanup_image_ struct image *image = NULL;
    TRY(reference_path(store, digest_text, container_id, &digest, &path));
    TRY(image_resolve(store, digest_text, &image));
    TRY(check_rootfs(store, image));
    image_free(TAKE_PTR(image));
    TRY(take_index_lock(store, &lock));
    TRY(error_wrap(record_read(store, digest_hex(&digest), &image), "the image was removed meanwhile"));
    _cleanup_free_ char *directory = references_path(store, digest_hex(&digest));
    TRY(directory_create_all(directory, 0700));
    return file_write_text(AT_FDCWD, path, "");
}

struct error *image_unreference(struct image_store *store, const char *digest_text, const char *container_id)
{
    struct digest digest;
    _cleanup_free_ char *path = NULL;
    TRY(reference_path(store, digest_text, container_id, &digest, &path));
    if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
        return error_errno(errno, "%s", path);
    return NULL;
}

/* Removal. */

static struct error *remove_file(const char *path)
{
    return unlink(path) < 0 && errno != ENOENT ? error_errno(errno, "removing %s", path) : NULL;
}

struct error *store_delete_image(const struct image_store *store, const char *hex)
{
    _cleanup_free_ char *record = store_path(store, "rootfs", hex, ".json");
    _cleanup_free_ char *rootfs = store_path(store, "rootfs", hex, ".erofs");
    _cleanup_free_ char *references = references_path(store, hex);
    TRY(remove_file(record)); /* first: without it there is no image */
    TRY(remove_file(rootfs));
    return tree_remove(references);
}

/* Which names go: the one that was said, or all when the image was named by its digest. */
static struct error *names_to_remove(
    const json_t *names, const char *text, const struct image *image, bool force, char ***ret_names)
{
    const char *digest = find_name(names, text);
    if (!digest && strv_length(image->names) > 1 && !force) {
        _cleanup_free_ char *list = strv_join(image->names, ", ");
        return error_new(ERROR_FAILED_PRECONDITION,
            "the image has several names (%s); remove each of them, or force it", list);
    }
    if (!digest) {
        *ret_names = strv_copy(image->names);
        return NULL;
    }
    for (size_t i = 0; image->names[i]; i++) {
        _cleanup_free_ char *complete = NULL;
        _cleanup_free_ char *normal = NULL;
        TRY(image_name_complete(text, &complete));
        TRY(image_reference_normalise(text, &normal));
        if (strcmp(image->names[i], complete) == 0 || strcmp(image->names[i], normal) == 0) {
            strv_append(ret_names, image->names[i]);
            break;
        }
    }
    return NULL;
}

static struct error *refuse_in_use(const char *text, const char *container)
{
    return error_new(ERROR_FAILED_PRECONDITION,
        "the image %s is in use by container %s; remove the container first", text, container);
}

static struct error *remove_names(struct image_store *store, json_t *names, char *const *going)
{
    STRV_FOREACH (name, going)
        json_object_del(names, *name);
    return going ? names_save(store, names) : NULL;
}

struct error *image_remove(
    struct image_store *store, const char *text, bool force, char **ret_digest, bool *ret_deleted)
{
    _cleanup_lock_ struct lock lock = LOCK_NONE;
    _cleanup_json_ json_t *names = NULL;
    _cleanup_image_ struct image *image = NULL;
    _cleanup_strv_ char **going = NULL;
    _cleanup_free_ char *container = NULL;
    TRY(take_index_lock(store, &lock));
    TRY(names_load(store, &names));
    TRY(find_image(store, names, text, &image));
    image->names = names_of(names, image->digest);
    TRY(names_to_remove(names, text, image, force, &going));
    const char *hex = strchr(image->digest, ':') + 1;
    bool last = strv_length(going) == strv_length(image->names);
    if (last)
        TRY(reference_find(store, hex, &container));
    if (container && !force)
        return refuse_in_use(text, container);
    TRY(remove_names(store, names, going));
    if (last && !container)
        TRY(store_delete_image(store, hex));
    if (ret_digest)
        *ret_digest = must_copy(image->digest);
    if (ret_deleted)
        *ret_deleted = last && !container;
    return NULL;
}
