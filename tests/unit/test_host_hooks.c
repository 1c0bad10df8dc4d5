/* SPDX-License-Identifier: Apache-2.0 */
/* Real hooks: shell scripts. */
#include "assertions.h"
#include "sandbox/host_hooks.h"

#include "base/fd.h"
#include "base/path.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define STATE "{\"id\":\"c1\",\"status\":\"creating\"}"
#define HOOKS_MAX 4

struct world {
    struct event_base *base;
    char directory[64];
    Grpc__Hook hooks[HOOKS_MAX];
    Grpc__Hook *list[HOOKS_MAX];
    const char *arguments[HOOKS_MAX][3];
    struct host_hooks_config config;
    struct host_hooks *running;
    unsigned warnings;
    char *warning; /* the last one */
    bool done;
    enum error_code code;
    char *message;
};

static int world_begin(void **state)
{
    struct world *world = must_new(struct world);
    world->base = event_base_new();
    strcpy(world->directory, "/tmp/caisson-hooks-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    world->config = (struct host_hooks_config){
        .kind = "createRuntime", .hooks = world->list, .state = STATE, .directory = world->directory};
    *state = world;
    return 0;
}

static int world_end(void **state)
{
    struct world *world = *state;
    host_hooks_free(world->running);
    event_base_free(world->base);
    assert_ok(tree_remove(world->directory));
    free(world->warning);
    free(world->message);
    free(world);
    return 0;
}

static Grpc__Hook *add_script(struct world *world, const char *script)
{
    size_t index = world->config.count++;
    Grpc__Hook *hook = world->list[index] = &world->hooks[index];
    *hook = (Grpc__Hook)GRPC__HOOK__INIT;
    hook->path = "/bin/sh";
    world->arguments[index][0] = "a-hook";
    world->arguments[index][1] = "-c";
    world->arguments[index][2] = script;
    hook->args = world->arguments[index];
    hook->n_args = 3;
    return hook;
}

static void on_warning(void *context, const struct error *error)
{
    struct world *world = context;
    world->warnings++;
    free(world->warning);
    world->warning = must_copy(error_message(error));
}

static void on_done(void *context, struct error *error)
{
    struct world *world = context;
    world->done = true;
    world->code = error_code(error);
    world->message = error ? must_copy(error_message(error)) : NULL;
    error_free(error);
    host_hooks_free(TAKE_PTR(world->running));
}

static void run(struct world *world, host_hooks_warn *warn)
{
    world->running = host_hooks_run(world->base, &world->config, warn, on_done, world);
    while (!world->done)
        assert_int_equal(event_base_loop(world->base, EVLOOP_ONCE), 0);
}

static void assert_file(const struct world *world, const char *name, const char *expected)
{
    _cleanup_free_ char *path = must_printf("%s/%s", world->directory, name);
    _cleanup_free_ char *text = NULL;
    assert_ok(file_read(AT_FDCWD, path, 65536, &text, NULL));
    assert_string_equal(text, expected);
}

static void assert_contains(const char *text, const char *words)
{
    if (!strstr(text ? text : "", words))
        fail_msg("\"%s\" does not say \"%s\"", text, words);
}

/* argv[0] is the configuration's, the environment as well, and nothing but that. */
static void test_what_it_gets(void **state)
{
    struct world *world = *state;
    static const char *environment[] = {"ONE=1", "TWO=two words"};
    Grpc__Hook *hook = add_script(world,
        "cat >state; echo $0 >name; /usr/bin/env | /bin/grep -v -e ^PWD= -e ^_= >env; pwd >directory; "
        "ls /proc/self/fd | /usr/bin/wc -l >descriptors");
    hook->env = environment;
    hook->n_env = ARRAY_SIZE(environment);
    run(world, NULL);
    assert_int_equal(world->code, ERROR_OK);
    assert_file(world, "state", STATE);
    assert_file(world, "name", "a-hook\n");
    assert_file(world, "env", "ONE=1\nTWO=two words\n");
    _cleanup_free_ char *directory = must_printf("%s\n", world->directory);
    assert_file(world, "directory", directory);
    assert_file(world, "descriptors", "4\n");
}

static void test_in_order(void **state)
{
    struct world *world = *state;
    add_script(world, "echo one >>order");
    add_script(world, "echo two >>order");
    run(world, NULL);
    assert_int_equal(world->code, ERROR_OK);
    assert_file(world, "order", "one\ntwo\n");
}

