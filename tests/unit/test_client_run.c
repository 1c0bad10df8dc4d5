/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole front end, as a program, against a shim whose containers are local processes (fake_shim.c): what
 * people type, in a shell, with what they then see. $CAISSON_TEST_CLI and $CAISSON_TEST_SHIM name the
 * programs.
 */
#include "base/fd.h"
#include "base/path.h"
#include "base/process.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define OUTPUT_LIMIT (1u << 20)

/* Functions for all scripts: `ready` waits for the first line of the fifo that a container writes to. */
#define PROLOGUE                                                        \
    "set -u; cd \"$CAISSON_TEST_DIRECTORY\"; rm -f pipe; mkfifo pipe; " \
    "ready() { exec 3<pipe; read -r line <&3; }; "                      \
    "C=$CAISSON_TEST_CLI; caisson() { \"$C\" \"$@\"; }; "

static char directory[] = "/tmp/caisson-run-XXXXXX";

static void set_path(const char *name, const char *below)
{
    _cleanup_free_ char *path = must_printf("%s/%s", directory, below);
    assert_int_equal(setenv(name, path, 1), 0);
}

static struct process_result shell(const char *script)
{
    _cleanup_free_ char *whole = must_printf("%s%s", PROLOGUE, script);
    char *const arguments[] = {
        (char[]){"timeout"}, (char[]){"300"}, (char[]){"bash"}, (char[]){"-c"}, whole, NULL};
    const struct process_options options = {.arguments = arguments};
    struct process_result result = {0};

    struct error *error = process_run(&options, OUTPUT_LIMIT, &result);
    if (error)
        fail_msg("%s", error_message(error));
    return result;
}

static void assert_empty(const char *name)
{
    _cleanup_free_ char *path = must_printf("%s/%s", directory, name);
    _cleanup_dir_ DIR *entries = opendir(path);
    struct dirent *entry;

    assert_non_null(entries);
    while ((entry = readdir(entries)))
        if (entry->d_name[0] != '.')
            fail_msg("%s/%s is left", path, entry->d_name);
}

/* What a script must print and end with; errors: a part of what is on standard error, NULL for nothing. */
static void expect(const char *script, int code, const char *output, const char *errors)
{
    struct process_result result = shell(script);

    if (process_exit_code(result.status) != code)
        fail_msg("%s: code %d, not %d: %s%s", script, process_exit_code(result.status), code,
            result.output ?: "", result.errors);
    assert_string_equal(result.output ?: "", output);
    if (!errors)
        assert_string_equal(result.errors, "");
    else if (!strstr(result.errors, errors))
        fail_msg("%s: no \"%s\" in: %s", script, errors, result.errors);
    process_result_clear(&result);
    assert_empty("data/containers");
    assert_empty("data/names");
    assert_empty("state/containers");
}

static int make_world(void **state)
{
    assert_non_null(mkdtemp(directory));
    assert_int_equal(setenv("CAISSON_TEST_DIRECTORY", directory, 1), 0);
    set_path("CAISSON_DATA", "data");
    set_path("CAISSON_STATE", "state");
    setenv("CAISSON_SHIM", getenv("CAISSON_TEST_SHIM") ?: "", 1);
    struct process_result result =
        shell("mkdir root && echo x >root/x && caisson load --name test -i dir:root >/dev/null");
    int failed = result.status;
    process_result_clear(&result);
    return failed;
}

static int remove_world(void **state)
{
    error_free(tree_remove(directory));
    return 0;
}

/* ---- the foreground ---- */

static void test_exit_codes_and_output(void **state)
{
    expect("caisson run --rm test echo hello", 0, "hello\n", NULL);
    expect("caisson run --rm test sh -c 'exit 42'", 42, "", NULL);
    expect("caisson run --rm test sh -c 'kill -TERM $$'", 143, "", NULL);
    expect("caisson run --rm test sh -c 'echo err >&2' 2>&1 >/dev/null", 0, "err\n", NULL);
    expect("caisson run --rm -e A=1 -w /tmp test sh -c 'echo $A $PWD'", 0, "1 /tmp\n", NULL);
}

static void test_input_reaches_the_process(void **state)
{
    expect("echo in | caisson run --rm -i test cat", 0, "in\n", NULL);
    expect("caisson run --rm test cat </dev/zero", 0, "", NULL);
    expect("caisson run --rm -i test cat </dev/null", 0, "", NULL);
    expect("caisson run --rm -i test sh -c 'exec <&-; sleep 0.2; echo on' <<<x", 0, "on\n", NULL);
}

