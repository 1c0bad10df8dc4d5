/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a confined program sees, told by itself: the test starts its own binary (or a shell) inside the jail.
 * Runs as root and as an ordinary user; both must get the same.
 */
#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "jail/jail.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

static int set_up(void **state)
{
    if (!jail_complete(NULL))
        return -1;
    char template[] = "/tmp/caisson-jail-XXXXXX";
    if (!mkdtemp(template) || chmod(template, 0755) < 0)
        return -1;
    *state = must_copy(template);
    return 0;
}

static int tear_down(void **state)
{
    assert_ok(tree_remove(*state));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    free(*state);
    return 0;
}

/* Runs a shell script in the jail; returns what it printed. */
static char *run_inside(const struct jail_config *config, char *script, int *ret_status)
{
    _cleanup_(jail_free) struct jail *jail = NULL;
    assert_ok(jail_new(config, &jail));
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    char *const arguments[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, script, NULL};
    const struct process_fd fds[] = {{pipes[1], 1}, {pipes[1], 2}};
    const struct process_options options = {
        .arguments = arguments, .fds = fds, .fd_count = 2, .die_with_parent = true, .directory = "/"};
    pid_t pid;
    assert_ok(jail_spawn(jail, &options, &pid));
    close(pipes[1]);
    char *text = NULL;
    assert_ok(fd_read_all(pipes[0], 1 << 20, &text, NULL));
    close(pipes[0]);
    assert_int_equal(waitpid(pid, ret_status, 0), pid);
    return text;
}

static struct jail_config plain(void)
{
    return (struct jail_config){.name = "the test", .seed = 77, .files = 64};
}

static void test_host_files_are_not_there(void **state)
{
    const char *directory = *state;
    _cleanup_free_ char *given = must_printf("%s/given", directory);
    _cleanup_free_ char *secret = must_printf("%s/secret", directory);
    assert_int_equal(close(open(given, O_CREAT | O_WRONLY, 0644)), 0);
    assert_int_equal(close(open(secret, O_CREAT | O_WRONLY, 0644)), 0);
    const struct jail_bind bind = {.source = given};
    struct jail_config config = plain();
    config.binds = &bind;
    config.bind_count = 1;
    _cleanup_free_ char *script =
        must_printf("echo /*; echo %s/*; echo /etc/*; echo /tmp/caisson*; ls /home /root "
                    "/proc /sys 2>&1 | wc -l; : > /x || : > /usr/x || : > %s",
            directory, given);
    int status;
    _cleanup_free_ char *text = run_inside(&config, script, &status);
    assert_non_null(strstr(text, "/usr"));
    assert_non_null(strstr(text, given));
    assert_null(strstr(text, "secret"));
    assert_null(strstr(text, "passwd"));
    assert_null(strstr(text, "/home "));
    assert_int_not_equal(status, 0);
}

static void test_no_privileges(void **state)
{
    struct jail_config config = plain();
    config.proc = true;
    int status;
    _cleanup_free_ char *text = run_inside(&config,
        (char[]){"id -u; grep -E 'Cap(Prm|Eff|Bnd|Inh)|NoNewPrivs' /proc/self/status; ulimit -n; ulimit -c; "
                 "echo pid $$; ls /proc | grep -c '^[0-9]'; cat /proc/net/dev | tail -n +3 | cut -d: -f1"},
        &status);
    unsigned id = ~0u;
    assert_int_equal(sscanf(text, "%u", &id), 1);
    /* Root of a container may have no other id than its own. */
    _cleanup_free_ char *map = NULL;
    assert_ok(file_read(AT_FDCWD, "/proc/self/uid_map", 4096, &map, NULL));
    bool host = strstr(map, "4294967295") != NULL;
    assert_int_equal(id, geteuid() == 0 && host ? 1879048192u + 77 : geteuid());
    assert_non_null(strstr(text, "CapPrm:\t0000000000000000"));
    assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
    assert_non_null(strstr(text, "CapBnd:\t0000000000000000"));
    assert_non_null(strstr(text, "NoNewPrivs:\t1"));
    assert_non_null(strstr(text, "\n64\n0\npid 1\n"));
    assert_null(strstr(text, "eth"));
}

