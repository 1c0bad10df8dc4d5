/* SPDX-License-Identifier: Apache-2.0 */
/* The facts of a machine without which figures of it mean nothing. */
#include "compare/machine.h"

#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#define FILE_LIMIT (1u << 20)

/* Empty where it cannot be read. */
static char *read_or_empty(const char *path)
{
    char *text = NULL;
    size_t length;
    struct error *error = file_read(AT_FDCWD, path, FILE_LIMIT, &text, &length);
    error_free(error);
    return text ?: must_copy("");
}

/* What follows "NAME" and separators in the line that begins with it. */
static char *field(const char *text, const char *name)
{
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, name, strlen(name)) != 0)
            continue;
        const char *value = line + strlen(name);
        value += strspn(value, " \t:=\"");
        return must_copy_length(value, strcspn(value, "\"\n"));
    }
    return must_copy("unknown");
}

static void set_field(json_t *object, const char *key, const char *path, const char *name)
{
    _cleanup_free_ char *text = read_or_empty(path);
    _cleanup_free_ char *value = field(text, name);
    json_object_set_new(object, key, json_string(value));
}

static const char *cgroup_mode(void)
{
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
        return "v2";
    return access("/sys/fs/cgroup/unified", F_OK) == 0 ? "hybrid" : "v1";
}

/* "cpu user nice system idle iowait irq softirq steal ...": time that the hypervisor gave to others. */
struct steal machine_steal(void)
{
    _cleanup_free_ char *text = read_or_empty("/proc/stat");
    unsigned long long n[8] = {0};
    struct steal steal = {0};
    sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5],
        &n[6], &n[7]);
    for (size_t i = 0; i < ARRAY_SIZE(n); i++)
        steal.all += n[i];
    steal.stolen = n[7];
    return steal;
}

double steal_share(struct steal before, struct steal after)
{
    return after.all > before.all ? (double)(after.stolen - before.stolen) / (double)(after.all - before.all)
                                  : 0;
}

double machine_load(void)
{
    struct sysinfo info;
    return sysinfo(&info) == 0 ? (double)info.loads[0] / (1 << SI_LOAD_SHIFT) : 0;
}

json_t *machine_describe(void)
{
    struct utsname name;
    struct sysinfo info;
    uname(&name);
    sysinfo(&info);
    json_t *machine = json_object();
    set_field(machine, "processor", "/proc/cpuinfo", "model name");
    set_field(machine, "system", "/etc/os-release", "PRETTY_NAME=");
    json_object_set_new(machine, "kernel", json_string(name.release));
    json_object_set_new(machine, "processors", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    json_object_set_new(machine, "memory_mebibytes",
        json_integer((json_int_t)((uint64_t)info.totalram * info.mem_unit >> 20)));
    json_object_set_new(machine, "cgroups", json_string(cgroup_mode()));
    json_object_set_new(machine, "load", json_real(machine_load()));
    json_object_set_new(machine, "user", json_integer((json_int_t)geteuid()));
    return machine;
}
