/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several containers in one sandbox: creations that wait, containers that come and go, what keeps the
 * machine, and what is told when it is lost. Without a machine; the file server is a real one.
 */
#include "shim_world.h"

#define POD_NAMESPACES                                                         \
    "{\"type\":\"mount\"},{\"type\":\"network\",\"path\":\"/proc/1/ns/net\"}," \
    "{\"type\":\"ipc\",\"path\":\"/proc/1/ns/ipc\"},{\"type\":\"uts\",\"path\":\"/proc/1/ns/uts\"}"

static const char config_format[] =
    "{\"ociVersion\":\"1.0.2\",\"hostname\":\"box\","
    "\"process\":{\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"],\"cwd\":\"/\"},"
    "\"root\":{\"path\":\"rootfs\"},"
    "\"annotations\":{\"io.caisson.network\":\"user\"%s%s%s},"
    "\"linux\":{\"namespaces\":[%s]}}";

/* kind NULL: a single container. */
static void write_bundle(struct world *world, const char *id, const char *kind, const char *namespaces)
{
    _cleanup_free_ char *directory = world_path(world, id);
    _cleanup_free_ char *name = must_printf("%s/config.json", id);
    _cleanup_free_ char *text =
        must_printf(config_format, kind ? ",\"io.kubernetes.cri.container-type\":\"" : "", kind ? kind : "",
            kind ? "\"" : "", namespaces);
    assert_ok(directory_create_all(directory, 0700));
    world_write(world, name, text);
}

static void create_later(struct world *world, const char *id, struct later *later)
{
    _cleanup_free_ char *bundle = world_path(world, id);
    world_create_request(world);
    create_request.id = id;
    create_request.bundle = bundle;
    create_request.stdin = create_request.stdout = create_request.stderr = "";
    world_call_later(world, "Create", &create_request.base, later);
}

static void create(struct world *world, const char *id)
{
    struct later later;
    create_later(world, id, &later);
    AWAIT(world, later.done);
    if (later.code)
        fail_msg("%s", later.message);
}

static void assert_create_fails(struct world *world, const char *id, enum error_code code, const char *words)
{
    struct later later;
    create_later(world, id, &later);
    AWAIT(world, later.done);
    assert_int_equal(later.code, code);
    if (!strstr(later.message, words))
        fail_msg("\"%s\" does not say \"%s\"", later.message, words);
    free(later.message);
}

static void assert_cancelled(struct world *world, struct later *later, const char *words)
{
    AWAIT(world, later->done);
    assert_int_equal(later->code, ERROR_CANCELLED);
    if (!strstr(later->message, words))
        fail_msg("\"%s\" does not say \"%s\"", later->message, words);
    free(TAKE_PTR(later->message));
}

static void pod_up(struct world *world)
{
    write_bundle(world, "pod", "sandbox",
        "{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":"
        "\"network\"}");
    create(world, "pod");
    assert_ok(world_start(world, "pod", ""));
}

static void container_up(struct world *world, const char *id)
{
    write_bundle(world, id, "container", POD_NAMESPACES ",{\"type\":\"pid\"}");
    create(world, id);
    assert_ok(world_start(world, id, ""));
}

static struct error *kill_container(struct world *world, const char *id, uint32_t signal)
{
    Task__KillRequest request = TASK__KILL_REQUEST__INIT;
    request.id = id;
    request.signal = signal;
    return world_call(world, "Kill", &request.base, NULL);
}

static struct error *shut_down(struct world *world, const char *id)
{
    Task__ShutdownRequest request = TASK__SHUTDOWN_REQUEST__INIT;
    request.id = id;
    return world_call(world, "Shutdown", &request.base, NULL);
}

/* Kills, waits for the exit, deletes, and says Shutdown as containerd does after each Delete. */
static void take_down(struct world *world, const char *id)
{
    struct later wait;
    Task__WaitRequest request = TASK__WAIT_REQUEST__INIT;
    request.id = id;
    world_call_later(world, "Wait", &request.base, &wait);
    assert_ok(kill_container(world, id, 9));
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 137);
    assert_ok(world_delete(world, id, ""));
    assert_ok(shut_down(world, id));
}

