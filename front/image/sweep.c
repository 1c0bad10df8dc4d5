/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a power cut or a killed process left, found by what nobody holds.
 */
#include "image/store.h"

#include "base/path.h"
#include "base/strv.h"

#include <fcntl.h>
#include <string.h>

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text);
    return length > strlen(ending) && strcmp(text + length - strlen(ending), ending) == 0;
}

/* Names in a directory of the store that end like that, without the ending. */
static struct error *list_endings(
    const struct image_store *store, const char *name, const char *ending, char ***ret_names)
{
    _cleanup_free_ char *path = must_printf("%s/%s", store->images, name);
    _cleanup_dir_ DIR *directory = opendir(path);
    if (!directory)
        return error_errno(errno, "%s", path);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.' && ends_with(entry->d_name, ending))
            strv_take(ret_names, must_copy_length(entry->d_name, strlen(entry->d_name) - strlen(ending)));
    return NULL;
}

/* Halves of files that file_replace was writing; it is only ever called with the index lock held. */
static struct error *sweep_halves(const struct image_store *store, const char *name)
{
    _cleanup_strv_ char **halves = NULL;
    TRY(list_endings(store, name, ".tmp", &halves));
    STRV_FOREACH (half, halves) {
        _cleanup_free_ char *path = store_path(store, name, *half, ".tmp");
        unlink(path);
    }
    return NULL;
}

/* publish() moves the image file and writes the record with the index lock held, so a file without a record
 * is nobody's. */
static struct error *sweep_rootfs(const struct image_store *store)
{
    _cleanup_strv_ char **hexes = NULL;
    TRY(list_endings(store, "rootfs", ".erofs", &hexes));
    STRV_FOREACH (hex, hexes) {
        _cleanup_free_ char *record = store_path(store, "rootfs", *hex, ".json");
        if (access(record, F_OK) < 0 && errno == ENOENT)
            TRY(store_delete_image(store, *hex));
    }
    return NULL;
}

static struct error *sweep_references(const struct image_store *store)
{
    _cleanup_strv_ char **hexes = NULL;
    TRY(list_endings(store, "references", "", &hexes));
    STRV_FOREACH (hex, hexes) {
        _cleanup_free_ char *container = NULL;
        TRY(reference_find(store, *hex, &container));
        _cleanup_free_ char *path = store_path(store, "references", *hex, "");
        if (!container)
            rmdir(path);
    }
    return NULL;
}

/* Locks that a killed process held: nobody has them, so taking and releasing them removes their files. */
static struct error *sweep_locks(const struct image_store *store)
{
    _cleanup_strv_ char **names = NULL;
    TRY(list_endings(store, "locks", "", &names));
    STRV_FOREACH (name, names) {
        _cleanup_lock_ struct lock lock = LOCK_NONE;
        if (strcmp(*name, "index") != 0)
            TRY(lock_try(store, *name, "", &lock));
    }
    return NULL;
}

struct error *image_sweep(struct image_store *store)
{
    _cleanup_lock_ struct lock lock = LOCK_NONE;
    TRY(temporary_sweep(store));
    TRY(lock_take(store, "index", "", NULL, &lock, NULL));
    TRY(sweep_halves(store, "."));
    TRY(sweep_halves(store, "rootfs"));
    TRY(sweep_rootfs(store));
    TRY(sweep_references(store));
    return sweep_locks(store);
}
