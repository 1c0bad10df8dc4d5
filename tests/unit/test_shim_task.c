/* SPDX-License-Identifier: Apache-2.0 */
/* The whole Task API, from a client's socket to a guest's, without a machine. */
#include "shim_world.h"

#include "proto/runtimeoptions.pb-c.h"

#include <sys/wait.h>

static void test_life_of_a_container(void **state)
{
    struct world *world = *state;
    struct later wait;
    assert_ok(world_create(world));
    assert_string_equal(fake->calls,
        "machine-create machine-start CreateSandbox UpdateInterface UpdateRoutes CopyFile CreateContainer "
        "GetOOMEvent WaitProcess ");
    assert_int_equal(world_state(world, ""), TASK__STATUS__CREATED);
    world_wait_later(world, "", &wait);
    assert_ok(world_start(world, "c1", ""));
    assert_int_equal(world_state(world, ""), TASK__STATUS__RUNNING);
    assert_true(world_has(world, "bundle/timings.json"));
    assert_true(world_has(world, "bundle/machine.json"));
    fake_exit("c1", "c1", 7, true);
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 7);
    assert_int_equal(world_state(world, ""), TASK__STATUS__STOPPED);
    assert_ok(world_delete(world, "c1", ""));
    assert_ok(world_shutdown(world, false));
    assert_string_equal(world->events,
        "/tasks/create TaskCreate;/tasks/start TaskStart;/tasks/exit c1/c1 7;/tasks/delete TaskDelete;");
    assert_int_equal(fake->machines, 0);
}

static void test_guest_configuration(void **state)
{
    struct world *world = *state;
    assert_ok(world_create(world));
    const Grpc__CreateContainerRequest *created = fake->created;
    assert_string_equal(created->container_id, "c1");
    assert_string_equal(created->oci->linux_config->cgroups_path, "/c1");
    assert_int_equal(created->oci->linux_config->n_namespaces, 1);
    assert_string_equal(created->oci->mounts[0]->source, "/run/kata-containers/copies/c1/0");
    assert_true(created->n_storages >= 3);
    assert_string_equal(created->oci->root->path, created->storages[created->n_storages - 1]->mount_point);
    assert_true(created->stdin_port && created->stdout_port && created->stderr_port);
}

static void read_all(struct world *world, int fd, const char *expected)
{
    char text[256] = "";
    size_t length = 0;
    while (length < strlen(expected)) {
        ssize_t count = read(fd, text + length, sizeof(text) - length - 1);
        if (count > 0)
            length += (size_t)count;
        else
            event_base_loop(world->base, EVLOOP_ONCE);
    }
    assert_string_equal(text, expected);
}

static void test_streams(void **state)
{
    struct world *world = *state;
    struct later wait;
    world_up(world);
    world_wait_later(world, "", &wait);
    assert_int_equal(write(fake->streams[fake->stdout_port], "out\n", 4), 4);
    assert_int_equal(write(fake->streams[fake->stderr_port], "err\n", 4), 4);
    read_all(world, world->output, "out\n");
    read_all(world, world->errors, "err\n");
    assert_int_equal(write(world->input, "in\n", 3), 3);
    assert_ok(fd_set_nonblocking(fake->streams[fake->stdin_port], true));
    read_all(world, fake->streams[fake->stdin_port], "in\n");
    /* An exit is told when the last output is out, not before. */
    fake_exit("c1", "c1", 0, false);
    fake_close_stream(fake->stderr_port);
    assert_int_equal(world_state(world, ""), TASK__STATUS__RUNNING);
    assert_fails(world_kill(world, "", 15), ERROR_NOT_FOUND, "process already finished");
    assert_int_equal(write(fake->streams[fake->stdout_port], "last\n", 5), 5);
    fake_close_stream(fake->stdout_port);
    AWAIT(world, wait.done);
    read_all(world, world->output, "last\n");
}

