/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container has on the host, seen through the Task service: its stand-in, the hooks of the host's
 * world and the cgroup. With real processes, namespaces and cgroups, for which the test has to be root.
 */
#include "shim_world.h"

#include "cgroup/cgroup.h"
#include "cgroup/place.h"
#include "sandbox/model.h"

#include <sched.h>

#define NAMESPACES "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"}]"

static void require_root(void)
{
    if (geteuid() != 0) {
        print_message("namespaces of the host need root\n");
        skip();
    }
}

/* A list of one hook, which begins in the bundle. */
static char *hook(const char *script)
{
    return must_printf("[{\"path\":\"/bin/sh\",\"env\":[\"PATH=/usr/bin:/bin\"],"
                       "\"args\":[\"sh\",\"-c\",\"%s\"]}]",
        script);
}

static void configure(struct world *world, const char *hooks, const char *linux_members)
{
    _cleanup_free_ char *text =
        must_printf("{\"ociVersion\":\"1.0.2\",\"hostname\":\"box\",\"root\":{\"path\":\"rootfs\"},"
                    "\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"],\"cwd\":\"/\"},"
                    "\"annotations\":{\"one\":\"1\"},\"hooks\":{%s},\"linux\":{%s}}",
            hooks, linux_members);
    world_write(world, "bundle/config.json", text);
    world->shim->sandbox->options.standalone = false;
}

static void configure_hooks(struct world *world, const char *create_runtime, const char *poststop)
{
    _cleanup_free_ char *first = hook(create_runtime);
    _cleanup_free_ char *last = hook(poststop);
    _cleanup_free_ char *hooks = must_printf("\"createRuntime\":%s,\"poststop\":%s", first, last);
    configure(world, hooks, NAMESPACES);
}

static pid_t task_pid(struct world *world)
{
    Task__StateRequest request = TASK__STATE_REQUEST__INIT;
    ProtobufCMessage *response = NULL;
    request.id = "c1";
    assert_ok(world_call(world, "State", &request.base, &response));
    pid_t pid = (pid_t)((Task__StateResponse *)response)->pid;
    protobuf_c_message_free_unpacked(response, NULL);
    return pid;
}

static char *read_file(const struct world *world, const char *name)
{
    _cleanup_free_ char *path = world_path(world, name);
    char *text = NULL;
    assert_ok(file_read(AT_FDCWD, path, 65536, &text, NULL));
    return text;
}

static void assert_contains(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("\"%s\" does not say \"%s\"", text, words);
}

static void end_guest_process(struct world *world)
{
    struct later wait;
    world_wait_later(world, "", &wait);
    assert_ok(world_kill(world, "", SIGKILL));
    AWAIT(world, wait.done);
}

static void test_the_pid_is_the_stand_in(void **state)
{
    struct world *world = *state;
    require_root();
    configure(world, "", NAMESPACES);
    world_up(world);
    pid_t pid = task_pid(world);
    _cleanup_free_ char *path = must_printf("/proc/%d/cmdline", pid);
    _cleanup_free_ char *command = NULL;
    assert_ok(file_read(AT_FDCWD, path, 4096, &command, NULL));
    assert_string_equal(command, "caisson: c1");
    end_guest_process(world);
    assert_int_equal(kill(pid, 0), -1); /* whoever waited for it finds it gone */
    assert_ok(world_delete(world, "c1", ""));
}

static void test_no_stand_in_for_caisson_itself(void **state)
{
    struct world *world = *state;
    configure(world, "", NAMESPACES);
    world->shim->sandbox->options.standalone = true;
    world_up(world);
    assert_int_equal(task_pid(world), FAKE_PID);
}

static void test_signal_to_the_stand_in(void **state)
{
    struct world *world = *state;
    require_root();
    configure(world, "", NAMESPACES);
    world_up(world);
    assert_int_equal(kill(task_pid(world), SIGHUP), 0);
    AWAIT(world, strstr(fake->calls, "SignalProcess"));
}

static void test_killed_stand_in(void **state)
{
    struct world *world = *state;
    struct later wait;
    require_root();
    configure(world, "", NAMESPACES);
    world_up(world);
    world_wait_later(world, "", &wait);
    assert_int_equal(kill(task_pid(world), SIGKILL), 0);
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 137);
    assert_ok(world_delete(world, "c1", ""));
}