static void test_listed_capabilities_only(void **state)
{
    struct jail_config config = plain();
    config.proc = true;
    config.serve_root = true;
    config.capabilities = UINT64_C(1) << CAP_CHOWN;
    int status;
    _cleanup_free_ char *text =
        run_inside(&config, (char[]){"id -u; grep -E 'Cap(Prm|Bnd)' /proc/self/status"}, &status);
    assert_memory_equal(text, "0\n", 2);
    assert_non_null(strstr(text, "CapPrm:\t0000000000000001"));
    assert_non_null(strstr(text, "CapBnd:\t0000000000000001"));
}

static void test_writable_and_fixed_trees(void **state)
{
    const char *directory = *state;
    _cleanup_free_ char *link = must_printf("%s/link", directory);
    _cleanup_free_ char *target = must_printf("%s/target", directory);
    assert_int_equal(mkdir(target, 0777), 0);
    assert_int_equal(symlink(target, link), 0);
    const struct jail_bind binds[] = {{.source = link, .target = "/shared/0", .writable = true},
        {.source = target, .target = "/shared/1/deep"}};
    struct jail_config config = plain();
    config.serve_root = true;
    config.capabilities = UINT64_C(1) << CAP_DAC_OVERRIDE;
    config.binds = binds;
    config.bind_count = 2;
    int status;
    _cleanup_free_ char *text = run_inside(&config,
        (char[]){"echo hi > /shared/0/file; cat /shared/1/deep/file; : > /shared/1/deep/other"}, &status);
    assert_memory_equal(text, "hi\n", 3);
    assert_non_null(strstr(text, "Read-only file system"));
    _cleanup_free_ char *file = must_printf("%s/file", target);
    assert_int_equal(access(file, F_OK), 0);
}

static void test_failures_say_what(void **state)
{
    const char *directory = *state;
    _cleanup_free_ char *gone = must_printf("%s/gone", directory);
    int fd = open(gone, O_CREAT | O_WRONLY, 0644);
    close(fd);
    const struct jail_bind bind = {.source = gone, .target = "/x"};
    struct jail_config config = plain();
    config.binds = &bind;
    config.bind_count = 1;
    _cleanup_(jail_free) struct jail *jail = NULL;
    assert_ok(jail_new(&config, &jail));
    assert_int_equal(unlink(gone), 0);
    char *const arguments[] = {(char[]){"/bin/true"}, NULL};
    const struct process_options options = {.arguments = arguments};
    pid_t pid;
    _cleanup_error_ struct error *error = jail_spawn(jail, &options, &pid);
    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error_message(error), "confining the test: opening "));
    assert_non_null(strstr(error_message(error), gone));

    struct jail *none = NULL;
    _cleanup_error_ struct error *missing = jail_new(&config, &none);
    assert_int_equal(error_code(missing), ERROR_NOT_FOUND);
}

/* A parent of its own is killed; the helper, seen through a pipe that only it holds open, must go as well. */
static void test_dies_with_its_parent(void **state)
{
    int held[2], told[2];
    assert_int_equal(pipe2(held, O_CLOEXEC), 0);
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        struct jail *jail = NULL;
        struct jail_config config = plain();
        if (jail_new(&config, &jail))
            _exit(1);
        char *const arguments[] = {
            (char[]){"/bin/sh"}, (char[]){"-c"}, (char[]){"echo up; exec sleep 1000"}, NULL};
        const struct process_fd fds[] = {{told[1], 1}, {held[1], 5}};
        const struct process_options options = {
            .arguments = arguments, .fds = fds, .fd_count = 2, .die_with_parent = true};
        pid_t pid;
        if (jail_spawn(jail, &options, &pid))
            _exit(2);
        close(held[1]);
        for (;;)
            pause();
    }
    close(held[1]);
    close(told[1]);
    char word[3];
    assert_int_equal(read(told[0], word, 3), 3);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    struct pollfd end = {.fd = held[0], .events = POLLIN};
    assert_int_equal(poll(&end, 1, 10000), 1);
    assert_int_equal(read(held[0], word, 1), 0);
    close(held[0]);
    close(told[0]);
}

#define IN_DIRECTORY(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_host_files_are_not_there),
        IN_DIRECTORY(test_no_privileges),
        IN_DIRECTORY(test_listed_capabilities_only),
        IN_DIRECTORY(test_writable_and_fixed_trees),
        IN_DIRECTORY(test_failures_say_what),
        IN_DIRECTORY(test_dies_with_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
