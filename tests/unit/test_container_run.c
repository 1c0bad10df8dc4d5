/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers from creation to removal, with real processes.
 */
#include "container_world.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

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

/* Waits until the container has written the line. */
static void await_line(int reader, const char *expected)
{
    char line[256];
    size_t length = 0;
    while (length < sizeof(line) - 1 && read(reader, line + length, 1) == 1 && line[length] != '\n')
        length++;
    line[length] = '\0';
    assert_string_equal(line, expected);
}

struct running {
    struct container *container;
    struct container_process process;
    int reader;
};

static struct running start(struct world *world, json_t *config)
{
    struct running running;
    check(world_create(world, config, false, &running.container, &running.process, &running.reader));
    check(container_start(running.container));
    return running;
}

static void stop(struct running *running)
{
    check(container_destroy(running->container));
    waitpid(running->process.pid, NULL, 0);
    close(running->reader);
}

static void assert_error(struct error *error, enum error_code code, const char *part)
{
    assert_non_null(error);
    if (error_code(error) != code || !strstr(error_message(error), part))
        fail_msg("%s: %s (wanted %s, \"%s\")", error_code_name(error_code(error)), error_message(error),
            error_code_name(code), part);
    error_free(error);
}

static void test_output_and_code(void **state)
{
    NEEDS_ROOT_AND_CGROUP((struct world *)*state);
    _cleanup_free_ char *output = NULL;
    assert_int_equal(world_run(*state, "echo out; echo err >&2; exit 7", &output), 7);
    assert_string_equal(output, "out\nerr\n");
}

static void set_command(json_t *config, const char *command)
{
    config_set(config, "process.args", json_pack("[s]", command));
}

static struct error *create_command(struct world *world, const char *command)
{
    struct container *container = NULL;
    struct container_process process;
    _cleanup_fd_ int reader = -1;
    json_t *config = config_new("");
    set_command(config, command);
    struct error *error = world_create(world, config, false, &container, &process, &reader);
    if (!error)
        check(container_destroy(container));
    return error;
}

static void test_commands_that_cannot_be_executed(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    world_write(world, "/bin/script", "#!/bin/missing\n", 0755);
    world_write(world, "/bin/text", "echo no interpreter line\n", 0755);
    static const struct {
        const char *command;
        enum error_code code;
        const char *part;
    } cases[] = {
        {"nowhere", ERROR_NOT_FOUND, "exec: \"nowhere\": executable file not found in $PATH"},
        {"/nowhere", ERROR_NOT_FOUND, "exec: \"/nowhere\": stat /nowhere: no such file or directory"},
        {"/etc/passwd", ERROR_PERMISSION_DENIED, "exec: \"/etc/passwd\": permission denied"},
        {"/etc", ERROR_PERMISSION_DENIED, "exec: \"/etc\": permission denied"},
        {"script", ERROR_NOT_FOUND, "script"},
        {"/bin/script", ERROR_NOT_FOUND, "interpreter"},
        {"text", ERROR_PERMISSION_DENIED, "Exec format error"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *config = config_new("");
        set_command(config, cases[i].command);
        assert_error(world_fail(world, config), cases[i].code, cases[i].part);
    }
}

/* As with runc, Create is where a missing command is refused. */
static void test_commands_are_looked_up_at_create(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    static const char *const missing[] = {"nowhere", "/nowhere", "/bin/sh/x"};
    static const char *const forbidden[] = {"/etc/passwd", "/etc"};
    for (size_t i = 0; i < ARRAY_SIZE(missing); i++)
        assert_error(create_command(world, missing[i]), ERROR_NOT_FOUND, "exec: \"");
    for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++)
        assert_error(create_command(world, forbidden[i]), ERROR_PERMISSION_DENIED, "permission denied");
}

static void test_specs_that_cannot_be_created(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    json_t *config = config_new("true");
    config_add_mount(config, json_pack("{ss ss ss s[s]}", "destination", "/x", "type", "bind", "source",
                                 "/no/such", "options", "bind"));
    assert_error(
        world_fail(world, config), ERROR_NOT_FOUND, "mounting \"/no/such\" at \"/x\": /no/such: No such");

    config = config_new("true");
    config_set(
        config, "process.user", json_pack("{si si ss}", "uid", 0, "gid", 0, "username", "nobody-here"));
    assert_error(world_fail(world, config), ERROR_NOT_FOUND, "no user \"nobody-here\"");

    config = config_new("true");
    config_set(config, "linux.sysctl", json_pack("{ss}", "vm.swappiness", "1"));
    assert_error(world_fail(world, config), ERROR_INVALID_ARGUMENT, "vm.swappiness");

    config = config_new("true");
    config_set(config, "process.cwd", json_string("/etc/passwd"));
    assert_error(world_fail(world, config), ERROR_INVALID_ARGUMENT, "/etc/passwd");
}