static void test_close_stdin(void **state)
{
    struct world *world = *state;
    world_up(world);
    assert_int_equal(write(world->input, "rest", 4), 4);
    Task__CloseIORequest request = TASK__CLOSE_IOREQUEST__INIT;
    request.id = "c1";
    request.stdin = true;
    assert_ok(world_call(world, "CloseIO", &request.base, NULL));
    int guest = fake->streams[fake->stdin_port];
    assert_ok(fd_set_nonblocking(guest, true));
    read_all(world, guest, "rest");
    char byte;
    AWAIT(world, read(guest, &byte, 1) == 0);
}

static void test_refusals(void **state)
{
    struct world *world = *state;
    assert_fails(world_start(world, "c1", ""), ERROR_NOT_FOUND, "container not created");
    assert_ok(world_create(world));
    assert_fails(world_create(world), ERROR_ALREADY_EXISTS, "already exists");
    assert_fails(world_exec(world, "e1"), ERROR_FAILED_PRECONDITION, "not running");
    assert_ok(world_start(world, "c1", ""));
    assert_fails(world_start(world, "c1", ""), ERROR_FAILED_PRECONDITION, "cannot start a running process");
    assert_fails(world_delete(world, "c1", ""), ERROR_FAILED_PRECONDITION, "cannot delete a running process");
    assert_fails(world_kill(world, "e9", 15), ERROR_NOT_FOUND, "process does not exist e9");
    assert_ok(world_exec(world, "e1"));
    assert_fails(world_exec(world, "e1"), ERROR_ALREADY_EXISTS, "already exists");
    assert_fails(world_kill(world, "e1", 15), ERROR_FAILED_PRECONDITION, "process not created");
    Task__CheckpointTaskRequest checkpoint = TASK__CHECKPOINT_TASK_REQUEST__INIT;
    assert_fails(
        world_call(world, "Checkpoint", &checkpoint.base, NULL), ERROR_UNIMPLEMENTED, "not supported");
    assert_ok(world_kill(world, "", 9));
    AWAIT(world, world_state(world, "") == TASK__STATUS__STOPPED);
    assert_fails(world_kill(world, "", 9), ERROR_NOT_FOUND, "process already finished");
    assert_ok(world_delete(world, "c1", ""));
    assert_fails(world_delete(world, "c1", ""), ERROR_NOT_FOUND, "container not created");
}

static void test_execs_end_before_init(void **state)
{
    struct world *world = *state;
    struct later first;
    struct later init;
    world_up(world);
    assert_ok(world_exec(world, "e1"));
    assert_ok(world_start(world, "c1", "e1"));
    world_wait_later(world, "e1", &first);
    world_wait_later(world, "", &init);
    fake_exit("c1", "c1", 1, true);
    assert_int_equal(world_state(world, ""), TASK__STATUS__RUNNING);
    fake_exit("c1", "e1", 137, false);
    AWAIT(world, init.done);
    assert_true(first.done);
    assert_int_equal(first.status, 137);
    assert_ok(world_delete(world, "c1", "e1"));
    assert_ok(world_delete(world, "c1", ""));
    assert_ok(world_shutdown(world, false));
    assert_string_equal(world->events,
        "/tasks/create TaskCreate;/tasks/start TaskStart;/tasks/exec-added TaskExecAdded;"
        "/tasks/exec-started TaskExecStarted;/tasks/exit c1/e1 137;/tasks/exit c1/c1 1;"
        "/tasks/delete TaskDelete;");
}

