/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/namespaces.h"

#include "base/fd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>

#define ID_MAPPINGS_MAX 340 /* user_namespaces(7) */

static const struct namespace_type {
    const char *name;
    uint64_t flag;
} types[] = {
    {"cgroup", CLONE_NEWCGROUP},
    {"ipc", CLONE_NEWIPC},
    {"mount", CLONE_NEWNS},
    {"network", CLONE_NEWNET},
    {"pid", CLONE_NEWPID},
    {"time", CLONE_NEWTIME},
    {"user", CLONE_NEWUSER},
    {"uts", CLONE_NEWUTS},
};

static uint64_t flag_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].flag;
    return 0;
}

struct error *namespaces_of(const Grpc__Linux *linux_config, struct namespaces *ret_namespaces)
{
    struct namespaces namespaces = {0};
    for (size_t i = 0; i < linux_config->n_namespaces; i++) {
        const Grpc__LinuxNamespace *entry = linux_config->namespaces[i];
        uint64_t flag = flag_of(entry->type);
        if (!flag)
            return error_new(ERROR_INVALID_ARGUMENT, "\"%.40s\" is no kind of namespace", entry->type);
        if ((namespaces.created | namespaces.joined) & flag)
            return error_new(ERROR_INVALID_ARGUMENT, "the %s namespace is asked for twice", entry->type);
        bool own_only = flag & (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUSER);
        if (*entry->path && own_only)
            return error_new(
                ERROR_UNIMPLEMENTED, "joining a %s namespace by path (%s)", entry->type, entry->path);
        *(*entry->path ? &namespaces.joined : &namespaces.created) |= flag;
    }
    if (!(namespaces.created & CLONE_NEWNS))
        return error_new(ERROR_INVALID_ARGUMENT, "a container needs a mount namespace of its own");
    *ret_namespaces = namespaces;
    return NULL;
}

struct error *namespaces_join(const Grpc__Linux *linux_config)
{
    for (size_t i = 0; i < linux_config->n_namespaces; i++) {
        const Grpc__LinuxNamespace *entry = linux_config->namespaces[i];
        if (!*entry->path)
            continue;
        _cleanup_fd_ int fd = open(entry->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || setns(fd, (int)flag_of(entry->type)) < 0)
            return error_errno(errno, "joining the %s namespace %s", entry->type, entry->path);
    }
    return NULL;
}

static struct error *write_map(
    pid_t pid, const char *name, Grpc__LinuxIDMapping *const *mappings, size_t count)
{
    if (count == 0 || count > ID_MAPPINGS_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "a user namespace needs 1 to %d mappings in %s, not %zu",
            ID_MAPPINGS_MAX, name, count);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return error_errno(errno, "writing %s", name);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", mappings[i]->container_id, mappings[i]->host_id,
            mappings[i]->size);
    fclose(out);
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    struct error *error = file_write(AT_FDCWD, path, text, length);
    free(text);
    return error_wrap(error, "mapping the ids of the user namespace");
}

struct error *namespaces_write_maps(pid_t pid, const Grpc__Linux *linux_config)
{
    TRY(write_map(pid, "uid_map", linux_config->uid_mappings, linux_config->n_uid_mappings));
    return write_map(pid, "gid_map", linux_config->gid_mappings, linux_config->n_gid_mappings);
}

bool namespaces_map_id(Grpc__LinuxIDMapping *const *mappings, size_t count, uint32_t id, uint32_t *ret_id)
{
    for (size_t i = 0; i < count; i++) {
        const Grpc__LinuxIDMapping *mapping = mappings[i];
        if (id < mapping->container_id || id - mapping->container_id >= mapping->size)
            continue;
        *ret_id = mapping->host_id + (id - mapping->container_id);
        return true;
    }
    return false;
}

struct error *namespaces_name(const Grpc__Spec *spec, const struct namespaces *namespaces)
{
    bool asked = *spec->hostname || *spec->domainname;
    if (asked && !((namespaces->created | namespaces->joined) & CLONE_NEWUTS))
        return error_new(ERROR_INVALID_ARGUMENT, "a host name needs a uts namespace of its own");
    if (*spec->hostname && sethostname(spec->hostname, strlen(spec->hostname)) < 0)
        return error_errno(errno, "setting the host name \"%s\"", spec->hostname);
    if (*spec->domainname && setdomainname(spec->domainname, strlen(spec->domainname)) < 0)
        return error_errno(errno, "setting the domain name \"%s\"", spec->domainname);
    return NULL;
}

/* Whether the sysctl belongs to a network, ipc or uts namespace and not to the whole kernel. One that the
   container does not have for itself is the sandbox's, which is the container's as far as runc's rule goes:
   nobody else's is touched. */
static bool sysctl_is_own(const char *key)
{
    static const char *const names[] = {"kernel.domainname", "kernel.msgmax", "kernel.msgmnb",
        "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
        "kernel.shm_rmid_forced"};
    if (strncmp(key, "net.", 4) == 0 || strncmp(key, "fs.mqueue.", strlen("fs.mqueue.")) == 0)
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(key, names[i]) == 0)
            return true;
    return false;
}

/* sysctl(8) reads "net/ipv4/conf/eth0.1/forwarding" too: what separates is what comes first. */
static void swap_separators(char *key, char from, char to)
{
    for (char *c = key; *c; c++)
        *c = *c == from ? to : *c == to ? from : *c;
}

static struct error *write_sysctl(const Grpc__StringEntry *entry, int proc)
{
    _cleanup_free_ char *dotted = must_copy(entry->key);
    size_t first = strcspn(dotted, "./");
    if (dotted[first] == '/')
        swap_separators(dotted, '/', '.');
    if (!sysctl_is_own(dotted))
        return error_new(ERROR_INVALID_ARGUMENT, "it belongs to no namespace of the container");
    _cleanup_free_ char *path = must_printf("sys/%s", dotted);
    swap_separators(path + 4, '.', '/');
    if (strstr(path, ".."))
        return error_new(ERROR_INVALID_ARGUMENT, "it is no name of a sysctl");
    return file_write_text(proc, path, entry->value);
}

struct error *namespaces_write_sysctls(const Grpc__Linux *linux_config, int proc)
{
    for (size_t i = 0; i < linux_config->n_sysctl; i++) {
        const Grpc__StringEntry *entry = linux_config->sysctl[i];
        TRY(error_wrap(write_sysctl(entry, proc), "setting the sysctl \"%s\"", entry->key));
    }
    return NULL;
}