static void test_signals_pids_and_removal(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    struct running running = start(world,
        config_new(
            "trap 'echo got usr1' USR1; sleep 1000 & sleep 1000 & echo ready; while :; do wait; done"));
    await_line(running.reader, "ready");
    _cleanup_free_ pid_t *pids = NULL;
    size_t count = 0;
    check(container_pids(running.container, &pids, &count));
    assert_int_equal(count, 3);
    check(container_signal(running.container, container_init_pid(running.container), SIGUSR1));
    await_line(running.reader, "got usr1");
    check(container_signal(running.container, 0, SIGKILL));
    assert_int_equal(reap(running.process.pid), 128 + SIGKILL);
    assert_error(
        container_signal(running.container, running.process.pid, SIGTERM), ERROR_NOT_FOUND, "process");
    check(container_destroy(running.container));
    close(running.reader);
}

/* The frozen shell cannot answer; the thawed one does. */
static void test_pause_and_resume(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    struct running running =
        start(world, config_new("trap 'echo awake' USR1; echo ready; while :; do sleep 0.1; done"));
    await_line(running.reader, "ready");
    check(container_pause(running.container));
    assert_true(container_is_paused(running.container));
    check(container_signal(running.container, running.process.pid, SIGUSR1));
    struct pollfd output = {.fd = running.reader, .events = POLLIN};
    assert_int_equal(poll(&output, 1, 300), 0);
    Grpc__Process process = GRPC__PROCESS__INIT;
    const char *arguments[] = {"true"};
    process.args = arguments;
    process.n_args = 1;
    struct container_streams streams = {-1, -1, -1};
    struct container_process made;
    assert_error(
        container_exec(running.container, &process, &streams, &made), ERROR_FAILED_PRECONDITION, "paused");
    check(container_resume(running.container));
    await_line(running.reader, "awake");
    check(container_pause(running.container));
    stop(&running);
}

/* Runs a shell command beside the container's own and gives its output. */
static int exec_shell(struct container *container, const char *script, char **ret_output)
{
    Grpc__Process process = GRPC__PROCESS__INIT;
    const char *arguments[] = {"sh", "-c", script};
    const char *environment[] = {"PATH=/bin", "WHO=exec"};
    process.args = arguments;
    process.n_args = ARRAY_SIZE(arguments);
    process.env = environment;
    process.n_env = ARRAY_SIZE(environment);
    process.cwd = "/tmp";
    process.no_new_privileges = true;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct container_streams streams = {.input = -1, .output = ends[1], .errors = ends[1]};
    struct container_process made;
    check(container_exec(container, &process, &streams, &made));
    close(ends[1]);
    check(fd_read_all(ends[0], 1u << 20, ret_output, NULL));
    close(ends[0]);
    return reap(made.pid);
}

static void test_exec_has_the_same_world(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    static const char script[] =
        "cat /proc/self/cgroup | grep ^0; readlink /proc/self/ns/pid /proc/self/ns/mnt; "
        "for n in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$n; done; "
        "grep -E '^(Cap|Seccomp|NoNew|Uid|Groups)' /proc/self/status; ulimit -n; hostname; "
        "ls /proc/self/fd";
    _cleanup_free_ char *first = must_printf("exec 2>&1; %s; echo ready; sleep 1000", script);
    struct running running = start(world, config_new(first));
    char own[4096] = "";
    size_t length = 0;
    while (!strstr(own, "ready\n"))
        length += (size_t)read(running.reader, own + length, sizeof(own) - 1 - length);
    *strstr(own, "ready\n") = '\0';
    _cleanup_free_ char *output = NULL;
    assert_int_equal(exec_shell(running.container, script, &output), 0);
    assert_string_equal(output, own);
    free(TAKE_PTR(output));
    assert_int_equal(exec_shell(running.container, "echo $WHO; pwd; echo $HOME; exit 9", &output), 9);
    assert_string_equal(output, "exec\n/tmp\n/root\n");
    stop(&running);
}

static void test_exec_that_fails_leaves_nothing(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    struct running running = start(world, config_new("sleep 1000"));
    Grpc__Process process = GRPC__PROCESS__INIT;
    const char *arguments[] = {"nothing-there"};
    process.args = arguments;
    process.n_args = 1;
    struct container_streams streams = {-1, -1, -1};
    struct container_process made;
    struct error *error = container_exec(running.container, &process, &streams, &made);
    assert_error(error, ERROR_NOT_FOUND, "\"nothing-there\"");
    _cleanup_free_ pid_t *pids = NULL;
    size_t count = 0;
    check(container_pids(running.container, &pids, &count));
    assert_int_equal(count, 1);
    stop(&running);
}

