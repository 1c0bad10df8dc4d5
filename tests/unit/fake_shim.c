/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shim for tests of the front end: containerd's command line and Task service, but the container is a plain
 * local process, started with the arguments, environment and directory of config.json. Streams behave as the
 * real shim's do for Caisson's command line: a fifo's ends are the process's own.
 *
 * $FAKE_SHIM makes it misbehave: "refuse" (start fails with a sentence), "silent" (start says nothing),
 * "no-create" (Create fails), "not-found" (Start fails as for a missing command), "hang" (Create is never
 * answered), "die" (the shim dies as soon as the process runs).
 */
#include "base/fd.h"
#include "base/json.h"
#include "base/process.h"
#include "base/strv.h"
#include "client/pump.h"
#include "proto/cgroup2.pb-c.h"
#include "proto/events.pb-c.h"
#include "proto/task.pb-c.h"
#include "ttrpc/ttrpc.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#define PROCESSES_MAX 16
#define SPEC_LIMIT (4u << 20)

struct local_process {
    char exec_id[64];
    char *spec; /* JSON of the OCI process */
    bool terminal;
    int fds[3];
    int master; /* of the pseudo-terminal, or -1 */
    struct pump *pumps[2];
    struct process_watch *watch;
    pid_t pid;
    bool started;
    bool ended;
    bool drained;
    bool paused;
    uint32_t status;
    struct ttrpc_call *waits[4];
    size_t wait_count;
};

static struct event_base *base;
static struct local_process processes[PROCESSES_MAX];
static size_t process_count;
static const char *id = "", *publish_binary = "", *mood = "";

static struct local_process *find(const char *exec_id)
{
    for (size_t i = 0; i < process_count; i++)
        if (!strcmp(processes[i].exec_id, exec_id))
            return &processes[i];
    return NULL;
}

/* Answers NOT_FOUND where there is no such process. */
static struct local_process *find_or_fail(struct ttrpc_call *call, const char *exec_id)
{
    struct local_process *process = find(exec_id);
    if (!process)
        ttrpc_fail(call, error_new(ERROR_NOT_FOUND, "no such process: not found"));
    return process;
}

/* ---- exit ---- */

static void publish_exit(const struct local_process *process)
{
    Event__TaskExit event = EVENT__TASK_EXIT__INIT;
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    size_t length;
    int ends[2];
    pid_t pid;

    event.container_id = id;
    event.id = *process->exec_id ? process->exec_id : id;
    event.exit_status = process->status;
    any.type_url = event__task_exit__descriptor.name;
    any.value.data = ttrpc_pack(&event.base, &any.value.len);
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&any.base, &length);
    free(any.value.data);
    if (!*publish_binary || pipe2(ends, O_CLOEXEC) < 0)
        return;
    error_free(fd_write_all(ends[1], bytes, length));
    close(ends[1]);
    char *const arguments[] = {(char *)(uintptr_t)publish_binary, (char[]){"--address"}, (char[]){"here"},
        (char[]){"publish"}, (char[]){"--topic"}, (char[]){"/tasks/exit"}, (char[]){"--namespace"},
        (char[]){"caisson"}, NULL};
    const struct process_fd fds[] = {{.fd = ends[0], .child_fd = 0}};
    const struct process_options options = {.arguments = arguments, .fds = fds, .fd_count = 1};
    error_free(process_spawn(&options, &pid));
    close(ends[0]);
}

static void reply_exit(struct ttrpc_call *call, const struct local_process *process)
{
    Task__WaitResponse response = TASK__WAIT_RESPONSE__INIT;
    response.exit_status = process->status;
    ttrpc_reply(call, &response.base);
}

static void report_if_over(struct local_process *process)
{
    if (!process->ended || !process->drained)
        return;
    for (size_t i = 0; i < process->wait_count; i++)
        reply_exit(process->waits[i], process);
    process->wait_count = 0;
    publish_exit(process);
}

static void on_exit_of(void *context, int status)
{
    struct local_process *process = context;
    process->ended = true;
    process->status = (uint32_t)process_exit_code(status);
    report_if_over(process);
}

