/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A later process of a container. Its child is born in the container's pid namespace and cgroup, joins the
 * other namespaces through the pidfd of the container's init, and goes the last stretch as the init did.
 */
#include "agent/container/channel.h"
#include "agent/container/container_private.h"
#include "agent/container/spawn.h"
#include "agent/container/terminal.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

struct exec_context {
    const struct container *container;
    const Grpc__Process *process;
};

static struct error *join(const struct container *container, int init)
{
    uint64_t all = container->namespaces.created | container->namespaces.joined;
    if (setns(init, (int)(all & ~(uint64_t)CLONE_NEWPID)) < 0)
        return error_errno(errno, "joining the container's namespaces");
    setsid();
    if (all & CLONE_NEWUSER && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
        return error_errno(errno, "becoming root of the user namespace");
    return NULL;
}

static struct error *become_command(const struct exec_context *context, int channel, int init)
{
    const Grpc__Process *process = context->process;
    struct process_setup setup = container_process_setup(context->container, process);
    TRY(process_limit(&setup, 0));
    TRY(join(context->container, init));
    close(init);
    if (process->terminal) {
        _cleanup_fd_ int master = -1;
        TRY(terminal_open(process->console_size, false, &master));
        TRY(channel_send_fd(channel, CHANNEL_TERMINAL, master));
    }
    TRY(process_confine(&setup));
    TRY(process_install_late_filter(&setup));
    return process_exec(&setup);
}

static void exec_child(void *context, int channel, int init)
{
    struct error *error = become_command(context, channel, init);
    channel_send_error(channel, error);
    _exit(process_failure_code(error));
}

/* -1 where the container has none of its own. The pid is the init's as long as the pidfd reaches it. */
static struct error *open_pid_namespace(const struct container *container, int *ret_fd)
{
    if (!container->has_pid_namespace)
        return NULL;
    char path[48];
    snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)container->init_pid);
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pidfd_send_signal(container->init_pidfd, 0, NULL, 0) < 0)
        return error_new(ERROR_FAILED_PRECONDITION, "the container is not running");
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

/* An init that manages cgroups itself (systemd) has moved into an inner one, because the kernel forbids
   processes beside inner groups: then a new process goes where the init is. */
static struct error *spawn_in_cgroup(
    const struct container *container, struct spawn_options *options, void *context, struct spawned *ret)
{
    struct error *error = spawn(options, exec_child, context, ret);
    if (error_number(error) != EBUSY)
        return error;
    error_free(error);
    _cleanup_fd_ int inner = -1;
    TRY(cgroup_open_process(container->cgroup_root, container->init_pid, &inner));
    options->cgroup = inner;
    return spawn(options, exec_child, context, ret);
}

/* Until the child's end closes, which means that it runs the command. */
static struct error *await_exec(int channel, int *terminal)
{
    for (;;) {
        enum channel_type type = CHANNEL_CLOSED;
        _cleanup_fd_ int fd = -1;
        TRY(channel_receive(channel, CONTAINER_HANDSHAKE_MS, &type, &fd));
        if (type == CHANNEL_CLOSED)
            return NULL;
        if (type != CHANNEL_TERMINAL)
            return error_new(ERROR_INTERNAL, "unexpected message %d from a child", type);
        close_fd(*terminal);
        *terminal = TAKE_FD(fd);
    }
}

static struct error *check(const struct container *container, const Grpc__Process *process)
{
    if (process->n_args == 0)
        return error_new(ERROR_INVALID_ARGUMENT, "the process has no command (args is empty)");
    if (container->paused)
        return error_new(ERROR_FAILED_PRECONDITION, "the container is paused");
    if (container->channel >= 0)
        return error_new(ERROR_FAILED_PRECONDITION, "the container has not been started");
    return NULL;
}

struct error *container_exec(struct container *container, const Grpc__Process *process,
    const struct container_streams *streams, struct container_process *ret_process)
{
    TRY(check(container, process));
    _cleanup_fd_ int pid_namespace = -1;
    TRY(open_pid_namespace(container, &pid_namespace));
    static const struct container_streams none = {-1, -1, -1};
    struct spawn_options options = {
        .cgroup = cgroup_fd(container->cgroup),
        .pid_namespace = pid_namespace,
        .streams = process->terminal ? none : *streams,
        .companion = container->init_pidfd,
    };
    struct exec_context context = {.container = container, .process = process};
    struct spawned spawned;
    TRY(spawn_in_cgroup(container, &options, &context, &spawned));
    _cleanup_fd_ int terminal = -1;
    struct error *error = await_exec(spawned.channel, &terminal);
    if (error) {
        spawned_abandon(&spawned);
        return error;
    }
    close(spawned.channel);
    close(spawned.pidfd);
    *ret_process = (struct container_process){.pid = spawned.pid, .terminal = TAKE_FD(terminal)};
    return NULL;
}
