/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>

/* How often a wait asks whether to go on: the front end's signals are blocked while it waits here. */
enum { LOCK_REPORT_MILLISECONDS = 200 };

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

static char *lock_path(const struct image_store *store, const char *kind, const char *name)
{
    return must_printf("%s/locks/%s%s%s", store->images, kind, *name ? "-" : "", name);
}

enum attempt { ATTEMPT_TAKEN, ATTEMPT_HELD, ATTEMPT_GONE };

static struct error *lock_open(const char *path, int *ret_fd)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(errno, "creating the lock %s", path);
    *ret_fd = fd;
    return NULL;
}

/* ATTEMPT_GONE: the one who held it removed the file, so the lock is to be opened again. */
static struct error *lock_attempt(const char *path, int fd, enum attempt *ret_attempt)
{
    struct stat here;
    struct stat there;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_errno(errno, "locking %s", path);
        *ret_attempt = ATTEMPT_HELD;
        return NULL;
    }
    bool same = fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino &&
                here.st_dev == there.st_dev;
    *ret_attempt = same ? ATTEMPT_TAKEN : ATTEMPT_GONE;
    return NULL;
}

struct error *lock_try(
    const struct image_store *store, const char *kind, const char *name, struct lock *ret_lock)
{
    _cleanup_free_ char *path = lock_path(store, kind, name);
    _cleanup_fd_ int fd = -1;
    enum attempt attempt = ATTEMPT_HELD;
    TRY(lock_open(path, &fd));
    TRY(lock_attempt(path, fd, &attempt));
    if (attempt == ATTEMPT_TAKEN)
        *ret_lock = (struct lock){.fd = TAKE_FD(fd), .path = TAKE_PTR(path)};
    else
        *ret_lock = LOCK_NONE;
    return NULL;
}

/* Until the one who holds the lock lets go of its file. The watch has to be set before the attempt that
 * failed. */
static struct error *lock_wait(int watch, struct progress *progress)
{
    char events[4096];
    struct pollfd changed = {.fd = watch, .events = POLLIN};
    if (progress)
        TRY(progress_step(progress, 0, "waiting for another process that does the same"));
    if (poll(&changed, 1, LOCK_REPORT_MILLISECONDS) > 0 && read(watch, events, sizeof(events)) < 0 &&
        errno != EAGAIN && errno != EINTR)
        return error_errno(errno, "waiting for a lock");
    return NULL;
}

/* One life of the lock's file: ATTEMPT_TAKEN or ATTEMPT_GONE. */
static struct error *lock_follow(
    const char *path, int fd, struct progress *progress, enum attempt *attempt, bool *waited)
{
    _cleanup_fd_ int watch = -1;
    TRY(lock_attempt(path, fd, attempt));
    while (*attempt == ATTEMPT_HELD) {
        *waited = true;
        if (watch >= 0) {
            TRY(lock_wait(watch, progress));
        } else {
            watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
            if (watch < 0)
                return error_errno(errno, "waiting for the lock %s", path);
            inotify_add_watch(watch, path, IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF);
        }
        TRY(lock_attempt(path, fd, attempt));
    }
    return NULL;
}

struct error *lock_take(const struct image_store *store, const char *kind, const char *name,
    struct progress *progress, struct lock *ret_lock, bool *ret_waited)
{
    _cleanup_free_ char *path = lock_path(store, kind, name);
    enum attempt attempt = ATTEMPT_GONE;
    bool waited = false;
    while (attempt != ATTEMPT_TAKEN) {
        _cleanup_fd_ int fd = -1;
        TRY(lock_open(path, &fd));
        TRY(lock_follow(path, fd, progress, &attempt, &waited));
        if (attempt == ATTEMPT_TAKEN)
            *ret_lock = (struct lock){.fd = TAKE_FD(fd), .path = must_copy(path)};
    }
    if (ret_waited)
        *ret_waited = waited;
    return NULL;
}

void lock_release(struct lock *lock)
{
    if (lock->fd < 0)
        return;
    unlink(lock->path); /* while it is held: see ATTEMPT_GONE */
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
