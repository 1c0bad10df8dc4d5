/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof of "what runc would give it": the same config.json and the same script under runc and under the
 * agent's container code, and nothing that a process can see of its confinement may differ.
 */
#include "container_world.h"

#include <seccomp.h>

/* Everything but what names the instance: ids of mounts, devices and processes, and counters. */
static const char script[] =
    "exec 2>&1\n"
    "grep -E '^(Uid|Gid|Groups|Umask|Cap|NoNewPrivs|Seccomp|Sig[BIC]|Shd)' /proc/self/status\n"
    "id; ulimit -a; pwd; hostname; env | sort\n"
    "while read id parent device root point options rest; do\n"
    "  case $rest in *' - '*) optional=${rest% - *}; fs=${rest#*- };; *) optional=; fs=${rest#- };; esac\n"
    "  set -- $fs; optional=$(echo $optional | grep -oE 'shared|master|unbindable')\n"
    "  super=$(echo $3 | grep -oE '(^|,)(ro|rw|gid=[0-9]+|ptmxmode=[0-9]+|size=[0-9]+k)' | "
    "sort)\n"
    "  echo mount $point $options $1 $super $optional\n"
    "done </proc/self/mountinfo | sort\n"
    "for f in /dev /dev/* /dev/pts /proc /sys /tmp /data /data/* /made /made/*; do\n"
    "  case $f in /dev/pts/[0-9]*) continue;; esac\n"
    "  stat -c '%N %F %a %u %g %t %T' $f\n"
    "done\n"
    "cat /proc/self/oom_score_adj /proc/self/personality\n"
    "cat /proc/kcore | wc -c; ls /sys/firmware | wc -l\n"
    "echo 1 >/proc/sys/kernel/panic; echo x >/etc/x; mknod /tmp/node c 1 3; touch /data/x\n"
    "cat /proc/sys/kernel/msgmax /proc/sys/kernel/domainname; ls /proc/self/fd; echo /proc/[0-9]*\n"
    "unshare -u true; echo unshare $?; mkdir /dev/newdir; echo made $?; umask\n"
    "readlink /proc/self/root; readlink /proc/self/cwd; cat /proc/1/comm; stat -c %u:%g /proc/self/fd/1\n"
    "grep -v '^ *0 *0 *4294967295$' /proc/self/uid_map; test -t 1 && tty; cat /data/* | head -5\n";

struct pair {
    struct world *world;
    bool has_runc;
};

static int set_up(void **state)
{
    struct pair *pair = must_new(struct pair);
    pair->world = world_new();
    pair->has_runc = access("/usr/sbin/runc", X_OK) == 0 || access("/usr/bin/runc", X_OK) == 0;
    *state = pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;
    world_free(pair->world);
    free(pair);
    return 0;
}

/* What the container writes under runc, standard error included. */
static char *under_runc(const struct world *world, json_t *config)
{
    json_t *copy = json_deep_copy(config);
    config_set(copy, "root.path", json_string(world->rootfs));
    _cleanup_free_ char *text = json_write(copy);
    json_decref(copy);
    _cleanup_free_ char *file = must_printf("%s/config.json", world->directory);
    check(file_write_text(AT_FDCWD, file, text));
    char id[32];
    snprintf(id, sizeof(id), "unit-runc-%d", (int)getpid());
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    char *arguments[] = {
        "runc", "--log", "/dev/null", "run", "--bundle", (char *)(uintptr_t)world->directory, id, NULL};
    struct process_fd fds[] = {{ends[1], 1}, {ends[1], 2}};
    struct process_options options = {.arguments = arguments, .fds = fds, .fd_count = ARRAY_SIZE(fds)};
    pid_t pid = 0;
    check(process_spawn(&options, &pid));
    close(ends[1]);
    char *output = NULL;
    check(fd_read_all(ends[0], 1u << 20, &output, NULL));
    close(ends[0]);
    reap(pid);
    return output;
}

/* Names the first line that differs: the whole texts are long. */
static void assert_same_lines(const char *ours, const char *runc)
{
    while (*ours || *runc) {
        int our_length = (int)strcspn(ours, "\n");
        int runc_length = (int)strcspn(runc, "\n");
        if (our_length != runc_length || strncmp(ours, runc, (size_t)our_length) != 0)
            fail_msg("runc gives \"%.*s\", we give \"%.*s\"", runc_length, runc, our_length, ours);
        ours += our_length + (ours[our_length] == '\n');
        runc += runc_length + (runc[runc_length] == '\n');
    }
}

/* What the first run left in the root file system must not be what the second one sees. */
static void forget(const struct world *world)
{
    static const char *const paths[] = {"/made", "/data/made", "/data/x", "/etc/x", "/tmp/node"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        _cleanup_free_ char *path = must_printf("%s%s", world->rootfs, paths[i]);
        check(tree_remove(path));
    }
}

/* Takes the configuration. */
static void assert_same(struct pair *pair, json_t *config)
{
    if (getuid() != 0 || !pair->world->cgroup_root || !pair->has_runc) {
        json_decref(config);
        skip();
    }
    _cleanup_free_ char *runc = under_runc(pair->world, config);
    forget(pair->world);
    _cleanup_free_ char *ours = NULL;
    world_run_config(pair->world, config, &ours);
    forget(pair->world);
    assert_same_lines(ours, runc);
}

static void test_default_spec(void **state)
{
    assert_same(*state, config_new(script));
}