static size_t count_calls(const char *name)
{
    _cleanup_strv_ char **calls = strv_split(fake->calls, ' ');
    size_t count = 0;
    STRV_FOREACH (call, calls)
        count += strcmp(*call, name) == 0;
    return count;
}

/* ---- a pod's life ---- */

static void test_life_of_a_pod(void **state)
{
    struct world *world = *state;
    pod_up(world);
    for (int round = 0; round < 2; round++) {
        container_up(world, "one");
        take_down(world, "one");
        assert_int_equal(fake->machines, 1);
        assert_int_equal(sandbox_state(world->shim->sandbox), SANDBOX_RUNNING);
        assert_int_equal(fake->disks, 0);
    }
    take_down(world, "pod");
    assert_int_equal(fake->machines, 0);
    assert_int_equal(count_calls("machine-start"), 1);
    assert_int_equal(count_calls("CreateSandbox"), 1);
    assert_int_equal(count_calls("attach-disk"), 2);
#define ROUND                                                                                \
    "/tasks/create TaskCreate;/tasks/start TaskStart;/tasks/exit one/one 137;/tasks/delete " \
    "TaskDelete;"
    assert_string_equal(world->events, "/tasks/create TaskCreate;/tasks/start TaskStart;" ROUND ROUND
                                       "/tasks/exit pod/pod 137;/tasks/delete TaskDelete;");
}

/* The pause container's exit alone ends nothing: the pod's containers are still to be looked after. */
static void test_sandbox_container_exits(void **state)
{
    struct world *world = *state;
    pod_up(world);
    container_up(world, "one");
    assert_ok(kill_container(world, "pod", 9));
    AWAIT(world, strstr(world->events, "/tasks/exit pod/pod 137;"));
    assert_ok(world_delete(world, "pod", ""));
    assert_int_equal(fake->machines, 1);
    take_down(world, "one");
    assert_int_equal(fake->machines, 0);
}

static bool has_namespace(const Grpc__Spec *spec, const char *type)
{
    for (size_t i = 0; i < spec->linux_config->n_namespaces; i++)
        if (strcmp(spec->linux_config->namespaces[i]->type, type) == 0)
            return true;
    return false;
}

static void test_what_the_guest_is_told(void **state)
{
    struct world *world = *state;
    pod_up(world);
    assert_string_equal(fake->sandbox->hostname, "box");
    assert_true(fake->sandbox->sandbox_pidns);
    const Grpc__Storage *memory = fake->sandbox->storages[fake->sandbox->n_storages - 1];
    assert_string_equal(memory->mount_point, "/run/kata-containers/sandbox/shm");
    assert_string_equal(memory->options[memory->n_options - 1], "size=67108864");
    assert_true(has_namespace(fake->created->oci, "pid"));
    assert_false(has_namespace(fake->created->oci, "ipc"));
    assert_false(fake->created->sandbox_pidns);
    write_bundle(world, "own", "container",
        "{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},"
        "{\"type\":\"network\",\"path\":\"/proc/1/ns/net\"}");
    create(world, "own");
    assert_true(has_namespace(fake->created->oci, "ipc") && has_namespace(fake->created->oci, "uts"));
    assert_string_equal(fake->created->oci->hostname, "box");
    assert_false(fake->created->sandbox_pidns);
    write_bundle(
        world, "shared", "container", POD_NAMESPACES ",{\"type\":\"pid\",\"path\":\"/proc/1/ns/pid\"}");
    create(world, "shared");
    assert_int_equal(fake->created->oci->linux_config->n_namespaces, 1);
    assert_string_equal(fake->created->oci->hostname, "");
    assert_true(fake->created->sandbox_pidns);
}

/* ---- creations that wait ---- */

