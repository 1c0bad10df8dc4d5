/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fails, falls silent or dies on the way, at every step: the caller gets one error, everything is
 * undone, and the shim still ends.
 */
#include "shim_world.h"

/* Each step of the creation, by what its failing is called in fake_guest.h. */
static const char *const steps[] = {"choose", "machine-create", "machine-start", "connect-agent",
    "CreateSandbox", "UpdateInterface", "UpdateRoutes", "CopyFile", "connect-stream", "CreateContainer"};

static void assert_nothing_is_left(struct world *world)
{
    Task__StateRequest request = TASK__STATE_REQUEST__INIT;
    request.id = "c1";
    assert_int_equal(fake->machines, 0);
    assert_fails(world_call(world, "State", &request.base, NULL), ERROR_NOT_FOUND, "container not created");
    assert_int_equal(sandbox_state(world->shim->sandbox), SANDBOX_EMPTY);
    assert_string_equal(world->events, "");
}

/* And the next Create, with nothing failing, succeeds. */
static void test_each_step_fails(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        fake->fail = steps[i];
        fake->next_port = 1;
        assert_fails(world_create(world),
            strcmp(steps[i], "choose") == 0 ? ERROR_FAILED_PRECONDITION : ERROR_INTERNAL,
            "creating container c1: ");
        assert_nothing_is_left(world);
    }
    fake->fail = NULL;
    fake->next_port = 1;
    world_up(world);
}

static const char *const waits[] = {
    "machine-start", "CreateSandbox", "UpdateInterface", "UpdateRoutes", "CopyFile", "CreateContainer"};

static bool is_waiting(const char *step)
{
    _cleanup_free_ char *last = must_printf("%s ", step);
    size_t length = strlen(fake->calls);
    return length >= strlen(last) && strcmp(fake->calls + length - strlen(last), last) == 0;
}

static void create_up_to(struct world *world, const char *step, struct later *later)
{
    fake->calls[0] = '\0';
    fake->next_port = 1;
    fake->silent = step;
    world_call_later(world, "Create", &world_create_request(world)->base, later);
    AWAIT(world, is_waiting(step));
}

static struct error *interrupt_by_kill(struct world *world)
{
    return world_kill(world, "", 15);
}

static struct error *interrupt_by_delete(struct world *world)
{
    return world_delete(world, "c1", "");
}

static void test_each_step_interrupted(void **state)
{
    struct world *world = *state;
    struct error *(*const interrupts[])(struct world * world) = {interrupt_by_kill, interrupt_by_delete};
    for (size_t i = 0; i < ARRAY_SIZE(waits) * ARRAY_SIZE(interrupts); i++) {
        struct later create;
        create_up_to(world, waits[i / ARRAY_SIZE(interrupts)], &create);
        assert_ok(interrupts[i % ARRAY_SIZE(interrupts)](world));
        AWAIT(world, create.done);
        assert_int_equal(create.code, ERROR_CANCELLED);
        free(create.message);
        assert_nothing_is_left(world);
    }
}

/* The reason is the machine's, not that of the broken connection. */
static void test_machine_dies_at_each_step(void **state)
{
    struct world *world = *state;
    for (size_t i = 1; i < ARRAY_SIZE(waits); i++) {
        fake->die = waits[i];
        fake->next_port = 1;
        assert_fails(world_create(world), ERROR_UNAVAILABLE, "the test killed the machine");
        assert_nothing_is_left(world);
    }
}

static void test_shutdown_interrupts_creation(void **state)
{
    struct world *world = *state;
    struct later create;
    create_up_to(world, "machine-start", &create);
    assert_ok(world_shutdown(world, false));
    AWAIT(world, create.done);
    assert_int_equal(create.code, ERROR_CANCELLED);
    free(create.message);
    assert_int_equal(fake->machines, 0);
}

static void assert_reason(struct world *world, const char *words)
{
    _cleanup_free_ char *path = world_path(world, "bundle/reason");
    _cleanup_free_ char *text = NULL;
    assert_ok(file_read(AT_FDCWD, path, 4096, &text, NULL));
    assert_non_null(strstr(text, words));
}

static void test_machine_dies(void **state)
{
    struct world *world = *state;
    struct later init;
    struct later exec;
    world_up(world);
    assert_ok(world_exec(world, "e1"));
    assert_ok(world_start(world, "c1", "e1"));
    world_wait_later(world, "", &init);
    world_wait_later(world, "e1", &exec);
    fake->die = "SignalProcess";
    assert_fails(world_kill(world, "", 15), ERROR_NOT_FOUND, "process already finished");
    AWAIT(world, init.done);
    assert_true(exec.done);
    assert_int_equal(init.status, 137);
    assert_int_equal(exec.status, 137);
    assert_reason(world, "the test killed the machine");
    AWAIT(world, strstr(world->events, "/tasks/exit c1/e1 137;/tasks/exit c1/c1 137;"));
    assert_int_equal(fake->machines, 0);
    assert_ok(world_delete(world, "c1", ""));
    assert_fails(world_create(world), ERROR_UNAVAILABLE, "the test killed the machine");
}

