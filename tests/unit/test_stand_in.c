/* SPDX-License-Identifier: Apache-2.0 */
/* Real processes in real namespaces, for which the test has to be root. */
#include "assertions.h"
#include "sandbox/stand_in.h"

#include "base/fd.h"
#include "base/path.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct event_base *base;
    struct stand_in *stand_in;
    bool ready;
    char *error; /* of ready or failed */
    int signal;
    bool ended;
};

static void on_ready(void *context, struct error *error)
{
    struct world *world = context;
    world->ready = true;
    if (error)
        world->error = must_copy(error_message(error));
    error_free(error);
}

static void on_signal(void *context, int number)
{
    ((struct world *)context)->signal = number;
}

static void on_failed(void *context, const struct error *reason)
{
    ((struct world *)context)->error = must_copy(error_message(reason));
}

/* As the sandbox does. */
static void on_ended(void *context)
{
    struct world *world = context;
    world->ended = true;
    stand_in_free(TAKE_PTR(world->stand_in));
}

static const struct stand_in_events events = {
    .ready = on_ready, .signalled = on_signal, .failed = on_failed, .ended = on_ended};

static int world_begin(void **state)
{
    struct world *world = must_new(struct world);
    world->base = event_base_new();
    *state = world;
    return 0;
}

static int world_end(void **state)
{
    struct world *world = *state;
    stand_in_free(world->stand_in);
    event_base_free(world->base);
    free(world->error);
    free(world);
    return 0;
}

static void require_root(void)
{
    if (geteuid() != 0) {
        print_message("namespaces of the host need root\n");
        skip();
    }
}

/* It is ready when this returns. */
static pid_t begin(struct world *world, const char *network)
{
    struct stand_in_config config = {.name = "c1", .hostname = "box", .network = network};
    assert_ok(stand_in_new(world->base, &config, &events, world, &world->stand_in));
    AWAIT(world, world->ready);
    return stand_in_pid(world->stand_in);
}

static char *proc_read(pid_t pid, const char *name)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/%s", pid, name);
    char *text = NULL;
    assert_ok(file_read(AT_FDCWD, path, 1 << 20, &text, NULL));
    return text;
}

static void assert_line(pid_t pid, const char *name, const char *line)
{
    _cleanup_free_ char *text = proc_read(pid, name);
    if (!strstr(text, line))
        fail_msg("\"%s\" is not in %s: %s", line, name, text);
}

static char *namespace_of(pid_t pid, const char *name)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/ns/%s", pid, name);
    char text[64] = "";
    assert_true(readlink(path, text, sizeof(text) - 1) > 0);
    return must_copy(text);
}

static bool shares(pid_t pid, pid_t other, const char *name)
{
    _cleanup_free_ char *one = namespace_of(pid, name);
    _cleanup_free_ char *two = namespace_of(other, name);
    return strcmp(one, two) == 0;
}

static size_t entries_of(pid_t pid, const char *name)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/%s", pid, name);
    _cleanup_dir_ DIR *directory = opendir(path);
    size_t count = 0;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    return count;
}

static void test_what_it_is(void **state)
{
    struct world *world = *state;
    require_root();
    pid_t pid = begin(world, "");
    assert_null(world->error);
    _cleanup_free_ char *command = proc_read(pid, "cmdline");
    assert_string_equal(command, "caisson: c1");
    assert_line(pid, "comm", "caisson: c1\n");
    assert_line(pid, "net/dev", "lo:");
    assert_false(shares(pid, getpid(), "net"));
    assert_false(shares(pid, getpid(), "mnt"));
    assert_false(shares(pid, getpid(), "uts"));
    assert_false(shares(pid, getpid(), "ipc"));
    assert_true(shares(pid, getpid(), "pid"));
    assert_int_equal(entries_of(pid, "fd"), 2);
    assert_int_equal(entries_of(pid, "root"), 1);
    assert_line(pid, "mountinfo", " / / ro,");
}

static void test_what_it_may(void **state)
{
    struct world *world = *state;
    require_root();
    pid_t pid = begin(world, NULL);
    assert_true(shares(pid, getpid(), "net"));
    assert_ok(stand_in_set_root(world->stand_in, -1));
    /* Its last capability goes when it knows that there is no root; it says nothing then. */
    for (int i = 0; i < 1000; i++) {
        _cleanup_free_ char *status = proc_read(pid, "status");
        if (strstr(status, "CapPrm:\t0000000000000000"))
            break;
        event_base_loop(world->base, EVLOOP_NONBLOCK);
    }
    assert_line(pid, "status", "CapPrm:\t0000000000000000");
    assert_line(pid, "status", "CapEff:\t0000000000000000");
    assert_line(pid, "status", "CapBnd:\t0000000000000000");
    assert_line(pid, "status", "NoNewPrivs:\t1");
    assert_line(pid, "status", "SigBlk:\tfffffffe");
}

