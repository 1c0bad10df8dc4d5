/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a container that need no process: options of mounts, users, capabilities, files of a cgroup,
 * device rules, paths inside a root.
 */
#include "agent/container/capability.h"
#include "agent/container/cgroup.h"
#include "agent/container/device_filter.h"
#include "agent/container/identity.h"
#include "agent/container/mount_options.h"
#include "agent/container/rootfs_path.h"
#include "base/fd.h"
#include "base/path.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

static void check(struct error *error)
{
    if (error)
        fail_msg("%s: %s", error_code_name(error_code(error)), error_message(error));
}

static void assert_code(struct error *error, enum error_code code)
{
    assert_int_equal(error_code(error), code);
    error_free(error);
}

/* ---- options of mounts ---- */

static void test_mount_options(void **unused)
{
    static const char *const words[] = {"nosuid", "rbind", "ro", "rw", "noexec", "size=64k", "rprivate",
        "tmpcopyup", "mode=0700", "rro", "slave"};
    _cleanup_mount_options_ struct mount_options options = {0};
    check(mount_options_parse(words, ARRAY_SIZE(words), &options));
    assert_int_equal(options.flags, MS_NOSUID | MS_BIND | MS_REC | MS_NOEXEC);
    assert_int_equal(options.cleared, MS_RDONLY);
    assert_int_equal(options.propagation_count, 2);
    assert_int_equal(options.propagation[0], MS_PRIVATE | MS_REC);
    assert_int_equal(options.propagation[1], MS_SLAVE);
    assert_int_equal(options.recursive_set, MOUNT_ATTR_RDONLY);
    assert_true(options.copy_up);
    assert_string_equal(options.data, "size=64k,mode=0700");
}

static void test_mount_attributes(void **unused)
{
    static const char *const words[] = {"bind", "nodev", "exec", "noatime"};
    _cleanup_mount_options_ struct mount_options options = {0};
    check(mount_options_parse(words, ARRAY_SIZE(words), &options));
    uint64_t set = 0;
    uint64_t clear = 0;
    mount_options_attributes(&options, &set, &clear);
    assert_int_equal(set, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME);
    assert_int_equal(clear, MOUNT_ATTR_NOEXEC | MOUNT_ATTR__ATIME);
}

/* ---- users ---- */

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "broken line\n"
                             ":::::\n"
                             "big:x:99999999999:1:::\n"
                             "web:x:33:33:www:/var/www:/bin/false\n"
                             "1000:x:77:78:a number as a name:/n:/bin/sh\n"
                             "last:x:500:501::/home/last:/bin/sh";
static const char group[] =
    "root:x:0:\nadm:x:4:web,last\nweb:x:33:\naudio:x:29:webmaster,last\nvideo:x:44:last,web\n"
    "none:x:x:web\n";

static struct identity resolve(const char *username, uint32_t uid)
{
    Grpc__User user = GRPC__USER__INIT;
    user.username = username;
    user.uid = uid;
    user.gid = 9;
    struct identity identity = {0};
    check(identity_resolve(&user, passwd, group, &identity));
    return identity;
}

static void assert_identity(struct identity identity, uid_t uid, gid_t gid, size_t groups, const char *home)
{
    assert_int_equal(identity.uid, uid);
    assert_int_equal(identity.gid, gid);
    assert_int_equal(identity.group_count, groups);
    if (home)
        assert_string_equal(identity.home, home);
    else
        assert_null(identity.home);
    identity_clear(&identity);
}

static void test_identities(void **unused)
{
    assert_identity(resolve("", 33), 33, 9, 0, "/var/www");
    assert_identity(resolve("", 4711), 4711, 9, 0, NULL);
    assert_identity(resolve("web", 0), 33, 33, 2, "/var/www");
    assert_identity(resolve("web:audio", 0), 33, 29, 0, "/var/www");
    assert_identity(resolve("33", 0), 33, 33, 2, "/var/www");
    assert_identity(resolve("33:7", 0), 33, 7, 0, "/var/www");
    assert_identity(resolve("4711", 0), 4711, 0, 0, NULL);
    assert_identity(resolve("4711:video", 0), 4711, 44, 0, NULL);
    assert_identity(resolve("1000", 0), 77, 78, 0, "/n");
    assert_identity(resolve("last:", 0), 500, 501, 3, "/home/last");
}