static void test_pause_update_stats(void **state)
{
    struct world *world = *state;
    ProtobufCMessage *response = NULL;
    Task__PauseRequest pause = TASK__PAUSE_REQUEST__INIT;
    Task__ResumeRequest resume = TASK__RESUME_REQUEST__INIT;
    Task__StatsRequest stats = TASK__STATS_REQUEST__INIT;
    pause.id = resume.id = stats.id = "c1";
    world_up(world);
    assert_ok(world_call(world, "Pause", &pause.base, NULL));
    assert_int_equal(world_state(world, ""), TASK__STATUS__PAUSED);
    assert_fails(world_exec(world, "e1"), ERROR_FAILED_PRECONDITION, "paused");
    assert_fails(world_call(world, "Pause", &pause.base, NULL), ERROR_FAILED_PRECONDITION, "paused");
    assert_ok(world_call(world, "Resume", &resume.base, NULL));
    assert_int_equal(world_state(world, ""), TASK__STATUS__RUNNING);
    assert_ok(world_call(world, "Stats", &stats.base, &response));
    const Google__Protobuf__Any *any = ((Task__StatsResponse *)response)->stats;
    assert_string_equal(any->type_url, "io.containerd.cgroups.v2.Metrics");
    Cgroup2__Metrics *metrics = cgroup2__metrics__unpack(NULL, any->value.len, any->value.data);
    assert_int_equal(metrics->memory->usage - metrics->memory->inactive_file, 10000 - 4096);
    assert_int_equal(metrics->cpu->usage_usec, 7);
    cgroup2__metrics__free_unpacked(metrics, NULL);
    protobuf_c_message_free_unpacked(response, NULL);
    AWAIT(world, strstr(world->events, "/tasks/paused TaskPaused;/tasks/resumed TaskResumed;"));
}

/* Clients of a host with cgroup v1 read nothing else. */
static void test_stats_of_version_1(void **state)
{
    struct world *world = *state;
    ProtobufCMessage *response = NULL;
    Task__StatsRequest stats = TASK__STATS_REQUEST__INIT;
    stats.id = "c1";
    world->shim->metrics = METRICS_V1;
    world_up(world);
    assert_ok(world_call(world, "Stats", &stats.base, &response));
    const Google__Protobuf__Any *any = ((Task__StatsResponse *)response)->stats;
    assert_string_equal(any->type_url, "io.containerd.cgroups.v1.Metrics");
    Cgroup1__Metrics *metrics = cgroup1__metrics__unpack(NULL, any->value.len, any->value.data);
    assert_int_equal(metrics->memory->usage->usage - metrics->memory->total_inactive_file, 10000 - 4096);
    assert_int_equal(metrics->memory->inactive_file, 4096);
    assert_int_equal(metrics->cpu->usage->total, 7000);
    cgroup1__metrics__free_unpacked(metrics, NULL);
    protobuf_c_message_free_unpacked(response, NULL);
}

static void test_which_metrics(void **state)
{
    assert_int_equal(metrics_version_of("/proc"), METRICS_V1);
    assert_int_equal(metrics_version_of("/does/not/exist"), METRICS_V1);
}

static struct error *create_with_options(struct world *world, Google__Protobuf__Any *any)
{
    world_create_request(world);
    create_request.options = any;
    return world_call(world, "Create", &create_request.base, NULL);
}

static void test_runtime_options(void **state)
{
    struct world *world = *state;
    Runtimeoptions__V1__Options options = RUNTIMEOPTIONS__V1__OPTIONS__INIT;
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    options.config_path = "/does/not/exist.conf";
    any.type_url = "type.googleapis.com/runtimeoptions.v1.Options";
    any.value.data = ttrpc_pack(&options.base, &any.value.len);
    assert_fails(create_with_options(world, &any), ERROR_NOT_FOUND, "/does/not/exist.conf");
    any.value.len--;
    assert_fails(create_with_options(world, &any), ERROR_INVALID_ARGUMENT, "options");
    free(any.value.data);
    /* Nothing of the failure stays behind. */
    assert_ok(create_with_options(world, NULL));
}

/* Options for runc say nothing that counts here. */
static void test_options_for_runc(void **state)
{
    struct world *world = *state;
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = "containerd.runc.v1.Options";
    any.value = (ProtobufCBinaryData){.data = (uint8_t[]){0x48, 0x01}, .len = 2};
    assert_ok(create_with_options(world, &any));
}

