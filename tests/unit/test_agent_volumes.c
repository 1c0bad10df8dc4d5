/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What containers of a pod share and get beside their root: volumes that outlive them, and devices under the
 * guest's numbers. Needs the rights to mount.
 */
#include "agent_world.h"

#include "agent/device_path.h"

#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define POD_VOLUME STORAGE_POD_DIRECTORY "/volume"

struct volumes {
    struct event_base *base;
    struct storage_table *table;
    int done;
    struct error *error;
};

static int set_up(void **state)
{
    struct volumes *volumes = must_new(struct volumes);
    volumes->base = event_base_new();
    volumes->table = storage_table_new();
    *state = volumes;
    return 0;
}

static int tear_down(void **state)
{
    struct volumes *volumes = *state;
    agent_check(storage_table_clear(volumes->table));
    storage_table_free(volumes->table);
    event_base_free(volumes->base);
    free(volumes);
    return 0;
}

static void on_done(void *context, struct error *error)
{
    struct volumes *volumes = context;
    volumes->done++;
    volumes->error = error;
}

static bool is_mounted(const char *path)
{
    _cleanup_free_ char *table = NULL;
    agent_check(file_read(AT_FDCWD, "/proc/self/mounts", 1u << 20, &table, NULL));
    _cleanup_free_ char *field = must_printf(" %s ", path);
    return strstr(table, field) != NULL;
}

static Grpc__Storage ephemeral(const char *mount_point)
{
    Grpc__Storage storage = GRPC__STORAGE__INIT;
    storage.driver = "ephemeral";
    storage.source = "tmpfs";
    storage.fstype = "tmpfs";
    storage.mount_point = mount_point;
    return storage;
}

/* A container's set of this one storage, mounted. */
static struct storage_set *mounted(struct volumes *volumes, Grpc__Storage *const *storage)
{
    struct storage_set *set = storage_set_new(volumes->base, volumes->table, storage, 1, on_done, volumes);
    storage_set_mount(set);
    assert_int_equal(volumes->done, 1);
    agent_check(volumes->error);
    volumes->done = 0;
    return set;
}

/* A container writes, ends and is removed; its successor finds what it wrote. */
static void test_volumes_of_the_pod_stay(void **state)
{
    struct volumes *volumes = *state;
    Grpc__Storage in_pod = ephemeral(POD_VOLUME), shared = ephemeral("/run/v/shared"),
                  own = ephemeral("/run/v/own");
    shared.shared = true;
    Grpc__Storage *storages[] = {&in_pod, &shared, &own};
    for (size_t i = 0; i < ARRAY_SIZE(storages); i++) {
        struct storage_set *set = mounted(volumes, &storages[i]);
        assert_true(is_mounted(storages[i]->mount_point));
        _cleanup_free_ char *file = must_printf("%s/file", storages[i]->mount_point);
        agent_check(file_write_text(AT_FDCWD, file, "first"));
        agent_check(storage_set_free(set));
        bool stays = i < 2;
        assert_int_equal(is_mounted(storages[i]->mount_point), stays);
        set = mounted(volumes, &storages[i]);
        assert_int_equal(access(file, F_OK) == 0, stays);
        agent_check(storage_set_free(set));
    }
    agent_check(storage_table_clear(volumes->table));
    assert_false(is_mounted(POD_VOLUME));
    assert_false(is_mounted("/run/v/shared"));
}

/* Two containers at a time: the mount is one, and goes with the second. */
static void test_two_users(void **state)
{
    struct volumes *volumes = *state;
    Grpc__Storage storage = ephemeral("/run/v/two");
    Grpc__Storage *list = &storage;
    struct storage_set *one = mounted(volumes, &list), *other = mounted(volumes, &list);
    agent_check(storage_set_free(one));
    assert_true(is_mounted("/run/v/two"));
    agent_check(storage_set_free(other));
    assert_false(is_mounted("/run/v/two"));
}

static uint64_t size_of(const char *path)
{
    struct statfs stats;
    assert_int_equal(statfs(path, &stats), 0);
    return stats.f_blocks * (uint64_t)stats.f_bsize;
}