static void test_hooks(void **state)
{
    struct world *world = *state;
    require_root();
    configure_hooks(world, "cat >../created; readlink /proc/$$/cwd >../place", "cat >../stopped");
    world_up(world);
    _cleanup_free_ char *created = read_file(world, "created");
    _cleanup_free_ char *place = read_file(world, "place");
    _cleanup_free_ char *pid = must_printf("\"pid\":%d,", task_pid(world));
    _cleanup_free_ char *bundle = must_printf("\"bundle\":\"%s\"", world->bundle);
    assert_contains(created, "\"id\":\"c1\",\"status\":\"creating\"");
    assert_contains(created, "\"annotations\":{\"one\":\"1\"}");
    assert_contains(created, pid);
    assert_contains(created, bundle);
    assert_contains(place, world->bundle);
    end_guest_process(world);
    assert_false(world_has(world, "stopped"));
    assert_ok(world_delete(world, "c1", ""));
    _cleanup_free_ char *stopped = read_file(world, "stopped");
    assert_contains(stopped, "\"status\":\"stopped\"");
}

static void test_poststop_that_fails(void **state)
{
    struct world *world = *state;
    require_root();
    configure_hooks(world, "true", "exit 1");
    world_up(world);
    end_guest_process(world);
    assert_ok(world_delete(world, "c1", ""));
}

/* A file is no event of the loop. */
static void await_file(struct world *world, const char *name)
{
    while (!world_has(world, name)) {
        event_base_loop(world->base, EVLOOP_NONBLOCK);
        sched_yield();
    }
}

static void assert_nothing_is_left(struct world *world)
{
    assert_int_equal(fake->machines, 0);
    assert_int_equal(sandbox_state(world->shim->sandbox), SANDBOX_EMPTY);
    assert_string_equal(world->events, "");
}

static void test_create_hook_that_fails(void **state)
{
    struct world *world = *state;
    require_root();
    configure_hooks(
        world, "echo no such network >&2; exit 3", "cat >../stopped.new; mv ../stopped.new ../stopped");
    assert_fails(
        world_create(world), ERROR_ABORTED, "createRuntime hook /bin/sh exited with 3: no such network");
    assert_nothing_is_left(world);
    await_file(world, "stopped");
    _cleanup_free_ char *stopped = read_file(world, "stopped");
    assert_contains(stopped, "\"status\":\"stopped\"");
    configure(world, "", NAMESPACES);
    world_up(world);
}

/* The hooks that take down still run, and the shim does not end before they have. */
static void test_interrupted_hook(void **state)
{
    struct world *world = *state;
    struct later create;
    require_root();
    configure_hooks(world, "touch ../began; sleep 1000", "sleep 0.2; touch ../stopped");
    world_call_later(world, "Create", &world_create_request(world)->base, &create);
    await_file(world, "began");
    assert_ok(world_kill(world, "", SIGTERM));
    AWAIT(world, create.done);
    assert_int_equal(create.code, ERROR_CANCELLED);
    free(create.message);
    assert_nothing_is_left(world);
    assert_ok(world_shutdown(world, false));
    assert_true(world_has(world, "stopped"));
}

static bool process_is_inside(pid_t pid, const char *path)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *line = must_printf(":%s\n", path);
    _cleanup_free_ char *file = must_printf("/proc/%d/cgroup", pid);
    assert_ok(file_read(AT_FDCWD, file, 65536, &text, NULL));
    return strstr(text, line);
}

/* Whether this process, which is the shim, is in the cgroup. */
static bool is_inside(const char *path)
{
    return process_is_inside(getpid(), path);
}

static void require_cgroups(void)
{
    require_root();
    if (access("/sys/fs/cgroup", W_OK) < 0) {
        print_message("there are no cgroups here that can be written\n");
        skip();
    }
}

static void test_cgroup(void **state)
{
    struct world *world = *state;
    _cleanup_free_ char *path = must_printf("/caisson-shim-%d", getpid());
    require_cgroups();
    _cleanup_free_ char *members = must_printf(NAMESPACES ",\"cgroupsPath\":\"%s\"", path);
    configure(world, "", members);
    fake->fail = "machine-create";
    assert_fails(world_create(world), ERROR_INTERNAL, "creating container c1: ");
    assert_false(is_inside(path));
    fake->fail = NULL;
    world_up(world);
    assert_true(is_inside(path));
    end_guest_process(world);
    assert_ok(world_delete(world, "c1", ""));
    assert_ok(world_shutdown(world, false));
    assert_false(is_inside(path));
    assert_ok(cgroup_remove(path));
}

/* What the hierarchy of a controller of cgroups v1 has in a file of the cgroup; NULL where there is none. */
static char *cgroup_value(const char *controller, const char *path, const char *file)
{
    struct hierarchies found = {0};
    char *text = NULL;
    assert_ok(hierarchies_read("/proc/self", &found));
    for (size_t i = 0; i < found.count; i++) {
        _cleanup_free_ char *name = must_printf("%s%s/%s", found.list[i].mount, path, file);
        if (!found.list[i].unified && hierarchy_has(&found.list[i], controller))
            assert_ok(file_read(AT_FDCWD, name, 4096, &text, NULL));
    }
    hierarchies_clear(&found);
    return text;
}

