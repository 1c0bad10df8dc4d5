/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers and their processes through the agent's calls: streams, exits, signals, terminals.
 */
#include "agent_run.h"

/* ---- life ---- */

static void test_run(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    uint32_t ports[3] = {0};
    struct ends ends = open_streams(run->agent, ports, false);
    agent_check(create(run, "one", config_new("echo out; echo err >&2; cat; exit 7"), ports));
    expect(create(run, "one", config_new("true"), (const uint32_t[3]){0}), ERROR_ALREADY_EXISTS, "one");
    expect(exec(run, "one", "early", "true", false, (const uint32_t[3]){0}), ERROR_FAILED_PRECONDITION,
        "is created");
    agent_check(start(run, "one"));
    expect(start(run, "one"), ERROR_FAILED_PRECONDITION, "is running");
    agent_check(fd_write_all(ends.input, "typed\n", 6));
    close_fd(TAKE_FD(ends.input));
    assert_output(run->agent, ends.output, "out\ntyped\n");
    assert_output(run->agent, ends.errors, "err\n");
    assert_int_equal(wait_for(run, "one", ""), 7);
    assert_int_equal(wait_for(run, "one", "one"), 7);
    expect(start(run, "one"), ERROR_FAILED_PRECONDITION, "is stopped");
    expect(send_signal(run, "one", "one", SIGTERM), ERROR_NOT_FOUND, "exited already");
    agent_check(remove_it(run, "one"));
    expect(remove_it(run, "one"), ERROR_NOT_FOUND, "one");
    close_ends(&ends);
}

static void test_command_not_found(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    json_t *config = config_new("");
    config_set(config, "process.args", json_pack("[s]", "/bin/nothing"));
    expect(create(run, "lost", config, (const uint32_t[3]){0}), ERROR_NOT_FOUND, "nothing");
    expect(start(run, "lost"), ERROR_NOT_FOUND, "lost");
    agent_check(create(run, "lost", config_new(""), (const uint32_t[3]){0}));
    agent_check(remove_it(run, "lost"));
}

static void note_exit(void *context, struct error *error, const ProtobufCMessage *response)
{
    agent_check(error);
    *(int *)context = ((const Grpc__WaitProcessResponse *)(const void *)response)->status;
}

static void note_code(void *context, struct error *error, const ProtobufCMessage *response)
{
    *(enum error_code *)context = error_code(error);
    error_free(error);
}

static void wait_later(struct run *run, const char *id, const char *exec_id, int *status)
{
    Grpc__WaitProcessRequest request = GRPC__WAIT_PROCESS_REQUEST__INIT;
    request.container_id = id;
    request.exec_id = exec_id;
    *status = -1;
    ttrpc_client_call(run->agent->client, &grpc__agent_service__descriptor, "WaitProcess", &request.base, 0,
        note_exit, status);
}

/* What Create waits for does not come, and the host gives it up. */
static void test_removal_during_creation(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    Grpc__Storage storage = GRPC__STORAGE__INIT;
    Grpc__Storage *storages[] = {&storage};
    Grpc__CreateContainerRequest request = GRPC__CREATE_CONTAINER_REQUEST__INIT;
    enum error_code code = ERROR_OK;
    storage.driver = "blk";
    storage.source = "/dev/caisson-never";
    storage.mount_point = "/run/never";
    request.container_id = request.exec_id = "early";
    request.oci = config_spec(run->files, config_new("true"));
    request.storages = storages;
    request.n_storages = 1;
    ttrpc_client_call(run->agent->client, &grpc__agent_service__descriptor, "CreateContainer", &request.base,
        0, note_code, &code);
    oci_spec_free(request.oci);
    agent_check(remove_it(run, "early"));
    while (code == ERROR_OK)
        assert_int_equal(event_base_loop(run->agent->base, EVLOOP_ONCE), 0);
    assert_int_equal(code, ERROR_ABORTED);
    agent_check(create(run, "early", config_new("true"), (const uint32_t[3]){0}));
    agent_check(remove_it(run, "early"));
}

/* Those who wait learn how the processes ended, also when the container is removed under them. */
static void test_removal_while_running(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    start_idle(run);
    agent_check(exec(run, "idle", "more", "exec sleep 1000", false, (const uint32_t[3]){0}));
    int first, second, more;
    wait_later(run, "idle", "", &first);
    wait_later(run, "idle", "idle", &second);
    wait_later(run, "idle", "more", &more);
    agent_check(remove_it(run, "idle"));
    while (first < 0 || second < 0 || more < 0)
        assert_int_equal(event_base_loop(run->agent->base, EVLOOP_ONCE), 0);
    assert_int_equal(first, 128 + SIGKILL);
    assert_int_equal(second, 128 + SIGKILL);
    assert_int_equal(more, 128 + SIGKILL);
}