static void test_identities_that_are_none(void **unused)
{
    static const char *const names[] = {
        "nobody", "web:nogroup", "big", ":web", "-1", "4294967295", "none", "web:none"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        Grpc__User user = GRPC__USER__INIT;
        user.username = names[i];
        struct identity identity = {0};
        assert_code(identity_resolve(&user, passwd, group, &identity), ERROR_NOT_FOUND);
    }
    Grpc__User user = GRPC__USER__INIT;
    user.username = "web";
    struct identity identity = {0};
    assert_code(identity_resolve(&user, NULL, NULL, &identity), ERROR_NOT_FOUND);
}

static void test_additional_groups(void **unused)
{
    uint32_t gids[] = {4, 44, 100, 100};
    Grpc__User user = GRPC__USER__INIT;
    user.username = "web";
    user.additional_gids = gids;
    user.n_additional_gids = ARRAY_SIZE(gids);
    _cleanup_identity_ struct identity identity = {0};
    check(identity_resolve(&user, passwd, group, &identity));
    static const gid_t expected[] = {4, 44, 100};
    assert_int_equal(identity.group_count, ARRAY_SIZE(expected));
    assert_memory_equal(identity.groups, expected, sizeof(expected));
}

/* ---- capabilities ---- */

static void test_capability_names(void **unused)
{
    const char *const names[] = {"CAP_CHOWN", "cap_checkpoint_restore", "CAP_NONSENSE", "", "CAP_NET_RAW"};
    assert_int_equal(capability_mask(names, ARRAY_SIZE(names)),
        UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << 40 | UINT64_C(1) << CAP_NET_RAW);
}

/* ---- files of a cgroup ---- */

struct fixture {
    char directory[64];
    int fd;
    struct cgroup *cgroup;
};

static void make_file(const struct fixture *fixture, const char *name, const char *text)
{
    check(file_write_text(fixture->fd, name, text));
}

static char *content(const struct fixture *fixture, const char *name)
{
    char *text = NULL;
    check(file_read(fixture->fd, name, 4096, &text, NULL));
    return text;
}

static void assert_content(const struct fixture *fixture, const char *name, const char *expected)
{
    _cleanup_free_ char *text = content(fixture, name);
    assert_string_equal(text, expected);
}

/* A directory with the files that the kernel would put there; ordinary ones, so a shorter text would leave
   the end of a longer one. */
static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    strcpy(fixture->directory, "/tmp/caisson-cgroup-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    fixture->fd = open(fixture->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    make_file(fixture, "cgroup.controllers", "cpu memory pids\n");
    make_file(fixture, "cgroup.subtree_control", "cpu memory pids\n");
    assert_int_equal(mkdirat(fixture->fd, "web", 0755), 0);
    make_file(fixture, "web/cgroup.procs", "");
    check(cgroup_create(fixture->directory, "/web", &fixture->cgroup));
    close(fixture->fd);
    fixture->fd = dup(cgroup_fd(fixture->cgroup));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    close(fixture->fd);
    cgroup_free(fixture->cgroup);
    check(tree_remove(fixture->directory));
    free(fixture);
    return 0;
}

