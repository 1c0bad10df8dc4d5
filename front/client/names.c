/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names are links DATA/names/NAME -> ID, so the file system itself keeps them unique and finds them at once.
 * A link whose container is gone is free; taking it over happens under the lock of the directory, so that two
 * who want the same name do not take each other's.
 */
#include "client/record.h"

#include "base/path.h"
#include "base/strv.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static char *name_path(const struct directories *directories, const char *name)
{
    return must_printf("%s/names/%s", directories->data, name);
}

/* The id that the name stands for, or NULL. */
static char *name_owner(const struct directories *directories, const char *name)
{
    _cleanup_free_ char *path = name_path(directories, name);
    char id[NAME_MAX + 1];
    ssize_t length = readlink(path, id, sizeof(id) - 1);

    if (length <= 0)
        return NULL;
    id[length] = '\0';
    _cleanup_free_ char *record = directories_record(directories, id);
    return access(record, F_OK) == 0 ? must_copy(id) : NULL;
}

static struct error *name_taken(const char *name, const char *owner)
{
    return error_new(ERROR_ALREADY_EXISTS,
        "the name %s is taken by container %.12s; remove that one (caisson rm %s) or choose another name",
        name, owner, name);
}

/* Under the lock a name without an owner is taken over. */
static struct error *take_over(const struct directories *directories, const char *name, const char *id)
{
    _cleanup_free_ char *directory = must_printf("%s/names", directories->data);
    _cleanup_free_ char *path = name_path(directories, name);
    _cleanup_fd_ int lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        return error_errno(errno, "cannot lock %s", directory);
    _cleanup_free_ char *owner = name_owner(directories, name);
    if (owner)
        return name_taken(name, owner);
    if ((unlink(path) < 0 && errno != ENOENT) || symlink(id, path) < 0)
        return error_errno(errno, "cannot take the name %s", name);
    return NULL;
}

static struct error *take_name(const struct directories *directories, const char *name, const char *id)
{
    _cleanup_free_ char *path = name_path(directories, name);

    if (symlink(id, path) == 0)
        return NULL;
    if (errno != EEXIST)
        return error_errno(errno, "cannot take the name %s", name);
    return take_over(directories, name, id);
}

static struct error *make_locked(const char *path, int *ret_lock)
{
    _cleanup_free_ char *file = must_printf("%s/lock", path);

    if (mkdir(path, 0700) < 0)
        return error_errno(errno, "cannot create %s", path);
    _cleanup_fd_ int lock = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
        return error_errno(errno, "cannot create %s", file);
    *ret_lock = TAKE_FD(lock);
    return NULL;
}

struct error *record_reserve(
    const struct directories *directories, const struct record *record, int *ret_lock)
{
    _cleanup_free_ char *path = directories_record(directories, record->id);
    _cleanup_fd_ int lock = -1;

    TRY(identifier_check("container name", record->name));
    struct error *error = make_locked(path, &lock);
    if (!error)
        error = take_name(directories, record->name, record->id);
    if (error)
        error_free(tree_remove(path));
    else
        *ret_lock = TAKE_FD(lock);
    return error;
}

struct error *record_remove(const struct directories *directories, const struct record *record)
{
    _cleanup_free_ char *path = directories_record(directories, record->id);
    _cleanup_free_ char *link = name_path(directories, record->name);
    _cleanup_free_ char *owner = name_owner(directories, record->name);

    STRV_FOREACH (volume, record->volumes)
        TRY(tree_remove(*volume));
    if (owner && !strcmp(owner, record->id))
        unlink(link);
    return tree_remove(path);
}

struct error *record_list_ids(const struct directories *directories, char ***ret_ids)
{
    _cleanup_free_ char *path = must_printf("%s/containers", directories->data);
    _cleanup_dir_ DIR *directory = opendir(path);
    _cleanup_strv_ char **ids = NULL;
    struct dirent *entry;

    if (!directory)
        return error_errno(errno, "cannot read %s", path);
    while ((entry = readdir(directory)))
        if (entry->d_name[0] != '.')
            strv_append(&ids, entry->d_name);
    *ret_ids = TAKE_PTR(ids);
    return NULL;
}

struct error *record_resolve(const struct directories *directories, const char *text, char **ret_id)
{
    _cleanup_strv_ char **ids = NULL;
    const char *found = NULL;

    struct error *error = identifier_check("container", text);
    if (error)
        return error;
    char *owner = name_owner(directories, text);
    if (owner) {
        *ret_id = owner;
        return NULL;
    }
    TRY(record_list_ids(directories, &ids));
    STRV_FOREACH (id, ids) {
        if (strncmp(*id, text, strlen(text)))
            continue;
        if (found)
            return error_new(
                ERROR_INVALID_ARGUMENT, "more than one container has an id that begins with %s", text);
        found = *id;
    }
    if (!found)
        return error_new(ERROR_NOT_FOUND, "there is no container %s (caisson ps -a lists them)", text);
    *ret_id = must_copy(found);
    return NULL;
}