static void test_machine_dies_during_start(void **state)
{
    struct world *world = *state;
    assert_ok(world_create(world));
    fake->die = "StartContainer";
    assert_fails(world_start(world, "c1", ""), ERROR_UNAVAILABLE, "the test killed the machine");
    assert_int_equal(world_state(world, ""), TASK__STATUS__STOPPED);
    assert_int_equal(fake->machines, 0);
}

/* An agent that is gone while its machine runs on. */
static void test_agent_dies(void **state)
{
    struct world *world = *state;
    struct later wait;
    world_up(world);
    world_wait_later(world, "", &wait);
    ttrpc_server_free(TAKE_PTR(fake->agent));
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 137);
    assert_reason(world, "the agent in the virtual machine is gone");
    assert_int_equal(fake->machines, 0);
}

static void test_bad_configurations(void **state)
{
    static const struct {
        const char *config;
        enum error_code code;
        const char *words;
    } cases[] = {
        {"{", ERROR_INVALID_ARGUMENT, "config.json"},
        {"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"}}", ERROR_INVALID_ARGUMENT, "process"},
        {"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"a\"],\"cwd\":\"/\","
         "\"user\":{\"uid\":0,\"gid\":0}},\"annotations\":{\"io.caisson.vcpus\":\"many\"}}",
            ERROR_INVALID_ARGUMENT, "io.caisson.vcpus"},
        {"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"a\"],\"cwd\":\"/\","
         "\"user\":{\"uid\":0,\"gid\":0}},\"mounts\":[{\"destination\":\"/d\",\"type\":\"bind\","
         "\"source\":\"/does/not/exist\"}]}",
            ERROR_NOT_FOUND, "does not exist on the host: /does/not/exist"},
    };
    struct world *world = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        world_write(world, "bundle/config.json", cases[i].config);
        assert_fails(world_create(world), cases[i].code, cases[i].words);
        assert_nothing_is_left(world);
    }
}

static void test_missing_fifo(void **state)
{
    struct world *world = *state;
    world_create_request(world);
    create_request.stdout = "/does/not/exist";
    assert_fails(world_call(world, "Create", &create_request.base, NULL), ERROR_NOT_FOUND, "standard output");
    create_request.stdout = "npipe:///what";
    assert_fails(world_call(world, "Create", &create_request.base, NULL), ERROR_UNIMPLEMENTED, "npipe://");
    create_request.stdout = "binary:///does/not/exist";
    assert_fails(world_call(world, "Create", &create_request.base, NULL), ERROR_NOT_FOUND, "the logger");
    assert_nothing_is_left(world);
}

/* Until nothing more goes in. */
static void fill_output(struct world *world)
{
    char block[4096] = "";
    int guest = fake->streams[fake->stdout_port];
    assert_ok(fd_set_nonblocking(guest, true));
    for (int idle = 0; idle < 3;) {
        idle = write(guest, block, sizeof(block)) > 0 ? 0 : idle + 1;
        event_base_loop(world->base, EVLOOP_NONBLOCK);
    }
}

static const struct process *sandbox_process(const struct world *world, const char *exec_id)
{
    struct process *process = NULL;
    assert_ok(sandbox_find(world->shim->sandbox, "c1", exec_id, &process));
    return process;
}

/* The last bytes stay unread: the exit is told in the end, and the log has it. Only the patience after a loss
   is short enough for a test. */
static void test_reader_that_sleeps(void **state)
{
    struct world *world = *state;
    struct later wait;
    world_up(world);
    world_wait_later(world, "", &wait);
    fill_output(world);
    fake->die = "the end";
    fake_stop(NULL);
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 137);
}

/* The container ends while an exec in it is starting; the guest answers late, or never. */
static void end_during_exec_start(struct world *world, struct later *start, struct later *wait)
{
    Task__StartRequest request = TASK__START_REQUEST__INIT;
    request.id = "c1";
    request.exec_id = "e1";
    world_up(world);
    assert_ok(world_exec(world, "e1"));
    world_wait_later(world, "", wait);
    fake->silent = "ExecProcess";
    world_call_later(world, "Start", &request.base, start);
    AWAIT(world, fake->unanswered_count == 1);
    fake_exit("c1", "c1", 137, true);
    assert_int_equal(world_state(world, ""), TASK__STATUS__RUNNING);
    assert_false(wait->done);
}

static void test_exec_start_fails_late(void **state)
{
    struct world *world = *state;
    struct later start, wait;
    end_during_exec_start(world, &start, &wait);
    ttrpc_fail(fake->unanswered[--fake->unanswered_count], error_new(ERROR_NOT_FOUND, "it is stopped"));
    AWAIT(world, start.done && wait.done);
    assert_int_equal(start.code, ERROR_NOT_FOUND);
    assert_int_equal(wait.status, 137);
    free(start.message);
}

