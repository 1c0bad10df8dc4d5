/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rpc.h"

#include <signal.h>

/* ---- exec ---- */

static struct error *exec_process(struct agent *agent, const Grpc__ExecProcessRequest *request)
{
    struct agent_container *container;
    TRY(agent_find_container_for(agent, request->container_id, CALL_EXEC_PROCESS, &container));
    if (!request->process)
        return error_new(ERROR_INVALID_ARGUMENT, "the request has no process to run");
    TRY(agent_reserve_process(container, request->exec_id));

    const struct stdio_ports ports = {request->stdin_port, request->stdout_port, request->stderr_port};
    _cleanup_(stdio_free) struct stdio *stdio = NULL;
    TRY(stdio_new(agent->base, agent->link, &ports, request->process->terminal, &stdio));
    struct container_streams streams = stdio_child_streams(stdio);
    struct container_process made;
    TRY(error_wrap(container_exec(container->container, request->process, &streams, &made),
        "running a process in the container %s", container->id));
    struct agent_process *process = agent_add_process(container, request->exec_id, made.pid, TAKE_PTR(stdio));
    return stdio_process_started(process->stdio, made.terminal);
}
RPC_HANDLER(rpc_exec_process, exec_process, Grpc__ExecProcessRequest);

/* ---- signals and exits ---- */

/* An empty exec id means all processes, as in the task API. */
static struct error *signal_process(struct agent *agent, const Grpc__SignalProcessRequest *request)
{
    struct agent_process *process;
    TRY(agent_find_process_for(
        agent, request->container_id, request->exec_id, CALL_SIGNAL_PROCESS, &process));
    if (request->signal == 0 || request->signal > (uint32_t)SIGRTMAX)
        return error_new(ERROR_INVALID_ARGUMENT, "%u is not the number of a signal", request->signal);
    bool all = request->exec_id[0] == '\0';
    if (process->exited && !all)
        return error_new(ERROR_NOT_FOUND, "the process %s has exited already", process->id);
    return error_wrap(
        container_signal(process->container->container, all ? 0 : process->pid, (int)request->signal),
        "sending signal %u to the container %s", request->signal, process->container->id);
}
RPC_HANDLER(rpc_signal_process, signal_process, Grpc__SignalProcessRequest);

void rpc_wait_process(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__WaitProcessRequest *request = (const void *)message;
    struct agent_process *process;
    struct error *error =
        agent_find_process_for(context, request->container_id, request->exec_id, CALL_WAIT_PROCESS, &process);
    if (error) {
        ttrpc_fail(call, error);
    } else if (!process->exited) {
        agent_waiters_add(&process->waiters, call);
    } else {
        process->waited = true;
        Grpc__WaitProcessResponse reply = GRPC__WAIT_PROCESS_RESPONSE__INIT;
        reply.status = process->exit_code;
        ttrpc_reply(call, &reply.base);
    }
}

/* ---- standard streams ---- */

void rpc_write_stdin(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const Grpc__WriteStreamRequest *request = (const void *)message;
    struct agent_process *process;
    struct error *error =
        agent_find_process_for(context, request->container_id, request->exec_id, CALL_STREAM, &process);
    if (error)
        ttrpc_fail(call, error);
    else
        stdio_write(process->stdio, request->data.data, request->data.len, call);
}

static void read_output(
    struct agent *agent, struct ttrpc_call *call, const ProtobufCMessage *message, enum stdio_output which)
{
    const Grpc__ReadStreamRequest *request = (const void *)message;
    struct agent_process *process;
    struct error *error =
        agent_find_process_for(agent, request->container_id, request->exec_id, CALL_STREAM, &process);
    if (error)
        ttrpc_fail(call, error);
    else
        stdio_read(process->stdio, which, request->len, call);
}

void rpc_read_stdout(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    read_output(context, call, message, STDIO_STDOUT);
}

void rpc_read_stderr(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    read_output(context, call, message, STDIO_STDERR);
}

static struct error *close_stdin(struct agent *agent, const Grpc__CloseStdinRequest *request)
{
    struct agent_process *process;
    TRY(agent_find_process_for(agent, request->container_id, request->exec_id, CALL_STREAM, &process));
    return stdio_close_input(process->stdio);
}
RPC_HANDLER(rpc_close_stdin, close_stdin, Grpc__CloseStdinRequest);

static struct error *resize_terminal(struct agent *agent, const Grpc__TtyWinResizeRequest *request)
{
    struct agent_process *process;
    TRY(agent_find_process_for(
        agent, request->container_id, request->exec_id, CALL_TTY_WIN_RESIZE, &process));
    return stdio_resize(process->stdio, request->row, request->column);
}
RPC_HANDLER(rpc_tty_win_resize, resize_terminal, Grpc__TtyWinResizeRequest);
