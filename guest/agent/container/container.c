/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container/container_private.h"
#include "agent/container/device_filter.h"

#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

const char *container_id(const struct container *container)
{
    return container->id;
}

pid_t container_init_pid(const struct container *container)
{
    return container->init_pid;
}

bool container_is_paused(const struct container *container)
{
    return container->paused;
}

struct process_setup container_process_setup(const struct container *container, const Grpc__Process *process)
{
    const Grpc__Process *own = container->spec->process;
    bool has_rlimits = process->n_rlimits > 0;
    return (struct process_setup){
        .process = process,
        .capabilities = process->capabilities ? process->capabilities : own->capabilities,
        .rlimits = has_rlimits ? process->rlimits : own->rlimits,
        .rlimit_count = has_rlimits ? process->n_rlimits : own->n_rlimits,
        .limit_early = container->namespaces.created & CLONE_NEWUSER,
        .oom_score_adj = own->oom_score_adj,
        .filter = container->filter,
    };
}

struct oci_state container_hook_state(const struct container *container, const char *status, pid_t pid)
{
    return (struct oci_state){
        .version = container->spec->version,
        .id = container->id,
        .status = status,
        .pid = pid,
        .bundle = container->bundle,
        .annotations = container->spec->annotations,
        .annotation_count = container->spec->n_annotations,
    };
}

struct error *container_signal(struct container *container, pid_t pid, int signal)
{
    if (pid == 0)
        return cgroup_signal(container->cgroup, signal);
    int result = pid == container->init_pid ? pidfd_send_signal(container->init_pidfd, signal, NULL, 0)
                                            : kill(pid, signal);
    if (result < 0)
        return error_errno(errno, "sending signal %d to process %d", signal, (int)pid);
    return NULL;
}

struct error *container_pids(struct container *container, pid_t **ret_pids, size_t *ret_count)
{
    return cgroup_pids(container->cgroup, ret_pids, ret_count);
}

struct error *container_pause(struct container *container)
{
    TRY(error_wrap(cgroup_freeze(container->cgroup, true), "pausing"));
    container->paused = true;
    return NULL;
}

struct error *container_resume(struct container *container)
{
    TRY(error_wrap(cgroup_freeze(container->cgroup, false), "resuming"));
    container->paused = false;
    return NULL;
}

struct error *container_update(struct container *container, const Grpc__LinuxResources *resources)
{
    TRY(cgroup_limit(container->cgroup, resources));
    if (resources->n_devices == 0)
        return NULL;
    return device_filter_attach(cgroup_fd(container->cgroup), resources->devices, resources->n_devices);
}

struct error *container_stats(struct container *container, Grpc__StatsContainerResponse *response)
{
    response->cgroup_stats = cgroup_stats(container->cgroup);
    return NULL;
}

int container_oom_fd(const struct container *container)
{
    return container->oom_fd;
}

struct error *container_oom_kills(struct container *container, uint64_t *ret_kills)
{
    /* The contents do not matter, only that the next change wakes the owner again. */
    char events[4096];
    while (container->oom_fd >= 0 && read(container->oom_fd, events, sizeof(events)) > 0)
        continue;
    return cgroup_oom_kills(container->cgroup, ret_kills);
}