static void test_network_by_path(void **state)
{
    struct world *world = *state;
    struct world other = {.base = world->base};
    require_root();
    pid_t first = begin(&other, "");
    _cleanup_free_ char *path = must_printf("/proc/%d/ns/net", first);
    pid_t second = begin(world, path);
    assert_null(world->error);
    assert_true(shares(first, second, "net"));
    stand_in_free(other.stand_in);
}

static void test_bad_networks(void **state)
{
    struct world *world = *state;
    struct stand_in_config config = {.name = "c1", .hostname = "", .network = "/does/not/exist"};
    require_root();
    _cleanup_error_ struct error *error =
        stand_in_new(world->base, &config, &events, world, &world->stand_in);
    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error_message(error), "/does/not/exist"));
    begin(world, "/dev/null");
    assert_non_null(strstr(world->error, "entering the network namespace"));
    assert_false(world->ended);
}

/* A tmpfs with a file, in no place. */
static int make_tree(char directory[])
{
    assert_non_null(mkdtemp(directory));
    assert_int_equal(mount("test", directory, "tmpfs", 0, "size=64k"), 0);
    _cleanup_free_ char *file = must_printf("%s/hello", directory);
    assert_ok(file_write_text(AT_FDCWD, file, "world"));
    int tree = open_tree(AT_FDCWD, directory, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    assert_true(tree >= 0);
    assert_int_equal(umount2(directory, MNT_DETACH), 0);
    assert_int_equal(rmdir(directory), 0);
    return tree;
}

static void await_root(struct world *world, const char *file)
{
    while (access(file, F_OK) < 0) {
        assert_null(world->error);
        assert_false(world->ended);
        event_base_loop(world->base, EVLOOP_NONBLOCK);
    }
}

static void test_root(void **state)
{
    struct world *world = *state;
    char directory[] = "/tmp/caisson-stand-in-XXXXXX";
    require_root();
    _cleanup_fd_ int tree = make_tree(directory);
    pid_t pid = begin(world, "");
    _cleanup_free_ char *file = must_printf("/proc/%d/root/hello", pid);
    _cleanup_free_ char *other = must_printf("/proc/%d/root/other", pid);
    _cleanup_free_ char *text = NULL;
    assert_ok(stand_in_set_root(world->stand_in, tree));
    await_root(world, file);
    assert_int_equal(pid, stand_in_pid(world->stand_in));
    assert_ok(file_read(AT_FDCWD, file, 64, &text, NULL));
    assert_string_equal(text, "world");
    assert_ok(file_write_text(AT_FDCWD, other, "written from the host"));
    _cleanup_free_ char *mounts = proc_read(pid, "mountinfo");
    assert_null(strchr(strchr(mounts, '\n') + 1, '\n'));
}

static void test_bad_root(void **state)
{
    struct world *world = *state;
    require_root();
    begin(world, "");
    _cleanup_fd_ int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_ok(stand_in_set_root(world->stand_in, file));
    AWAIT(world, world->error);
    assert_non_null(strstr(world->error, "placing the root file system"));
    assert_false(world->ended);
}

static void test_signals(void **state)
{
    struct world *world = *state;
    require_root();
    pid_t pid = begin(world, "");
    assert_int_equal(kill(pid, SIGCHLD), 0);
    assert_int_equal(kill(pid, SIGTERM), 0);
    AWAIT(world, world->signal);
    assert_int_equal(world->signal, SIGTERM);
    world->signal = 0;
    assert_int_equal(kill(pid, SIGRTMIN + 3), 0);
    AWAIT(world, world->signal);
    assert_int_equal(world->signal, SIGRTMIN + 3);
    assert_int_equal(kill(pid, SIGKILL), 0);
    AWAIT(world, world->ended);
    assert_int_equal(kill(pid, 0), -1);
}

/* It goes with the supervisor, whatever that dies of. */
static void test_dies_with_parent(void **state)
{
    struct world *world = *state;
    int told[2];
    pid_t pid = 0;
    require_root();
    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    pid_t supervisor = fork();
    if (supervisor == 0) {
        event_reinit(world->base);
        pid = begin(world, "");
        assert_ok(fd_write_all(told[1], &pid, sizeof(pid)));
        raise(SIGKILL);
    }
    assert_ok(fd_read_exactly(told[0], &pid, sizeof(pid)));
    assert_int_equal(waitpid(supervisor, NULL, 0), supervisor);
    close(told[1]);
    /* The stand-in of a dead supervisor holds no end of the pipe, so this is not what is waited for. */
    while (kill(pid, 0) == 0)
        sched_yield();
    close(told[0]);
}

#define WORLD_TEST(function) cmocka_unit_test_setup_teardown(function, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_what_it_is),
        WORLD_TEST(test_what_it_may),
        WORLD_TEST(test_network_by_path),
        WORLD_TEST(test_bad_networks),
        WORLD_TEST(test_root),
        WORLD_TEST(test_bad_root),
        WORLD_TEST(test_signals),
        WORLD_TEST(test_dies_with_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
