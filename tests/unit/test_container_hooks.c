/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks: when they run, in which world, what they are told, and what their failure does.
 */
#include "container_world.h"

static int set_up(void **state)
{
    *state = world_new();
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static json_t *hook(const char *script)
{
    return json_pack("{ss s[sss] s[ss] si}", "path", "/bin/sh", "args", "sh", "-c", script, "env",
        "PATH=/usr/bin:/bin", "FROM=hook", "timeout", 120);
}

/* Each hook adds a line to the log: its name, its view of the host name and of PID 1, its state's status. */
static json_t *logging_hook(const struct world *world, const char *name, const char *log)
{
    _cleanup_free_ char *path = must_printf("%s%s", log[0] == '/' ? "" : world->directory, log);
    _cleanup_free_ char *script = must_printf(
        "s=$(cat); s=${s#*status\\\":\\\"}; echo %s $(cat /proc/sys/kernel/hostname) ${s%%%%\\\"*} $FROM "
        ">>%s",
        name, path);
    return json_pack("[o]", hook(script));
}

static void add_hooks(const struct world *world, json_t *config, const char *log)
{
    json_object_set_new(config, "hooks",
        json_pack("{so so so so so so}", "prestart", logging_hook(world, "prestart", log), "createRuntime",
            logging_hook(world, "createRuntime", log), "createContainer",
            logging_hook(world, "createContainer", log), "startContainer",
            logging_hook(world, "startContainer", "/data/log"), "poststart",
            logging_hook(world, "poststart", log), "poststop", logging_hook(world, "poststop", log)));
}

static void test_order_and_worlds(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    _cleanup_free_ char *log = must_printf("%s/log", world->directory);
    check(file_write_text(AT_FDCWD, log, ""));
    json_t *config = config_new("cat /data/log");
    config_set(config, "root.readonly", json_false());
    config_set(config, "hostname", json_string("inside"));
    add_hooks(world, config, log);
    _cleanup_free_ char *output = NULL;
    assert_int_equal(world_run_config(world, config, &output), 0);
    assert_string_equal(output, "startContainer inside created hook\n");
    char host[256] = "";
    assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
    _cleanup_free_ char *expected =
        must_printf("prestart %s creating hook\ncreateRuntime %s creating hook\n"
                    "createContainer %s creating hook\npoststart %s running hook\n"
                    "poststop %s stopped hook\n",
            host, host, host, host, host);
    _cleanup_free_ char *text = NULL;
    check(file_read(AT_FDCWD, log, 4096, &text, NULL));
    assert_string_equal(text, expected);
}

/* A guest has no programs: a createContainer hook finds the container's, and has no more rights than it. */
static void test_programs_of_the_container(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    world_write(
        world, "/hook", "#!/bin/sh\ngrep CapBnd /proc/self/status >/data/rights\npwd >>/data/rights\n", 0755);
    json_t *config = config_new("cat /data/rights");
    json_object_set_new(config, "hooks", json_pack("{s[{ss}]}", "createContainer", "path", "/hook"));
    _cleanup_free_ char *output = NULL;
    assert_int_equal(world_run_config(world, config, &output), 0);
    /* CAP_KILL, CAP_NET_BIND_SERVICE and CAP_AUDIT_WRITE. */
    assert_string_equal(output, "CapBnd:\t0000000020000420\n/\n");
}

static void assert_fails(
    struct world *world, const char *kind, json_t *failing, enum error_code code, const char *part)
{
    json_t *config = config_new("sleep 1000");
    json_object_set_new(config, "hooks", json_pack("{s[o]}", kind, failing));
    _cleanup_error_ struct error *error = world_fail(world, config);
    assert_non_null(error);
    if (error_code(error) != code || !strstr(error_message(error), part) ||
        !strstr(error_message(error), kind))
        fail_msg("%s: %s", error_code_name(error_code(error)), error_message(error));
}

static void test_failures(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    static const char *const kinds[] = {
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart"};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        assert_fails(world, kinds[i], hook("echo no such luck >&2; exit 4"), ERROR_ABORTED,
            "exited with 4: no such luck");
    json_t *missing = json_pack("{ss}", "path", "/no/such/hook");
    assert_fails(world, "createRuntime", missing, ERROR_ABORTED, "/no/such/hook: No such file or directory");
}

static void test_a_hook_that_does_not_end(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    json_t *slow = hook("exec sleep 1000");
    json_object_set_new(slow, "timeout", json_integer(1));
    assert_fails(world, "createRuntime", slow, ERROR_DEADLINE_EXCEEDED, "1000 ms");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_worlds),
        cmocka_unit_test(test_programs_of_the_container),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_a_hook_that_does_not_end),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
