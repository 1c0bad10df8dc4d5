/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson-agent: PID 1 of the guest.
 *
 * The boot is a few phases in a fixed order, because each millisecond of it is part of every container's
 * start: what the link needs, the link itself (its hello is the host's sign of life), then the rest of the
 * mounts while the host already makes its first call. A phase that fails ends the process, which as PID 1 is
 * a kernel panic that the host sees with the reason on the console.
 *
 * Started as an ordinary program the agent serves a socket or an inherited link, and leaves the machine as it
 * is: for tests, and for looking at it with other clients of its protocol.
 */
#include "agent/agent.h"
#include "agent/boot.h"
#include "agent/port.h"
#include "agent/transport.h"
#include "base/fd.h"
#include "base/parse.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

/* The monitor connects the port when it starts the machine; this is for one that never will. */
#define LINK_TIMEOUT_MS 30000

/* Three descriptors a process, and hosts that start hundreds. What containers may open is their own limit. */
#define OPEN_FILES 65536

/* Turns of the loop in which what has been answered reaches the link: server, socket, mux, port. */
#define FLUSH_TURNS 8

static void on_link_failed(void *context, const struct error *reason)
{
    struct agent *agent = context;
    kmsg_write(&agent->options.kmsg, KMSG_ERROR, "the link to the host is gone: %s", error_message(reason));
    agent_destroy_sandbox(agent);
}

static struct error *connect_link(struct agent *agent, int fd)
{
    TRY(link_new(agent->base, fd, agent->server, on_link_failed, agent, &agent->link));
    storage_table_set_link(agent->mounts, agent->link);
    return NULL;
}

/* Before the first request of the new host is read. */
static void on_started_anew(void *context)
{
    const struct agent *agent = context;
    kmsg_error(&agent->options.kmsg, KMSG_WARNING, transport_find_devices());
}

/* Writing to a closed pipe is an error of that pipe alone. Both are undone in what containers run. */
static void prepare_process(void)
{
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < OPEN_FILES) {
        limit.rlim_cur = OPEN_FILES;
        limit.rlim_max = limit.rlim_max < OPEN_FILES ? OPEN_FILES : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Serves until the sandbox is destroyed or the host is gone. */
static void serve(struct agent *agent)
{
    event_base_dispatch(agent->base);
    for (int i = 0; i < FLUSH_TURNS; i++)
        event_base_loop(agent->base, EVLOOP_NONBLOCK);
}

/* ---- PID 1 ---- */

static struct error *finish_boot(struct boot_timings *timings, const struct kmsg *kmsg)
{
    TRY(boot_mount_rest());
    boot_mark(timings, "mounts");
    TRY(boot_loopback_up());
    boot_mark(timings, "loopback");
    struct boot_options options;
    TRY(boot_options_read(&options));
    if (options.timings)
        boot_report(timings, kmsg);
    return NULL;
}

static struct error *run_guest(struct kmsg *kmsg)
{
    struct boot_timings timings = {0};
    boot_mark(&timings, "init");
    TRY(container_leave_initramfs());
    TRY(boot_mount_devices());
    *kmsg = (struct kmsg){.fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC), .device = true};
    boot_mark(&timings, "devices");
    int port;
    TRY(port_open(PORT_LINK_NAME, LINK_TIMEOUT_MS, &port));
    boot_mark(&timings, "port");

    prepare_process();
    struct event_base *base = event_base_new();
    const struct agent_options options = {.is_guest = true, .cgroup_root = CGROUP_ROOT, .kmsg = *kmsg};
    struct agent *agent;
    TRY(agent_new(base, &options, &agent));
    TRY(connect_link(agent, port));
    link_watch_host(agent->link, on_started_anew);
    /* One round only: it sends our hello, and no request can come before the host has seen that. */
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    boot_mark(&timings, "link");
    TRY(finish_boot(&timings, kmsg));
    serve(agent);
    boot_power_off();
}

/* Ending as PID 1 is the panic that the host waits for. */
static int run_as_init(void)
{
    struct kmsg kmsg = {.fd = STDERR_FILENO};
    struct error *error = run_guest(&kmsg);
    kmsg_write(&kmsg, KMSG_EMERGENCY, "%s", error_message(error));
    return 1;
}

/* ---- an ordinary program ---- */

struct arguments {
    const char *listen; /* path of a socket */
    uint64_t link;      /* descriptor of an inherited link */
    const char *cgroup;
};

static void print_usage(FILE *out)
{
    fputs("usage: caisson-agent --listen unix:///PATH | --link-fd N  [--cgroup DIR]\n"
          "\n"
          "In a virtual machine this program is PID 1 and takes no arguments.\n"
          "  --listen unix:///PATH  serve the guest protocol on a unix socket\n"
          "  --link-fd N            serve it on a mux link that is descriptor N\n"
          "  --cgroup DIR           put containers into control groups below this cgroup2 mount\n",
        out);
}

static struct error *parse_arguments(int argc, char **argv, struct arguments *ret_arguments)
{
    static const struct option options[] = {{"listen", required_argument, NULL, 'l'},
        {"link-fd", required_argument, NULL, 'f'}, {"cgroup", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'}, {0}};
    struct arguments arguments = {.link = UINT64_MAX};
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'l' && strncmp(optarg, "unix://", 7) == 0)
            arguments.listen = optarg + 7;
        else if (option == 'f')
            TRY(parse_unsigned("descriptor", optarg, 0, INT32_MAX, &arguments.link));
        else if (option == 'c')
            arguments.cgroup = optarg;
        else if (option == 'h')
            print_usage(stdout), exit(0);
        else
            return error_new(ERROR_INVALID_ARGUMENT, "wrong arguments; --help shows the right ones");
    }
    if (!arguments.listen == (arguments.link == UINT64_MAX) || optind != argc)
        return error_new(ERROR_INVALID_ARGUMENT, "one of --listen and --link-fd is needed; see --help");
    *ret_arguments = arguments;
    return NULL;
}

static struct error *connect_agent(struct agent *agent, const struct arguments *arguments)
{
    if (!arguments->listen)
        return connect_link(agent, (int)arguments->link);
    int fd;
    TRY(unix_listen(arguments->listen, &fd));
    return ttrpc_server_listen(agent->server, fd);
}

static struct error *run_program(int argc, char **argv)
{
    struct arguments arguments;
    TRY(parse_arguments(argc, argv, &arguments));
    prepare_process();
    struct event_base *base = event_base_new();
    const struct agent_options options = {.cgroup_root = arguments.cgroup, .kmsg = {.fd = STDERR_FILENO}};
    _cleanup_(agent_free) struct agent *agent = NULL;
    TRY(agent_new(base, &options, &agent));
    TRY(connect_agent(agent, &arguments));
    serve(agent);
    /* Streams of what the agent still holds belong to the link. */
    struct link *link = agent->link;
    agent_free(TAKE_PTR(agent));
    link_free(link);
    return NULL;
}

int main(int argc, char **argv)
{
    if (getpid() == 1)
        return run_as_init();
    _cleanup_error_ struct error *error = run_program(argc, argv);
    if (error)
        fprintf(stderr, "caisson-agent: %s\n", error_message(error));
    return error ? 1 : 0;
}