static json_t *capability_names(void)
{
    return json_pack("[ssssss]", "CAP_CHOWN", "CAP_NET_RAW", "CAP_SETUID", "CAP_SYS_ADMIN", "CAP_MKNOD",
        "CAP_NOT_YET_THOUGHT_OF");
}

static void test_user_with_groups_and_ambient_capabilities(void **state)
{
    json_t *config = config_new(script);
    config_set(config, "process.user",
        json_pack(
            "{si si s[iii] si}", "uid", 1000, "gid", 1001, "additionalGids", 5, 7, 1001, "umask", 0077));
    static const char *const sets[] = {"bounding", "permitted", "inheritable", "effective", "ambient"};
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        char path[64];
        snprintf(path, sizeof(path), "process.capabilities.%s", sets[i]);
        config_set(config, path, capability_names());
    }
    config_set(config, "process.noNewPrivileges", json_false());
    config_set(config, "process.oomScoreAdj", json_integer(500));
    config_set(config, "process.cwd", json_string("/data/made/deep"));
    config_set(config, "root.readonly", json_false());
    assert_same(*state, config);
}

static json_t *mount_entry(const char *destination, const char *type, const char *source, json_t *options)
{
    return json_pack(
        "{ss ss ss so}", "destination", destination, "type", type, "source", source, "options", options);
}

static void test_mounts_of_all_kinds(void **state)
{
    struct pair *pair = *state;
    json_t *config = config_new(script);
    _cleanup_free_ char *source = must_printf("%s/source", pair->world->directory);
    _cleanup_free_ char *file = must_printf("%s/source/file", pair->world->directory);
    mkdir(source, 0711);
    check(file_write_text(AT_FDCWD, file, "of the host\n"));
    world_write(pair->world, "/data/kept", "of the image\n", 0640);
    config_add_mount(config, mount_entry("/made/ro", "bind", source, json_pack("[ss]", "rbind", "ro")));
    config_add_mount(config, mount_entry("/made/plain", "bind", source, json_pack("[s]", "bind")));
    config_add_mount(
        config, mount_entry("/made/file", "none", file, json_pack("[sss]", "bind", "nosuid", "noexec")));
    config_add_mount(config, mount_entry("/made/relative", "bind", "source",
                                 json_pack("[ssss]", "rbind", "rw", "rprivate", "noatime")));
    config_add_mount(
        config, mount_entry("/made/shared", "bind", source, json_pack("[sss]", "rbind", "rshared", "nodev")));
    config_add_mount(config,
        mount_entry("/data", "tmpfs", "tmpfs", json_pack("[ssss]", "tmpcopyup", "size=128k", "nodev", "ro")));
    config_add_mount(
        config, mount_entry("/made/tmp", "tmpfs", "tmpfs", json_pack("[ss]", "mode=1770", "gid=5")));
    config_add_mount(config, mount_entry("/tmp", "tmpfs", "none", json_pack("[s]", "noexec")));
    config_set(config, "root.readonly", json_false());
    assert_same(pair, config);
}

/* In the default configuration. */
#define MQUEUE_MOUNT 4

static json_t *id_mapping(void)
{
    return json_pack("[{si si si}]", "containerID", 0, "hostID", 100000, "size", 65536);
}

static void test_devices_sysctls_and_limits(void **state)
{
    json_t *config = config_new(script);
    config_set(config, "linux.devices",
        json_pack("[{ss ss si si si si si} {ss ss si si}]", "path", "/dev/fuse", "type", "c", "major", 10,
            "minor", 229, "fileMode", 0640, "uid", 3, "gid", 4, "path", "/made/zero", "type", "c", "major", 1,
            "minor", 5));
    config_set(config, "linux.sysctl",
        json_pack("{ss ss}", "kernel.msgmax", "4096", "kernel.domainname", "example.net"));
    config_set(config, "process.rlimits",
        json_pack("[{ss si si} {ss si si} {ss si si}]", "type", "RLIMIT_CORE", "soft", 0, "hard", 10, "type",
            "RLIMIT_NPROC", "soft", 400, "hard", 500, "type", "RLIMIT_STACK", "soft", 4 << 20, "hard",
            8 << 20));
    config_set(config, "process.env", json_pack("[sss]", "PATH=/bin", "HOME=/elsewhere", "EMPTY="));
    config_set(config, "root.readonly", json_false());
    config_set(config, "linux.readonlyPaths", json_pack("[ss]", "/data", "/nowhere"));
    config_set(config, "linux.maskedPaths", json_pack("[sss]", "/etc/passwd", "/tmp", "/proc/none/such"));
    assert_same(*state, config);
}

static void test_user_namespace(void **state)
{
    json_t *config = config_new(script);
    json_array_append_new(
        json_object_get(json_object_get(config, "linux"), "namespaces"), json_pack("{ss}", "type", "user"));
    json_array_append_new(json_object_get(json_object_get(config, "linux"), "namespaces"),
        json_pack("{ss}", "type", "network"));
    /* There runc leaves the group of the queues' directory unmapped. */
    json_array_remove(json_object_get(config, "mounts"), MQUEUE_MOUNT);
    config_set(config, "linux.uidMappings", id_mapping());
    config_set(config, "linux.gidMappings", id_mapping());
    config_set(config, "root.readonly", json_false());
    assert_same(*state, config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_spec),
        cmocka_unit_test(test_user_with_groups_and_ambient_capabilities),
        cmocka_unit_test(test_mounts_of_all_kinds),
        cmocka_unit_test(test_devices_sysctls_and_limits),
        cmocka_unit_test(test_user_namespace),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
