/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept is found by its locks: each template has one, made before all else of it and removed after all
 * else. Only who holds a lock alone removes what it stands for.
 */
#include "hv/template_store.h"

#include "base/fd.h"
#include "base/json.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#define LOCK_PATTERN "[0-9a-f]*.lock"
#define LOCKS_MAX 256

struct neighbour {
    struct template_place place; /* locked alone */
    struct timespec used;
};

struct neighbours {
    struct neighbour list[LOCKS_MAX];
    size_t count;
};

static void free_neighbours(struct neighbours *neighbours)
{
    for (size_t i = 0; neighbours && i < neighbours->count; i++)
        template_place_clear(&neighbours->list[i].place);
    free(neighbours);
}
DEFINE_CLEANUP(struct neighbours *, free_neighbours);

/* The place whose lock has this name, where nobody uses it. The lock's time is read before it is taken. */
static bool take_neighbour(const char *parent, const char *name, struct neighbour *ret_neighbour)
{
    _cleanup_free_ char *path = must_printf("%s/%s", parent, name);
    struct stat status;
    if (stat(path, &status) < 0)
        return false;
    struct template_place place = {
        .directory = must_printf("%s/%.*s", parent, (int)strcspn(name, "."), name), .lock = -1};
    struct error *error = template_place_lock(&place, true);
    if (error) {
        error_free(error);
        template_place_clear(&place);
        return false;
    }
    *ret_neighbour = (struct neighbour){.place = place, .used = status.st_mtim};
    return true;
}

/* All but the place itself, whose maker holds its lock. */
static void list_neighbours(const char *parent, const char *own, struct neighbours *neighbours)
{
    _cleanup_dir_ DIR *entries = opendir(parent);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        bool is_own = strncmp(entry->d_name, own, strlen(own)) == 0;
        if (is_own || fnmatch(LOCK_PATTERN, entry->d_name, 0) != 0 || neighbours->count == LOCKS_MAX)
            continue;
        if (take_neighbour(parent, entry->d_name, &neighbours->list[neighbours->count]))
            neighbours->count++;
    }
}

static void remove_neighbour(const struct neighbour *neighbour)
{
    _cleanup_free_ char *lock = must_printf("%s.lock", neighbour->place.directory);
    template_place_remove(&neighbour->place);
    template_place_abandon(&neighbour->place);
    unlink(lock);
}

/* Whether it was finished, since the host booted. */
static bool is_of_this_boot(const struct neighbour *neighbour, const char *boot)
{
    _cleanup_free_ char *path = template_place_file(&neighbour->place, false, "template.json");
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *description = NULL;
    size_t length = 0;
    _cleanup_error_ struct error *error = file_read(AT_FDCWD, path, TEMPLATE_DESCRIPTION_MAX, &text, &length);
    if (!error)
        error = json_read(path, text, length, &description);
    const char *inputs = json_string_value(json_object_get(description, "inputs"));
    return inputs && strstr(inputs, boot);
}

static int compare_use(const void *left, const void *right)
{
    const struct timespec *one = &((const struct neighbour *)left)->used;
    const struct timespec *other = &((const struct neighbour *)right)->used;
    if (one->tv_sec != other->tv_sec)
        return one->tv_sec > other->tv_sec ? -1 : 1;
    return one->tv_nsec > other->tv_nsec ? -1 : one->tv_nsec < other->tv_nsec;
}

/* The line of the inputs that names the host's boot. */
static char *boot_of(const struct template_place *place)
{
    const char *line = strstr(place->inputs, TEMPLATE_BOOT_LINE);
    return line ? must_printf("%.*s\n", (int)strcspn(line + 1, "\n") + 1, line) : must_copy("");
}

void template_sweep(const struct template_place *place)
{
    _cleanup_(free_neighbours) struct neighbours *neighbours = must_new(struct neighbours);
    _cleanup_free_ char *boot = boot_of(place);
    const char *own = strrchr(place->directory, '/') + 1;
    _cleanup_free_ char *parent = must_printf("%.*s", (int)(own - 1 - place->directory), place->directory);
    size_t kept = 1;
    list_neighbours(parent, own, neighbours);
    qsort(neighbours->list, neighbours->count, sizeof(neighbours->list[0]), compare_use);
    for (size_t i = 0; i < neighbours->count; i++) {
        if (kept < TEMPLATES_MAX && is_of_this_boot(&neighbours->list[i], boot))
            kept++;
        else
            remove_neighbour(&neighbours->list[i]);
    }
}