static void test_a_volume_gets_another_size(void **state)
{
    struct agent_world *world = agent_world_new(NULL);
    const char *small = "size=1m", *large = "size=3m";
    Grpc__Storage storage = ephemeral(POD_VOLUME);
    storage.options = &small;
    storage.n_options = 1;
    Grpc__Storage *storages[] = {&storage};
    Grpc__CreateSandboxRequest sandbox = GRPC__CREATE_SANDBOX_REQUEST__INIT;
    sandbox.storages = storages;
    sandbox.n_storages = 1;
    agent_check(agent_call(world, "CreateSandbox", &sandbox.base, NULL));
    assert_int_equal(size_of(POD_VOLUME), 1 << 20);

    Grpc__UpdateEphemeralMountsRequest update = GRPC__UPDATE_EPHEMERAL_MOUNTS_REQUEST__INIT;
    update.storages = storages;
    update.n_storages = 1;
    storage.options = &large;
    agent_check(agent_call(world, "UpdateEphemeralMounts", &update.base, NULL));
    assert_int_equal(size_of(POD_VOLUME), 3 << 20);
    storage.mount_point = "/run/none";
    agent_refuses(world, "UpdateEphemeralMounts", &update.base, ERROR_NOT_FOUND, "/run/none");
    storage.mount_point = POD_VOLUME;
    storage.driver = "bind";
    agent_refuses(world, "UpdateEphemeralMounts", &update.base, ERROR_INVALID_ARGUMENT, "bind");
    agent_world_free(world);
    assert_false(is_mounted(POD_VOLUME));
}

/* ---- devices ---- */

static void test_addresses(void **state)
{
    static const char *const bad[] = {
        "", "1", "1:", ":1", "1:2:3", "a:1", "1:99999", "-1:0", "0:1 ", "../1:1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error *error = device_path_check("scsi", bad[i]);
        if (error_code(error) != ERROR_INVALID_ARGUMENT)
            fail_msg("accepted: \"%s\"", bad[i]);
        error_free(error);
    }
    assert_null(device_path_check("scsi", "0:16383"));
    assert_null(device_path("scsi", "0:16383"));
    assert_null(device_path_check("mmioblk", "/dev/vdb"));
    struct error *error = device_path_check("mmioblk", "/dev/../etc/passwd");
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    error_free(error);
}

struct device_fixture {
    Grpc__LinuxDevice nodes[2];
    Grpc__LinuxDevice *node_list[2];
    Grpc__LinuxDeviceCgroup rules[3];
    Grpc__LinuxDeviceCgroup *rule_list[3];
    Grpc__LinuxResources resources;
    Grpc__Linux linux_config;
    Grpc__Spec spec;
    Grpc__Device devices[2];
    Grpc__Device *device_list[2];
};

static Grpc__LinuxDevice node_of(const char *path, int64_t minor_number)
{
    Grpc__LinuxDevice node = GRPC__LINUX_DEVICE__INIT;
    node.path = path;
    node.type = "b";
    node.major = 8;
    node.minor = minor_number;
    return node;
}

static Grpc__LinuxDeviceCgroup rule_for(const char *type, int64_t minor_number)
{
    Grpc__LinuxDeviceCgroup rule = GRPC__LINUX_DEVICE_CGROUP__INIT;
    rule.allow = true;
    rule.type = type;
    rule.major = 8;
    rule.minor = minor_number;
    return rule;
}

static Grpc__Device device_of(const char *vm_path, const char *container_path)
{
    Grpc__Device device = GRPC__DEVICE__INIT;
    device.type = "mmioblk";
    device.vm_path = vm_path;
    device.container_path = container_path;
    return device;
}