static void test_signals(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    start_idle(run);
    agent_check(exec(run, "idle", "a", "exec sleep 1000", false, (const uint32_t[3]){0}));
    expect(send_signal(run, "idle", "a", 0), ERROR_INVALID_ARGUMENT, "0");
    expect(send_signal(run, "idle", "a", 65), ERROR_INVALID_ARGUMENT, "65");
    agent_check(send_signal(run, "idle", "a", SIGTERM));
    assert_int_equal(wait_for(run, "idle", "a"), 128 + SIGTERM);
    agent_check(exec(run, "idle", "b", "exec sleep 1000", false, (const uint32_t[3]){0}));
    agent_check(send_signal(run, "idle", "", SIGKILL));
    assert_int_equal(wait_for(run, "idle", "b"), 128 + SIGKILL);
    assert_int_equal(wait_for(run, "idle", ""), 128 + SIGKILL);
}

static void test_pause(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    start_idle(run);
    Grpc__PauseContainerRequest pause_request = GRPC__PAUSE_CONTAINER_REQUEST__INIT;
    Grpc__ResumeContainerRequest resume = GRPC__RESUME_CONTAINER_REQUEST__INIT;
    pause_request.container_id = resume.container_id = "idle";
    agent_refuses(run->agent, "ResumeContainer", &resume.base, ERROR_FAILED_PRECONDITION, "running");
    agent_check(agent_call(run->agent, "PauseContainer", &pause_request.base, NULL));
    expect(
        exec(run, "idle", "x", "true", false, (const uint32_t[3]){0}), ERROR_FAILED_PRECONDITION, "paused");
    agent_check(agent_call(run->agent, "ResumeContainer", &resume.base, NULL));
    agent_check(exec(run, "idle", "x", "exit 3", false, (const uint32_t[3]){0}));
    assert_int_equal(wait_for(run, "idle", "x"), 3);
}

static void test_stats(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    start_idle(run);
    Grpc__StatsContainerRequest request = GRPC__STATS_CONTAINER_REQUEST__INIT;
    request.container_id = "idle";
    ProtobufCMessage *message;
    agent_check(agent_call(run->agent, "StatsContainer", &request.base, &message));
    const Grpc__StatsContainerResponse *reply = (const void *)message;
    assert_non_null(reply->cgroup_stats);
    assert_true(reply->n_network_stats >= 1);
    assert_string_equal(reply->network_stats[0]->name, "lo");
    protobuf_c_message_free_unpacked(message, NULL);
}

/* Storages of a container, and files that were brought for it, go with it. */
static void test_storages_go_with_the_container(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    Grpc__CopyFileRequest copy = GRPC__COPY_FILE_REQUEST__INIT;
    copy.path = "/run/kata-containers/copies/store/0";
    copy.file_size = 1;
    copy.data.data = (uint8_t *)(uintptr_t) "x";
    copy.data.len = 1;
    agent_check(agent_call(run->agent, "CopyFile", &copy.base, NULL));
    Grpc__Storage scratch = GRPC__STORAGE__INIT;
    scratch.driver = "ephemeral";
    scratch.source = "tmpfs";
    scratch.mount_point = "/run/kata-containers/store/scratch";
    Grpc__Storage *storages[] = {&scratch};
    Grpc__CreateContainerRequest request = GRPC__CREATE_CONTAINER_REQUEST__INIT;
    request.container_id = "store";
    request.storages = storages;
    request.n_storages = 1;
    request.oci = config_spec(run->files, config_new("true"));
    agent_check(agent_call(run->agent, "CreateContainer", &request.base, NULL));
    oci_spec_free(request.oci);
    assert_int_equal(access(scratch.mount_point, F_OK), 0);
    agent_check(remove_it(run, "store"));
    assert_int_equal(access("/run/kata-containers/store", F_OK), -1);
    assert_int_equal(access("/run/kata-containers/copies/store", F_OK), -1);
}

/* ---- exec ---- */

static void test_exec_ids(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    const uint32_t none[3] = {0};
    start_idle(run);
    agent_check(exec(run, "idle", "again", "exit 4", false, none));
    expect(exec(run, "idle", "again", "true", false, none), ERROR_ALREADY_EXISTS, "again");
    assert_int_equal(wait_for(run, "idle", "again"), 4);
    assert_int_equal(wait_for(run, "idle", "again"), 4);
    /* A name is free again once somebody knows how its process ended. */
    agent_check(exec(run, "idle", "again", "exit 5", false, none));
    assert_int_equal(wait_for(run, "idle", "again"), 5);
    expect(exec(run, "idle", "idle", "true", false, none), ERROR_ALREADY_EXISTS, "idle");
    expect(exec(run, "idle", "../x", "true", false, none), ERROR_INVALID_ARGUMENT, "exec id");
    expect(exec(run, "idle", "", "true", false, none), ERROR_INVALID_ARGUMENT, "exec id");
}

