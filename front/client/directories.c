/* SPDX-License-Identifier: Apache-2.0 */
#include "client/directories.h"

#include "base/path.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define SHIM_NAME "containerd-shim-caisson-v2"

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static struct error *data_directory(char **ret_path)
{
    if (environment("CAISSON_DATA"))
        *ret_path = must_copy(environment("CAISSON_DATA"));
    else if (geteuid() == 0)
        *ret_path = must_copy("/var/lib/caisson");
    else if (environment("XDG_DATA_HOME"))
        *ret_path = must_printf("%s/caisson", environment("XDG_DATA_HOME"));
    else if (environment("HOME"))
        *ret_path = must_printf("%s/.local/share/caisson", environment("HOME"));
    else
        return error_new(ERROR_FAILED_PRECONDITION,
            "neither HOME, XDG_DATA_HOME nor CAISSON_DATA is set, so there is no place to keep containers");
    return NULL;
}

/* A name in /tmp is anybody's to take first: it counts only when it is our own closed directory. */
static struct error *private_directory(char *path, char **ret_path)
{
    _cleanup_free_ char *owned = path;
    struct stat status;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_errno(errno, "cannot create %s", path);
    if (lstat(path, &status) < 0)
        return error_errno(errno, "cannot look at %s", path);
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 077))
        return error_new(ERROR_PERMISSION_DENIED,
            "%s is not a private directory of this user; remove it or set XDG_RUNTIME_DIR", path);
    *ret_path = TAKE_PTR(owned);
    return NULL;
}

static struct error *state_directory(char **ret_path)
{
    if (environment("CAISSON_STATE"))
        *ret_path = must_copy(environment("CAISSON_STATE"));
    else if (geteuid() == 0)
        *ret_path = must_copy("/run/caisson");
    else if (environment("XDG_RUNTIME_DIR"))
        *ret_path = must_printf("%s/caisson", environment("XDG_RUNTIME_DIR"));
    else
        return private_directory(must_printf("/tmp/caisson-%u", geteuid()), ret_path);
    return NULL;
}

static struct error *create_below(const char *directory, const char *name)
{
    _cleanup_free_ char *path = must_printf("%s/%s", directory, name);

    if (access(path, W_OK | X_OK) == 0)
        return NULL;
    TRY(directory_create_all(path, 0700));
    return NULL;
}

struct error *directories_open(struct directories **ret_directories)
{
    _cleanup_directories_ struct directories *directories = must_new(struct directories);

    TRY(data_directory(&directories->data));
    TRY(state_directory(&directories->state));
    if (directories->data[0] != '/' || directories->state[0] != '/')
        return error_new(ERROR_INVALID_ARGUMENT, "CAISSON_DATA and CAISSON_STATE must be absolute paths");
    TRY(create_below(directories->data, "containers"));
    TRY(create_below(directories->data, "names"));
    TRY(create_below(directories->state, "containers"));
    *ret_directories = TAKE_PTR(directories);
    return NULL;
}

void directories_free(struct directories *directories)
{
    if (!directories)
        return;
    free(directories->data);
    free(directories->state);
    free(directories);
}

char *directories_bundle(const struct directories *directories, const char *id)
{
    return must_printf("%s/containers/%s", directories->state, id);
}

char *directories_record(const struct directories *directories, const char *id)
{
    return must_printf("%s/containers/%s", directories->data, id);
}

char *directories_record_file(const struct directories *directories, const char *id, const char *file)
{
    return must_printf("%s/containers/%s/%s", directories->data, id, file);
}

struct error *program_self(char **ret_path)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (length < 0)
        return error_errno(errno, "cannot find this program's own file (is /proc mounted?)");
    *ret_path = must_copy_length(path, (size_t)length);
    return NULL;
}

static char *executable_or_null(char *path)
{
    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static char *search_path(const char *name)
{
    _cleanup_free_ char *list = must_copy(environment("PATH") ?: "/usr/local/bin:/usr/bin:/bin");
    char *rest = list, *directory;

    while ((directory = strsep(&rest, ":"))) {
        char *found = *directory ? executable_or_null(must_printf("%s/%s", directory, name)) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

struct error *program_shim(char **ret_path)
{
    _cleanup_free_ char *self = NULL;
    char *found;

    if (environment("CAISSON_SHIM")) {
        *ret_path = must_copy(environment("CAISSON_SHIM"));
        return NULL;
    }
    TRY(program_self(&self));
    *strrchr(self, '/') = '\0';
    found = executable_or_null(must_printf("%s/" SHIM_NAME, self));
    if (!found)
        found = executable_or_null(must_printf("%s/../bin/" SHIM_NAME, self));
    if (!found)
        found = search_path(SHIM_NAME);
    if (!found)
        return error_new(ERROR_NOT_FOUND,
            "%s is neither beside %s nor in PATH; install it, or set CAISSON_SHIM to its path", SHIM_NAME,
            self);
    *ret_path = found;
    return NULL;
}