static void test_limits(void **state)
{
    struct fixture *fixture = *state;
    static const char *const files[] = {"memory.max", "memory.low", "memory.swap.max", "cpu.weight",
        "cpu.max", "cpu.max.burst", "cpuset.cpus", "cpuset.mems", "pids.max", "io.max", "io.weight",
        "hugetlb.2MB.max", "memory.high"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        make_file(fixture, files[i], "");
    Grpc__LinuxMemory memory = GRPC__LINUX_MEMORY__INIT;
    memory.limit = 64 << 20;
    memory.swap = 96 << 20;
    memory.reservation = 1 << 20;
    Grpc__LinuxCPU cpu = GRPC__LINUX_CPU__INIT;
    cpu.shares = 1024;
    cpu.quota = 150000;
    cpu.burst = 1000;
    cpu.cpus = "0-1";
    cpu.mems = "0";
    Grpc__LinuxPids pids = GRPC__LINUX_PIDS__INIT;
    pids.limit = -1;
    Grpc__LinuxThrottleDevice device = GRPC__LINUX_THROTTLE_DEVICE__INIT;
    device.major = 254;
    device.rate = 1000;
    Grpc__LinuxThrottleDevice *devices[] = {&device};
    Grpc__LinuxBlockIO io = GRPC__LINUX_BLOCK_IO__INIT;
    io.weight = 500;
    io.throttle_write_iops_device = devices;
    io.n_throttle_write_iops_device = 1;
    Grpc__LinuxHugepageLimit huge = GRPC__LINUX_HUGEPAGE_LIMIT__INIT;
    huge.pagesize = "2MB";
    huge.limit = 4 << 20;
    Grpc__LinuxHugepageLimit *huges[] = {&huge};
    Grpc__StringEntry entry = GRPC__STRING_ENTRY__INIT;
    entry.key = "memory.high";
    entry.value = "123";
    Grpc__StringEntry *unified[] = {&entry};
    Grpc__LinuxResources resources = GRPC__LINUX_RESOURCES__INIT;
    resources.memory = &memory;
    resources.cpu = &cpu;
    resources.pids = &pids;
    resources.block_io = &io;
    resources.hugepage_limits = huges;
    resources.n_hugepage_limits = 1;
    resources.unified = unified;
    resources.n_unified = 1;
    check(cgroup_limit(fixture->cgroup, &resources));
    assert_content(fixture, "memory.max", "67108864");
    assert_content(fixture, "memory.swap.max", "33554432");
    assert_content(fixture, "memory.low", "1048576");
    assert_content(fixture, "cpu.weight", "39");
    assert_content(fixture, "cpu.max", "150000 100000");
    assert_content(fixture, "cpu.max.burst", "1000");
    assert_content(fixture, "cpuset.cpus", "0-1");
    assert_content(fixture, "cpuset.mems", "0");
    assert_content(fixture, "pids.max", "max");
    assert_content(fixture, "io.max", "254:0 wiops=1000");
    assert_content(fixture, "io.weight", "default 4950");
    assert_content(fixture, "hugetlb.2MB.max", "4194304");
    assert_content(fixture, "memory.high", "123");
}

static void test_limits_that_cannot_be(void **state)
{
    struct fixture *fixture = *state;
    Grpc__LinuxResources resources = GRPC__LINUX_RESOURCES__INIT;
    Grpc__LinuxPids pids = GRPC__LINUX_PIDS__INIT;
    pids.limit = 5;
    resources.pids = &pids;
    _cleanup_error_ struct error *error = cgroup_limit(fixture->cgroup, &resources);
    assert_int_equal(error_code(error), ERROR_FAILED_PRECONDITION);
    assert_non_null(strstr(error_message(error), "no pids controller"));
    assert_int_equal(faccessat(fixture->fd, "pids.max", F_OK, 0), -1);
    resources.pids = NULL;
    Grpc__StringEntry entry = GRPC__STRING_ENTRY__INIT;
    Grpc__StringEntry *unified[] = {&entry};
    resources.unified = unified;
    resources.n_unified = 1;
    static const char *const keys[] = {"../web/cgroup.procs", "noname", ".hidden", ""};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        entry.key = keys[i];
        assert_code(cgroup_limit(fixture->cgroup, &resources), ERROR_INVALID_ARGUMENT);
    }
}