/* Ends of other processes' pipes that a waiting child held open would never give their end of file. */
static void test_waiting_container_holds_no_descriptors(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    struct running running;
    check(world_create(
        world, config_new("true"), false, &running.container, &running.process, &running.reader));
    close(pipe_ends[1]);
    char byte;
    assert_int_equal(read(pipe_ends[0], &byte, 1), 0);
    close(pipe_ends[0]);
    stop(&running);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    _cleanup_dir_ DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory))
        count++;
    return count;
}

static bool cgroup_exists(const struct world *world, const char *id)
{
    _cleanup_free_ char *path = must_printf("%s/%s", world->cgroup_root, id);
    return access(path, F_OK) == 0;
}

static void test_nothing_is_left_behind(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    size_t before = open_descriptors();
    _cleanup_free_ char *output = NULL;
    char id[32];
    snprintf(id, sizeof(id), "unit-%d-%d", (int)getpid(), world->next_id);
    world_run(world, "mkdir /dev/x; sleep 1000 & echo x", &output);
    assert_false(cgroup_exists(world, id));
    snprintf(id, sizeof(id), "unit-%d-%d", (int)getpid(), world->next_id);
    json_t *config = config_new("true");
    config_set(config, "root.readonly", json_false());
    config_set(
        config, "process.user", json_pack("{si si ss}", "uid", 0, "gid", 0, "username", "nobody-here"));
    error_free(world_fail(world, config));
    assert_false(cgroup_exists(world, id));
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* The command is not PID 1, gets the signals sent to it, and orphans are reaped. */
static void test_init(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    struct running running;
    check(world_create(world,
        config_new(
            "trap 'echo term; exit 5' TERM; (sleep 0.01 & ); echo pid $$; while :; do sleep 0.05; done"),
        true, &running.container, &running.process, &running.reader));
    check(container_start(running.container));
    await_line(running.reader, "pid 2");
    check(container_signal(running.container, running.process.pid, SIGTERM));
    await_line(running.reader, "term");
    assert_int_equal(reap(running.process.pid), 5);
    check(container_destroy(running.container));
    close(running.reader);
}

/* One that only exec itself finds to be of no use. */
static void test_init_reports_a_missing_interpreter(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    struct running running;
    json_t *config = config_new("");
    world_write(world, "/bin/script", "#!/bin/missing\n", 0755);
    set_command(config, "/bin/script");
    check(world_create(world, config, true, &running.container, &running.process, &running.reader));
    assert_error(container_start(running.container), ERROR_NOT_FOUND, "interpreter");
    stop(&running);
}

static json_t *terminal_config(const char *script)
{
    json_t *config = config_new(script);
    config_set(config, "process.terminal", json_true());
    config_set(config, "process.consoleSize", json_pack("{si si}", "height", 33, "width", 99));
    return config;
}

/* Reads what the terminal shows until its other side is closed. */
static void read_terminal(int terminal, char *text, size_t size)
{
    size_t length = 0;
    ssize_t more;
    while (length < size - 1 && (more = read(terminal, text + length, size - 1 - length)) > 0)
        length += (size_t)more;
    text[length] = '\0';
}

static void test_terminal(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    struct running running = start(world,
        terminal_config(
            "tty; stty size; test -c /dev/console && echo console; echo x >/dev/tty; read a; echo $a"));
    assert_true(running.process.terminal >= 0);
    static const char *const lines[] = {"/dev/pts/0\r", "33 99\r", "console\r", "x\r"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        await_line(running.process.terminal, lines[i]);
    /* Not before: the terminal's echo could come between the lines. */
    assert_int_equal(write(running.process.terminal, "word\n", 5), 5);
    char text[512];
    read_terminal(running.process.terminal, text, sizeof(text));
    assert_non_null(strstr(text, "word\r\nword\r\n"));
    assert_int_equal(reap(running.process.pid), 0);
    close(running.process.terminal);
    stop(&running);
}

static void test_terminal_interrupt_with_init(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    struct running running;
    check(world_create(world, terminal_config("trap 'exit 3' INT; echo ready; while :; do sleep 0.05; done"),
        true, &running.container, &running.process, &running.reader));
    check(container_start(running.container));
    await_line(running.process.terminal, "ready\r");
    assert_int_equal(write(running.process.terminal, "\3", 1), 1);
    assert_int_equal(reap(running.process.pid), 3);
    close(running.process.terminal);
    stop(&running);
}

static void test_user_by_name(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    json_t *config = config_new("id -u; id -g; id -G; echo $HOME; echo x >/dev/stdout && echo wrote");
    config_set(config, "process.user", json_pack("{si si ss}", "uid", 0, "gid", 0, "username", "staff"));
    _cleanup_free_ char *output = NULL;
    assert_int_equal(world_run_config(world, config, &output), 0);
    assert_string_equal(output, "1000\n1000\n1000 10 29\n/home/staff\nx\nwrote\n");
}

/* The way to the command needs more descriptors than the command may have. */
static void test_low_limit_on_descriptors(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    json_t *config = config_new("ulimit -n");
    config_set(
        config, "process.rlimits", json_pack("[{ss si si}]", "type", "RLIMIT_NOFILE", "soft", 3, "hard", 4));
    _cleanup_free_ char *output = NULL;
    assert_int_equal(world_run_config(world, config, &output), 0);
    assert_string_equal(output, "3\n");
}

static void test_device_rules(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    json_t *config =
        config_new("mknod /tmp/kmsg c 1 11; head -c 1 /tmp/kmsg; echo kmsg $?; mknod /tmp/fuse c 10 229; "
                   "head -c 0 /tmp/fuse; echo fuse $?; head -c 1 /dev/zero | wc -c");
    json_array_append_new(
        json_object_get(json_object_get(json_object_get(config, "process"), "capabilities"), "bounding"),
        json_string("CAP_MKNOD"));
    static const char *const sets[] = {"effective", "permitted"};
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        json_array_append_new(
            json_object_get(json_object_get(json_object_get(config, "process"), "capabilities"), sets[i]),
            json_string("CAP_MKNOD"));
    json_array_append_new(
        json_object_get(json_object_get(json_object_get(config, "linux"), "resources"), "devices"),
        json_pack("{sb ss si si ss}", "allow", 1, "type", "c", "major", 10, "minor", 229, "access", "rw"));
    config_add_mount(config, json_pack("{ss ss ss s[s]}", "destination", "/tmp", "type", "tmpfs", "source",
                                 "tmpfs", "options", "nosuid"));
    _cleanup_free_ char *output = NULL;
    world_run_config(world, config, &output);
    assert_non_null(strstr(output, "/tmp/kmsg: Operation not permitted"));
    assert_non_null(strstr(output, "kmsg 1\n"));
    assert_null(strstr(output, "fuse: Operation not permitted"));
    assert_non_null(strstr(output, "\n1\n"));
}

/* Image content that tries to lead the agent out of the root. */
static void test_links_do_not_lead_out(void **state)
{
    struct world *world = *state;
    NEEDS_ROOT_AND_CGROUP(world);
    _cleanup_free_ char *outside = must_printf("%s/outside", world->directory);
    _cleanup_free_ char *link = must_printf("%s/escape", world->rootfs);
    _cleanup_free_ char *dangling = must_printf("%s/dangling", world->rootfs);
    _cleanup_free_ char *up = must_printf("../../../../../..%s", outside);
    assert_int_equal(mkdir(outside, 0755), 0);
    assert_int_equal(symlink(up, link), 0);
    assert_int_equal(symlink("/not/yet/there", dangling), 0);
    json_t *config =
        config_new("ls /escape; ls -d /not/yet/there/deep; cat /proc/self/mountinfo | grep -c marker");
    config_add_mount(config, json_pack("{ss ss ss s[s]}", "destination", "/escape/made", "type", "tmpfs",
                                 "source", "marker", "options", "nosuid"));
    config_add_mount(config, json_pack("{ss ss ss s[s]}", "destination", "/dangling/deep", "type", "tmpfs",
                                 "source", "marker", "options", "nosuid"));
    _cleanup_free_ char *output = NULL;
    world_run_config(world, config, &output);
    assert_string_equal(output, "made\n/not/yet/there/deep\n2\n");
    _cleanup_free_ char *made = must_printf("%s/made", outside);
    assert_int_equal(access(made, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_code),
        cmocka_unit_test(test_commands_that_cannot_be_executed),
        cmocka_unit_test(test_commands_are_looked_up_at_create),
        cmocka_unit_test(test_specs_that_cannot_be_created),
        cmocka_unit_test(test_signals_pids_and_removal),
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_exec_has_the_same_world),
        cmocka_unit_test(test_exec_that_fails_leaves_nothing),
        cmocka_unit_test(test_waiting_container_holds_no_descriptors),
        cmocka_unit_test(test_nothing_is_left_behind),
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_init_reports_a_missing_interpreter),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_terminal_interrupt_with_init),
        cmocka_unit_test(test_user_by_name),
        cmocka_unit_test(test_low_limit_on_descriptors),
        cmocka_unit_test(test_device_rules),
        cmocka_unit_test(test_links_do_not_lead_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
