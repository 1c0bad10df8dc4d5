/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where cgroups are and what a path means there, on written-down hosts; limits on a tree of plain files; and
 * real processes in the real cgroups of this machine, for which the test has to be root.
 */
#include "assertions.h"
#include "cgroup/cgroup.h"

#include "base/fd.h"
#include "base/path.h"
#include "base/process.h"
#include "cgroup/place.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- paths ---- */

static void test_paths(void **state)
{
    static const struct {
        const char *path;
        const char *resolved;
    } cases[] = {
        {"/kubepods/burstable/pod1/c1", "/kubepods/burstable/pod1/c1"},
        {"default//c1/./", "/default/c1"},
        {"/a:b:c", "/a:b:c"},
        {"kubepods-burstable-pod1.slice:cri-containerd:c1",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-c1.scope"},
        {":docker:c1", "/system.slice/docker-c1.scope"},
        {"user.slice::c1", "/user.slice/c1.scope"},
        {"-.slice:p:c1", "/p-c1.scope"},
        {"a.slice:p:b.slice", "/a.slice/b.slice"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *resolved = NULL;
        assert_ok(cgroup_path_resolve(cases[i].path, &resolved));
        assert_string_equal(resolved, cases[i].resolved);
    }
}

static void test_bad_paths(void **state)
{
    static const struct {
        const char *path;
        const char *words;
    } cases[] = {
        {"/a/../../b", "upwards"},
        {"/", "not a cgroup of its own"},
        {"a:b:c", "not a slice"},
        {"a--b.slice:p:c", "not one of systemd's"},
        {"-a.slice:p:c", "not one of systemd's"},
        {"a/b.slice:p:c", "not one of systemd's"},
        {"a.slice:p:", "names no unit"},
        {"a.slice:p:../c", "names no unit"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *resolved = NULL;
        _cleanup_error_ struct error *error = cgroup_path_resolve(cases[i].path, &resolved);
        assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
        assert_non_null(strstr(error_message(error), cases[i].words));
    }
}

/* ---- a host of plain files ---- */

struct host {
    char directory[64];
};

static void host_write(const struct host *host, const char *name, const char *text)
{
    _cleanup_free_ char *path = must_printf("%s/%s", host->directory, name);
    _cleanup_free_ char *parent = must_copy_length(path, (size_t)(strrchr(path, '/') - path));
    assert_ok(directory_create_all(parent, 0755));
    assert_ok(file_write_text(AT_FDCWD, path, text));
}

static void assert_content(const struct host *host, const char *name, const char *expected)
{
    _cleanup_free_ char *path = must_printf("%s/%s", host->directory, name);
    _cleanup_free_ char *text = NULL;
    assert_ok(file_read(AT_FDCWD, path, 4096, &text, NULL));
    assert_string_equal(text, expected);
}

static int host_begin(void **state)
{
    struct host *host = must_new(struct host);
    strcpy(host->directory, "/tmp/caisson-cgroup-XXXXXX");
    *state = host;
    return mkdtemp(host->directory) ? 0 : -1;
}

static int host_end(void **state)
{
    struct host *host = *state;
    assert_ok(tree_remove(host->directory));
    free(host);
    return 0;
}

static void test_hierarchies(void **state)
{
    struct host *host = *state;
    struct hierarchies found = {0};
    host_write(host, "mountinfo",
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
        "33 31 0:30 /docker/a\\040b /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
        "35 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
        "36 31 0:32 / /mnt/again rw - cgroup2 cgroup2 rw\n");
    host_write(host, "cgroup",
        "5:cpuacct,cpu:/one\n4:memory:/docker/a b/c\n3:pids:/\n1:name=systemd:/\n0::/../elsewhere\n");
    assert_ok(hierarchies_read(host->directory, &found));
    assert_int_equal(found.count, 4);
    assert_string_equal(found.list[0].own, "/sys/fs/cgroup/cpu,cpuacct/one");
    assert_string_equal(found.list[1].own, "/sys/fs/cgroup/memory/c");
    assert_string_equal(found.list[2].own, "/sys/fs/cgroup/systemd");
    assert_string_equal(found.list[3].own, "/sys/fs/cgroup/unified");
    assert_string_equal(found.list[3].mount, "/sys/fs/cgroup/unified");
    assert_true(hierarchy_has(&found.list[0], "cpu"));
    assert_false(hierarchy_has(&found.list[0], "cpus"));
    assert_false(found.list[2].unified);
    assert_true(found.list[3].unified);
    hierarchies_clear(&found);
}

static void test_no_hierarchy(void **state)
{
    struct host *host = *state;
    struct cgroup *cgroup = NULL;
    host_write(host, "mountinfo", "1 0 0:1 / / rw - ext4 /dev/vda rw\n");
    host_write(host, "cgroup", "0::/\n");
    _cleanup_error_ struct error *error = cgroup_new_from(host->directory, "/c1", &cgroup);
    assert_int_equal(error_code(error), ERROR_FAILED_PRECONDITION);
}

static const struct cgroup_limits limits = {
    .memory = 512u << 20, .cpu_shares = 1024, .cpus = "0-1", .mems = "0"};

static void mount_line(struct host *host, const char *type, const char *options, const char *cgroup)
{
    _cleanup_free_ char *line =
        must_printf("30 1 0:28 / %s/fs rw - %s cgroup rw,%s\n", host->directory, type, options);
    host_write(host, "mountinfo", line);
    host_write(host, "cgroup", cgroup);
}

static void test_limits_unified(void **state)
{
    struct host *host = *state;
    _cleanup_cgroup_ struct cgroup *cgroup = NULL;
    mount_line(host, "cgroup2", "nsdelegate", "0::/from\n");
    host_write(host, "fs/cgroup.controllers", "cpu memory\n");
    host_write(host, "fs/cgroup.subtree_control", "");
    host_write(host, "fs/from/cgroup.procs", "");
    host_write(host, "fs/pod/cgroup.controllers", "memory\n");
    host_write(host, "fs/pod/cgroup.subtree_control", "");
    host_write(host, "fs/pod/c1/memory.max", "");
    host_write(host, "fs/pod/c1/cpu.weight", "");
    host_write(host, "fs/pod/c1/cpuset.cpus", "");
    host_write(host, "fs/pod/c1/cgroup.procs", "");
    assert_ok(cgroup_new_from(host->directory, "/pod/c1", &cgroup));
    assert_ok(cgroup_enter(cgroup, &limits));
    assert_content(host, "fs/cgroup.subtree_control", "+memory");
    assert_content(host, "fs/pod/cgroup.subtree_control", "+memory");
    assert_content(host, "fs/pod/c1/memory.max", "536870912");
    assert_content(host, "fs/pod/c1/cpu.weight", "39");
    assert_content(host, "fs/pod/c1/cpuset.cpus", "0-1");
    assert_content(host, "fs/pod/c1/cgroup.procs", "0");
    assert_ok(cgroup_leave(cgroup));
    assert_content(host, "fs/from/cgroup.procs", "0");
}

static void test_limits_v1(void **state)
{
    struct host *host = *state;
    _cleanup_cgroup_ struct cgroup *cgroup = NULL;
    mount_line(host, "cgroup", "cpuset,cpu,memory", "7:cpuset,cpu,memory:/from\n");
    host_write(host, "fs/cpuset.cpus", "0-3\n");
    host_write(host, "fs/cpuset.mems", "0\n");
    host_write(host, "fs/from/tasks", "");
    host_write(host, "fs/c1/cpuset.cpus", "\n");
    host_write(host, "fs/c1/cpuset.mems", "\n");
    host_write(host, "fs/c1/cpu.shares", "");
    host_write(host, "fs/c1/memory.limit_in_bytes", "");
    host_write(host, "fs/c1/tasks", "");
    assert_ok(cgroup_new_from(host->directory, "/c1", &cgroup));
    assert_ok(cgroup_enter(cgroup, &(struct cgroup_limits){.memory = 1 << 20, .cpu_shares = 512}));
    assert_content(host, "fs/c1/cpuset.cpus", "0-3");
    assert_content(host, "fs/c1/cpuset.mems", "0");
    assert_content(host, "fs/c1/cpu.shares", "512");
    assert_content(host, "fs/c1/memory.limit_in_bytes", "1048576");
    assert_content(host, "fs/c1/tasks", "0");
    assert_ok(cgroup_leave(cgroup));
    assert_content(host, "fs/from/tasks", "0");
}

/* ---- this machine ---- */

static char own_path[64];

static void require_root(void)
{
    if (geteuid() != 0) {
        print_message("moving processes between cgroups needs root\n");
        skip();
    }
    struct hierarchies found = {0};
    _cleanup_error_ struct error *error = hierarchies_read("/proc/self", &found);
    hierarchies_clear(&found);
    if (error || access("/sys/fs/cgroup", W_OK) < 0) {
        print_message("there are no cgroups here that can be written\n");
        skip();
    }
    snprintf(own_path, sizeof(own_path), "/caisson-test-%d/c1", getpid());
}

/* How many of the hierarchies the process is in at the path. */
static size_t hierarchies_at(pid_t pid, const char *path)
{
    _cleanup_free_ char *name = must_printf("/proc/%d/cgroup", pid);
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *line_end = must_printf(":%s\n", path);
    size_t count = 0;
    assert_ok(file_read(AT_FDCWD, name, 65536, &text, NULL));
    for (const char *at = text; (at = strstr(at, line_end)); at++)
        count++;
    return count;
}

static size_t directories_of(const char *path)
{
    struct hierarchies found = {0};
    size_t count = 0;
    assert_ok(hierarchies_read("/proc/self", &found));
    for (size_t i = 0; i < found.count; i++) {
        _cleanup_free_ char *directory = must_printf("%s%s", found.list[i].mount, path);
        count += access(directory, F_OK) == 0;
    }
    hierarchies_clear(&found);
    return count;
}

/* As the runtime's callers do with what they made above it. */
static void remove_parents(void)
{
    struct hierarchies found = {0};
    assert_ok(hierarchies_read("/proc/self", &found));
    for (size_t i = 0; i < found.count; i++) {
        _cleanup_free_ char *directory = must_printf("%s/caisson-test-%d", found.list[i].mount, getpid());
        assert_int_equal(rmdir(directory), 0);
    }
    hierarchies_clear(&found);
}

static pid_t spawn_sleeper(process_prepare *prepare, void *context)
{
    char *arguments[] = {"sleep", "1000", NULL};
    struct process_options options = {
        .arguments = arguments, .prepare = prepare, .prepare_context = context, .die_with_parent = true};
    pid_t pid = 0;
    assert_ok(process_spawn(&options, &pid));
    return pid;
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_enter_and_leave(void **state)
{
    _cleanup_cgroup_ struct cgroup *cgroup = NULL;
    struct cgroup_limits none = {0};
    require_root();
    assert_ok(cgroup_new(own_path, &cgroup));
    size_t all = hierarchies_at(getpid(), own_path);
    assert_int_equal(all, 0);
    assert_ok(cgroup_enter(cgroup, &none));
    all = directories_of(own_path);
    assert_true(all > 0);
    assert_int_equal(hierarchies_at(getpid(), own_path), all);
    pid_t inside = spawn_sleeper(NULL, NULL);
    pid_t outside = spawn_sleeper(cgroup_return_child, cgroup);
    assert_int_equal(hierarchies_at(inside, own_path), all);
    assert_int_equal(hierarchies_at(outside, own_path), 0);
    assert_ok(cgroup_leave(cgroup));
    assert_int_equal(hierarchies_at(getpid(), own_path), 0);
    assert_int_equal(hierarchies_at(inside, own_path), 0);
    assert_int_equal(directories_of(own_path), 0);
    end_child(inside);
    end_child(outside);
    remove_parents();
}

/* Enters and dies, with a child that lives a little longer. */
static pid_t supervisor_that_died(const int hold[2])
{
    int ready[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct cgroup *cgroup = NULL;
        struct cgroup_limits none = {0};
        close(ready[0]);
        if (cgroup_new(own_path, &cgroup) || cgroup_enter(cgroup, &none))
            _exit(1);
        if (fork() == 0) {
            close(ready[1]);
            close(hold[1]);
            _exit(read(hold[0], &byte, 1) < 0);
        }
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0);
    close(ready[0]);
    return pid;
}

static void test_remove_after_death(void **state)
{
    int hold[2];
    require_root();
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    pid_t pid = supervisor_that_died(hold);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(directories_of(own_path) > 0);
    close(hold[0]);
    close(hold[1]);
    assert_ok(cgroup_remove(own_path));
    assert_int_equal(directories_of(own_path), 0);
    assert_ok(cgroup_remove(own_path));
    assert_ok(cgroup_remove(""));
    remove_parents();
}

/* A list of CPUs that the host does not have. */
static void test_failure_leaves_nothing(void **state)
{
    _cleanup_cgroup_ struct cgroup *cgroup = NULL;
    struct cgroup_limits bad = {.cpus = "100000"};
    require_root();
    assert_ok(cgroup_new(own_path, &cgroup));
    struct error *error = cgroup_enter(cgroup, &bad);
    if (!error)
        assert_ok(cgroup_leave(cgroup));
    bool refused = error != NULL;
    error_free(error);
    assert_int_equal(hierarchies_at(getpid(), own_path), 0);
    assert_int_equal(directories_of(own_path), 0);
    struct hierarchies found = {0};
    assert_ok(hierarchies_read("/proc/self", &found));
    for (size_t i = 0; i < found.count; i++) {
        _cleanup_free_ char *directory = must_printf("%s/caisson-test-%d", found.list[i].mount, getpid());
        (void)rmdir(directory);
        if (hierarchy_has(&found.list[i], "cpuset"))
            assert_true(refused);
    }
    hierarchies_clear(&found);
}

#define HOST_TEST(function) cmocka_unit_test_setup_teardown(function, host_begin, host_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_bad_paths),
        HOST_TEST(test_hierarchies),
        HOST_TEST(test_no_hierarchy),
        HOST_TEST(test_limits_unified),
        HOST_TEST(test_limits_v1),
        cmocka_unit_test(test_enter_and_leave),
        cmocka_unit_test(test_remove_after_death),
        cmocka_unit_test(test_failure_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
