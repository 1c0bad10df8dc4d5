/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup/place.h"

#include "base/fd.h"
#include "base/strv.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define PROC_FILE_MAX (4u << 20)

/* ---- what is mounted ---- */

void hierarchies_clear(struct hierarchies *hierarchies)
{
    for (size_t i = 0; i < hierarchies->count; i++) {
        free(hierarchies->list[i].controllers);
        free(hierarchies->list[i].mount);
        free(hierarchies->list[i].own);
    }
    hierarchies->count = 0;
}

bool hierarchy_has(const struct hierarchy *hierarchy, const char *controller)
{
    size_t length = strlen(controller);
    for (const char *at = hierarchy->controllers; (at = strstr(at, controller)); at += length) {
        bool begins = at == hierarchy->controllers || at[-1] == ',';
        if (begins && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* The kernel writes space, tab, newline and backslash as three octal digits. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *in = text; *in; out++) {
        if (in[0] == '\\' && in[1] && in[2] && in[3]) {
            *out = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
            in += 4;
        } else {
            *out = *in++;
        }
    }
    *out = '\0';
}

/* One line of mountinfo (proc(5)): ID PARENT DEVICE ROOT MOUNT OPTIONS [TAG...] - TYPE SOURCE SUPEROPTIONS */
struct mount_line {
    char *root;
    char *mount;
    const char *type;
    const char *options;
};

static bool split_mount(char *line, struct mount_line *ret_mount)
{
    char *fields[5];
    char *dash = strstr(line, " - ");
    if (!dash)
        return false;
    *dash = '\0';
    char *rest = line;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (!(fields[i] = strsep(&rest, " ")))
            return false;
    char *tail = dash + strlen(" - ");
    ret_mount->root = fields[3];
    ret_mount->mount = fields[4];
    ret_mount->type = strsep(&tail, " ");
    strsep(&tail, " ");
    ret_mount->options = tail ? tail : "";
    unescape(ret_mount->root);
    unescape(ret_mount->mount);
    return true;
}

/* Whether all of the controllers stand among the mount's options. */
static bool mounts_controllers(const char *options, const char *controllers)
{
    const struct hierarchy mounted = {.controllers = (char *)(uintptr_t)options};
    _cleanup_strv_ char **names = strv_split(controllers, ',');
    STRV_FOREACH (name, names)
        if (!hierarchy_has(&mounted, *name))
            return false;
    return true;
}

/* Where the cgroup is below the mount, whose root need not be the hierarchy's: in a container it is not. A
   process outside of what is mounted is taken to be at its top. */
static char *place_of(const struct mount_line *mount, const char *cgroup)
{
    size_t length = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
    bool inside = strncmp(cgroup, mount->root, length) == 0 && (cgroup[length] == '/' || !cgroup[length]);
    const char *below = inside ? cgroup + length : "";
    return strcmp(below, "/") == 0 || strstr(below, "/..") ? must_copy(mount->mount)
                                                           : must_printf("%s%s", mount->mount, below);
}

static bool is_mount_of(const struct mount_line *mount, const char *controllers)
{
    if (!*controllers)
        return strcmp(mount->type, "cgroup2") == 0;
    return strcmp(mount->type, "cgroup") == 0 && mounts_controllers(mount->options, controllers);
}

/* The first mount of a hierarchy is its usual one. */
static void find_mount(char *mountinfo, const char *controllers, const char *cgroup, struct hierarchies *out)
{
    _cleanup_strv_ char **lines = strv_split(mountinfo, '\n');
    STRV_FOREACH (line, lines) {
        struct mount_line mount;
        if (!split_mount(*line, &mount) || !is_mount_of(&mount, controllers))
            continue;
        out->list[out->count++] = (struct hierarchy){.unified = !*controllers,
            .controllers = must_copy(controllers),
            .mount = must_copy(mount.mount),
            .own = place_of(&mount, cgroup)};
        return;
    }
}

/* A line of /proc/self/cgroup is ID:CONTROLLERS:PATH; cgroup v2 has no controllers there. */
static void read_hierarchy(char *line, char *mountinfo, struct hierarchies *out)
{
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path || out->count == HIERARCHIES_MAX)
        return;
    *controllers++ = '\0';
    *path++ = '\0';
    find_mount(mountinfo, controllers, path, out);
}