static void test_many_execs(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    start_idle(run);
    for (int i = 0; i < AGENT_PROCESSES_MAX + 20; i++) {
        char id[16], script[64], expected[32];
        snprintf(id, sizeof(id), "e%d", i);
        snprintf(script, sizeof(script), "echo last line %d", i);
        snprintf(expected, sizeof(expected), "last line %d\n", i);
        uint32_t ports[3] = {0};
        struct ends ends = open_streams(run->agent, ports, false);
        agent_check(exec(run, "idle", id, script, false, ports));
        assert_output(run->agent, ends.output, expected);
        assert_int_equal(wait_for(run, "idle", id), 0);
        close_ends(&ends);
    }
}

/* ---- streams ---- */

static void test_unknown_stream(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    expect(create(run, "one", config_new("true"), (const uint32_t[3]){0, 4711, 0}), ERROR_NOT_FOUND, "4711");
    /* The failure leaves nothing that is in the way of another try. */
    agent_check(create(run, "one", config_new("true"), (const uint32_t[3]){0}));
}

static void test_much_output(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    uint32_t ports[3] = {0};
    struct ends ends = open_streams(run->agent, ports, false);
    agent_check(create(run, "big", config_new("head -c 8388608 /dev/zero; echo err >&2"), ports));
    agent_check(start(run, "big"));
    int status;
    wait_later(run, "big", "", &status);
    assert_int_equal(read_to_end(run->agent, ends.output, NULL, 0), 8388608);
    assert_output(run->agent, ends.errors, "err\n");
    assert_int_equal(wait_for(run, "big", ""), 0);
    assert_int_equal(status, 0);
    close_ends(&ends);
}

static void test_output_outlives_the_process(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    uint32_t ports[3] = {0};
    struct ends ends = open_streams(run->agent, ports, false);
    agent_check(create(run, "big", config_new("head -c 50000 /dev/zero; sleep 1000 & exit 0"), ports));
    agent_check(start(run, "big"));
    assert_int_equal(wait_for(run, "big", ""), 0);
    agent_check(remove_it(run, "big"));
    assert_int_equal(read_to_end(run->agent, ends.output, NULL, 0), 50000);
    close_ends(&ends);
}

/* A descendant that keeps the pipe open does not keep the stream open. */
static void test_descendant_holds_output(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    start_idle(run);
    uint32_t ports[3] = {0};
    struct ends ends = open_streams(run->agent, ports, false);
    agent_check(exec(run, "idle", "parent", "sleep 1000 & echo gone", false, ports));
    assert_output(run->agent, ends.output, "gone\n");
    assert_int_equal(wait_for(run, "idle", "parent"), 0);
    close_ends(&ends);
}

static void test_closed_output(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    start_idle(run);
    uint32_t ports[3] = {0};
    struct ends ends = open_streams(run->agent, ports, false);
    agent_check(exec(run, "idle", "writer", "while echo y; do :; done; exit 9", false, ports));
    close_fd(TAKE_FD(ends.output));
    int code = wait_for(run, "idle", "writer");
    assert_true(code == 9 || code == 128 + SIGPIPE);
    close_ends(&ends);
}

static struct error *read_stdout(struct run *run, const char *id, uint32_t length, char *ret_text)
{
    Grpc__ReadStreamRequest request = GRPC__READ_STREAM_REQUEST__INIT;
    request.container_id = id;
    request.len = length;
    ProtobufCMessage *message;
    TRY(agent_call(run->agent, "ReadStdout", &request.base, &message));
    const Grpc__ReadStreamResponse *reply = (const void *)message;
    assert_true(reply->data.len <= length);
    memcpy(ret_text, reply->data.data, reply->data.len);
    ret_text[reply->data.len] = '\0';
    protobuf_c_message_free_unpacked(message, NULL);
    return NULL;
}

