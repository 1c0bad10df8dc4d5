/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/spec.h"

#include "base/strv.h"

#include <string.h>

/* runc's and docker's default for /dev/shm. */
#define SHARED_SIZE (64u << 20)

struct usual_mount {
    const char *destination;
    const char *type;
    const char *options; /* separated by commas */
};

/* As docker has them. */
static const struct usual_mount usual[] = {
    {"/proc", "proc", "nosuid,noexec,nodev"},
    {"/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"},
    {"/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"},
    {"/dev/mqueue", "mqueue", "nosuid,noexec,nodev"},
    {"/sys", "sysfs", "nosuid,noexec,nodev"},
    {"/sys/fs/cgroup", "cgroup", "nosuid,noexec,nodev,relatime"},
};

static json_t *mount_to_json(
    const char *destination, const char *type, const char *source, const char *options)
{
    _cleanup_strv_ char **list = strv_split(options, ',');
    json_t *array = json_array();

    STRV_FOREACH (option, list) {
        json_array_append_new(array, json_string(*option));
    }
    return json_pack(
        "{s:s, s:s, s:s, s:o}", "destination", destination, "type", type, "source", source, "options", array);
}

/* The user's own mount on the same place wins. */
static bool is_mounted(const struct spec_input *input, const char *destination)
{
    for (size_t i = 0; i < input->mounts->count; i++)
        if (!strcmp(input->mounts->mounts[i].target, destination))
            return true;
    return false;
}

static void add_usual(const struct spec_input *input, const struct usual_mount *mount, json_t *mounts)
{
    bool system = !strncmp(mount->destination, "/sys", 4);
    _cleanup_free_ char *options =
        must_printf("%s%s", mount->options, system && !input->settings->privileged ? ",ro" : "");

    if (!is_mounted(input, mount->destination))
        json_array_append_new(mounts, mount_to_json(mount->destination, mount->type, mount->type, options));
}

static void add_shared_memory(const struct spec_input *input, json_t *mounts)
{
    uint64_t size = input->settings->shared ?: SHARED_SIZE;
    _cleanup_free_ char *options = must_printf("nosuid,noexec,nodev,mode=1777,size=%lu", size);

    if (!is_mounted(input, "/dev/shm"))
        json_array_append_new(mounts, mount_to_json("/dev/shm", "tmpfs", "shm", options));
}

/* A file that was made in the bundle, which the shim copies into the guest. */
static void add_own_file(const struct spec_input *input, const char *name, json_t *mounts)
{
    _cleanup_free_ char *source = must_printf("%s/%s", input->bundle, name);
    _cleanup_free_ char *destination = must_printf("/etc/%s", name);

    if (!is_mounted(input, destination))
        json_array_append_new(mounts, mount_to_json(destination, "bind", source, "rbind,rprivate"));
}

json_t *spec_mounts(const struct spec_input *input)
{
    json_t *mounts = json_array();

    for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
        add_usual(input, &usual[i], mounts);
    add_shared_memory(input, mounts);
    add_own_file(input, "hosts", mounts);
    add_own_file(input, "hostname", mounts);
    if (input->has_resolver)
        add_own_file(input, "resolv.conf", mounts);
    mount_list_to_json(input->mounts, mounts);
    return mounts;
}