static void answer_unanswered(void)
{
    fake->silent = NULL;
    for (size_t i = 0; i < fake->unanswered_count; i++)
        ttrpc_reply_empty(fake->unanswered[i]);
    fake->unanswered_count = 0;
}

/* Four at once; the first is stuck in the guest until `silent` is lifted. */
static void create_four(struct world *world, struct later later[4])
{
    static const char *const ids[] = {"a", "b", "c", "d"};
    pod_up(world);
    fake->silent = "CreateContainer";
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        write_bundle(world, ids[i], "container", POD_NAMESPACES);
        create_later(world, ids[i], &later[i]);
    }
    AWAIT(world, fake->unanswered_count == 1);
}

static void test_creations_wait_their_turn(void **state)
{
    struct world *world = *state;
    struct later later[4];
    create_four(world, later);
    assert_create_fails(world, "d", ERROR_ALREADY_EXISTS, "already exists");
    assert_ok(kill_container(world, "b", 15));
    assert_cancelled(world, &later[1], "waiting for its turn: it was killed");
    assert_ok(world_delete(world, "c", ""));
    assert_cancelled(world, &later[2], "waiting for its turn: it was deleted");
    assert_false(later[0].done || later[3].done);
    assert_int_equal(count_calls("CreateContainer"), 2);
    answer_unanswered();
    AWAIT(world, later[3].done);
    assert_true(later[0].done);
    assert_int_equal(later[0].code, 0);
    assert_int_equal(later[3].code, 0);
    assert_int_equal(count_calls("CreateContainer"), 3);
}

/* The one under way goes, with what it had; the next one takes its turn, and the agent's late answer to the
   first changes nothing. */
static void test_creation_under_way_is_interrupted(void **state)
{
    struct world *world = *state;
    struct later later[4];
    create_four(world, later);
    assert_ok(shut_down(world, "a"));
    assert_false(later[0].done);
    assert_ok(world_delete(world, "a", ""));
    assert_cancelled(world, &later[0], "creating the container in the guest: it was deleted");
    AWAIT(world, count_calls("RemoveContainer") == 1);
    AWAIT(world, fake->unanswered_count == 2);
    answer_unanswered();
    AWAIT(world, later[3].done);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(later[i].code, 0);
    assert_int_equal(fake->machines, 1);
    AWAIT(world, fake->disks == 3);
}

/* A container that cannot be created leaves the others alone. */
static void test_failed_creation_in_a_pod(void **state)
{
    static const char *const steps[] = {"attach-disk", "connect-stream", "CreateContainer"};
    struct world *world = *state;
    pod_up(world);
    container_up(world, "one");
    write_bundle(world, "two", "container", POD_NAMESPACES);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        fake->fail = steps[i];
        assert_create_fails(world, "two", ERROR_INTERNAL, "creating container two: ");
        assert_int_equal(fake->machines, 1);
    }
    fake->fail = NULL;
    container_up(world, "two");
    assert_ok(kill_container(world, "one", 9));
}

/* Two that come at once where nothing is yet: the second one joins the machine of the first, or makes its
   own when the first one fails. */
static void test_first_creation_fails(void **state)
{
    struct world *world = *state;
    struct later first;
    struct later second;
    write_bundle(world, "a", NULL, POD_NAMESPACES);
    write_bundle(world, "b", NULL, POD_NAMESPACES);
    fake->silent = "CreateSandbox";
    create_later(world, "a", &first);
    create_later(world, "b", &second);
    AWAIT(world, fake->unanswered_count == 1);
    fake->silent = NULL;
    assert_ok(kill_container(world, "a", 9));
    assert_cancelled(world, &first, "creating the sandbox in the guest: it was killed");
    AWAIT(world, second.done);
    assert_int_equal(second.code, 0);
    assert_int_equal(count_calls("machine-start"), 2);
    assert_int_equal(fake->machines, 1);
}

/* ---- the end ---- */

