/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/places.h"

#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG_MAX (4u << 20)

/* NULL for one that is unset or not absolute. */
static const char *environment_path(const char *name)
{
    const char *value = getenv(name);
    return value && *value == '/' ? value : NULL;
}

static char *state_directory(void)
{
    if (environment_path("CAISSON_STATE"))
        return must_copy(environment_path("CAISSON_STATE"));
    if (geteuid() == 0)
        return must_copy("/run/caisson");
    if (environment_path("XDG_RUNTIME_DIR"))
        return must_printf("%s/caisson", environment_path("XDG_RUNTIME_DIR"));
    return must_printf("/tmp/caisson-%u", geteuid());
}

static struct error *data_directory(char **ret_path)
{
    if (environment_path("CAISSON_DATA"))
        *ret_path = must_copy(environment_path("CAISSON_DATA"));
    else if (geteuid() == 0)
        *ret_path = must_copy("/var/lib/caisson");
    else if (environment_path("XDG_DATA_HOME"))
        *ret_path = must_printf("%s/caisson", environment_path("XDG_DATA_HOME"));
    else if (environment_path("HOME"))
        *ret_path = must_printf("%s/.local/share/caisson", environment_path("HOME"));
    else
        return error_new(ERROR_FAILED_PRECONDITION, "no place for data: set CAISSON_DATA or HOME");
    return NULL;
}

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/): short and well spread, not secret. */
static uint64_t hash(const char *text)
{
    uint64_t value = 0xcbf29ce484222325u;
    for (; *text; text++)
        value = (value ^ (uint8_t)*text) * 0x100000001b3u;
    return value;
}

/* PREFIX of PREFIX/bin/this-program. */
static struct error *program_prefix(char **ret_prefix)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (length < 0)
        return error_errno(errno, "finding this program");
    path[length] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(path, '/');
        if (slash)
            *slash = '\0';
    }
    *ret_prefix = must_copy(path);
    return NULL;
}

static char *guest_file(const char *variable, const char *prefix, const char *name)
{
    const char *given = environment_path(variable);
    return given ? must_copy(given) : must_printf("%s/lib/caisson/%s", prefix, name);
}

struct error *places_find(
    const char *address, const char *namespace, const char *sandbox_id, struct places **ret_places)
{
    _cleanup_places_ struct places *places = must_new(struct places);
    _cleanup_free_ char *state = state_directory();
    _cleanup_free_ char *name = must_printf("%s\n%s\n%s", address, namespace, sandbox_id);
    _cleanup_free_ char *prefix = NULL;
    TRY(data_directory(&places->data));
    TRY(program_prefix(&prefix));
    places->sandbox = must_printf("%s/sandboxes/%016llx", state, (unsigned long long)hash(name));
    places->socket = must_printf("%s/shim.sock", places->sandbox);
    places->lock = must_printf("%s/lock", places->sandbox);
    places->kernel = guest_file("CAISSON_KERNEL", prefix, "vmlinux");
    places->initrd = guest_file("CAISSON_INITRD", prefix, "initrd");
    places->templates = must_copy_or_null(environment_path("CAISSON_TEMPLATES"));
    *ret_places = TAKE_PTR(places);
    return NULL;
}

static struct error *check_owner(const char *path)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return error_errno(errno, "%s", path);
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid())
        return error_new(ERROR_PERMISSION_DENIED, "%s is not a directory of this user", path);
    return NULL;
}

struct error *places_make(const struct places *places)
{
    TRY(directory_create_all(places->sandbox, 0700));
    TRY(check_owner(places->sandbox));
    return directory_create_all(places->data, 0700);
}

void places_free(struct places *places)
{
    if (!places)
        return;
    free(places->data);
    free(places->sandbox);
    free(places->socket);
    free(places->lock);
    free(places->kernel);
    free(places->initrd);
    free(places->templates);
    free(places);
}

static struct error *read_group(const char *bundle, const char **ret_group, json_t **ret_config)
{
    static const char *const keys[] = {
        "io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID"};
    _cleanup_free_ char *path = must_printf("%s/config.json", bundle);
    _cleanup_free_ char *text = NULL;
    json_t *annotations = NULL;
    size_t length = 0;
    TRY(file_read(AT_FDCWD, path, CONFIG_MAX, &text, &length));
    TRY(json_read("config.json", text, length, ret_config));
    TRY(json_get_object(*ret_config, "config.json", "annotations", &annotations));
    for (size_t i = 0; annotations && i < ARRAY_SIZE(keys) && !*ret_group; i++)
        TRY(json_get_string(annotations, "config.json: annotations", keys[i], ret_group));
    return *ret_group ? identifier_check("sandbox id", *ret_group) : NULL;
}

/* A configuration that cannot be read is Create's to complain about. */
char *places_sandbox_of(const char *bundle, const char *container_id)
{
    const char *group = NULL;
    _cleanup_json_ json_t *config = NULL;
    _cleanup_error_ struct error *error = read_group(bundle, &group, &config);
    return must_copy(!error && group ? group : container_id);
}
