/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child of container_create: it builds the world around itself, step by step as runc does, says that it
 * is ready, and becomes the command when told so.
 */
#include "agent/container/capability.h"
#include "agent/container/channel.h"
#include "agent/container/container_private.h"
#include "agent/container/reaper.h"
#include "agent/container/rootfs.h"
#include "agent/container/terminal.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/stat.h>

/* Asks the agent and waits for its answer. */
static struct error *ask(int channel, enum channel_type request)
{
    TRY(channel_send(channel, request));
    return channel_wait_go(channel);
}

/* The other namespaces are made by its root, so that what they hold (/dev/mqueue) is that root's. */
static struct error *enter_user_namespace(const struct container *container, int channel)
{
    TRY(ask(channel, CHANNEL_MAPS));
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return error_errno(errno, "becoming root of the user namespace (its maps must have an id 0)");
    uint64_t rest = container->namespaces.created & ~CONTAINER_CLONED_WITH_USER;
    if (unshare((int)(rest & ~(uint64_t)CLONE_NEWCGROUP)) < 0)
        return error_errno(errno, "making the namespaces inside the user namespace");
    return NULL;
}

static struct error *enter_namespaces(const struct container *container, int channel)
{
    if (container->namespaces.created & CLONE_NEWUSER)
        TRY(enter_user_namespace(container, channel));
    setsid();
    TRY(namespaces_join(container->spec->linux_config));
    if (container->namespaces.created & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0)
        return error_errno(errno, "making the cgroup namespace");
    return NULL;
}

/* createContainer hooks see the guest's files still, from the root of the container as working directory.
   Where the guest has no such program the container's is run (hook.c), so they get no rights that the
   container lacks. */
static struct error *run_hooks(const struct container *container, int channel, int root)
{
    const Grpc__Hooks *hooks = container->spec->hooks;
    if (!hooks)
        return NULL;
    if (hooks->n_prestart + hooks->n_create_runtime > 0)
        TRY(ask(channel, CHANNEL_HOOKS));
    if (hooks->n_create_container == 0)
        return NULL;
    if (fchdir(root) < 0)
        return error_errno(errno, "entering the root file system");
    const Grpc__Process *process = container->spec->process;
    TRY(capability_drop_bounding(capability_sets_of(process->capabilities).bounding));
    struct oci_state state = container_hook_state(container, "creating", getpid());
    return hook_run_all("createContainer", hooks->create_container, hooks->n_create_container, &state);
}

static struct error *set_personality(const Grpc__Linux *linux_config)
{
    if (!linux_config->personality || strcmp(linux_config->personality->domain, "LINUX") == 0)
        return NULL;
    if (strcmp(linux_config->personality->domain, "LINUX32") != 0)
        return error_new(
            ERROR_INVALID_ARGUMENT, "there is no personality \"%.40s\"", linux_config->personality->domain);
    if (personality(PER_LINUX32) < 0)
        return error_errno(errno, "setting the personality");
    return NULL;
}

static struct error *enter_root(
    const struct container *container, int channel, const struct process_setup *setup)
{
    const Grpc__Spec *spec = container->spec;
    bool user_namespace = container->namespaces.created & CLONE_NEWUSER;
    _cleanup_fd_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        return error_errno(errno, "opening the guest's /proc");
    _cleanup_fd_ int root = -1;
    TRY(rootfs_enter_namespace(spec, &root));
    TRY(rootfs_fill(spec, container->bundle, root, user_namespace));
    TRY(run_hooks(container, channel, root));
    /* While the guest's /proc is there. */
    if (!user_namespace)
        TRY(process_limit(setup, 0));
    TRY(rootfs_pivot(root));
    TRY(namespaces_name(spec, &container->namespaces));
    return namespaces_write_sysctls(spec->linux_config, proc);
}

static struct error *open_terminal(const Grpc__Process *process, int channel)
{
    if (!process->terminal)
        return NULL;
    _cleanup_fd_ int master = -1;
    TRY(terminal_open(process->console_size, true, &master));
    return channel_send_fd(channel, CHANNEL_TERMINAL, master);
}

static struct error *run_start_hooks(const struct container *container)
{
    const Grpc__Hooks *hooks = container->spec->hooks;
    if (!hooks)
        return NULL;
    struct oci_state state = container_hook_state(container, "created", getpid());
    return hook_run_all("startContainer", hooks->start_container, hooks->n_start_container, &state);
}

/* Returns only with an error. */
static struct error *become_command(const struct container *container, int channel)
{
    const Grpc__Spec *spec = container->spec;
    struct process_setup setup = container_process_setup(container, spec->process);
    /* What the Spec's modes say must hold, whatever the agent's own mask. */
    umask(0);
    TRY(enter_namespaces(container, channel));
    TRY(enter_root(container, channel, &setup));
    TRY(open_terminal(spec->process, channel));
    TRY(rootfs_seal(spec));
    TRY(set_personality(spec->linux_config));
    TRY(process_confine(&setup));
    /* What clients expect of a runtime is that Create fails, not Start. */
    TRY(process_look_up(&setup));
    TRY(ask(channel, CHANNEL_READY));
    TRY(process_install_late_filter(&setup));
    TRY(run_start_hooks(container));
    if (container->init)
        TRY(reaper_fork());
    return process_exec(&setup);
}

void container_init_child(void *context, int channel, int companion)
{
    (void)companion;
    struct error *error = become_command(context, channel);
    channel_send_error(channel, error);
    _exit(process_failure_code(error));
}