static void test_none(void **state)
{
    struct world *world = *state;
    run(world, NULL);
    assert_int_equal(world->code, ERROR_OK);
}

static void test_failure_ends_the_row(void **state)
{
    struct world *world = *state;
    add_script(world, "echo no such network >&2; exit 3");
    add_script(world, "echo two >order");
    run(world, NULL);
    assert_int_equal(world->code, ERROR_ABORTED);
    assert_string_equal(world->message, "createRuntime hook /bin/sh exited with 3: no such network");
    _cleanup_free_ char *path = must_printf("%s/order", world->directory);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_warnings_do_not(void **state)
{
    struct world *world = *state;
    add_script(world, "kill -TERM $$");
    world->hooks[0].path = "/bin/sh";
    add_script(world, "exit 1");
    world->hooks[1].path = "/does/not/exist";
    add_script(world, "echo three >order");
    run(world, on_warning);
    assert_int_equal(world->code, ERROR_OK);
    assert_int_equal(world->warnings, 2);
    assert_contains(world->warning, "createRuntime hook /does/not/exist: ");
    assert_file(world, "order", "three\n");
}

/* With whatever it has started. */
static void test_timeout(void **state)
{
    struct world *world = *state;
    Grpc__Hook *hook = add_script(world, "echo waiting for an address; sleep 1000 & echo $! >child; wait");
    hook->timeout = 5; /* time enough to begin */
    run(world, NULL);
    assert_int_equal(world->code, ERROR_DEADLINE_EXCEEDED);
    assert_contains(world->message, "did not end within 5 s: waiting for an address");
    _cleanup_free_ char *path = must_printf("%s/child", world->directory);
    _cleanup_free_ char *text = NULL;
    assert_ok(file_read(AT_FDCWD, path, 64, &text, NULL));
    while (kill(atoi(text), 0) == 0)
        sched_yield();
}

/* A process that it leaves behind, with the hook's standard error, does not hold it up, and lives on. */
static void test_leaves_a_process(void **state)
{
    struct world *world = *state;
    add_script(world, "sleep 1000 & echo $! >child");
    run(world, NULL);
    assert_int_equal(world->code, ERROR_OK);
    _cleanup_free_ char *path = must_printf("%s/child", world->directory);
    _cleanup_free_ char *text = NULL;
    assert_ok(file_read(AT_FDCWD, path, 64, &text, NULL));
    assert_int_equal(kill(atoi(text), SIGKILL), 0);
}

static void test_long_output(void **state)
{
    struct world *world = *state;
    add_script(world, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 1");
    run(world, NULL);
    assert_int_equal(world->code, ERROR_ABORTED);
    assert_contains(world->message, "line 19998 line 19999");
    assert_true(strlen(world->message) < 2048);
}

static void test_interrupted(void **state)
{
    struct world *world = *state;
    add_script(world, "echo $$ >child; exec sleep 1000");
    world->running = host_hooks_run(world->base, &world->config, NULL, on_done, world);
    _cleanup_free_ char *path = must_printf("%s/child", world->directory);
    _cleanup_free_ char *text = NULL;
    for (bool told = false; !told;) {
        event_base_loop(world->base, EVLOOP_NONBLOCK);
        free(TAKE_PTR(text));
        error_free(file_read(AT_FDCWD, path, 64, &text, NULL));
        told = text && strchr(text, '\n');
    }
    host_hooks_free(TAKE_PTR(world->running));
    assert_int_equal(kill(atoi(text), 0), -1);
    assert_false(world->done);
}

static void test_blocking(void **state)
{
    struct world *world = *state;
    add_script(world, "exit 1");
    add_script(world, "echo two >order");
    host_hooks_run_and_wait(&world->config, on_warning, world);
    assert_int_equal(world->warnings, 1);
    assert_contains(world->warning, "exited with 1: it wrote nothing");
    assert_file(world, "order", "two\n");
}

#define WORLD_TEST(function) cmocka_unit_test_setup_teardown(function, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_what_it_gets),
        WORLD_TEST(test_in_order),
        WORLD_TEST(test_none),
        WORLD_TEST(test_failure_ends_the_row),
        WORLD_TEST(test_warnings_do_not),
        WORLD_TEST(test_timeout),
        WORLD_TEST(test_leaves_a_process),
        WORLD_TEST(test_long_output),
        WORLD_TEST(test_interrupted),
        WORLD_TEST(test_blocking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
