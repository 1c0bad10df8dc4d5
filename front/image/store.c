/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static const char *const directories[] = {"rootfs", "references", "locks", "temporary"};

char *store_path(const struct image_store *store, const char *directory, const char *name, const char *suffix)
{
    return must_printf("%s/%s/%s%s", store->images, directory, name, suffix);
}

struct error *image_store_open(const char *data_directory, struct image_store **ret_store)
{
    _cleanup_image_store_ struct image_store *store = must_new(struct image_store);
    TRY(directory_create_all(data_directory, 0700));
    TRY(path_resolve(data_directory, &store->data));
    store->images = must_printf("%s/images", store->data);
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        _cleanup_free_ char *path = must_printf("%s/%s", store->images, directories[i]);
        TRY(error_wrap(directory_create_all(path, 0700), "opening the image store"));
    }
    *ret_store = TAKE_PTR(store);
    return NULL;
}

void image_store_free(struct image_store *store)
{
    if (!store)
        return;
    free(store->data);
    free(store->images);
    free(store);
}

/* Locks. */

/* Flocks the file; *ret_taken is false when it is somebody else's, or when it was removed meanwhile by the
 * one who held it. */
static struct error *flock_once(const char *path, int operation, int fd, bool *ret_taken)
{
    struct stat here;
    struct stat there;
    if (flock(fd, operation) < 0)
        return error_errno(errno, "locking %s", path);
    *ret_taken = fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino &&
                 here.st_dev == there.st_dev;
    return NULL;
}

/* *ret_fd is -1 where the lock's file has to be opened again, or is held and `operation` does not wait. */
static struct error *lock_attempt(const char *path, int operation, int *ret_fd)
{
    _cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(errno, "creating the lock %s", path);
    bool taken = false;
    TRY(flock_once(path, operation, fd, &taken));
    *ret_fd = taken ? TAKE_FD(fd) : -1;
    return NULL;
}

static char *lock_path(const struct image_store *store, const char *kind, const char *name)
{
    return must_printf("%s/locks/%s%s%s", store->images, kind, *name ? "-" : "", name);
}

struct error *lock_try(
    const struct image_store *store, const char *kind, const char *name, struct lock *ret_lock)
{
    _cleanup_free_ char *path = lock_path(store, kind, name);
    int fd = -1;
    _cleanup_error_ struct error *error = lock_attempt(path, LOCK_EX | LOCK_NB, &fd);
    if (error && error_number(error) != EWOULDBLOCK)
        return TAKE_PTR(error);
    *ret_lock = fd < 0 ? LOCK_NONE : (struct lock){.fd = fd, .path = TAKE_PTR(path)};
    return NULL;
}

static struct error *report_wait(struct progress *progress)
{
    if (!progress)
        return NULL;
    return progress_step(progress, 0, "waiting for another process that does the same");
}

struct error *lock_take(const struct image_store *store, const char *kind, const char *name,
    struct progress *progress, struct lock *ret_lock, bool *ret_waited)
{
    struct lock lock = LOCK_NONE;
    bool waited = false;
    TRY(lock_try(store, kind, name, &lock));
    _cleanup_free_ char *path = lock_path(store, kind, name);
    while (lock.fd < 0) {
        waited = true;
        TRY(report_wait(progress));
        _cleanup_error_ struct error *error = lock_attempt(path, LOCK_EX, &lock.fd);
        if (error && error_number(error) != EINTR)
            return TAKE_PTR(error);
    }
    if (!lock.path)
        lock.path = TAKE_PTR(path);
    *ret_lock = lock;
    if (ret_waited)
        *ret_waited = waited;
    return NULL;
}

void lock_release(struct lock *lock)
{
    if (lock->fd < 0)
        return;
    unlink(lock->path); /* while it is held: see flock_once */
    close_fd(lock->fd);
    free(lock->path);
    *lock = LOCK_NONE;
}

/* Temporary directories. */

/* *ret_temporary is empty when a sweep was faster than the lock. */
static struct error *temporary_attempt(const struct image_store *store, struct temporary *ret_temporary)
{
    _cleanup_free_ char *path = store_path(store, "temporary", "XXXXXX", "");
    if (!mkdtemp(path))
        return error_errno(errno, "creating a temporary directory in %s", store->images);
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    if (fd >= 0 && flock(fd, LOCK_EX) == 0 && fstat(fd, &status) == 0 && status.st_nlink > 0)
        *ret_temporary = (struct temporary){.fd = TAKE_FD(fd), .path = TAKE_PTR(path)};
    else if (fd < 0 && errno != ENOENT)
        return error_errno(errno, "opening the temporary directory %s", path);
    return NULL;
}

struct error *temporary_new(const struct image_store *store, struct temporary *ret_temporary)
{
    struct temporary temporary = {.fd = -1};
    while (!temporary.path)
        TRY(temporary_attempt(store, &temporary));
    *ret_temporary = temporary;
    return NULL;
}

void temporary_release(struct temporary *temporary)
{
    if (!temporary->path)
        return;
    error_free(tree_remove(temporary->path)); /* what stays is the sweep's */
    close_fd(temporary->fd);
    free(temporary->path);
    *temporary = (struct temporary){.fd = -1};
}

struct error *temporary_sweep(const struct image_store *store)
{
    _cleanup_free_ char *path = must_printf("%s/temporary", store->images);
    _cleanup_dir_ DIR *directory = opendir(path);
    if (!directory)
        return error_errno(errno, "%s", path);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        _cleanup_fd_ int fd = openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
            continue;
        _cleanup_free_ char *stale = must_printf("%s/%s", path, entry->d_name);
        TRY(tree_remove(stale));
    }
    return NULL;
}

/* Names. */

static char *names_path(const struct image_store *store)
{
    return must_printf("%s/index.json", store->images);
}

struct error *names_load(const struct image_store *store, json_t **ret_names)
{
    _cleanup_free_ char *path = names_path(store);
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    _cleanup_error_ struct error *error = file_read(AT_FDCWD, path, NAMES_BYTES_MAX, &text, &length);
    if (error_number(error) == ENOENT) {
        *ret_names = json_object();
        return NULL;
    }
    if (error)
        return TAKE_PTR(error);
    _cleanup_json_ json_t *root = NULL;
    json_t *names = NULL;
    TRY(json_read(path, text, length, &root));
    TRY(json_get_object(root, path, "names", &names));
    *ret_names = names ? json_incref(names) : json_object();
    return NULL;
}

struct error *names_save(const struct image_store *store, const json_t *names)
{
    _cleanup_free_ char *path = names_path(store);
    _cleanup_json_ json_t *root = json_pack("{s:i,s:O}", "version", 1, "names", names);
    _cleanup_free_ char *text = json_write(root);
    return file_replace(AT_FDCWD, path, text, strlen(text), 0600);
}
