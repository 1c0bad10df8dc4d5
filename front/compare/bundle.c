/* SPDX-License-Identifier: Apache-2.0 */
/* config.json for runtimes with the OCI command line: what docker would write for a container with default
 * options. */
#include "compare/subject.h"

#include "base/fd.h"
#include "base/strv.h"

#include <fcntl.h>
#include <sys/stat.h>

static json_t *strings(char *const *vector)
{
    json_t *array = json_array();
    STRV_FOREACH (text, vector)
        json_array_append_new(array, json_string(*text));
    return array;
}

static json_t *process(const struct workplace *workplace, const struct purpose *purpose)
{
    json_t *arguments = json_pack("[s]", purpose_program(purpose)), *command = strings(purpose->command);
    json_array_extend(arguments, command);
    json_decref(command);
    json_t *capabilities = json_object();
    static const char *const sets[] = {"bounding", "effective", "permitted"};
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        json_object_set_new(capabilities, sets[i], strings(workplace->capabilities));
    return json_pack("{s:b, s:{s:i, s:i}, s:o, s:[s], s:s, s:o, s:b}", "terminal", 0, "user", "uid", 0, "gid",
        0, "args", arguments, "env", "PATH=/usr/bin:/bin", "cwd", "/", "capabilities", capabilities,
        "noNewPrivileges", 0);
}

static json_t *mounts(const struct workplace *workplace, const struct purpose *purpose)
{
    json_t *list = json_pack("[{s:s, s:s, s:s, s:[s, s, s]}, {s:s, s:s, s:s, s:[s, s, s, s]},"
                             "{s:s, s:s, s:s, s:[s, s, s, s, s, s]}, {s:s, s:s, s:s, s:[s, s, s, s]}]",
        "destination", "/proc", "type", "proc", "source", "proc", "options", "nosuid", "noexec", "nodev",
        "destination", "/dev", "type", "tmpfs", "source", "tmpfs", "options", "nosuid", "strictatime",
        "mode=755", "size=65536k", "destination", "/dev/pts", "type", "devpts", "source", "devpts", "options",
        "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5", "destination", "/sys",
        "type", "sysfs", "source", "sysfs", "options", "nosuid", "noexec", "nodev", "ro");
    if (purpose->volume)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:[s, s]}", "destination", "/volume", "type",
                                        "bind", "source", workplace->volume, "options", "rbind", "rw"));
    return list;
}

/* With a published port a container shares the host's network, which costs these runtimes nothing; the report
   says so beside the figures. */
static json_t *linux_part(const struct workplace *workplace, const struct purpose *purpose)
{
    static const char *const kinds[] = {"pid", "ipc", "uts", "mount", "network"};
    json_t *namespaces = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(kinds) - (purpose->port ? 1 : 0); i++)
        json_array_append_new(namespaces, json_pack("{s:s}", "type", kinds[i]));
    json_t *part = json_pack("{s:o, s:{s:[{s:b, s:s}]}, s:[s, s, s, s, s], s:[s, s, s, s, s, s]}",
        "namespaces", namespaces, "resources", "devices", "allow", 0, "access", "rwm", "maskedPaths",
        "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware", "readonlyPaths",
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/proc/asound");
    if (workplace->seccomp)
        json_object_set(part, "seccomp", (json_t *)(uintptr_t)workplace->seccomp);
    return part;
}

json_t *bundle_config(const struct workplace *workplace, const struct purpose *purpose)
{
    return json_pack("{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:o}", "ociVersion", "1.0.2", "process",
        process(workplace, purpose), "root", "path", workplace->rootfs, "readonly", 0, "hostname", "compare",
        "mounts", mounts(workplace, purpose), "linux", linux_part(workplace, purpose));
}

struct error *bundle_write(struct subject *subject, const struct purpose *purpose, char **ret_bundle)
{
    return bundle_store(subject, bundle_config(subject->workplace, purpose), ret_bundle);
}

struct error *bundle_store(struct subject *subject, json_t *config_taken, char **ret_bundle)
{
    _cleanup_free_ char *bundle = must_printf("%s/bundle-%u", subject->state, subject->bundles++);
    _cleanup_free_ char *path = must_printf("%s/config.json", bundle);
    if (subject->prepare) /* no cgroup but the second version's, where a filter of devices is another thing */
        json_object_del(json_object_get(config_taken, "linux"), "resources");
    _cleanup_free_ char *text = json_dumps(config_taken, JSON_COMPACT);
    json_decref(config_taken);
    if (mkdir(bundle, 0700) < 0)
        return error_errno(errno, "making %s", bundle);
    TRY(file_write_text(AT_FDCWD, path, text));
    *ret_bundle = TAKE_PTR(bundle);
    return NULL;
}
