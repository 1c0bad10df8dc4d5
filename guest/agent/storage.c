/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage.h"

#include "agent/device_path.h"
#include "agent/host_socket.h"
#include "agent/storage_driver.h"
#include "agent/uevent.h"
#include "base/path.h"
#include "base/strv.h"

#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/queue.h>

struct storage_mount {
    LIST_ENTRY(storage_mount) entry;
    char *source;
    char *target;
    unsigned users;
    bool is_mount;
    struct host_socket *host_socket; /* NULL where it is none */
    bool of_pod;                     /* stays without users */
};

struct storage_table {
    struct link *link; /* or NULL */
    LIST_HEAD(, storage_mount) mounts;
};

struct storage_set {
    struct event_base *base;
    struct storage_table *table;
    Grpc__Storage *const *storages;
    size_t count;
    struct storage_mount **held;
    size_t held_count;
    struct uevent_wait *wait;
    storage_done *done;
    void *context;
};

struct storage_table *storage_table_new(void)
{
    struct storage_table *table = must_new(struct storage_table);
    LIST_INIT(&table->mounts);
    return table;
}

void storage_table_set_link(struct storage_table *table, struct link *link)
{
    table->link = link;
}

void storage_table_free(struct storage_table *table)
{
    free(table);
}

/* ---- one mount ---- */

/* Absolute, without "..", and below /run, which is where the agent lets the host put things. */
static struct error *check_target(const char *path)
{
    _cleanup_strv_ char **components = strv_split(path, '/');
    if (strncmp(path, "/run/", 5) != 0 || strlen(path) >= PATH_MAX || strv_contains(components, ".."))
        return error_new(ERROR_INVALID_ARGUMENT, "the mount point \"%.256s\" is not a path below /run", path);
    return NULL;
}

static struct storage_mount *find_mount(const struct storage_table *table, const char *target)
{
    struct storage_mount *mount;
    LIST_FOREACH (mount, &table->mounts, entry) {
        if (strcmp(mount->target, target) == 0)
            return mount;
    }
    return NULL;
}

static bool is_in_pod_directory(const char *path)
{
    return strncmp(path, STORAGE_POD_DIRECTORY "/", sizeof(STORAGE_POD_DIRECTORY)) == 0;
}

static struct error *use_driver(const struct storage_set *set, const struct storage_driver *driver,
    const Grpc__Storage *storage, struct host_socket **ret_socket)
{
    if (!driver->mount)
        return host_socket_new(set->base, set->table->link, storage, ret_socket);
    _cleanup_free_ char *device = driver->is_device ? device_path(driver->name, storage->source) : NULL;
    return driver->mount(storage, device ? device : storage->source);
}

static struct error *make_mount(
    const struct storage_set *set, const Grpc__Storage *storage, struct storage_mount **ret_mount)
{
    const struct storage_driver *driver;
    struct host_socket *host_socket = NULL;
    TRY(storage_driver_find(storage->driver, &driver));
    TRY(use_driver(set, driver, storage, &host_socket));
    struct storage_mount *made = must_new(struct storage_mount);
    *made = (struct storage_mount){.source = must_copy(storage->source),
        .target = must_copy(storage->mount_point),
        .is_mount = driver->is_mount,
        .host_socket = host_socket,
        .of_pod = storage->shared || is_in_pod_directory(storage->mount_point)};
    LIST_INSERT_HEAD(&set->table->mounts, made, entry);
    *ret_mount = made;
    return NULL;
}

static struct error *take_mount(struct storage_set *set, const Grpc__Storage *storage)
{
    TRY(check_target(storage->mount_point));
    struct storage_mount *mount = find_mount(set->table, storage->mount_point);
    if (!mount)
        TRY(make_mount(set, storage, &mount));
    else if (strcmp(mount->source, storage->source) != 0)
        return error_new(ERROR_ALREADY_EXISTS, "%s cannot be mounted on %s, where %s is", storage->source,
            mount->target, mount->source);
    mount->users++;
    set->held[set->held_count++] = mount;
    return NULL;
}

static struct error *unmount(struct storage_mount *mount)
{
    if (mount->host_socket) {
        host_socket_free(TAKE_PTR(mount->host_socket));
        return NULL;
    }
    if (!mount->is_mount)
        return tree_remove(mount->target);
    /* Busy is what a process makes it that has not quite gone; detached, it goes with that process. */
    if (umount2(mount->target, UMOUNT_NOFOLLOW) < 0 &&
        umount2(mount->target, UMOUNT_NOFOLLOW | MNT_DETACH) < 0)
        return error_errno(errno, "unmounting %s", mount->target);
    remove(mount->target);
    return NULL;
}

