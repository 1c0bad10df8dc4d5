/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real containers through the agent's calls, as a host makes them: helpers of the tests that run commands.
 */
#pragma once

#include "agent_world.h"
#include "container_world.h"

struct run {
    struct agent_world *agent;
    struct world *files;
};

/* The host's ends of a process's streams; -1 without. */
struct ends {
    int input, output, errors;
};

static inline int set_up(void **state)
{
    struct run *run = must_new(struct run);
    run->files = world_new();
    run->agent = agent_world_new(run->files->cgroup_root);
    agent_make_sandbox(run->agent);
    *state = run;
    return 0;
}

static inline int tear_down(void **state)
{
    struct run *run = *state;
    agent_world_free(run->agent);
    world_free(run->files);
    free(run);
    return 0;
}

/* Opens a stream whose host end is the descriptor returned. */
static inline int open_stream(struct agent_world *world, bool input, uint32_t *ret_port)
{
    int pipe_ends[2];
    struct mux_stream *stream;
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0);
    agent_check(mux_open(world->host, LINK_PORT_STREAMS, &stream));
    *ret_port = mux_stream_id(stream);
    mux_attach(stream, input ? pipe_ends[0] : -1, input ? -1 : pipe_ends[1], NULL, NULL);
    return pipe_ends[input];
}

static inline struct ends open_streams(struct agent_world *world, uint32_t ports[3], bool terminal)
{
    struct ends ends = {-1, -1, -1};
    ends.input = open_stream(world, true, &ports[0]);
    ends.output = open_stream(world, false, &ports[1]);
    if (!terminal)
        ends.errors = open_stream(world, false, &ports[2]);
    return ends;
}

static inline void close_ends(struct ends *ends)
{
    close_fd(ends->input);
    close_fd(ends->output);
    close_fd(ends->errors);
}

/* All that comes until the end of the stream, while the loop runs. At most limit bytes are kept. */
static inline size_t read_to_end(struct agent_world *world, int fd, char *buffer, size_t limit)
{
    size_t total = 0;
    for (;;) {
        char piece[4096];
        ssize_t got = read(fd, piece, sizeof(piece));
        if (got == 0)
            break;
        if (got < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_int_equal(event_base_loop(world->base, EVLOOP_ONCE), 0);
            continue;
        }
        for (ssize_t i = 0; i < got && total + (size_t)i < limit; i++)
            buffer[total + (size_t)i] = piece[i];
        total += (size_t)got;
    }
    if (limit > 0)
        buffer[total < limit ? total : limit - 1] = '\0';
    return total;
}

static inline void assert_output(struct agent_world *world, int fd, const char *expected)
{
    char text[4096];
    read_to_end(world, fd, text, sizeof(text));
    assert_string_equal(text, expected);
}

static inline struct error *create(struct run *run, const char *id, json_t *config, const uint32_t ports[3])
{
    Grpc__CreateContainerRequest request = GRPC__CREATE_CONTAINER_REQUEST__INIT;
    request.container_id = id;
    request.exec_id = id;
    request.stdin_port = ports[0];
    request.stdout_port = ports[1];
    request.stderr_port = ports[2];
    _cleanup_free_ char *cgroup = must_printf("/agent-unit-%d-%s", (int)getpid(), id);
    config_set(config, "linux.cgroupsPath", json_string(cgroup));
    request.oci = config_spec(run->files, config);
    struct error *error = agent_call(run->agent, "CreateContainer", &request.base, NULL);
    oci_spec_free(request.oci);
    return error;
}

static inline struct error *start(struct run *run, const char *id)
{
    Grpc__StartContainerRequest request = GRPC__START_CONTAINER_REQUEST__INIT;
    request.container_id = id;
    return agent_call(run->agent, "StartContainer", &request.base, NULL);
}

static inline struct error *remove_it(struct run *run, const char *id)
{
    Grpc__RemoveContainerRequest request = GRPC__REMOVE_CONTAINER_REQUEST__INIT;
    request.container_id = id;
    return agent_call(run->agent, "RemoveContainer", &request.base, NULL);
}

static inline int wait_for(struct run *run, const char *id, const char *exec_id)
{
    Grpc__WaitProcessRequest request = GRPC__WAIT_PROCESS_REQUEST__INIT;
    request.container_id = id;
    request.exec_id = exec_id;
    ProtobufCMessage *message;
    agent_check(agent_call(run->agent, "WaitProcess", &request.base, &message));
    int status = ((const Grpc__WaitProcessResponse *)(const void *)message)->status;
    protobuf_c_message_free_unpacked(message, NULL);
    return status;
}

static inline struct error *exec(struct run *run, const char *id, const char *exec_id, const char *script,
    bool terminal, const uint32_t ports[3])
{
    const char *arguments[] = {"sh", "-c", script};
    const char *environment[] = {"PATH=/bin"};
    Grpc__User user = GRPC__USER__INIT;
    Grpc__Process process = GRPC__PROCESS__INIT;
    process.terminal = terminal;
    process.user = &user;
    process.args = arguments;
    process.n_args = 3;
    process.env = environment;
    process.n_env = 1;
    process.cwd = "/";
    Grpc__ExecProcessRequest request = GRPC__EXEC_PROCESS_REQUEST__INIT;
    request.container_id = id;
    request.exec_id = exec_id;
    request.process = &process;
    request.stdin_port = ports[0];
    request.stdout_port = ports[1];
    request.stderr_port = ports[2];
    return agent_call(run->agent, "ExecProcess", &request.base, NULL);
}

static inline struct error *send_signal(struct run *run, const char *id, const char *exec_id, unsigned number)
{
    Grpc__SignalProcessRequest request = GRPC__SIGNAL_PROCESS_REQUEST__INIT;
    request.container_id = id;
    request.exec_id = exec_id;
    request.signal = number;
    return agent_call(run->agent, "SignalProcess", &request.base, NULL);
}

/* A container that waits, to run processes in. */
static inline void start_idle(struct run *run)
{
    agent_check(create(run, "idle", config_new("exec sleep 1000"), (const uint32_t[3]){0}));
    agent_check(start(run, "idle"));
}

static inline void expect(struct error *error, enum error_code code, const char *part)
{
    if (error_code(error) != code || !strstr(error ? error_message(error) : "", part))
        fail_msg("%s: %s (wanted %s, \"%s\")", error_code_name(error_code(error)),
            error ? error_message(error) : "", error_code_name(code), part);
    error_free(error);
}
