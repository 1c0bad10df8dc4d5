/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup/limits.h"

#include "base/fd.h"
#include "base/strv.h"

#include <fcntl.h>
#include <string.h>

#define VALUE_MAX 65536

/* Files are never created: in a cgroup those that exist are all there can be. */
static struct error *write_value(const char *directory, const char *name, const char *value)
{
    _cleanup_free_ char *path = must_printf("%s/%s", directory, name);
    _cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? NULL : error_errno(errno, "%s", path);
    if (write(fd, value, strlen(value)) < 0)
        return error_errno(errno, "writing \"%s\" to %s", value, path);
    return NULL;
}

/* "" where it cannot be read. */
static char *read_value(const char *directory, const char *name)
{
    _cleanup_free_ char *path = must_printf("%s/%s", directory, name);
    char *text = NULL;
    _cleanup_error_ struct error *error = file_read(AT_FDCWD, path, VALUE_MAX, &text, NULL);
    if (error)
        return must_copy("");
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static struct error *set_memory(const char *directory, bool unified, uint64_t bytes)
{
    _cleanup_free_ char *value = must_printf("%llu", (unsigned long long)bytes);
    return write_value(directory, unified ? "memory.max" : "memory.limit_in_bytes", value);
}

/* cgroup v1's 2 to 262144 to cgroup v2's 1 to 10000, as Kubernetes' and systemd's tools map it:
   https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/2254-cgroup-v2 */
static uint64_t weight_of_shares(uint64_t shares)
{
    if (shares < 2)
        shares = 2;
    if (shares > 262144)
        shares = 262144;
    return 1 + (shares - 2) * 9999 / 262142;
}

static struct error *set_shares(const char *directory, bool unified, uint64_t shares)
{
    unsigned long long value = unified ? weight_of_shares(shares) : shares;
    _cleanup_free_ char *text = must_printf("%llu", value);
    return write_value(directory, unified ? "cpu.weight" : "cpu.shares", text);
}

struct error *limits_apply(const char *directory, bool unified, const struct cgroup_limits *limits)
{
    if (limits->memory)
        TRY(set_memory(directory, unified, limits->memory));
    if (limits->cpu_shares)
        TRY(set_shares(directory, unified, limits->cpu_shares));
    if (limits->cpus && *limits->cpus)
        TRY(write_value(directory, "cpuset.cpus", limits->cpus));
    if (limits->mems && *limits->mems)
        TRY(write_value(directory, "cpuset.mems", limits->mems));
    return NULL;
}

/* One by one, for one that cannot be handed on (cpuset's partitions, rt's processes) takes the others with it
   otherwise. Whether it matters, the limit that is then missing says. */
void limits_hand_down(const char *directory)
{
    _cleanup_free_ char *text = read_value(directory, "cgroup.controllers");
    _cleanup_strv_ char **controllers = strv_split(text, ' ');
    STRV_FOREACH (controller, controllers) {
        if (!**controller)
            continue;
        _cleanup_free_ char *word = must_printf("+%s", *controller);
        error_free(write_value(directory, "cgroup.subtree_control", word));
    }
}

struct error *limits_inherit_cpuset(const char *parent, const char *directory)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *own = read_value(directory, files[i]);
        _cleanup_free_ char *above = read_value(parent, files[i]);
        if (!*own && *above)
            TRY(write_value(directory, files[i], above));
    }
    return NULL;
}