static void test_lost_machine_in_a_pod(void **state)
{
    struct world *world = *state;
    struct later waiting;
    pod_up(world);
    container_up(world, "one");
    container_up(world, "two");
    write_bundle(world, "three", "container", POD_NAMESPACES);
    fake->die = "CreateContainer";
    create_later(world, "three", &waiting);
    AWAIT(world, waiting.done);
    assert_int_equal(waiting.code, ERROR_UNAVAILABLE);
    assert_non_null(strstr(waiting.message, "the test killed the machine"));
    free(waiting.message);
    AWAIT(world, strstr(world->events, "/tasks/exit pod/pod 137;/tasks/exit one/one 137;/tasks/exit two/two "
                                       "137;"));
    assert_true(world_has(world, "pod/reason") && world_has(world, "two/reason"));
    assert_int_equal(fake->machines, 0);
    assert_ok(world_delete(world, "one", ""));
    assert_create_fails(world, "three", ERROR_UNAVAILABLE, "the test killed the machine");
    assert_ok(world_delete(world, "two", ""));
    assert_ok(world_delete(world, "pod", ""));
}

static void test_shutdown_now(void **state)
{
    struct world *world = *state;
    struct later later[4];
    create_four(world, later);
    Task__ShutdownRequest request = TASK__SHUTDOWN_REQUEST__INIT;
    request.id = "pod";
    request.now = true;
    assert_ok(world_call(world, "Shutdown", &request.base, NULL));
    for (size_t i = 0; i < 4; i++)
        assert_cancelled(world, &later[i], "the sandbox was shut down");
    assert_non_null(strstr(world->events, "/tasks/exit pod/pod 137;"));
    assert_int_equal(fake->machines, 0);
}

static void delete_later(struct world *world, const char *id, struct later *later)
{
    Task__DeleteRequest request = TASK__DELETE_REQUEST__INIT;
    request.id = id;
    world_call_later(world, "Delete", &request.base, later);
}

/* A Delete is answered, whatever becomes of the machine meanwhile, and nothing is reachable until it is. */
static void test_machine_dies_under_delete(void **state)
{
    struct world *world = *state;
    struct later deletion;
    pod_up(world);
    container_up(world, "one");
    assert_ok(kill_container(world, "one", 9));
    AWAIT(world, strstr(world->events, "/tasks/exit one/one 137;"));
    fake->silent = "RemoveContainer";
    delete_later(world, "one", &deletion);
    AWAIT(world, fake->unanswered_count == 1);
    assert_fails(world_delete(world, "one", ""), ERROR_NOT_FOUND, "container not created");
    assert_create_fails(world, "one", ERROR_ALREADY_EXISTS, "already exists");
    fake->die = "the end";
    fake_stop(NULL);
    AWAIT(world, deletion.done);
    assert_int_equal(deletion.code, 0);
    AWAIT(world, strstr(world->events, "/tasks/exit pod/pod 137;"));
    assert_ok(world_delete(world, "pod", ""));
}

/* What the guest has still to write is the caller's next: it powers off before Delete is answered. */
static void test_delete_waits_for_data(void **state)
{
    struct world *world = *state;
    struct later deletion;
    write_bundle(world, "one", NULL, POD_NAMESPACES);
    create(world, "one");
    assert_ok(world_start(world, "one", ""));
    world->shim->sandbox->holds_data = true;
    fake->silent = "DestroySandbox";
    assert_ok(kill_container(world, "one", 9));
    AWAIT(world, fake->unanswered_count == 1);
    delete_later(world, "one", &deletion);
    assert_fails(world_delete(world, "one", ""), ERROR_NOT_FOUND, "container not created");
    assert_false(deletion.done);
    fake_stop(NULL);
    AWAIT(world, deletion.done);
    assert_int_equal(deletion.code, 0);
    assert_int_equal(fake->machines, 0);
}

/* ---- a machine before its containers ---- */

static void note_error(void *context, struct error *error)
{
    later_done(context, error, NULL);
}

