/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process is moved by writing its number into the cgroup's list of processes. Moving a process with more
 * than one thread makes the kernel stop all forks and wait for a grace period of RCU, some 16 ms; in cgroup
 * v1 the list of threads spares that for a process that moves its only thread.
 */
#include "cgroup/cgroup.h"

#include "base/fd.h"
#include "cgroup/limits.h"
#include "cgroup/members.h"
#include "cgroup/place.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORY_MODE 0755
/* How long cgroup_leave waits for processes that are just ending, and cannot be moved any more. */
#define LEAVE_MILLISECONDS 300

struct place {
    bool unified;
    bool cpuset;     /* cgroup v1's, which takes no process before it is told its CPUs */
    char *directory; /* the sandbox's cgroup */
    char *mount;
    char *origin; /* the directory of the cgroup that this process comes from */
    char *list;   /* the file by which a process returns there */
    bool made;
    bool entered;
};

struct cgroup {
    unsigned owners;
    char *path; /* as config.json has it */
    struct place places[HIERARCHIES_MAX];
    size_t count;
};

/* ---- beginning and end ---- */

static const char *list_name(bool unified)
{
    return unified ? "cgroup.procs" : "tasks";
}

static void add_place(struct cgroup *cgroup, const struct hierarchy *hierarchy, const char *path)
{
    cgroup->places[cgroup->count++] = (struct place){.unified = hierarchy->unified,
        .cpuset = hierarchy_has(hierarchy, "cpuset"),
        .directory = must_printf("%s%s", hierarchy->mount, path),
        .mount = must_copy(hierarchy->mount),
        .origin = must_copy(hierarchy->own),
        .list = must_printf("%s/%s", hierarchy->own, list_name(hierarchy->unified))};
}

struct error *cgroup_new_from(const char *proc, const char *path, struct cgroup **ret_cgroup)
{
    _cleanup_free_ char *resolved = NULL;
    struct hierarchies hierarchies = {0};
    TRY(cgroup_path_resolve(path, &resolved));
    TRY(hierarchies_read(proc, &hierarchies));
    struct cgroup *cgroup = must_new(struct cgroup);
    cgroup->owners = 1;
    cgroup->path = must_copy(path);
    for (size_t i = 0; i < hierarchies.count; i++)
        add_place(cgroup, &hierarchies.list[i], resolved);
    hierarchies_clear(&hierarchies);
    *ret_cgroup = cgroup;
    return NULL;
}

struct error *cgroup_new(const char *path, struct cgroup **ret_cgroup)
{
    return cgroup_new_from("/proc/self", path, ret_cgroup);
}

struct cgroup *cgroup_hold(struct cgroup *cgroup)
{
    if (cgroup)
        cgroup->owners++;
    return cgroup;
}

void cgroup_free(struct cgroup *cgroup)
{
    if (!cgroup || --cgroup->owners > 0)
        return;
    for (size_t i = 0; i < cgroup->count; i++) {
        free(cgroup->places[i].directory);
        free(cgroup->places[i].mount);
        free(cgroup->places[i].origin);
        free(cgroup->places[i].list);
    }
    free(cgroup->path);
    free(cgroup);
}

/* ---- making it ---- */

/* What is new on the way down has to be made fit for use: a cpuset gets its parent's CPUs, and a parent of
   cgroup v2 hands its controllers on. */
static struct error *make_level(const struct place *place, const char *parent, const char *directory)
{
    if (place->unified)
        limits_hand_down(parent);
    if (mkdir(directory, DIRECTORY_MODE) < 0 && errno != EEXIST)
        return error_errno(errno, "making the cgroup %s", directory);
    return place->cpuset && !place->unified ? limits_inherit_cpuset(parent, directory) : NULL;
}

static struct error *make_directory(struct place *place)
{
    _cleanup_free_ char *parent = must_copy(place->mount);
    struct stat status;
    bool existed = stat(place->directory, &status) == 0;
    for (size_t end = strlen(place->mount) + 1; place->directory[end - 1]; end++) {
        if (place->directory[end] != '/' && place->directory[end] != '\0')
            continue;
        char *level = must_copy_length(place->directory, end);
        struct error *error = make_level(place, parent, level);
        free(parent);
        parent = level;
        TRY(error);
    }
    place->made = !existed;
    return NULL;
}

/* ---- moving ---- */

static struct error *move_self(const char *directory, bool unified)
{
    _cleanup_free_ char *list = must_printf("%s/%s", directory, list_name(unified));
    return members_move(list, 0);
}