/* Create waits for the logger to get ready, the exit for the logger to have read, Delete for its end. */
static void test_logger(void **state)
{
    struct world *world = *state;
    _cleanup_free_ char *address = must_printf("binary-v2://%s/logger", world->directory);
    _cleanup_free_ char *script =
        must_printf("#!/bin/sh\ncd %s\nprintf x >&5; exec 5>&-; cat <&3 >part; sync part; mv part whole\n",
            world->directory);
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *path = world_path(world, "logger");
    _cleanup_free_ char *whole = world_path(world, "whole");
    struct later wait;
    world_write(world, "logger", script);
    assert_int_equal(chmod(path, 0755), 0);
    world_create_request(world);
    create_request.stdin = "";
    create_request.stdout = create_request.stderr = address;
    assert_ok(world_call(world, "Create", &create_request.base, NULL));
    assert_ok(world_start(world, "c1", ""));
    world_wait_later(world, "", &wait);
    assert_int_equal(write(fake->streams[fake->stdout_port], "said\n", 5), 5);
    fake_exit("c1", "c1", 3, true);
    AWAIT(world, wait.done);
    assert_ok(world_delete(world, "c1", ""));
    assert_ok(file_read(AT_FDCWD, whole, 100, &text, NULL));
    assert_string_equal(text, "said\n");
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_logger_that_fails(void **state)
{
    struct world *world = *state;
    world_create_request(world);
    create_request.stdout = create_request.stderr = "binary-v2:///bin/false";
    assert_fails(world_call(world, "Create", &create_request.base, NULL), ERROR_FAILED_PRECONDITION,
        "before it was ready");
    assert_fails(world_start(world, "c1", ""), ERROR_NOT_FOUND, "container not created");
}

static void test_failed_start(void **state)
{
    struct world *world = *state;
    struct later wait;
    fake->fail = "StartContainer";
    assert_ok(world_create(world));
    world_wait_later(world, "", &wait);
    assert_fails(world_start(world, "c1", ""), ERROR_INTERNAL, "the test made StartContainer fail");
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 128);
    assert_int_equal(world_state(world, ""), TASK__STATUS__STOPPED);
    assert_ok(world_delete(world, "c1", ""));
}

static void test_out_of_memory(void **state)
{
    struct world *world = *state;
    world_up(world);
    Grpc__OOMEvent event = GRPC__OOMEVENT__INIT;
    event.container_id = "c1";
    ttrpc_reply(TAKE_PTR(fake->memory_call), &event.base);
    AWAIT(world, strstr(world->events, "/tasks/oom TaskOOM;"));
    assert_true(world_has(world, "bundle/oom"));
    AWAIT(world, fake->memory_call);
}

static void test_pids_and_connect(void **state)
{
    struct world *world = *state;
    ProtobufCMessage *response = NULL;
    Task__PidsRequest pids = TASK__PIDS_REQUEST__INIT;
    Task__ConnectRequest connect = TASK__CONNECT_REQUEST__INIT;
    pids.id = connect.id = "c1";
    world_up(world);
    assert_ok(world_exec(world, "e1"));
    assert_ok(world_start(world, "c1", "e1"));
    assert_ok(world_call(world, "Pids", &pids.base, &response));
    const Task__PidsResponse *list = (Task__PidsResponse *)response;
    assert_int_equal(list->n_processes, 2);
    assert_int_equal(list->processes[0]->pid, FAKE_PID);
    assert_null(list->processes[0]->info);
    assert_string_equal(list->processes[1]->info->type_url, "containerd.runc.v1.ProcessDetails");
    protobuf_c_message_free_unpacked(response, NULL);
    assert_ok(world_call(world, "Connect", &connect.base, &response));
    assert_int_equal(((Task__ConnectResponse *)response)->shim_pid, getpid());
    assert_int_equal(((Task__ConnectResponse *)response)->task_pid, FAKE_PID);
    protobuf_c_message_free_unpacked(response, NULL);
}

static void test_update_and_resize(void **state)
{
    struct world *world = *state;
    static char resources[] = "{\"pids\":{\"limit\":7}}";
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    Task__UpdateTaskRequest update = TASK__UPDATE_TASK_REQUEST__INIT;
    Task__ResizePtyRequest resize = TASK__RESIZE_PTY_REQUEST__INIT;
    update.id = resize.id = "c1";
    world_up(world);
    assert_fails(world_call(world, "Update", &update.base, NULL), ERROR_INVALID_ARGUMENT, "no resources");
    any.value = (ProtobufCBinaryData){.data = (uint8_t *)resources, .len = strlen(resources)};
    update.resources = &any;
    assert_ok(world_call(world, "Update", &update.base, NULL));
    any.value.len = 3;
    assert_fails(world_call(world, "Update", &update.base, NULL), ERROR_INVALID_ARGUMENT, "resources");
    assert_ok(world_call(world, "ResizePty", &resize.base, NULL));
    assert_non_null(strstr(fake->calls, "UpdateContainer TtyWinResize "));
}