struct error *hierarchies_read(const char *proc, struct hierarchies *ret_hierarchies)
{
    _cleanup_free_ char *mounts_path = must_printf("%s/mountinfo", proc);
    _cleanup_free_ char *cgroup_path = must_printf("%s/cgroup", proc);
    _cleanup_free_ char *mountinfo = NULL;
    _cleanup_free_ char *cgroups = NULL;
    struct hierarchies found = {0};
    TRY(file_read(AT_FDCWD, mounts_path, PROC_FILE_MAX, &mountinfo, NULL));
    TRY(file_read(AT_FDCWD, cgroup_path, PROC_FILE_MAX, &cgroups, NULL));
    _cleanup_strv_ char **lines = strv_split(cgroups, '\n');
    STRV_FOREACH (line, lines)
        read_hierarchy(*line, mountinfo, &found);
    if (found.count == 0)
        return error_new(ERROR_FAILED_PRECONDITION, "no cgroup file system is mounted");
    *ret_hierarchies = found;
    return NULL;
}

/* ---- what a path means ---- */

static struct error *bad_path(const char *path, const char *why)
{
    return error_new(ERROR_INVALID_ARGUMENT, "linux.cgroupsPath \"%s\": %s", path, why);
}

/* a-b-c.slice lies in a-b.slice, and that in a.slice: systemd.slice(5). -.slice is the root. */
static struct error *expand_slice(const char *path, const char *slice, char **ret_directory)
{
    static const char suffix[] = ".slice";
    size_t length = strlen(slice) - strlen(suffix);
    _cleanup_strv_ char **parts = NULL;
    if (strcmp(slice, "-.slice") != 0) {
        if (strchr(slice, '/') || *slice == '-' || slice[length - 1] == '-' || strstr(slice, "--"))
            return bad_path(path, "its slice is not one of systemd's");
        for (size_t i = 1; i <= length; i++)
            if (i == length || slice[i] == '-')
                strv_append_printf(&parts, "/%.*s%s", (int)i, slice, suffix);
    }
    *ret_directory = parts ? strv_join(parts, "") : must_copy("");
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

/* SLICE:PREFIX:NAME; a slice that is not said is systemd's own for services. */
static struct error *resolve_unit(const char *path, char *const parts[3], char **ret_resolved)
{
    const char *slice = *parts[0] ? parts[0] : "system.slice";
    _cleanup_free_ char *directory = NULL;
    if (!ends_with(slice, ".slice"))
        return bad_path(path, "the first of its three parts is not a slice");
    if (!*parts[2] || strchr(parts[1], '/') || strchr(parts[2], '/'))
        return bad_path(path, "it names no unit");
    TRY(expand_slice(path, slice, &directory));
    if (ends_with(parts[2], ".slice"))
        *ret_resolved = must_printf("%s/%s", directory, parts[2]);
    else if (*parts[1])
        *ret_resolved = must_printf("%s/%s-%s.scope", directory, parts[1], parts[2]);
    else
        *ret_resolved = must_printf("%s/%s.scope", directory, parts[2]);
    return NULL;
}

/* Without empty parts and dots, and never upwards. */
static struct error *resolve_path(const char *path, char **ret_resolved)
{
    _cleanup_strv_ char **parts = strv_split(path, '/');
    _cleanup_strv_ char **kept = NULL;
    STRV_FOREACH (part, parts) {
        if (strcmp(*part, "..") == 0)
            return bad_path(path, "it leads upwards");
        if (strlen(*part) > NAME_MAX)
            return bad_path(path, "a part of it is too long");
        if (**part && strcmp(*part, ".") != 0)
            strv_append_printf(&kept, "/%s", *part);
    }
    if (!kept)
        return bad_path(path, "that is where all processes are, not a cgroup of its own");
    *ret_resolved = strv_join(kept, "");
    return NULL;
}

struct error *cgroup_path_resolve(const char *path, char **ret_resolved)
{
    _cleanup_strv_ char **parts = strv_split(path, ':');
    if (strlen(path) >= PATH_MAX / 2)
        return error_new(ERROR_INVALID_ARGUMENT, "linux.cgroupsPath is too long");
    if (*path != '/' && strv_length(parts) == 3)
        return resolve_unit(path, parts, ret_resolved);
    return resolve_path(path, ret_resolved);
}
