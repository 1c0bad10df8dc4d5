/* SPDX-License-Identifier: Apache-2.0 */
#include "client/lifecycle.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"

#include <string.h>

/* A shim that lives accepts connections, whatever else it does. */
static bool shim_lives(const struct directories *directories, const char *id)
{
    static const char scheme[] = "unix://";
    _cleanup_free_ char *address = NULL;
    _cleanup_fd_ int fd = -1;

    struct error *error = shim_address(directories, id, &address);
    if (!error && !strncmp(address, scheme, strlen(scheme)))
        error = unix_connect(address + strlen(scheme), &fd);
    error_free(error);
    return fd >= 0;
}

/* A record is made before its bundle and removed after it, so this is what a crash left. */
static struct error *remove_orphan(const struct directories *directories, const char *id)
{
    _cleanup_free_ char *bundle = directories_bundle(directories, id);
    struct shim_exit ignored;

    error_free(shim_delete(directories, id, &ignored));
    return tree_remove(bundle);
}

/* A record that cannot be read, unless it is only just being made. */
static struct error *remove_damaged(
    const struct directories *directories, const char *id, struct error *damage)
{
    _cleanup_free_ char *directory = directories_record(directories, id);
    _cleanup_fd_ int lock = -1;

    error_free(damage);
    struct error *locked = record_try_lock(directories, id, &lock);
    if (!locked && lock < 0)
        return NULL;
    error_free(locked); /* no lock was ever made */
    TRY(remove_orphan(directories, id));
    return tree_remove(directory);
}

static struct error *sweep_one(const struct directories *directories, struct event_base *base, const char *id)
{
    _cleanup_free_ char *directory = directories_record(directories, id);
    _cleanup_record_ struct record *record = NULL;

    if (access(directory, F_OK) < 0)
        return remove_orphan(directories, id);
    if (shim_lives(directories, id))
        return NULL;
    struct error *error = record_load(directories, id, &record);
    if (!error)
        return lifecycle_settle(directories, base, 0, &record);
    return remove_damaged(directories, id, error);
}

struct error *lifecycle_sweep(const struct directories *directories, struct event_base *base)
{
    _cleanup_free_ char *path = must_printf("%s/containers", directories->state);
    _cleanup_dir_ DIR *directory = opendir(path);
    struct error *first = NULL;
    struct dirent *entry;

    if (!directory)
        return error_errno(errno, "cannot read %s", path);
    while ((entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        struct error *error = sweep_one(directories, base, entry->d_name);
        if (error && !first)
            first = error_wrap(error, "cleaning up after container %.12s", entry->d_name);
        else
            error_free(error);
    }
    return first;
}