static void test_statistics(void **state)
{
    struct fixture *fixture = *state;
    make_file(fixture, "cpu.stat",
        "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\nnr_periods 7\n"
        "nr_throttled 2\nthrottled_usec 10\n");
    make_file(fixture, "memory.current", "4096\n");
    make_file(fixture, "memory.max", "max\n");
    make_file(fixture, "memory.stat", "anon 100\nfile 200\nkernel 300\nodd\n");
    make_file(fixture, "memory.events", "low 0\nmax 9\noom 1\noom_kill 4\n");
    make_file(fixture, "pids.current", "3\n");
    make_file(fixture, "pids.max", "20\n");
    make_file(fixture, "io.stat", "254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\nnonsense\n");
    make_file(fixture, "hugetlb.2MB.current", "2097152\n");
    make_file(fixture, "hugetlb.2MB.events", "max 6\n");
    Grpc__CgroupStats *stats = cgroup_stats(fixture->cgroup);
    assert_int_equal(stats->cpu_stats->cpu_usage->total_usage, 5000000);
    assert_int_equal(stats->cpu_stats->throttling_data->throttled_time, 10000);
    assert_int_equal(stats->memory_stats->cache, 200);
    assert_int_equal(stats->memory_stats->usage->usage, 4096);
    assert_int_equal(stats->memory_stats->usage->failcnt, 9);
    assert_true(stats->memory_stats->usage->limit == UINT64_MAX);
    assert_int_equal(stats->memory_stats->n_stats, 3);
    assert_string_equal(stats->memory_stats->stats[2]->key, "kernel");
    assert_int_equal(stats->pids_stats->current, 3);
    assert_int_equal(stats->pids_stats->limit, 20);
    assert_int_equal(stats->blkio_stats->n_io_service_bytes_recursive, 3);
    assert_string_equal(stats->blkio_stats->io_serviced_recursive[1]->op, "Write");
    assert_int_equal(stats->blkio_stats->io_serviced_recursive[1]->value, 2);
    assert_int_equal(stats->n_hugetlb_stats, 1);
    assert_string_equal(stats->hugetlb_stats[0]->key, "2MB");
    assert_int_equal(stats->hugetlb_stats[0]->value->failcnt, 6);
    protobuf_c_message_free_unpacked(&stats->base, NULL);
    uint64_t kills = 0;
    check(cgroup_oom_kills(fixture->cgroup, &kills));
    assert_int_equal(kills, 4);
}

static void test_names_of_cgroups(void **state)
{
    struct fixture *fixture = *state;
    struct cgroup *cgroup = NULL;
    assert_code(cgroup_create(fixture->directory, "/../web", &cgroup), ERROR_INVALID_ARGUMENT);
    assert_code(cgroup_create(fixture->directory, "/", &cgroup), ERROR_INVALID_ARGUMENT);
    make_file(fixture, "cgroup.procs", "1\n");
    assert_code(cgroup_create(fixture->directory, "web", &cgroup), ERROR_ALREADY_EXISTS);
}

/* ---- device rules ---- */

static uint32_t operand(const uint32_t *registers, const struct bpf_insn *in)
{
    return BPF_SRC(in->code) == BPF_X ? registers[in->src_reg] : (uint32_t)in->imm;
}

/* Runs the few instructions that the programs are made of. */
static bool allowed(
    const struct bpf_insn *program, size_t count, char type, uint32_t major, uint32_t minor, uint32_t access)
{
    uint32_t registers[11] = {0};
    const uint32_t request[] = {
        access << 16 | (type == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK), major, minor};
    for (size_t i = 0; i < count; i++) {
        const struct bpf_insn *in = &program[i];
        uint32_t *to = &registers[in->dst_reg];
        uint32_t from = operand(registers, in);
        if (in->code == (BPF_LDX | BPF_W | BPF_MEM))
            *to = request[in->off / 4];
        else if (BPF_CLASS(in->code) == BPF_ALU)
            *to = BPF_OP(in->code) == BPF_MOV ? from : BPF_OP(in->code) == BPF_RSH ? *to >> from : *to & from;
        else if (in->code == (BPF_JMP | BPF_EXIT))
            return registers[0];
        else if ((*to == from) == (BPF_OP(in->code) == BPF_JEQ))
            i += (size_t)in->off;
    }
    fail_msg("the program has no end");
    return false;
}