static void pty_drained(void *context, struct error *error)
{
    struct local_process *process = context;
    error_free(error);
    pump_free(TAKE_PTR(process->pumps[1]));
    close_fd(TAKE_FD(process->fds[1]));
    process->drained = true;
    report_if_over(process);
}

static void pty_input_over(void *context, struct error *error)
{
    struct local_process *process = context;
    error_free(error);
    pump_free(TAKE_PTR(process->pumps[0]));
}

/* ---- start ---- */

static int open_stream(const char *address, int flags)
{
    if (!*address)
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    if (!strncmp(address, "file://", 7))
        return open(address + 7, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    int fd = open(address, flags | O_NONBLOCK | O_CLOEXEC);
    error_free(fd_set_nonblocking(fd, false));
    return fd;
}

static struct local_process *add_process(
    const char *exec_id, char *spec, const char *in, const char *out, const char *err, bool terminal)
{
    struct local_process *process = &processes[process_count++];
    *process = (struct local_process){.spec = spec, .terminal = terminal, .master = -1, .drained = !terminal};
    snprintf(process->exec_id, sizeof(process->exec_id), "%s", exec_id);
    process->fds[0] = open_stream(in, O_RDONLY);
    process->fds[1] = open_stream(out, O_WRONLY);
    process->fds[2] = open_stream(terminal ? "" : err, O_WRONLY);
    return process;
}

static int become_session(void *context)
{
    return setsid() < 0 || ioctl(0, TIOCSCTTY, 0) < 0 ? errno : 0;
}

/* The slave becomes the process's three streams; the master is joined to the fifos. */
static void make_terminal(struct local_process *process, int *ret_slave)
{
    if (openpty(&process->master, ret_slave, NULL, NULL, NULL) < 0)
        abort();
    fcntl(process->master, F_SETFD, FD_CLOEXEC);
    error_free(fd_set_nonblocking(process->master, true));
    process->pumps[0] = pump_new(base, process->fds[0], process->master, NULL, pty_input_over, process);
    process->pumps[1] = pump_new(base, process->master, process->fds[1], NULL, pty_drained, process);
}

static struct error *spawn(struct local_process *process)
{
    _cleanup_json_ json_t *spec = NULL;
    _cleanup_strv_ char **arguments = NULL, **environment = NULL;
    const char *directory = "/";
    _cleanup_fd_ int slave = -1;

    TRY(json_read("process", process->spec, strlen(process->spec), &spec));
    TRY(json_get_strings(spec, "process", "args", 1000, &arguments));
    TRY(json_get_strings(spec, "process", "env", 1000, &environment));
    TRY(json_get_string(spec, "process", "cwd", &directory));
    if (process->terminal)
        make_terminal(process, &slave);
    struct process_fd fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = (struct process_fd){.fd = process->terminal ? slave : process->fds[i], .child_fd = i};
    const struct process_options options = {.arguments = arguments,
        .environment = environment,
        .directory = directory,
        .fds = fds,
        .fd_count = ARRAY_SIZE(fds),
        .prepare = process->terminal ? become_session : NULL};
    struct error *error = process_spawn(&options, &process->pid);
    if (error)
        return error_recode(error_wrap(error, "exec: \"%s\"", arguments[0]), ERROR_NOT_FOUND);
    if (!process->terminal)
        for (int i = 0; i < 3; i++)
            close_fd(TAKE_FD(process->fds[i]));
    return process_watch_new(base, process->pid, on_exit_of, process, &process->watch);
}

/* ---- the Task service ---- */

static void create(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Task__CreateTaskRequest *request = (const Task__CreateTaskRequest *)message;
    _cleanup_json_ json_t *config = NULL;
    _cleanup_free_ char *path = must_printf("%s/config.json", request->bundle), *text = NULL;
    Task__CreateTaskResponse response = TASK__CREATE_TASK_RESPONSE__INIT;
    size_t length;

    if (!strcmp(mood, "hang"))
        return;
    struct error *error = file_read(AT_FDCWD, path, SPEC_LIMIT, &text, &length);
    if (!error)
        error = json_read(path, text, length, &config);
    if (!error && !strcmp(mood, "no-create"))
        error = error_new(ERROR_INTERNAL, "the machine does not start");
    if (error) {
        ttrpc_fail(call, error);
        return;
    }
    add_process("", json_write(json_object_get(config, "process")), request->stdin, request->stdout,
        request->stderr, request->terminal);
    ttrpc_reply(call, &response.base);
}

static void exec(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Task__ExecProcessRequest *request = (const Task__ExecProcessRequest *)message;

    add_process(request->exec_id,
        must_copy_length((const char *)request->spec->value.data, request->spec->value.len), request->stdin,
        request->stdout, request->stderr, request->terminal);
    ttrpc_reply_empty(call);
}

static void start(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Task__StartRequest *request = (const Task__StartRequest *)message;
    struct local_process *process = find_or_fail(call, request->exec_id);
    Task__StartResponse response = TASK__START_RESPONSE__INIT;

    if (!process)
        return;
    struct error *error = spawn(process);
    if (error) {
        ttrpc_fail(call, error);
        return;
    }
    process->started = true;
    response.pid = (uint32_t)process->pid;
    ttrpc_reply(call, &response.base);
    if (!strcmp(mood, "die"))
        event_base_loopexit(base, &(struct timeval){.tv_usec = 100000});
}

static void wait_for(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    struct local_process *process = find_or_fail(call, ((const Task__WaitRequest *)message)->exec_id);

    if (!process)
        return;
    if (process->ended && process->drained)
        reply_exit(call, process);
    else
        process->waits[process->wait_count++] = call;
}

static void state(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    struct local_process *process = find_or_fail(call, ((const Task__StateRequest *)message)->exec_id);
    Task__StateResponse response = TASK__STATE_RESPONSE__INIT;

    if (!process)
        return;
    response.pid = (uint32_t)process->pid;
    response.exit_status = process->status;
    response.status = process->ended && process->drained ? TASK__STATUS__STOPPED
                      : process->paused                  ? TASK__STATUS__PAUSED
                      : process->started                 ? TASK__STATUS__RUNNING
                                                         : TASK__STATUS__CREATED;
    ttrpc_reply(call, &response.base);
}

static void signal_process(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Task__KillRequest *request = (const Task__KillRequest *)message;
    struct local_process *process = find_or_fail(call, request->exec_id);

    if (!process)
        return;
    if (process->ended || !process->started || kill(process->pid, (int)request->signal) < 0)
        ttrpc_fail(call, error_new(ERROR_NOT_FOUND, "process already finished"));
    else
        ttrpc_reply_empty(call);
}

static void resize(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Task__ResizePtyRequest *request = (const Task__ResizePtyRequest *)message;
    struct local_process *process = find_or_fail(call, request->exec_id);
    const struct winsize size = {
        .ws_row = (unsigned short)request->height, .ws_col = (unsigned short)request->width};

    if (!process)
        return;
    ioctl(process->master, TIOCSWINSZ, &size);
    ttrpc_reply_empty(call);
}

static void set_paused(struct ttrpc_call *call, bool paused)
{
    struct local_process *process = find_or_fail(call, "");

    if (!process)
        return;
    process->paused = paused;
    kill(process->pid, paused ? SIGSTOP : SIGCONT);
    ttrpc_reply_empty(call);
}

static void pause_task(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    set_paused(call, true);
}

static void resume(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    set_paused(call, false);
}

static void close_input(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    ttrpc_reply_empty(call);
}

static void stats(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    Cgroup2__Metrics metrics = CGROUP2__METRICS__INIT;
    Cgroup2__MemoryStat memory = CGROUP2__MEMORY_STAT__INIT;
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    Task__StatsResponse response = TASK__STATS_RESPONSE__INIT;

    memory.usage = 3 << 20;
    memory.usage_limit = 6 << 20;
    metrics.memory = &memory;
    any.type_url = cgroup2__metrics__descriptor.name;
    any.value.data = ttrpc_pack(&metrics.base, &any.value.len);
    response.stats = &any;
    ttrpc_reply(call, &response.base);
    free(any.value.data);
}

static void delete_process(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    struct local_process *process = find_or_fail(call, ((const Task__DeleteRequest *)message)->exec_id);
    Task__DeleteResponse response = TASK__DELETE_RESPONSE__INIT;

    if (!process)
        return;
    response.exit_status = process->status;
    ttrpc_reply(call, &response.base);
}

static void shut_down(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    for (size_t i = 0; i < process_count; i++)
        if (processes[i].started && !processes[i].ended)
            kill(processes[i].pid, SIGKILL);
    ttrpc_reply_empty(call);
    event_base_loopexit(base, NULL);
}

static const struct ttrpc_method methods[] = {{"CloseIO", close_input}, {"Create", create},
    {"Delete", delete_process}, {"Exec", exec}, {"Kill", signal_process}, {"Pause", pause_task},
    {"ResizePty", resize}, {"Resume", resume}, {"Shutdown", shut_down}, {"Start", start}, {"State", state},
    {"Stats", stats}, {"Wait", wait_for}};

/* ---- the command line ---- */

static int serve(int listener)
{
    static const struct ttrpc_service service = {
        .name = "containerd.task.v2.Task",
        .descriptor = &task__task__descriptor,
        .methods = methods,
        .method_count = ARRAY_SIZE(methods),
    };
    const struct ttrpc_service *const services[] = {&service};

    signal(SIGPIPE, SIG_IGN);
    base = event_base_new();
    struct ttrpc_server *server = ttrpc_server_new(base, services, 1, NULL);
    error_free(ttrpc_server_listen(server, listener));
    event_base_dispatch(base);
    unlink("shim.sock");
    for (size_t i = 0; i < process_count; i++)
        if (processes[i].started && !processes[i].ended)
            kill(processes[i].pid, SIGKILL);
    ttrpc_server_free(server);
    return 0;
}

static int start_shim(void)
{
    _cleanup_free_ char *directory = get_current_dir_name();
    _cleanup_free_ char *socket = must_printf("%s/shim.sock", directory);
    _cleanup_free_ char *address = must_printf("unix://%s", socket);
    int listener;

    if (!strcmp(mood, "refuse")) {
        fprintf(stderr, "noise\nthere is no hypervisor here\n");
        return 1;
    }
    if (!strcmp(mood, "silent"))
        return 0;
    if (unix_listen(socket, &listener) || file_write_text(AT_FDCWD, "address", address))
        return 1;
    if (fork() > 0) {
        printf("%s", address);
        return 0;
    }
    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    for (int fd = 0; fd <= 2; fd++)
        if (open("/dev/null", O_RDWR) != fd)
            return 1;
    setsid();
    return serve(listener);
}

static int clean_up(void)
{
    Task__DeleteResponse response = TASK__DELETE_RESPONSE__INIT;
    size_t length;

    response.exit_status = 137;
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&response.base, &length);
    return fd_write_all(STDOUT_FILENO, bytes, length) ? 1 : 0;
}

int main(int argc, char **argv)
{
    mood = getenv("FAKE_SHIM") ?: "";
    for (int i = 1; i + 1 < argc; i++) {
        if (!strcmp(argv[i], "-id"))
            id = argv[i + 1];
        if (!strcmp(argv[i], "-publish-binary"))
            publish_binary = argv[i + 1];
    }
    if (argc > 1 && !strcmp(argv[argc - 1], "start"))
        return start_shim();
    if (argc > 1 && !strcmp(argv[argc - 1], "delete"))
        return clean_up();
    if (argc > 1 && !strcmp(argv[argc - 1], "check")) {
        puts("[{\"name\":\"qemu-tcg\",\"usable\":true,\"reason\":\"it is "
             "here\",\"advice\":null,\"details\":{}}]");
        return 0;
    }
    puts("io.containerd.caisson.v2 9.9 (a fake)");
    return 0;
}