static void assert_cgroup_value(const char *controller, const char *path, const char *file, const char *value)
{
    _cleanup_free_ char *line = must_printf("%s\n", value);
    _cleanup_free_ char *text = cgroup_value(controller, path, file);
    if (text)
        assert_string_equal(text, line);
}

static struct error *update(struct world *world, char *resources)
{
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.value = (ProtobufCBinaryData){.data = (uint8_t *)resources, .len = strlen(resources)};
    Task__UpdateTaskRequest request = TASK__UPDATE_TASK_REQUEST__INIT;
    request.id = "c1";
    request.resources = &any;
    return world_call(world, "Update", &request.base, NULL);
}

static void test_update_of_the_cgroup(void **state)
{
    struct world *world = *state;
    _cleanup_free_ char *path = must_printf("/caisson-shim-%d", getpid());
    char more[] = "{\"cpu\":{\"shares\":2048,\"cpus\":\"0\"}}";
    char bad[] = "{\"cpu\":{\"shares\":3000,\"cpus\":\"100000\"}}";
    char memory[] = "{\"memory\":{\"limit\":67108864}}";
    require_cgroups();
    _cleanup_free_ char *members =
        must_printf(NAMESPACES ",\"cgroupsPath\":\"%s\",\"resources\":{\"cpu\":{\"shares\":512}}", path);
    configure(world, "", members);
    world_up(world);
    assert_cgroup_value("cpu", path, "cpu.shares", "512");
    _cleanup_free_ char *bound = cgroup_value("memory", path, "memory.limit_in_bytes");
    assert_ok(update(world, more));
    assert_cgroup_value("cpu", path, "cpu.shares", "2048");
    assert_cgroup_value("cpuset", path, "cpuset.cpus", "0");
    _cleanup_free_ char *cpuset = cgroup_value("cpuset", path, "cpuset.cpus");
    if (cpuset)
        assert_fails(update(world, bad), ERROR_INVALID_ARGUMENT, "limiting the sandbox on the host");
    assert_ok(update(world, memory));
    assert_cgroup_value("cpu", path, "cpu.shares", "2048");
    _cleanup_free_ char *after = cgroup_value("memory", path, "memory.limit_in_bytes");
    if (bound) /* what the guest enforces would kill the machine here */
        assert_string_equal(after, bound);
    end_guest_process(world);
    assert_ok(world_delete(world, "c1", ""));
    assert_ok(world_shutdown(world, false));
    assert_ok(cgroup_remove(path));
}

static struct error *create_second(struct world *world)
{
    Task__CreateTaskRequest request = *world_create_request(world);
    request.id = "c2";
    return world_call(world, "Create", &request.base, NULL);
}

/* With ShimCgroup: what the shim starts is inside, it itself only while it does. */
static void test_shim_apart_from_its_cgroup(void **state)
{
    struct world *world = *state;
    _cleanup_free_ char *path = must_printf("/caisson-shim-%d", getpid());
    require_cgroups();
    _cleanup_free_ char *members = must_printf(NAMESPACES ",\"cgroupsPath\":\"%s\"", path);
    configure(world, "", members);
    world->shim->sandbox->options.apart = true;
    world_up(world);
    assert_false(is_inside(path));
    assert_true(process_is_inside(task_pid(world), path));
    fake->fail = "CreateContainer";
    assert_fails(create_second(world), ERROR_INTERNAL, "CreateContainer");
    assert_false(is_inside(path));
    fake->fail = NULL;
    end_guest_process(world);
    assert_ok(world_delete(world, "c1", ""));
    assert_ok(world_shutdown(world, false));
    assert_ok(cgroup_remove(path));
    assert_fails(cgroup_join(path), ERROR_NOT_FOUND, "there is no cgroup");
}

static void test_bad_cgroup(void **state)
{
    struct world *world = *state;
    require_cgroups();
    configure(world, "", NAMESPACES ",\"cgroupsPath\":\"/a/../..\"");
    assert_fails(world_create(world), ERROR_INVALID_ARGUMENT, "entering the cgroup: linux.cgroupsPath");
    assert_nothing_is_left(world);
}

#define WORLD_TEST(function) cmocka_unit_test_setup_teardown(function, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_the_pid_is_the_stand_in),
        WORLD_TEST(test_no_stand_in_for_caisson_itself),
        WORLD_TEST(test_signal_to_the_stand_in),
        WORLD_TEST(test_killed_stand_in),
        WORLD_TEST(test_hooks),
        WORLD_TEST(test_poststop_that_fails),
        WORLD_TEST(test_create_hook_that_fails),
        WORLD_TEST(test_interrupted_hook),
        WORLD_TEST(test_cgroup),
        WORLD_TEST(test_update_of_the_cgroup),
        WORLD_TEST(test_shim_apart_from_its_cgroup),
        WORLD_TEST(test_bad_cgroup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
