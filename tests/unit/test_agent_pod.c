/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several containers in one guest: what they share, and that one can end and come back while others live.
 */
#include "agent_run.h"

/* ---- pid namespaces ---- */

static void without_pid_namespace(json_t *config)
{
    json_t *list = json_object_get(json_object_get(config, "linux"), "namespaces");
    for (size_t i = json_array_size(list); i-- > 0;) {
        const char *type = json_string_value(json_object_get(json_array_get(list, i), "type"));
        if (strcmp(type, "pid") == 0)
            json_array_remove(list, i);
    }
}

/* A sandbox whose containers may share the pid namespace of the first one. */
static void share_pids(struct run *run)
{
    agent_world_free(run->agent);
    run->agent = agent_world_new(run->files->cgroup_root);
    Grpc__CreateSandboxRequest sandbox = GRPC__CREATE_SANDBOX_REQUEST__INIT;
    sandbox.sandbox_pidns = true;
    agent_check(agent_call(run->agent, "CreateSandbox", &sandbox.base, NULL));
}

/* Creates and starts it in the shared pid namespace; the Spec names no pid namespace, as from our host. */
static struct error *start_sharing(struct run *run, const char *id, json_t *config, const uint32_t ports[3])
{
    Grpc__CreateContainerRequest request = GRPC__CREATE_CONTAINER_REQUEST__INIT;
    request.container_id = id;
    request.sandbox_pidns = true;
    request.stdin_port = ports[0];
    request.stdout_port = ports[1];
    request.stderr_port = ports[2];
    without_pid_namespace(config);
    request.oci = config_spec(run->files, config);
    struct error *error = agent_call(run->agent, "CreateContainer", &request.base, NULL);
    oci_spec_free(request.oci);
    return error ? error : start(run, id);
}

static void assert_says(struct run *run, const char *id, const char *script, const char *expected)
{
    uint32_t ports[3] = {0};
    struct ends ends = open_streams(run->agent, ports, false);
    agent_check(start_sharing(run, id, config_new(script), ports));
    assert_output(run->agent, ends.output, expected);
    close_ends(&ends);
}

/* The second container sees the first one's init; and one whose Spec has no pid namespace never lives in the
   agent's. */
static void test_shared_pid_namespace(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    share_pids(run);
    agent_check(start_sharing(run, "first", config_new("exec sleep 1000"), (const uint32_t[3]){0}));
    assert_says(
        run, "second", "cat /proc/1/comm; [ $$ = 1 ] || echo not the first", "sleep\nnot the first\n");

    /* With the first process the namespace ends; the next container begins another one. */
    agent_check(send_signal(run, "first", "", SIGKILL));
    assert_int_equal(wait_for(run, "first", ""), 128 + SIGKILL);
    assert_says(run, "third", "[ $$ = 1 ] && echo the first", "the first\n");
}

static void test_own_pid_namespace(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    start_idle(run);
    uint32_t ports[3] = {0};
    struct ends ends = open_streams(run->agent, ports, false);
    json_t *config = config_new("[ $$ = 1 ] && echo the first");
    without_pid_namespace(config);
    agent_check(create(run, "other", config, ports));
    agent_check(start(run, "other"));
    assert_output(run->agent, ends.output, "the first\n");
    close_ends(&ends);
}

/* ---- coming back ---- */

/* Under the same id, beside one that goes on, several times; its memory of the pod stays, its own does not.
 */
static void test_container_comes_back(void **state)
{
    struct run *run = *state;
    NEEDS_ROOT_AND_CGROUP(run->files);
    start_idle(run);
    for (int attempt = 0; attempt < 3; attempt++) {
        uint32_t ports[3] = {0};
        struct ends ends = open_streams(run->agent, ports, false);
        agent_check(create(run, "again", config_new("echo here; exit 3"), ports));
        expect(
            create(run, "again", config_new("true"), (const uint32_t[3]){0}), ERROR_ALREADY_EXISTS, "again");
        agent_check(start(run, "again"));
        assert_output(run->agent, ends.output, "here\n");
        assert_int_equal(wait_for(run, "again", ""), 3);
        close_ends(&ends);
        expect(exec(run, "again", "late", "true", false, (const uint32_t[3]){0}), ERROR_FAILED_PRECONDITION,
            "stopped");
        agent_check(remove_it(run, "again"));
        expect(start(run, "again"), ERROR_NOT_FOUND, "again");
    }
    agent_check(exec(run, "idle", "alive", "exit 7", false, (const uint32_t[3]){0}));
    assert_int_equal(wait_for(run, "idle", "alive"), 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    if (!agent_world_isolate()) {
        puts("1..0 # SKIP needs the rights for namespaces of its own");
        return 0;
    }
    static const struct CMUnitTest tests[] = {
        TEST(test_shared_pid_namespace), TEST(test_own_pid_namespace), TEST(test_container_comes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
