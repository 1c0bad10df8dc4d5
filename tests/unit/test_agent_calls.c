/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's calls that need no container: states, identifiers, the guest, files, storages.
 */
#include "agent_world.h"

#include <limits.h>
#include <sys/vfs.h>

static int set_up(void **state)
{
    *state = agent_world_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    agent_world_free(*state);
    return 0;
}

/* ---- guest ---- */

static void test_details(void **state)
{
    Grpc__GuestDetailsRequest request = GRPC__GUEST_DETAILS_REQUEST__INIT;
    request.mem_block_size = true;
    ProtobufCMessage *message;
    agent_check(agent_call(*state, "GetGuestDetails", &request.base, &message));
    const Grpc__GuestDetailsResponse *reply = (const void *)message;
    assert_true(reply->agent_details->supports_seccomp);
    assert_false(reply->agent_details->init_daemon);
    assert_int_equal(reply->agent_details->n_storage_handlers, STORAGE_DRIVER_COUNT);
    assert_string_equal(reply->agent_details->storage_handlers[0], "mmioblk");
    protobuf_c_message_free_unpacked(message, NULL);
}

static void test_health(void **state)
{
    struct agent_world *world = *state;
    Grpc__CheckRequest request = GRPC__CHECK_REQUEST__INIT;
    ProtobufCMessage *message;
    agent_check(ttrpc_client_call_and_wait(
        world->client, &grpc__health__descriptor, "Check", &request.base, AGENT_CALL_MS, &message));
    const Grpc__HealthCheckResponse *reply = (const void *)message;
    assert_int_equal(reply->status, GRPC__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void test_metrics(void **state)
{
    Grpc__GetMetricsRequest request = GRPC__GET_METRICS_REQUEST__INIT;
    ProtobufCMessage *message;
    agent_check(agent_call(*state, "GetMetrics", &request.base, &message));
    const char *text = ((const Grpc__Metrics *)(const void *)message)->metrics;
    assert_non_null(strstr(text, "kata_guest_load{item=\"load1\"} "));
    assert_non_null(strstr(text, "kata_guest_meminfo{item=\"memfree\"} "));
    assert_non_null(strstr(text, "kata_guest_meminfo{item=\"active_anon\"} "));
    assert_non_null(strstr(text, "kata_guest_cpu_time{cpu=\"total\",item=\"user\"} "));
    assert_non_null(strstr(text, "kata_guest_netdev_stat{interface=\"lo\",item=\"recv_bytes\"} "));
    assert_non_null(strstr(text, "kata_agent_process_resident_memory_bytes "));
    protobuf_c_message_free_unpacked(message, NULL);
}

/* An agent that is not PID 1 leaves the machine alone. */
static void test_machine_is_not_ours(void **state)
{
    Grpc__SetGuestDateTimeRequest date = GRPC__SET_GUEST_DATE_TIME_REQUEST__INIT;
    agent_refuses(*state, "SetGuestDateTime", &date.base, ERROR_FAILED_PRECONDITION, "does not own");
    Grpc__ReseedRandomDevRequest seed = GRPC__RESEED_RANDOM_DEV_REQUEST__INIT;
    agent_refuses(*state, "ReseedRandomDev", &seed.base, ERROR_FAILED_PRECONDITION, "does not own");
    Grpc__OnlineCPUMemRequest online = GRPC__ONLINE_CPUMEM_REQUEST__INIT;
    agent_refuses(*state, "OnlineCPUMem", &online.base, ERROR_FAILED_PRECONDITION, "does not own");
}

static void test_unimplemented(void **state)
{
    Grpc__SetPolicyRequest policy = GRPC__SET_POLICY_REQUEST__INIT;
    agent_refuses(*state, "SetPolicy", &policy.base, ERROR_UNIMPLEMENTED, "");
    Grpc__AddSwapRequest swap = GRPC__ADD_SWAP_REQUEST__INIT;
    agent_refuses(*state, "AddSwap", &swap.base, ERROR_UNIMPLEMENTED, "");
}

static void test_volume_stats(void **state)
{
    Grpc__VolumeStatsRequest request = GRPC__VOLUME_STATS_REQUEST__INIT;
    request.volume_guest_path = "/run";
    ProtobufCMessage *message;
    agent_check(agent_call(*state, "GetVolumeStats", &request.base, &message));
    const Grpc__VolumeStatsResponse *reply = (const void *)message;
    assert_int_equal(reply->n_usage, 2);
    assert_int_equal(reply->usage[0]->unit, GRPC__VOLUME_USAGE__UNIT__BYTES);
    assert_true(reply->usage[0]->total > 0);
    protobuf_c_message_free_unpacked(message, NULL);
    request.volume_guest_path = "/run/none";
    agent_refuses(*state, "GetVolumeStats", &request.base, ERROR_NOT_FOUND, "/run/none");
}

/* ---- states and identifiers ---- */

static void test_sandbox_states(void **state)
{
    Grpc__CreateContainerRequest container = GRPC__CREATE_CONTAINER_REQUEST__INIT;
    container.container_id = "one";
    agent_refuses(*state, "CreateContainer", &container.base, ERROR_FAILED_PRECONDITION, "not created yet");
    agent_make_sandbox(*state);
    char name[65] = "";
    assert_int_equal(gethostname(name, sizeof(name)), 0);
    assert_string_equal(name, "unit");
    Grpc__CreateSandboxRequest sandbox = GRPC__CREATE_SANDBOX_REQUEST__INIT;
    agent_refuses(*state, "CreateSandbox", &sandbox.base, ERROR_FAILED_PRECONDITION, "ready");
    agent_refuses(*state, "CreateContainer", &container.base, ERROR_INVALID_ARGUMENT, "process and a root");
}

static void test_sandbox_input(void **state)
{
    Grpc__CreateSandboxRequest request = GRPC__CREATE_SANDBOX_REQUEST__INIT;
    request.hostname = "a-name-of-more-than-sixty-four-characters-is-more-than-linux-can-take";
    agent_refuses(*state, "CreateSandbox", &request.base, ERROR_INVALID_ARGUMENT, "64 characters");
    request.hostname = "";
    request.sandbox_id = "../etc";
    agent_refuses(*state, "CreateSandbox", &request.base, ERROR_INVALID_ARGUMENT, "sandbox id");
    request.sandbox_id = "";
    const char *servers[] = {"nameserver 10.0.2.3", "search example.org"};
    request.dns = servers;
    request.n_dns = 2;
    agent_check(agent_call(*state, "CreateSandbox", &request.base, NULL));
    _cleanup_free_ char *text = NULL;
    agent_check(file_read(AT_FDCWD, AGENT_SANDBOX_DIRECTORY "/resolv.conf", 4096, &text, NULL));
    assert_string_equal(text, "nameserver 10.0.2.3\nsearch example.org\n");
}

static void test_identifiers(void **state)
{
    static const char *const bad[] = {"", ".", "..", "../x", "a/b", "-a", "a b", "a\n",
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678"};
    agent_make_sandbox(*state);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Grpc__StartContainerRequest start = GRPC__START_CONTAINER_REQUEST__INIT;
        start.container_id = bad[i];
        agent_refuses(*state, "StartContainer", &start.base, ERROR_INVALID_ARGUMENT, "container id");
    }
    Grpc__WaitProcessRequest wait = GRPC__WAIT_PROCESS_REQUEST__INIT;
    wait.container_id = "nobody";
    agent_refuses(*state, "WaitProcess", &wait.base, ERROR_NOT_FOUND, "nobody");
    Grpc__SignalProcessRequest signal_request = GRPC__SIGNAL_PROCESS_REQUEST__INIT;
    signal_request.container_id = "nobody";
    agent_refuses(*state, "SignalProcess", &signal_request.base, ERROR_NOT_FOUND, "nobody");
    Grpc__ExecProcessRequest exec = GRPC__EXEC_PROCESS_REQUEST__INIT;
    exec.container_id = "nobody";
    agent_refuses(*state, "ExecProcess", &exec.base, ERROR_NOT_FOUND, "nobody");
    Grpc__StatsContainerRequest stats = GRPC__STATS_CONTAINER_REQUEST__INIT;
    stats.container_id = "nobody";
    agent_refuses(*state, "StatsContainer", &stats.base, ERROR_NOT_FOUND, "nobody");
}

static void count_refusal(void *context, struct error *error, const ProtobufCMessage *response)
{
    *(int *)context += error_code(error) == ERROR_RESOURCE_EXHAUSTED;
    error_free(error);
}

/* A host that asks without end does not make the agent hold without end. */
static void test_oom_waiters_are_bounded(void **state)
{
    struct agent_world *world = *state;
    static int refused;
    refused = 0;
    Grpc__GetOOMEventRequest request = GRPC__GET_OOMEVENT_REQUEST__INIT;
    for (int i = 0; i < AGENT_WAITERS_MAX + 3; i++)
        ttrpc_client_call(world->client, &grpc__agent_service__descriptor, "GetOOMEvent", &request.base, 0,
            count_refusal, &refused);
    while (refused < 3)
        assert_int_equal(event_base_loop(world->base, EVLOOP_ONCE), 0);
    assert_int_equal(world->agent->oom_waiters.count, AGENT_WAITERS_MAX);
}

static void count_closed(void *context, bool reset)
{
    (*(int *)context)++;
}

static void test_waiting_streams_are_bounded(void **state)
{
    struct agent_world *world = *state;
    static int closed;
    closed = 0;
    struct mux_stream *streams[LINK_WAITING_MAX + 2];
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        agent_check(mux_open(world->host, LINK_PORT_STREAMS, &streams[i]));
        int end = open("/dev/null", O_RDWR | O_CLOEXEC);
        mux_attach(streams[i], -1, end, count_closed, &closed);
    }
    while (closed < 2)
        assert_int_equal(event_base_loop(world->base, EVLOOP_ONCE), 0);
    assert_int_equal(closed, 2);
}

static void test_dropped_stream(void **state)
{
    struct agent_world *world = *state;
    struct mux_stream *stream, *found;
    agent_check(mux_open(world->host, LINK_PORT_STREAMS, &stream));
    uint32_t number = mux_stream_id(stream);
    mux_reset(stream);
    /* A call and its answer go the same way, behind the stream's end. */
    agent_make_sandbox(world);
    _cleanup_error_ struct error *error = link_take_stream(world->agent->link, number, &found);
    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
}

/* ---- files ---- */

static Grpc__CopyFileRequest copy_request(const char *path, const char *text)
{
    Grpc__CopyFileRequest request = GRPC__COPY_FILE_REQUEST__INIT;
    request.path = path;
    request.file_mode = S_IFREG | 0640;
    request.dir_mode = 0750;
    request.uid = (int32_t)getuid();
    request.gid = (int32_t)getgid();
    request.data.data = (uint8_t *)(uintptr_t)text;
    request.data.len = strlen(text);
    request.file_size = (int64_t)request.data.len;
    return request;
}

static void assert_text(const char *path, const char *expected)
{
    _cleanup_free_ char *text = NULL;
    agent_check(file_read(AT_FDCWD, path, 4096, &text, NULL));
    assert_string_equal(text, expected);
}

static void test_copy_file(void **state)
{
    Grpc__CopyFileRequest request = copy_request("/run/copies/c1/hosts", "127.0.0.1 localhost\n");
    request.uid = 12;
    request.gid = 34;
    agent_check(agent_call(*state, "CopyFile", &request.base, NULL));
    assert_text("/run/copies/c1/hosts", "127.0.0.1 localhost\n");
    struct stat status;
    assert_int_equal(stat("/run/copies/c1/hosts", &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0640);
    assert_int_equal(status.st_uid, 12);
    assert_int_equal(status.st_gid, 34);
    assert_int_equal(stat("/run/copies/c1", &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0750);
}

static void test_copy_in_pieces(void **state)
{
    Grpc__CopyFileRequest first = copy_request("/run/pieces/file", "one ");
    Grpc__CopyFileRequest second = copy_request("/run/pieces/file", "two");
    first.file_size = second.file_size = 7;
    second.offset = 4;
    agent_check(agent_call(*state, "CopyFile", &first.base, NULL));
    assert_int_equal(access("/run/pieces/file", F_OK), -1);
    second.offset = 6;
    second.data.len = 1;
    agent_refuses(*state, "CopyFile", &second.base, ERROR_FAILED_PRECONDITION, "came before");
    second.offset = 4;
    second.data.len = 3;
    agent_check(agent_call(*state, "CopyFile", &second.base, NULL));
    assert_text("/run/pieces/file", "one two");
    /* A second copy replaces the first as a whole. */
    Grpc__CopyFileRequest other = copy_request("/run/pieces/file", "three");
    agent_check(agent_call(*state, "CopyFile", &other.base, NULL));
    assert_text("/run/pieces/file", "three");
}

static void test_copy_kinds(void **state)
{
    Grpc__CopyFileRequest request = copy_request("/run/kinds/directory", "");
    request.file_mode = S_IFDIR | 0700;
    agent_check(agent_call(*state, "CopyFile", &request.base, NULL));
    struct stat status;
    assert_int_equal(lstat("/run/kinds/directory", &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0700);

    request = copy_request("/run/kinds/link", "directory/target");
    request.file_mode = S_IFLNK | 0777;
    agent_check(agent_call(*state, "CopyFile", &request.base, NULL));
    char target[PATH_MAX] = "";
    assert_true(readlink("/run/kinds/link", target, sizeof(target) - 1) > 0);
    assert_string_equal(target, "directory/target");

    request.path = "/run/kinds/device";
    request.file_mode = S_IFBLK | 0600;
    agent_refuses(*state, "CopyFile", &request.base, ERROR_INVALID_ARGUMENT, "only files");
}

static void test_copy_stays_inside(void **state)
{
    static const char *const outside[] = {"/etc/caisson-escape", "/run/../etc/caisson-escape",
        "/run/a/../../x", "/run", "/run/", "/runaway/x", "run/x", "", "/run/."};
    for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
        Grpc__CopyFileRequest request = copy_request(outside[i], "x");
        agent_refuses(*state, "CopyFile", &request.base, ERROR_INVALID_ARGUMENT, "");
    }
    /* A link that leads out is resolved as if /run were the root. */
    assert_int_equal(mkdir("/run/outside", 0755), 0);
    assert_int_equal(symlink("/tmp", "/run/outside/absolute"), 0);
    assert_int_equal(symlink("../../tmp", "/run/outside/relative"), 0);
    Grpc__CopyFileRequest request = copy_request("/run/outside/absolute/caisson-escape", "x");
    agent_refuses(*state, "CopyFile", &request.base, ERROR_NOT_FOUND, "");
    request.path = "/run/outside/relative/caisson-escape";
    agent_refuses(*state, "CopyFile", &request.base, ERROR_NOT_FOUND, "");
    assert_int_equal(access("/tmp/caisson-escape", F_OK), -1);
    /* The last component is replaced, not followed. */
    assert_int_equal(symlink("/tmp/caisson-escape", "/run/outside/file"), 0);
    request.path = "/run/outside/file";
    agent_check(agent_call(*state, "CopyFile", &request.base, NULL));
    assert_int_equal(access("/tmp/caisson-escape", F_OK), -1);
    assert_text("/run/outside/file", "x");
}

static void test_copy_bounds(void **state)
{
    Grpc__CopyFileRequest request = copy_request("/run/bounds", "text");
    request.offset = 1;
    agent_refuses(*state, "CopyFile", &request.base, ERROR_INVALID_ARGUMENT, "not part of a file");
    request.offset = INT64_MAX;
    request.file_size = INT64_MAX;
    agent_refuses(*state, "CopyFile", &request.base, ERROR_INVALID_ARGUMENT, "not part of a file");
    request.offset = -4;
    agent_refuses(*state, "CopyFile", &request.base, ERROR_INVALID_ARGUMENT, "not part of a file");
    request.offset = 0;
    request.file_size = -1;
    agent_refuses(*state, "CopyFile", &request.base, ERROR_INVALID_ARGUMENT, "not part of a file");
}

/* ---- storages ---- */

static Grpc__Storage storage(
    const char *driver, const char *source, const char *mount_point, const char **options, size_t count)
{
    Grpc__Storage made = GRPC__STORAGE__INIT;
    made.driver = driver;
    made.source = source;
    made.fstype = driver;
    made.mount_point = mount_point;
    made.options = options;
    made.n_options = count;
    return made;
}

static struct error *sandbox_with(struct agent_world *world, Grpc__Storage **storages, size_t count)
{
    Grpc__CreateSandboxRequest request = GRPC__CREATE_SANDBOX_REQUEST__INIT;
    request.storages = storages;
    request.n_storages = count;
    return agent_call(world, "CreateSandbox", &request.base, NULL);
}

static void assert_mounted(const char *path, bool expected)
{
    _cleanup_free_ char *table = NULL;
    agent_check(file_read(AT_FDCWD, "/proc/self/mounts", 1u << 20, &table, NULL));
    _cleanup_free_ char *field = must_printf(" %s ", path);
    assert_int_equal(strstr(table, field) != NULL, expected);
}

static void test_storages(void **state)
{
    const char *mode[] = {"mode=0711"}, *size[] = {"size=1m", "nosuid"}, *read_only[] = {"ro", "rbind"};
    const char *overlay[] = {"lowerdir=/run/s/local", "upperdir=/run/s/tmp/upper", "workdir=/run/s/tmp/work"};
    Grpc__Storage list[] = {storage("local", "", "/run/s/local", mode, 1),
        storage("ephemeral", "tmpfs", "/run/s/tmp", size, 2),
        storage("bind", "/run/s/local", "/run/s/bind", read_only, 2),
        storage("overlayfs", "overlay", "/run/s/root", overlay, 3)};
    Grpc__Storage *storages[] = {&list[0], &list[1], &list[2], &list[3]};
    agent_check(sandbox_with(*state, storages, ARRAY_SIZE(storages)));
    struct stat status;
    assert_int_equal(stat("/run/s/local", &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0711);
    assert_mounted("/run/s/tmp", true);
    assert_mounted("/run/s/root", true);
    agent_check(file_write_text(AT_FDCWD, "/run/s/local/file", "lower"));
    assert_int_equal(open("/run/s/bind/file", O_WRONLY), -1);
    assert_int_equal(errno, EROFS);

    Grpc__DestroySandboxRequest destroy = GRPC__DESTROY_SANDBOX_REQUEST__INIT;
    error_free(agent_call(*state, "DestroySandbox", &destroy.base, NULL));
    assert_mounted("/run/s/tmp", false);
    assert_mounted("/run/s/bind", false);
    assert_mounted("/run/s/root", false);
    assert_int_equal(access("/run/s/local", F_OK), -1);
}

/* What was mounted before the one that fails goes again, and the sandbox can be tried once more. */
static void test_storage_failure(void **state)
{
    Grpc__Storage list[] = {storage("ephemeral", "tmpfs", "/run/f/tmp", NULL, 0),
        storage("bind", "/run/f/missing", "/run/f/bind", NULL, 0)};
    Grpc__Storage *storages[] = {&list[0], &list[1]};
    struct error *error = sandbox_with(*state, storages, 2);
    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error_message(error), "/run/f/missing"));
    error_free(error);
    assert_mounted("/run/f/tmp", false);
    agent_make_sandbox(*state);
}

static void test_storage_input(void **state)
{
    static const struct {
        const char *driver, *source, *mount_point;
        enum error_code code;
        const char *part;
    } bad[] = {
        {"nfs", "host:/x", "/run/x", ERROR_UNIMPLEMENTED, "nfs"},
        {"ephemeral", "tmpfs", "/etc", ERROR_INVALID_ARGUMENT, "below /run"},
        {"ephemeral", "tmpfs", "/run/../etc", ERROR_INVALID_ARGUMENT, "below /run"},
        {"ephemeral", "tmpfs", "", ERROR_INVALID_ARGUMENT, "below /run"},
        {"mmioblk", "vda", "/run/x", ERROR_INVALID_ARGUMENT, "not the path of a device"},
        {"mmioblk", "/dev/null", "/run/x", ERROR_INVALID_ARGUMENT, "/dev/null"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        Grpc__Storage one = storage(bad[i].driver, bad[i].source, bad[i].mount_point, NULL, 0);
        one.fstype = "ext4";
        Grpc__Storage *storages[] = {&one};
        _cleanup_error_ struct error *error = sandbox_with(*state, storages, 1);
        assert_non_null(error);
        if (i != 5) /* what the kernel says of a device that is none differs */
            assert_int_equal(error_code(error), bad[i].code);
        assert_non_null(strstr(error_message(error), bad[i].part));
    }
}

static void test_storage_is_shared(void **state)
{
    Grpc__Storage list[] = {storage("ephemeral", "tmpfs", "/run/shared", NULL, 0),
        storage("ephemeral", "tmpfs", "/run/shared", NULL, 0),
        storage("ephemeral", "other", "/run/shared", NULL, 0)};
    Grpc__Storage *storages[] = {&list[0], &list[1], &list[2]};
    struct error *error = sandbox_with(*state, storages, 3);
    assert_int_equal(error_code(error), ERROR_ALREADY_EXISTS);
    error_free(error);
    assert_mounted("/run/shared", false);
    agent_check(sandbox_with(*state, storages, 2));
    assert_mounted("/run/shared", true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    if (!agent_world_isolate()) {
        puts("1..0 # SKIP needs the rights for namespaces of its own");
        return 0;
    }
    static const struct CMUnitTest tests[] = {TEST(test_details), TEST(test_health), TEST(test_metrics),
        TEST(test_machine_is_not_ours), TEST(test_unimplemented), TEST(test_volume_stats),
        TEST(test_sandbox_states), TEST(test_sandbox_input), TEST(test_identifiers),
        TEST(test_oom_waiters_are_bounded), TEST(test_waiting_streams_are_bounded), TEST(test_dropped_stream),
        TEST(test_copy_file), TEST(test_copy_in_pieces), TEST(test_copy_kinds), TEST(test_copy_stays_inside),
        TEST(test_copy_bounds), TEST(test_storages), TEST(test_storage_failure), TEST(test_storage_input),
        TEST(test_storage_is_shared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