/* Of the last container, as the guest was told. */
static const Grpc__Mount *created_mount(const char *destination)
{
    const Grpc__Spec *spec = fake->created->oci;
    for (size_t i = 0; i < spec->n_mounts; i++)
        if (strcmp(spec->mounts[i]->destination, destination) == 0)
            return spec->mounts[i];
    return NULL;
}

/* With a pause container the files are CRI's, and a container without them was meant to be. */
static void test_pod_brings_no_resolver(void **state)
{
    struct world *world = *state;
    pod_up(world);
    container_up(world, "one");
    assert_null(created_mount("/etc/resolv.conf"));
    take_down(world, "one");
    take_down(world, "pod");
}

static void test_start_without_container(void **state)
{
    struct world *world = *state;
    struct sandbox *sandbox = world->shim->sandbox;
    struct later start = {0};
    struct later again = {0};
    char *dns[] = {"nameserver 192.0.2.1", "search example", NULL};
    const struct sandbox_annotation annotation = {"io.kubernetes.cri.sandbox-memory", "1073741824"};
    const struct sandbox_pod pod = {
        .hostname = "pod", .dns = dns, .annotations = &annotation, .annotation_count = 1};
    sandbox->options.standalone = false;
    sandbox_start(sandbox, &pod, note_error, &start);
    sandbox_start(sandbox, &pod, note_error, &again);
    assert_int_equal(again.code, ERROR_ALREADY_EXISTS);
    free(again.message);
    AWAIT(world, start.done);
    assert_int_equal(start.code, 0);
    assert_string_equal(fake->sandbox->hostname, "pod");
    assert_int_equal(fake->sandbox->n_dns, 2);
    assert_string_equal(fake->sandbox->dns[1], "search example");
    assert_true(sandbox->settings->memory > 1073741824);
    assert_string_equal(world->events, "");
    sandbox->options.standalone = true; /* no stand-in */
    container_up(world, "one");
    const Grpc__Mount *resolver = created_mount("/etc/resolv.conf");
    assert_non_null(resolver);
    assert_string_equal(resolver->type, "bind");
    assert_string_equal(resolver->source, "/run/kata-containers/sandbox/resolv.conf");
    take_down(world, "one");
    assert_int_equal(fake->machines, 1);
    assert_int_equal(sandbox_state(sandbox), SANDBOX_RUNNING);
    assert_ok(world_shutdown(world, true));
    assert_int_equal(fake->machines, 0);
}

/* ---- what is refused ---- */

static void test_refused_kinds(void **state)
{
    struct world *world = *state;
    write_bundle(world, "one", "container", POD_NAMESPACES);
    assert_create_fails(world, "one", ERROR_FAILED_PRECONDITION, "the pod's sandbox comes first");
    write_bundle(world, "one", "thing", POD_NAMESPACES);
    assert_create_fails(world, "one", ERROR_INVALID_ARGUMENT, "\"thing\" is no kind of container");
    world->shim->sandbox->options.standalone = false;
    write_bundle(world, "one", NULL, "{\"type\":\"mount\"}");
    assert_create_fails(world, "one", ERROR_FAILED_PRECONDITION, "the host's network was asked for");
    assert_int_equal(sandbox_state(world->shim->sandbox), SANDBOX_EMPTY);
}

#define WORLD_TEST(function) cmocka_unit_test_setup_teardown(function, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_life_of_a_pod),
        WORLD_TEST(test_sandbox_container_exits),
        WORLD_TEST(test_what_the_guest_is_told),
        WORLD_TEST(test_creations_wait_their_turn),
        WORLD_TEST(test_creation_under_way_is_interrupted),
        WORLD_TEST(test_failed_creation_in_a_pod),
        WORLD_TEST(test_first_creation_fails),
        WORLD_TEST(test_lost_machine_in_a_pod),
        WORLD_TEST(test_shutdown_now),
        WORLD_TEST(test_machine_dies_under_delete),
        WORLD_TEST(test_delete_waits_for_data),
        WORLD_TEST(test_start_without_container),
        WORLD_TEST(test_pod_brings_no_resolver),
        WORLD_TEST(test_refused_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
