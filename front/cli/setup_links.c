/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"
#include "base/strv.h"
#include "cli/setup.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

/* What systemd gives services for PATH (systemd.exec(5)), where containerd looks for shims. */
static const char *const service_path[] = {
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};

static const char *const names[] = {"containerd-shim-caisson-v2", "containerd-shim-kata-v2"};

static bool is_shim(const char *path, const char *shim)
{
    _cleanup_free_ char *resolved = NULL;
    _cleanup_error_ struct error *error = path_resolve(path, &resolved);
    return !error && strcmp(resolved, shim) == 0;
}

/* The first program of that name on the way, or NULL. */
static char *find_program(const char *name, const char *directory)
{
    for (size_t i = 0; i < ARRAY_SIZE(service_path); i++) {
        _cleanup_free_ char *path = must_printf("%s/%s", service_path[i], name);
        if (access(path, X_OK) == 0)
            return TAKE_PTR(path);
    }
    _cleanup_free_ char *path = must_printf("%s/%s", directory, name);
    return access(path, X_OK) == 0 ? TAKE_PTR(path) : NULL;
}

static struct error *make_link(
    const struct setup_links *links, const char *path, struct setup_links_result *result)
{
    result->actions++;
    strv_append_printf(&result->notes, "link %s to %s", path, links->shim);
    if (links->dry_run)
        return NULL;
    TRY(directory_create_all(links->directory, 0755));
    if (unlink(path) < 0 && errno != ENOENT)
        return error_errno(errno, "replacing %s", path);
    if (symlink(links->shim, path) < 0)
        return error_errno(errno, "linking %s", path);
    return NULL;
}

/* ret_ours: whether containerd finds this program by that name. */
static struct error *link_one(
    const struct setup_links *links, const char *name, struct setup_links_result *result, bool *ret_ours)
{
    _cleanup_free_ char *path = must_printf("%s/%s", links->directory, name);
    _cleanup_free_ char *found = find_program(name, links->directory);
    *ret_ours = true;
    if (found && is_shim(found, links->shim))
        return NULL;
    if (found) {
        *ret_ours = false;
        strv_append_printf(&result->notes, "%s is another program and stays as it is", found);
        return NULL;
    }
    return make_link(links, path, result);
}

/* Only links as make_link makes them: absolute, and to this program. */
static struct error *unlink_one(
    const struct setup_links *links, const char *name, struct setup_links_result *result)
{
    char target[PATH_MAX];
    _cleanup_free_ char *path = must_printf("%s/%s", links->directory, name);
    ssize_t length = readlink(path, target, sizeof(target) - 1);
    if (length < 0)
        return NULL;
    target[length] = '\0';
    if (strcmp(target, links->shim) != 0)
        return NULL;
    result->actions++;
    strv_append_printf(&result->notes, "remove the link %s", path);
    if (!links->dry_run && unlink(path) < 0)
        return error_errno(errno, "removing %s", path);
    return NULL;
}

struct error *setup_links_make(const struct setup_links *links, struct setup_links_result *result)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (links->undo)
            TRY(unlink_one(links, names[i], result));
        else
            TRY(link_one(links, names[i], result, &result->kata)); /* kata's comes last */
    }
    return NULL;
}