static void test_all_bytes_arrive(void **state)
{
    expect("head -c 48M /dev/urandom >bytes; caisson run --rm -i test cat <bytes | cmp - bytes && "
           "caisson run --rm -i test sh -c 'cat >&2' <bytes 2>&1 >/dev/null | cmp - bytes && "
           "caisson run --rm -i test cat <bytes >copy && cmp copy bytes && "
           "cat bytes | caisson run --rm -i test cat >>copy && cmp <(cat bytes bytes) copy; echo $?; rm "
           "bytes copy",
        0, "0\n", NULL);
}

static void test_a_closed_output_is_told(void **state)
{
    expect("caisson run --rm test sh -c 'yes; echo ended >&2' | head -n 1", 0, "y\n", "ended");
}

static void test_a_full_output_is_told(void **state)
{
    expect("caisson run --rm test sh -c 'yes; exit 3' >/dev/full", 3, "", "No space left");
}

static void test_signals_are_passed_on(void **state)
{
    expect("$C run --rm test sh -c 'trap \"echo got; exit 9\" USR1; echo ready; "
           "while :; do sleep 0.02; done' >pipe & ready; kill -USR1 $!; cat <&3; wait $!",
        9, "got\n", NULL);
}

static void test_patience_ends_with_the_third_signal(void **state)
{
    expect("$C run --rm test sh -c 'trap \"echo got\" INT; echo ready; while :; do sleep 0.02; done' "
           ">pipe & "
           "ready; for i in 1 2; do kill -INT $!; read -r line <&3; done; "
           "kill -INT $!; wait $!",
        137, "", NULL);
}

static void test_init_of_the_command_fails(void **state)
{
    expect("caisson run --rm test /no/such/program", 127, "", "exec: \"/no/such/program\"");
    expect("caisson run --rm --device /dev/sda test true", 125, "", "--device cannot be had");
    expect("caisson run --rm --pull never nothing true", 125, "", "caisson: ");
    expect("caisson run --rm --mount type=bind,source=/no/such,target=/x test true", 125, "", "/no/such");
}

/* ---- detached ---- */

static void test_detached_life(void **state)
{
    expect("caisson run -d --name one test sh -c 'trap \"echo bye; exit 7\" TERM; echo hello; "
           "while :; do sleep 0.02; done' >/dev/null; caisson ps --format '{{.Names}} {{.State}}'; "
           "timeout 200 tail -f data/containers/*/log | head -n 1; caisson stop -t 60 one; caisson wait one; "
           "caisson logs one; caisson logs -n 1 one; caisson ps -q; caisson inspect -f '{{.State.ExitCode}}' "
           "one; "
           "caisson rm one",
        0, "one running\nhello\none\n7\nhello\nbye\nbye\n7\none\n", NULL);
}

/* The shim's own call of `publish` removes what was to go with its end: its record is waited for. */
static void test_publish_finishes_what_nobody_waits_for(void **state)
{
    expect("mkfifo go; caisson run -d --rm test sh -c \"read x <$PWD/go; exit 3\" >/dev/null; "
           "record=$(echo data/containers/*); echo >go; while [ -e \"$record\" ]; do sleep 0.02; done; rm go",
        0, "", NULL);
}

static void test_wait_gives_the_exit_code(void **state)
{
    expect("mkfifo go; caisson run -d --name one test sh -c \"read x <$PWD/go; exit 3\" >/dev/null; "
           "$C wait one >code & echo >go; wait $!; cat code; caisson rm one; rm go code",
        0, "3\none\n", NULL);
}

/* The container writes its second line only when the follower has shown the first. */
static void test_logs_follow_to_the_end(void **state)
{
    expect(
        "mkfifo go; caisson run -d --name talker test sh -c \"echo a; read x <$PWD/go; echo b\" >/dev/null; "
        "$C logs -f talker >pipe & ready; echo $line; echo >go; cat <&3; wait $!; rm go; caisson rm talker",
        0, "a\nb\ntalker\n", NULL);
}