static void test_pulled_streams(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    agent_check(create(run, "pull", config_new("cat; echo end"), (const uint32_t[3]){0}));
    agent_check(start(run, "pull"));
    Grpc__WriteStreamRequest write_request = GRPC__WRITE_STREAM_REQUEST__INIT;
    write_request.container_id = "pull";
    write_request.data.data = (uint8_t *)(uintptr_t) "hello";
    write_request.data.len = 5;
    ProtobufCMessage *message;
    agent_check(agent_call(run->agent, "WriteStdin", &write_request.base, &message));
    assert_int_equal(((const Grpc__WriteStreamResponse *)(const void *)message)->len, 5);
    protobuf_c_message_free_unpacked(message, NULL);
    char text[128];
    agent_check(read_stdout(run, "pull", 3, text));
    assert_string_equal(text, "hel");
    agent_check(read_stdout(run, "pull", 100, text));
    assert_string_equal(text, "lo");
    expect(read_stdout(run, "pull", 0, text), ERROR_INVALID_ARGUMENT, "");

    Grpc__CloseStdinRequest close_request = GRPC__CLOSE_STDIN_REQUEST__INIT;
    close_request.container_id = "pull";
    agent_check(agent_call(run->agent, "CloseStdin", &close_request.base, NULL));
    agent_refuses(run->agent, "WriteStdin", &write_request.base, ERROR_FAILED_PRECONDITION, "closed");
    assert_int_equal(wait_for(run, "pull", ""), 0);
    agent_check(read_stdout(run, "pull", 100, text));
    assert_string_equal(text, "end\n");
    expect(read_stdout(run, "pull", 100, text), ERROR_OUT_OF_RANGE, "read meet eof");
    expect(read_stdout(run, "pull", 100, text), ERROR_OUT_OF_RANGE, "read meet eof");
}

/* The host dies with streams open; what is left then is to clean up. */
static void test_host_goes_away(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    start_idle(run);
    uint32_t ports[3] = {0};
    struct ends ends = open_streams(run->agent, ports, false);
    agent_check(exec(run, "idle", "cat", "cat", false, ports));
    mux_free(TAKE_PTR(run->agent->host));
    while (!run->agent->lost)
        assert_int_equal(event_base_loop(run->agent->base, EVLOOP_ONCE), 0);
    agent_destroy_sandbox(run->agent->agent);
    assert_int_equal(run->agent->agent->container_count, 0);
    close_ends(&ends);
}

/* ---- terminals ---- */

static void test_terminal(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    start_idle(run);
    uint32_t ports[3] = {0};
    struct ends ends = open_streams(run->agent, ports, true);
    agent_check(exec(run, "idle", "tty", "read line; stty size; echo last", true, ports));
    Grpc__TtyWinResizeRequest resize = GRPC__TTY_WIN_RESIZE_REQUEST__INIT;
    resize.container_id = "idle";
    resize.exec_id = "tty";
    resize.row = 33;
    resize.column = 101;
    agent_check(agent_call(run->agent, "TtyWinResize", &resize.base, NULL));
    resize.row = 70000;
    agent_refuses(run->agent, "TtyWinResize", &resize.base, ERROR_INVALID_ARGUMENT, "70000");
    resize.exec_id = "";
    resize.row = 1;
    agent_refuses(run->agent, "TtyWinResize", &resize.base, ERROR_FAILED_PRECONDITION, "no terminal");
    agent_check(fd_write_all(ends.input, "go\n", 3));
    char text[256];
    read_to_end(run->agent, ends.output, text, sizeof(text));
    assert_non_null(strstr(text, "33 101\r\nlast\r\n"));
    assert_int_equal(wait_for(run, "idle", "tty"), 0);
    close_ends(&ends);
}

static void test_pulled_terminal(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    json_t *config = config_new("echo only");
    config_set(config, "process.terminal", json_true());
    agent_check(create(run, "tty", config, (const uint32_t[3]){0}));
    agent_check(start(run, "tty"));
    assert_int_equal(wait_for(run, "tty", ""), 0);
    char text[128];
    agent_check(read_stdout(run, "tty", 100, text));
    assert_string_equal(text, "only\r\n");
    expect(read_stdout(run, "tty", 100, text), ERROR_OUT_OF_RANGE, "read meet eof");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    if (!agent_world_isolate()) {
        puts("1..0 # SKIP needs the rights for namespaces of its own");
        return 0;
    }
    static const struct CMUnitTest tests[] = {TEST(test_run), TEST(test_command_not_found),
        TEST(test_removal_while_running), TEST(test_removal_during_creation), TEST(test_signals),
        TEST(test_pause), TEST(test_stats), TEST(test_storages_go_with_the_container), TEST(test_exec_ids),
        TEST(test_many_execs), TEST(test_unknown_stream), TEST(test_much_output),
        TEST(test_output_outlives_the_process), TEST(test_descendant_holds_output), TEST(test_closed_output),
        TEST(test_pulled_streams), TEST(test_host_goes_away), TEST(test_terminal),
        TEST(test_pulled_terminal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