static void test_device_rules(void **unused)
{
    Grpc__LinuxDeviceCgroup rules[5];
    Grpc__LinuxDeviceCgroup *list[ARRAY_SIZE(rules)];
    static const struct {
        bool allow;
        const char *type;
        int64_t major;
        int64_t minor;
        const char *access;
    } given[] = {{false, "a", -1, -1, "rwm"}, {true, "c", 10, -1, "r"}, {true, "c", 10, -1, "w"},
        {false, "c", 10, 7, "w"}, {true, "b", 8, 0, "rm"}};
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        rules[i] = (Grpc__LinuxDeviceCgroup)GRPC__LINUX_DEVICE_CGROUP__INIT;
        rules[i].allow = given[i].allow;
        rules[i].type = given[i].type;
        rules[i].major = given[i].major;
        rules[i].minor = given[i].minor;
        rules[i].access = given[i].access;
        list[i] = &rules[i];
    }
    _cleanup_free_ struct bpf_insn *program = NULL;
    size_t count = 0;
    check(device_filter_compile(list, ARRAY_SIZE(list), &program, &count));
    enum { M = BPF_DEVCG_ACC_MKNOD, R = BPF_DEVCG_ACC_READ, W = BPF_DEVCG_ACC_WRITE };
    static const struct {
        char type;
        uint32_t major;
        uint32_t minor;
        uint32_t access;
        bool allowed;
    } cases[] = {{'c', 1, 3, R | W, true}, {'c', 1, 11, R, false}, {'c', 1, 11, M, true},
        {'c', 136, 5, R | W, true}, {'c', 10, 1, R, true}, {'c', 10, 1, R | W, true}, {'c', 10, 7, W, false},
        {'c', 10, 7, R | W, false}, {'c', 10, 7, R, true}, {'b', 8, 0, R, true}, {'b', 8, 0, W, false},
        {'b', 8, 0, R | W, false}, {'b', 8, 1, R, false}, {'b', 1, 3, R, false}, {'b', 200, 3, M, true}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (allowed(program, count, cases[i].type, cases[i].major, cases[i].minor, cases[i].access) !=
            cases[i].allowed)
            fail_msg("%c %u:%u, access %u", cases[i].type, cases[i].major, cases[i].minor, cases[i].access);
}

/* ---- paths inside a root ---- */

static void test_paths_inside_a_root(void **state)
{
    struct fixture *fixture = *state;
    _cleanup_free_ char *path = must_printf("%s/root", fixture->directory);
    assert_int_equal(mkdir(path, 0755), 0);
    _cleanup_fd_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(symlinkat("../../../outside", root, "up"), 0);
    assert_int_equal(symlinkat("loop", root, "loop"), 0);
    _cleanup_fd_ int made = -1;
    check(rootfs_make_file(root, "/a/b/../c/up/../file", &made));
    assert_int_equal(faccessat(root, "a/c/file", F_OK, 0), 0);
    close(TAKE_FD(made));
    check(rootfs_make_directory(root, "/up/deep", &made));
    assert_int_equal(faccessat(root, "outside/deep", F_OK, 0), 0);
    close(TAKE_FD(made));
    assert_int_equal(faccessat(fixture->fd, "../outside", F_OK, 0), -1);
    struct error *error = rootfs_make_directory(root, "/loop/x", &made);
    assert_int_equal(error_number(error), ELOOP);
    error_free(error);
    error = rootfs_make_directory(root, "/a/c/file/x", &made);
    assert_int_equal(error_number(error), ENOTDIR);
    error_free(error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mount_options),
        cmocka_unit_test(test_mount_attributes),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_identities_that_are_none),
        cmocka_unit_test(test_additional_groups),
        cmocka_unit_test(test_capability_names),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits_that_cannot_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_statistics, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_of_cgroups, set_up, tear_down),
        cmocka_unit_test(test_device_rules),
        cmocka_unit_test_setup_teardown(test_paths_inside_a_root, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