/* On the host 8:1 and 8:2; in the guest 8:2 and 254:7. */
static void make_devices(struct device_fixture *f)
{
    assert_true(mknod("/dev/shm/caisson-one", S_IFBLK | 0600, makedev(8, 2)) == 0 || errno == EEXIST);
    assert_true(mknod("/dev/shm/caisson-two", S_IFBLK | 0600, makedev(254, 7)) == 0 || errno == EEXIST);
    *f = (struct device_fixture){
        .nodes = {node_of("/dev/data", 1), node_of("/dev/log", 2)},
        .node_list = {&f->nodes[0], &f->nodes[1]},
        .rules = {rule_for("b", 1), rule_for("b", 2), rule_for("c", 1)},
        .rule_list = {&f->rules[0], &f->rules[1], &f->rules[2]},
        .resources = GRPC__LINUX_RESOURCES__INIT,
        .linux_config = GRPC__LINUX__INIT,
        .spec = GRPC__SPEC__INIT,
        .devices = {device_of("/dev/shm/caisson-one", "/dev/data"),
            device_of("/dev/shm/caisson-two", "/dev/log")},
        .device_list = {&f->devices[0], &f->devices[1]},
    };
    f->resources.n_devices = 3;
    f->resources.devices = f->rule_list;
    f->linux_config.n_devices = 2;
    f->linux_config.devices = f->node_list;
    f->linux_config.resources = &f->resources;
    f->spec.linux_config = &f->linux_config;
}

static void test_devices_get_the_guests_numbers(void **state)
{
    struct volumes *volumes = *state;
    struct device_fixture f;
    make_devices(&f);
    _cleanup_(device_set_free) struct device_set *set =
        device_set_new(volumes->base, f.device_list, 2, on_done, volumes);
    device_set_wait(set);
    assert_int_equal(volumes->done, 1);
    agent_check(volumes->error);
    agent_check(device_set_rewrite(set, &f.spec));
    assert_int_equal(f.nodes[0].minor, 2);
    assert_int_equal(f.nodes[1].major, 254);
    assert_int_equal(f.nodes[1].minor, 7);
    /* The first one's new number is the second one's old: each rule moves once. */
    assert_int_equal(f.rules[0].minor, 2);
    assert_int_equal(f.rules[1].major, 254);
    assert_int_equal(f.rules[1].minor, 7);
    assert_int_equal(f.rules[2].minor, 1);
    unlink("/dev/shm/caisson-one");
    unlink("/dev/shm/caisson-two");
}

static void refuse_devices(
    struct volumes *volumes, struct device_fixture *f, enum error_code code, const char *part)
{
    _cleanup_(device_set_free) struct device_set *set =
        device_set_new(volumes->base, f->device_list, 2, on_done, volumes);
    volumes->done = 0;
    device_set_wait(set);
    assert_int_equal(volumes->done, 1);
    struct error *error = volumes->error ? TAKE_PTR(volumes->error) : device_set_rewrite(set, &f->spec);
    assert_int_equal(error_code(error), code);
    assert_non_null(strstr(error_message(error), part));
    error_free(error);
}

static void test_devices_that_cannot_be(void **state)
{
    struct device_fixture f;
    make_devices(&f);
    f.devices[0].container_path = "/dev/nothing";
    refuse_devices(*state, &f, ERROR_INVALID_ARGUMENT, "/dev/nothing");
    make_devices(&f);
    f.devices[1].vm_path = "/dev/null";
    refuse_devices(*state, &f, ERROR_INVALID_ARGUMENT, "no block device");
    f.devices[1].type = "vfio";
    refuse_devices(*state, &f, ERROR_UNIMPLEMENTED, "vfio");
    f.devices[1].type = "scsi";
    refuse_devices(*state, &f, ERROR_INVALID_ARGUMENT, "SCSI");
    unlink("/dev/shm/caisson-one");
    unlink("/dev/shm/caisson-two");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_volumes_of_the_pod_stay), TEST(test_two_users),
        TEST(test_a_volume_gets_another_size), TEST(test_addresses),
        TEST(test_devices_get_the_guests_numbers), TEST(test_devices_that_cannot_be)};
    if (!agent_world_isolate() || mount("tmpfs", "/dev/shm", "tmpfs", 0, NULL) < 0) {
        puts("1..0 # SKIP needs the rights to mount");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
