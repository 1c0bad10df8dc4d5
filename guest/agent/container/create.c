/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of a container's life: from the Spec to a child that waits, to the command, to nothing.
 * The child's side is init_child.c.
 */
#include "agent/container/channel.h"
#include "agent/container/container_private.h"
#include "agent/container/device_filter.h"
#include "agent/container/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static void container_free(struct container *container)
{
    if (!container)
        return;
    close_fd(container->init_pidfd);
    close_fd(container->channel);
    close_fd(container->oom_fd);
    cgroup_free(container->cgroup);
    seccomp_filter_free(container->filter);
    if (container->spec)
        grpc__spec__free_unpacked(container->spec, NULL);
    free(container->cgroup_root);
    free(container->bundle);
    free(container->id);
    free(container);
}

static struct error *check_process(const Grpc__Process *process)
{
    if (!process || process->n_args == 0)
        return error_new(ERROR_INVALID_ARGUMENT, "the process has no command (args is empty)");
    if (*process->cwd && process->cwd[0] != '/')
        return error_new(
            ERROR_INVALID_ARGUMENT, "the working directory \"%.200s\" is not absolute", process->cwd);
    return NULL;
}

static struct error *check_spec(const Grpc__Spec *spec)
{
    if (!spec || !spec->linux_config)
        return error_new(ERROR_INVALID_ARGUMENT, "the spec has no linux section");
    if (!spec->root || spec->root->path[0] != '/')
        return error_new(ERROR_INVALID_ARGUMENT, "the spec names no absolute root file system");
    for (size_t i = 0; i < spec->n_mounts; i++)
        if (spec->mounts[i]->destination[0] != '/')
            return error_new(ERROR_INVALID_ARGUMENT, "the mount point \"%.200s\" is not absolute",
                spec->mounts[i]->destination);
    return check_process(spec->process);
}

/* The spec is only borrowed until the container is made. */
static struct error *container_new(const struct container_options *options, struct container **ret_container)
{
    TRY(check_spec(options->spec));
    struct namespaces namespaces = {0};
    TRY(namespaces_of(options->spec->linux_config, &namespaces));
    if (options->pid_namespace >= 0)
        namespaces.created &= ~(uint64_t)CLONE_NEWPID;
    struct container *container = must_new(struct container);
    *container = (struct container){
        .id = must_copy(options->id),
        .bundle = must_copy(options->bundle ? options->bundle : "/"),
        .cgroup_root = must_copy(options->cgroup_root),
        .namespaces = namespaces,
        .pid_namespace = options->pid_namespace,
        .has_pid_namespace = options->pid_namespace >= 0 || namespaces.created & CLONE_NEWPID,
        .init = options->init,
        .init_pidfd = -1,
        .channel = -1,
        .oom_fd = -1,
    };
    *ret_container = container;
    return NULL;
}

static struct error *delegate_cgroup(const struct container *container)
{
    const Grpc__Linux *linux_config = container->spec->linux_config;
    uint32_t uid;
    uint32_t gid;
    uint64_t both = CLONE_NEWUSER | CLONE_NEWCGROUP;
    if ((container->namespaces.created & both) != both ||
        !namespaces_map_id(linux_config->uid_mappings, linux_config->n_uid_mappings, 0, &uid) ||
        !namespaces_map_id(linux_config->gid_mappings, linux_config->n_gid_mappings, 0, &gid))
        return NULL;
    return cgroup_delegate(container->cgroup, uid, gid);
}

static struct error *prepare_cgroup(struct container *container)
{
    static const Grpc__LinuxResources nothing = GRPC__LINUX_RESOURCES__INIT;
    const Grpc__Linux *linux_config = container->spec->linux_config;
    const Grpc__LinuxResources *resources = linux_config->resources ? linux_config->resources : &nothing;
    const char *path = linux_config->cgroups_path;
    /* "slice:prefix:name" is for systemd, of which the guest has none. */
    if (!*path || strchr(path, ':'))
        path = container->id;
    TRY(cgroup_create(container->cgroup_root, path, &container->cgroup));
    TRY(cgroup_limit(container->cgroup, resources));
    TRY(device_filter_attach(cgroup_fd(container->cgroup), resources->devices, resources->n_devices));
    container->oom_fd = cgroup_watch_memory(container->cgroup);
    return delegate_cgroup(container);
}

/* A child that vanished without a word: say what ended it. */
static struct error *vanished(pid_t pid)
{
    siginfo_t info = {0};
    bool known = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0;
    if (known && info.si_code != CLD_EXITED)
        return error_new(ERROR_ABORTED, "the container's init was killed by signal %d before it was ready%s",
            info.si_status, info.si_status == SIGKILL ? " (is its memory limit too low to start?)" : "");
    return error_new(ERROR_ABORTED, "the container's init ended before it was ready");
}

static struct error *run_runtime_hooks(const struct container *container)
{
    const Grpc__Hooks *hooks = container->spec->hooks;
    struct oci_state state = container_hook_state(container, "creating", container->init_pid);
    TRY(hook_run_all("prestart", hooks->prestart, hooks->n_prestart, &state));
    return hook_run_all("createRuntime", hooks->create_runtime, hooks->n_create_runtime, &state);
}

static struct error *set_up_user_namespace(const struct container *container)
{
    struct process_setup setup = container_process_setup(container, container->spec->process);
    TRY(namespaces_write_maps(container->init_pid, container->spec->linux_config));
    return process_limit(&setup, container->init_pid);
}