static void test_exec_start_never_answered(void **state)
{
    struct world *world = *state;
    struct later start, wait;
    end_during_exec_start(world, &start, &wait);
    world_end_patience(world, "c1");
    AWAIT(world, start.done && wait.done);
    assert_true(start.code != ERROR_OK);
    assert_int_equal(wait.status, 137);
    free(start.message);
}

/* The guest answers when the container's end has been told: it cannot begin after that. */
static void test_exec_start_succeeds_too_late(void **state)
{
    struct world *world = *state;
    struct later start, wait;
    end_during_exec_start(world, &start, &wait);
    world->shim->sandbox->held = true; /* as a pod's: the machine lives on */
    world_end_patience(world, "c1");
    AWAIT(world, wait.done);
    assert_false(start.done);
    ttrpc_reply_empty(fake->unanswered[--fake->unanswered_count]);
    AWAIT(world, start.done);
    assert_int_equal(start.code, ERROR_FAILED_PRECONDITION);
    free(start.message);
    assert_null(strstr(world->events, "/tasks/exec-started"));
}

/* An exec whose logger never gets ready. */
static void start_stuck_exec(struct world *world, struct later *start)
{
    static char process[] = "{\"args\":[\"true\"],\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0}}";
    _cleanup_free_ char *script = world_path(world, "logger");
    _cleanup_free_ char *address = must_printf("binary-v2://%s", script);
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    Task__ExecProcessRequest request = TASK__EXEC_PROCESS_REQUEST__INIT;
    Task__StartRequest start_request = TASK__START_REQUEST__INIT;
    world_write(world, "logger", "#!/bin/sh\ncat <&3 >/dev/null\n");
    assert_int_equal(chmod(script, 0755), 0);
    any.value = (ProtobufCBinaryData){.data = (uint8_t *)process, .len = strlen(process)};
    request.id = start_request.id = "c1";
    request.exec_id = start_request.exec_id = "e1";
    request.spec = &any;
    request.stdout = address;
    assert_ok(world_call(world, "Exec", &request.base, NULL));
    world_call_later(world, "Start", &start_request.base, start);
    while (!sandbox_process(world, "e1")->parked)
        event_base_loop(world->base, EVLOOP_ONCE);
}

/* The container's end does not wait for it for ever, it does not outlive the machine, and neither does the
 * shim. */
static void test_exec_start_waits_for_its_logger(void **state)
{
    struct world *world = *state;
    struct later start, wait;
    world_up(world);
    world_wait_later(world, "", &wait);
    start_stuck_exec(world, &start);
    fake_exit("c1", "c1", 3, true);
    world_end_patience(world, "c1");
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 3);
    AWAIT(world, start.done);
    assert_int_equal(start.code, ERROR_UNAVAILABLE);
    free(start.message);
    assert_ok(world_shutdown(world, true));
}

/* The machine is lost while a container that has ended waits for its reader. */
static void test_loss_while_draining(void **state)
{
    struct world *world = *state;
    struct later wait;
    world_up(world);
    world_wait_later(world, "", &wait);
    fill_output(world);
    fake_exit("c1", "c1", 5, true);
    while (sandbox_process(world, "")->state != PROCESS_DRAINING)
        event_base_loop(world->base, EVLOOP_ONCE);
    fake->die = "the end";
    fake_stop(NULL);
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 5);
    assert_ok(world_shutdown(world, true));
}

static void test_wait_for_an_exec_that_is_deleted(void **state)
{
    struct world *world = *state;
    struct later wait;
    world_up(world);
    assert_ok(world_exec(world, "e1"));
    world_wait_later(world, "e1", &wait);
    assert_ok(world_delete(world, "c1", "e1"));
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 137);
}

#define WORLD_TEST(function) cmocka_unit_test_setup_teardown(function, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_each_step_fails),
        WORLD_TEST(test_each_step_interrupted),
        WORLD_TEST(test_machine_dies_at_each_step),
        WORLD_TEST(test_shutdown_interrupts_creation),
        WORLD_TEST(test_machine_dies),
        WORLD_TEST(test_machine_dies_during_start),
        WORLD_TEST(test_agent_dies),
        WORLD_TEST(test_bad_configurations),
        WORLD_TEST(test_missing_fifo),
        WORLD_TEST(test_reader_that_sleeps),
        WORLD_TEST(test_exec_start_fails_late),
        WORLD_TEST(test_exec_start_never_answered),
        WORLD_TEST(test_exec_start_succeeds_too_late),
        WORLD_TEST(test_exec_start_waits_for_its_logger),
        WORLD_TEST(test_loss_while_draining),
        WORLD_TEST(test_wait_for_an_exec_that_is_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