static void test_names_are_unique(void **state)
{
    expect(
        "caisson run -d --name one test sleep 100 >/dev/null; caisson run -d --name one test true; echo $?; "
        "caisson rm one; echo $?; caisson rm -f one; caisson run --rm --name one test true",
        0, "125\n125\none\n", "the name one is taken");
}

static void test_pause_stats_kill(void **state)
{
    expect("caisson run -d --name one test sleep 100 >/dev/null; caisson pause one; "
           "caisson ps --format '{{.State}}'; caisson unpause one; "
           "caisson stats --no-stream --format '{{.MemUsage}} {{.MemPerc}}' one; caisson kill one; "
           "caisson wait one; caisson kill one; echo $?; caisson rm one",
        0, "one\npaused\none\n3.0MiB / 6.0MiB 50.00%\none\n137\n125\none\n", "one is not running");
}

/* ---- exec ---- */

static void test_exec(void **state)
{
    expect("caisson run -d --name one test sleep 100 >/dev/null; caisson exec one echo hi; "
           "echo in | caisson exec -i -e A=1 -w /tmp one sh -c 'cat; echo $A $PWD; exit 5'; echo $?; "
           "caisson exec one /no/such 2>/dev/null; echo $?; caisson exec none true 2>/dev/null; echo $?; "
           "caisson rm -f one",
        0, "hi\nin\n1 /tmp\n5\n127\n125\none\n", NULL);
}

/* ---- faults ---- */

static void test_shims_that_fail(void **state)
{
    expect("FAKE_SHIM=refuse caisson run --rm test true", 125, "", "there is no hypervisor here\n");
    expect("FAKE_SHIM=silent caisson run --rm test true", 125, "", "gave no address");
    expect("FAKE_SHIM=no-create caisson run test true", 125, "", "the machine does not start");
    expect("FAKE_SHIM=die caisson run --rm test sleep 100", 125, "", "its shim ended unexpectedly");
    expect("CAISSON_SHIM=/no/such caisson run --rm test true", 125, "", "/no/such");
}

static void test_an_interrupted_start_is_undone(void **state)
{
    expect("FAKE_SHIM=hang $C run --rm test true & "
           "until [ -S \"$(echo state/containers/*/shim.sock)\" ]; do sleep 0.02; done; "
           "kill -INT $!; wait $!",
        130, "", NULL);
}

static void test_what_a_power_cut_left_is_swept(void **state)
{
    /* It is gone when its descriptors are; whether somebody has reaped it does not matter. */
    expect("caisson run -d --name one test sleep 100 >/dev/null; "
           "shim=$(pgrep -f -- \"-id $(caisson ps -q --no-trunc) start\"); kill -9 $shim; "
           "while [ -n \"$(ls /proc/$shim/fd 2>/dev/null)\" ]; do sleep 0.02; done; caisson ps -a --format "
           "'{{.Status}}' | cut -c 1-12; "
           "caisson inspect -f '{{.State.Error}}' one; caisson rm one",
        0, "Exited (137)\nits shim ended unexpectedly\none\n", NULL);
}

/* ---- at a terminal ---- */

struct person {
    pid_t pid;
    int terminal;
    char seen[8192];
    size_t length;
};

static void sit_down(struct person *person, char *const *arguments)
{
    const struct winsize size = {.ws_row = 33, .ws_col = 101};

    *person = (struct person){0};
    person->pid = forkpty(&person->terminal, NULL, NULL, &size);
    if (person->pid == 0) {
        execv(getenv("CAISSON_TEST_CLI"), arguments);
        _exit(99);
    }
    assert_true(person->pid > 0);
}

static void see(struct person *person, const char *text)
{
    const char *found;

    while (!(found = strstr(person->seen, text))) {
        ssize_t count =
            read(person->terminal, person->seen + person->length, sizeof(person->seen) - 1 - person->length);
        if (count <= 0)
            fail_msg("it ended without \"%s\": %s", text, person->seen);
        person->length += (size_t)count;
        person->seen[person->length] = '\0';
    }
    /* What comes after it may have come with it, and is for the next look. */
    const char *rest = found + strlen(text);
    person->length -= (size_t)(rest - person->seen);
    memmove(person->seen, rest, person->length + 1);
}