/* Does what the child asks for until it is ready. */
static struct error *serve_child(const struct container *container, int *terminal)
{
    const Grpc__Hooks *hooks = container->spec->hooks;
    int timeout_ms = CONTAINER_HANDSHAKE_MS;
    if (hooks)
        timeout_ms += hook_total_ms(hooks->create_container, hooks->n_create_container);
    for (;;) {
        enum channel_type type = CHANNEL_CLOSED;
        _cleanup_fd_ int fd = -1;
        TRY(channel_receive(container->channel, timeout_ms, &type, &fd));
        switch (type) {
        case CHANNEL_READY:
            return NULL;
        case CHANNEL_MAPS:
            TRY(set_up_user_namespace(container));
            TRY(channel_send(container->channel, CHANNEL_GO));
            break;
        case CHANNEL_HOOKS:
            TRY(run_runtime_hooks(container));
            TRY(channel_send(container->channel, CHANNEL_GO));
            break;
        case CHANNEL_TERMINAL:
            close_fd(*terminal);
            *terminal = TAKE_FD(fd);
            break;
        default:
            return vanished(container->init_pid);
        }
    }
}

static struct error *spawn_init(struct container *container, const struct container_streams *streams)
{
    bool terminal = container->spec->process->terminal;
    static const struct container_streams none = {-1, -1, -1};
    uint64_t created = container->namespaces.created;
    struct spawn_options options = {
        .namespaces = created & CLONE_NEWUSER ? created & CONTAINER_CLONED_WITH_USER : created,
        .cgroup = cgroup_fd(container->cgroup),
        .pid_namespace = container->pid_namespace,
        .streams = terminal ? none : *streams,
        .companion = -1,
    };
    struct spawned spawned;
    TRY(spawn(&options, container_init_child, container, &spawned));
    container->init_pid = spawned.pid;
    container->init_pidfd = spawned.pidfd;
    container->channel = spawned.channel;
    return NULL;
}

static struct error *bring_up(
    struct container *container, const struct container_streams *streams, int *terminal)
{
    TRY(seccomp_filter_compile(container->spec->linux_config->seccomp, &container->filter));
    TRY(prepare_cgroup(container));
    TRY(spawn_init(container, streams));
    return serve_child(container, terminal);
}

/* After a failed bring_up: nobody else knows of the child. The spec goes back to its owner. */
static void take_down(struct container *container)
{
    struct spawned child = {.pid = container->init_pid > 0 ? container->init_pid : -1,
        .pidfd = TAKE_FD(container->init_pidfd),
        .channel = TAKE_FD(container->channel)};
    spawned_abandon(&child);
    if (container->cgroup)
        error_free(cgroup_destroy(container->cgroup));
    container->spec = NULL;
    container_free(container);
}

struct error *container_create(const struct container_options *options, struct container **ret_container,
    struct container_process *ret_process)
{
    struct container *container = NULL;
    TRY(container_new(options, &container));
    container->spec = options->spec;
    _cleanup_fd_ int terminal = -1;
    struct error *error = bring_up(container, &options->streams, &terminal);
    container->pid_namespace = -1;
    if (error) {
        take_down(container);
        return error;
    }
    *ret_process = (struct container_process){.pid = container->init_pid, .terminal = TAKE_FD(terminal)};
    *ret_container = container;
    return NULL;
}

static struct error *run_poststart_hooks(struct container *container)
{
    const Grpc__Hooks *hooks = container->spec->hooks;
    if (!hooks)
        return NULL;
    struct oci_state state = container_hook_state(container, "running", container->init_pid);
    struct error *error = hook_run_all("poststart", hooks->poststart, hooks->n_poststart, &state);
    if (error)
        error_free(cgroup_signal(container->cgroup, SIGKILL));
    return error;
}

struct error *container_start(struct container *container)
{
    if (container->channel < 0)
        return error_new(ERROR_FAILED_PRECONDITION, "the container has been started already");
    const Grpc__Hooks *hooks = container->spec->hooks;
    int timeout_ms = CONTAINER_HANDSHAKE_MS;
    if (hooks)
        timeout_ms += hook_total_ms(hooks->start_container, hooks->n_start_container);
    _cleanup_fd_ int channel = TAKE_FD(container->channel);
    struct error *error = channel_send(channel, CHANNEL_GO);
    if (error_number(error) == EPIPE)
        error = error_recode(error_wrap(error, "the container's init is gone"), ERROR_FAILED_PRECONDITION);
    enum channel_type type = CHANNEL_CLOSED;
    if (!error)
        error = channel_receive(channel, timeout_ms, &type, NULL);
    if (error) {
        error_free(cgroup_signal(container->cgroup, SIGKILL));
        return error;
    }
    return run_poststart_hooks(container);
}

struct error *container_destroy(struct container *container)
{
    if (!container)
        return NULL;
    struct error *error = cgroup_destroy(container->cgroup);
    const Grpc__Hooks *hooks = container->spec->hooks;
    if (hooks) {
        struct oci_state state = container_hook_state(container, "stopped", 0);
        struct error *failed = hook_run_all("poststop", hooks->poststop, hooks->n_poststop, &state);
        if (error)
            error_free(failed);
        else
            error = failed;
    }
    container_free(container);
    return error;
}