static struct error *drop_mount(struct storage_mount *mount)
{
    struct error *error = unmount(mount);
    LIST_REMOVE(mount, entry);
    free(mount->source);
    free(mount->target);
    free(mount);
    return error;
}

static struct error *release_mount(struct storage_mount *mount)
{
    mount->users--;
    return mount->users > 0 || mount->of_pod ? NULL : drop_mount(mount);
}

/* ---- the volumes of the pod ---- */

/* The first error; another one says nothing new. */
static struct error *first_error(struct error *first, struct error *second)
{
    if (!first)
        return second;
    error_free(second);
    return first;
}

struct error *storage_table_clear(struct storage_table *table)
{
    struct error *error = NULL;
    while (!LIST_EMPTY(&table->mounts))
        error = first_error(error, drop_mount(LIST_FIRST(&table->mounts)));
    return error;
}

struct error *storage_table_update(struct storage_table *table, const Grpc__Storage *storage)
{
    if (strcmp(storage->driver, "ephemeral") != 0)
        return error_new(ERROR_INVALID_ARGUMENT,
            "only storages of the driver \"ephemeral\" can be changed, not of \"%.40s\"", storage->driver);
    if (!find_mount(table, storage->mount_point))
        return error_new(ERROR_NOT_FOUND, "nothing is mounted on \"%.256s\"", storage->mount_point);
    return storage_driver_remount(storage);
}

/* ---- a set ---- */

static struct error *release_all(struct storage_set *set)
{
    struct error *first = NULL;
    while (set->held_count > 0)
        first = first_error(first, release_mount(set->held[--set->held_count]));
    return first;
}

static void on_device(void *context, struct error *error);

/* Whether the device is there; otherwise on_device is called once it is. */
static struct error *wait_for_device(struct storage_set *set, const Grpc__Storage *storage, bool *ret_there)
{
    const struct storage_driver *driver;
    TRY(storage_driver_find(storage->driver, &driver));
    *ret_there = true;
    if (!driver->is_device)
        return NULL;
    TRY(device_path_check(driver->name, storage->source));
    _cleanup_free_ char *path = device_path(driver->name, storage->source);
    if (path)
        return NULL;
    TRY(uevent_wait_new(
        set->base, driver->name, storage->source, STORAGE_DEVICE_MS, on_device, set, &set->wait));
    *ret_there = false;
    return NULL;
}

/* One storage after the other, until a device has to be waited for or all are there. */
static struct error *mount_next(struct storage_set *set, bool *ret_all)
{
    *ret_all = false;
    while (set->held_count < set->count) {
        const Grpc__Storage *storage = set->storages[set->held_count];
        bool there;
        TRY(wait_for_device(set, storage, &there));
        if (!there)
            return NULL;
        TRY(take_mount(set, storage));
    }
    *ret_all = true;
    return NULL;
}

static void finish(struct storage_set *set, struct error *error)
{
    if (error)
        error_free(release_all(set));
    set->done(set->context, error);
}

void storage_set_mount(struct storage_set *set)
{
    bool all;
    struct error *error = set->count > STORAGE_MAX ? error_new(ERROR_INVALID_ARGUMENT,
                                                         "%zu storages are more than the %d of one request",
                                                         set->count, STORAGE_MAX)
                                                   : mount_next(set, &all);
    if (error || all)
        finish(set, error);
}

static void on_device(void *context, struct error *error)
{
    struct storage_set *set = context;
    uevent_wait_free(TAKE_PTR(set->wait));
    if (error)
        finish(set, error);
    else
        storage_set_mount(set);
}

struct storage_set *storage_set_new(struct event_base *base, struct storage_table *table,
    Grpc__Storage *const *storages, size_t count, storage_done *done, void *context)
{
    struct storage_set *set = must_new(struct storage_set);
    *set = (struct storage_set){.base = base,
        .table = table,
        .storages = storages,
        .count = count,
        .held = must_alloc_array(count ? count : 1, sizeof(*set->held)),
        .done = done,
        .context = context};
    return set;
}

struct error *storage_set_free(struct storage_set *set)
{
    if (!set)
        return NULL;
    uevent_wait_free(set->wait);
    struct error *error = release_all(set);
    free(set->held);
    free(set);
    return error;
}