static void type(struct person *person, const char *keys)
{
    assert_int_equal(write(person->terminal, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static int stand_up(struct person *person)
{
    int status;
    char rest[256];

    while (read(person->terminal, rest, sizeof(rest)) > 0)
        ;
    close(person->terminal);
    waitpid(person->pid, &status, 0);
    return process_exit_code(status);
}

#define WORDS(...)                             \
    (char *[])                                 \
    {                                          \
        (char[]){"caisson"}, __VA_ARGS__, NULL \
    }
#define WORD(text) ((char[]){text})

static void test_a_terminal(void **state)
{
    const struct winsize size = {.ws_row = 20, .ws_col = 70};
    struct person person;

    sit_down(&person,
        WORDS(WORD("run"), WORD("--rm"), WORD("-it"), WORD("test"), WORD("sh"), WORD("-c"),
            WORD("until stty size | grep '33 101'; do sleep 0.02; done; trap 'stty size' WINCH; "
                 "trap 'exit 6' INT; echo ready; read x; echo got $x; while :; do sleep 0.02; done")));
    see(&person, "33 101");
    see(&person, "ready");
    type(&person, "one\r");
    see(&person, "got one");
    assert_int_equal(ioctl(person.terminal, TIOCSWINSZ, &size), 0);
    see(&person, "20 70");
    type(&person, "\003");
    assert_int_equal(stand_up(&person), 6);
}

static void test_ctrl_c_is_a_byte(void **state)
{
    struct person person;

    sit_down(
        &person, WORDS(WORD("run"), WORD("--rm"), WORD("-it"), WORD("test"), WORD("sh"), WORD("-c"),
                     WORD("trap 'echo interrupted; exit 4' INT; echo ready; while :; do sleep 0.02; done")));
    see(&person, "ready");
    type(&person, "\003");
    see(&person, "interrupted");
    assert_int_equal(stand_up(&person), 4);
}

static void test_keys_detach(void **state)
{
    struct person person;

    sit_down(&person,
        WORDS(WORD("run"), WORD("-it"), WORD("--name"), WORD("kept"), WORD("test"), WORD("sh"), WORD("-c"),
            WORD("echo ready; read x; echo got $x; while :; do sleep 0.02; echo more; done")));
    see(&person, "ready");
    type(&person, "\020q\r"); /* a lone ctrl-p goes on */
    see(&person, "more");
    type(&person, "\020\021");
    assert_int_equal(stand_up(&person), 0);
    expect("caisson ps --format '{{.Names}}'; timeout 200 tail -f data/containers/*/log | grep -m 1 -o more; "
           "caisson rm -f kept",
        0, "kept\nmore\nkept\n", NULL);
}

static void test_a_terminal_that_goes_away(void **state)
{
    struct person person;
    int status;

    sit_down(&person, WORDS(WORD("run"), WORD("--rm"), WORD("-it"), WORD("test"), WORD("sh"), WORD("-c"),
                          WORD("trap '' HUP; echo ready; while :; do sleep 0.02; done")));
    see(&person, "ready");
    close(person.terminal);
    assert_int_equal(waitpid(person.pid, &status, 0), person.pid);
    assert_int_equal(process_exit_code(status), 137);
    expect("true", 0, "", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_codes_and_output),
        cmocka_unit_test(test_input_reaches_the_process),
        cmocka_unit_test(test_all_bytes_arrive),
        cmocka_unit_test(test_a_closed_output_is_told),
        cmocka_unit_test(test_a_full_output_is_told),
        cmocka_unit_test(test_signals_are_passed_on),
        cmocka_unit_test(test_patience_ends_with_the_third_signal),
        cmocka_unit_test(test_init_of_the_command_fails),
        cmocka_unit_test(test_detached_life),
        cmocka_unit_test(test_publish_finishes_what_nobody_waits_for),
        cmocka_unit_test(test_wait_gives_the_exit_code),
        cmocka_unit_test(test_logs_follow_to_the_end),
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_pause_stats_kill),
        cmocka_unit_test(test_exec),
        cmocka_unit_test(test_shims_that_fail),
        cmocka_unit_test(test_an_interrupted_start_is_undone),
        cmocka_unit_test(test_what_a_power_cut_left_is_swept),
        cmocka_unit_test(test_a_terminal),
        cmocka_unit_test(test_ctrl_c_is_a_byte),
        cmocka_unit_test(test_keys_detach),
        cmocka_unit_test(test_a_terminal_that_goes_away),
    };
    return cmocka_run_group_tests(tests, make_world, remove_world);
}