static struct error *enter_place(struct place *place, const struct cgroup_limits *limits)
{
    TRY(make_directory(place));
    TRY(limits_apply(place->directory, place->unified, limits));
    TRY(move_self(place->directory, place->unified));
    place->entered = true;
    return NULL;
}

/* The origin may have been removed in the meantime, as it was left empty. */
static struct error *return_self(struct place *place)
{
    struct error *error = move_self(place->origin, place->unified);
    if (error_number(error) == ENOENT || error_number(error) == ENODEV) {
        error_free(error);
        error = move_self(place->mount, place->unified);
    }
    place->entered = error != NULL;
    return error;
}

static struct error *remove_directory(const char *directory)
{
    if (rmdir(directory) < 0 && errno != ENOENT)
        return error_errno(errno, "removing the cgroup %s", directory);
    return NULL;
}

static struct error *leave_place(struct place *place)
{
    if (place->entered)
        TRY(return_self(place));
    if (!place->made)
        return NULL;
    members_expel(place->directory, place->origin, place->mount);
    members_await_end(place->directory, members_deadline(LEAVE_MILLISECONDS));
    place->made = false;
    return remove_directory(place->directory);
}

struct error *cgroup_leave(struct cgroup *cgroup)
{
    struct error *first = NULL;
    for (size_t i = 0; i < cgroup->count; i++) {
        struct error *error = leave_place(&cgroup->places[i]);
        if (first)
            error_free(error);
        else
            first = error;
    }
    return first;
}

struct error *cgroup_enter(struct cgroup *cgroup, const struct cgroup_limits *limits)
{
    struct error *error = NULL;
    for (size_t i = 0; i < cgroup->count && !error; i++)
        error = enter_place(&cgroup->places[i], limits);
    if (error)
        error_free(cgroup_leave(cgroup));
    return error_wrap(error, "entering the cgroup %s", cgroup->path);
}

struct error *cgroup_limit(struct cgroup *cgroup, const struct cgroup_limits *limits)
{
    for (size_t i = 0; i < cgroup->count; i++)
        TRY(limits_apply(cgroup->places[i].directory, cgroup->places[i].unified, limits));
    return NULL;
}

struct error *cgroup_step_out(struct cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->count; i++)
        if (cgroup->places[i].entered)
            TRY(return_self(&cgroup->places[i]));
    return NULL;
}

struct error *cgroup_step_in(struct cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->count; i++) {
        struct place *place = &cgroup->places[i];
        TRY(move_self(place->directory, place->unified));
        place->entered = true;
    }
    return NULL;
}

/* ---- somebody else's ---- */

struct error *cgroup_join(const char *path)
{
    _cleanup_cgroup_ struct cgroup *cgroup = NULL;
    bool found = false;
    TRY(cgroup_new(path, &cgroup));
    for (size_t i = 0; i < cgroup->count; i++) {
        const struct place *place = &cgroup->places[i];
        if (access(place->directory, F_OK) < 0)
            continue;
        found = true;
        TRY(move_self(place->directory, place->unified));
    }
    return found ? NULL : error_new(ERROR_NOT_FOUND, "there is no cgroup %s", path);
}

/* Where it does not succeed the child stays with the sandbox, which is no reason not to run it. */
int cgroup_return_child(void *context)
{
    const struct cgroup *cgroup = context;
    for (size_t i = 0; i < cgroup->count; i++) {
        if (!cgroup->places[i].entered)
            continue;
        int fd = open(cgroup->places[i].list, O_WRONLY | O_CLOEXEC);
        ssize_t ignored = fd < 0 ? 0 : write(fd, "0", 1);
        (void)ignored;
        close_fd(fd);
    }
    return 0;
}

/* ---- after a supervisor's death ---- */

static struct error *remove_place(const struct place *place, const struct timespec *deadline)
{
    if (access(place->directory, F_OK) < 0)
        return NULL;
    members_await_end(place->directory, *deadline);
    members_expel(place->directory, place->origin, place->mount);
    return remove_directory(place->directory);
}

struct error *cgroup_remove(const char *path)
{
    _cleanup_cgroup_ struct cgroup *cgroup = NULL;
    if (!*path)
        return NULL;
    TRY(cgroup_new(path, &cgroup));
    struct timespec deadline = members_deadline(CGROUP_REMOVE_MILLISECONDS);
    for (size_t i = 0; i < cgroup->count; i++)
        TRY(remove_place(&cgroup->places[i], &deadline));
    return NULL;
}