/* containerd 2 asks by the name of version 3. */
static void test_version_3(void **state)
{
    struct world *world = *state;
    ProtobufCServiceDescriptor version_3 = task__task__descriptor;
    Task__ConnectRequest connect = TASK__CONNECT_REQUEST__INIT;
    version_3.name = "containerd.task.v3.Task";
    assert_ok(ttrpc_client_call_and_wait(world->client, &version_3, "Connect", &connect.base, 20000, NULL));
}

static void test_signal_ends_in_order(void **state)
{
    struct world *world = *state;
    world_up(world);
    raise(SIGTERM);
    AWAIT(world, strstr(world->events, "/tasks/exit c1/c1 137;"));
    assert_int_equal(fake->machines, 0);
}

/* A connection that ends takes nothing with it. */
static void test_front_end_comes_back(void **state)
{
    struct world *world = *state;
    struct later wait;
    int fd = -1;
    world_up(world);
    world_wait_later(world, "", &wait);
    ttrpc_client_free(TAKE_PTR(world->client));
    assert_int_equal(wait.code, ERROR_CANCELLED);
    free(wait.message);
    assert_ok(unix_connect(world->places.socket, &fd));
    assert_ok(ttrpc_client_new(world->base, fd, NULL, NULL, &world->client));
    assert_int_equal(world_state(world, ""), TASK__STATUS__RUNNING);
    fake_exit("c1", "c1", 3, true);
    world_wait_later(world, "", &wait);
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 3);
}

/* Deleting what was created and never started ends it, and tells so. */
static void test_delete_unstarted(void **state)
{
    struct world *world = *state;
    assert_ok(world_create(world));
    assert_ok(world_delete(world, "c1", ""));
    assert_ok(world_shutdown(world, false));
    assert_string_equal(
        world->events, "/tasks/create TaskCreate;/tasks/exit c1/c1 137;/tasks/delete TaskDelete;");
    assert_int_equal(fake->machines, 0);
}

static void test_shutdown_leaves_containers(void **state)
{
    struct world *world = *state;
    world_up(world);
    assert_ok(world_shutdown(world, false));
    assert_int_equal(world_state(world, ""), TASK__STATUS__RUNNING);
    assert_ok(world_shutdown(world, true));
    assert_int_equal(fake->machines, 0);
    assert_non_null(strstr(world->events, "/tasks/exit c1/c1 137;"));
}

#define WORLD_TEST(function) cmocka_unit_test_setup_teardown(function, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_life_of_a_container),
        WORLD_TEST(test_guest_configuration),
        WORLD_TEST(test_streams),
        WORLD_TEST(test_close_stdin),
        WORLD_TEST(test_refusals),
        WORLD_TEST(test_execs_end_before_init),
        WORLD_TEST(test_pause_update_stats),
        WORLD_TEST(test_stats_of_version_1),
        cmocka_unit_test(test_which_metrics),
        WORLD_TEST(test_runtime_options),
        WORLD_TEST(test_options_for_runc),
        WORLD_TEST(test_logger),
        WORLD_TEST(test_logger_that_fails),
        WORLD_TEST(test_failed_start),
        WORLD_TEST(test_out_of_memory),
        WORLD_TEST(test_pids_and_connect),
        WORLD_TEST(test_update_and_resize),
        WORLD_TEST(test_version_3),
        WORLD_TEST(test_signal_ends_in_order),
        WORLD_TEST(test_front_end_comes_back),
        WORLD_TEST(test_delete_unstarted),
        WORLD_TEST(test_shutdown_leaves_containers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
