/* SPDX-License-Identifier: Apache-2.0 */
/* The Sandbox API: a machine before its containers, from a client's socket, without a real machine. */
#include "shim_world.h"

#include "proto/cri.pb-c.h"
#include "proto/sandbox.pb-c.h"
#include "shim/usage.h"

static struct error *sandbox_call(
    struct world *world, const char *method, const ProtobufCMessage *request, ProtobufCMessage **ret_response)
{
    return ttrpc_client_call_and_wait(
        world->client, &sandbox__sandbox__descriptor, method, request, 20000, ret_response);
}

static struct error *create(struct world *world, Google__Protobuf__Any *options)
{
    Sandbox__CreateSandboxRequest request = SANDBOX__CREATE_SANDBOX_REQUEST__INIT;
    request.sandbox_id = "pod";
    request.bundle_path = world->bundle;
    request.options = options;
    return sandbox_call(world, "CreateSandbox", &request.base, NULL);
}

#define SANDBOX_CALL(function, method, type, init)                            \
    static inline struct error *function(                                     \
        struct world *world, const char *id, ProtobufCMessage **ret_response) \
    {                                                                         \
        type request = init;                                                  \
        request.sandbox_id = id;                                              \
        return sandbox_call(world, method, &request.base, ret_response);      \
    }

SANDBOX_CALL(start, "StartSandbox", Sandbox__StartSandboxRequest, SANDBOX__START_SANDBOX_REQUEST__INIT)
SANDBOX_CALL(stop, "StopSandbox", Sandbox__StopSandboxRequest, SANDBOX__STOP_SANDBOX_REQUEST__INIT)
SANDBOX_CALL(status, "SandboxStatus", Sandbox__SandboxStatusRequest, SANDBOX__SANDBOX_STATUS_REQUEST__INIT)
SANDBOX_CALL(ping, "PingSandbox", Sandbox__PingRequest, SANDBOX__PING_REQUEST__INIT)
SANDBOX_CALL(platform, "Platform", Sandbox__PlatformRequest, SANDBOX__PLATFORM_REQUEST__INIT)
SANDBOX_CALL(
    metrics, "SandboxMetrics", Sandbox__SandboxMetricsRequest, SANDBOX__SANDBOX_METRICS_REQUEST__INIT)
SANDBOX_CALL(
    shut_down, "ShutdownSandbox", Sandbox__ShutdownSandboxRequest, SANDBOX__SHUTDOWN_SANDBOX_REQUEST__INIT)

static void assert_status(struct world *world, const char *expected)
{
    ProtobufCMessage *response = NULL;
    assert_ok(status(world, "pod", &response));
    assert_string_equal(((Sandbox__SandboxStatusResponse *)response)->state, expected);
    protobuf_c_message_free_unpacked(response, NULL);
}

struct wait {
    bool done;
    uint32_t status;
};

static void waited(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct wait *wait = context;
    wait->done = true;
    wait->status = response ? ((const Sandbox__WaitSandboxResponse *)response)->exit_status : 1000;
    error_free(error);
}

static void wait_later(struct world *world, struct wait *wait)
{
    Sandbox__WaitSandboxRequest request = SANDBOX__WAIT_SANDBOX_REQUEST__INIT;
    request.sandbox_id = "pod";
    *wait = (struct wait){0};
    ttrpc_client_call(
        world->client, &sandbox__sandbox__descriptor, "WaitSandbox", &request.base, 0, waited, wait);
}

static void test_life_of_a_sandbox(void **state)
{
    struct world *world = *state;
    ProtobufCMessage *response = NULL;
    struct wait wait;
    assert_ok(create(world, NULL));
    assert_status(world, "SANDBOX_NOTREADY");
    assert_fails(create(world, NULL), ERROR_ALREADY_EXISTS, "already exists");
    assert_ok(start(world, "pod", &response));
    assert_int_equal(((Sandbox__StartSandboxResponse *)response)->pid, FAKE_PID);
    protobuf_c_message_free_unpacked(response, NULL);
    assert_fails(start(world, "pod", NULL), ERROR_FAILED_PRECONDITION, "has been started");
    assert_int_equal(fake->machines, 1);
    assert_status(world, "SANDBOX_READY");
    assert_ok(ping(world, "pod", NULL));
    wait_later(world, &wait);
    /* containerd asks for it after each Delete of a task: the machine stays. */
    assert_ok(world_shutdown(world, false));
    assert_int_equal(fake->machines, 1);
    assert_ok(stop(world, "pod", NULL));
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 0);
    assert_int_equal(fake->machines, 0);
    assert_status(world, "SANDBOX_NOTREADY");
    /* One that comes after StopSandbox, too, and who stopped it has yet to shut it down. */
    assert_ok(world_shutdown(world, false));
    wait_later(world, &wait);
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, 0);
    assert_ok(stop(world, "pod", NULL));
    assert_ok(shut_down(world, "pod", NULL));
}

static void test_lost_machine(void **state)
{
    struct world *world = *state;
    struct wait wait;
    assert_ok(create(world, NULL));
    assert_ok(start(world, "pod", NULL));
    wait_later(world, &wait);
    fake->die = "the end";
    fake_stop(NULL);
    AWAIT(world, wait.done);
    assert_int_equal(wait.status, SANDBOX_LOST_STATUS);
    assert_status(world, "SANDBOX_NOTREADY");
}

static void test_start_that_fails(void **state)
{
    struct world *world = *state;
    assert_ok(create(world, NULL));
    fake->fail = "machine-start";
    assert_fails(start(world, "pod", NULL), ERROR_INTERNAL, "machine-start");
    fake->fail = NULL;
    assert_ok(start(world, "pod", NULL));
    assert_ok(shut_down(world, "pod", NULL));
    assert_int_equal(fake->machines, 0);
}

static void test_questions(void **state)
{
    struct world *world = *state;
    ProtobufCMessage *response = NULL;
    assert_fails(ping(world, "pod", NULL), ERROR_NOT_FOUND, "sandbox pod: not found");
    assert_ok(create(world, NULL));
    assert_fails(ping(world, "other", NULL), ERROR_NOT_FOUND, "sandbox other: not found");
    assert_ok(platform(world, "pod", &response));
    assert_string_equal(((Sandbox__PlatformResponse *)response)->platform->os, "linux");
    protobuf_c_message_free_unpacked(response, NULL);
    assert_fails(metrics(world, "pod", NULL), ERROR_FAILED_PRECONDITION, "no machine");
}

static void test_usage(void **state)
{
    struct usage usage;
    assert_ok(usage_of_process(getpid(), &usage));
    assert_true(usage.memory > 100000);
}

/* ---- what a pod is to be like ---- */

static Cri__Annotation annotation = CRI__ANNOTATION__INIT;

static uint8_t *pack_config(size_t *ret_length)
{
    static const char *servers[] = {"10.0.0.1", "10.0.0.2"};
    static const char *searches[] = {"a.test", "b.test"};
    static const char *options[] = {"ndots:5"};
    Cri__DNSConfig dns = CRI__DNSCONFIG__INIT;
    Cri__LinuxContainerResources resources = CRI__LINUX_CONTAINER_RESOURCES__INIT;
    Cri__LinuxPodSandboxConfig linux_config = CRI__LINUX_POD_SANDBOX_CONFIG__INIT;
    Cri__PodSandboxConfig config = CRI__POD_SANDBOX_CONFIG__INIT;
    Cri__Annotation *annotations[] = {&annotation};
    annotation.key = "io.caisson.class";
    annotation.value = "big";
    dns.servers = servers;
    dns.n_servers = 2;
    dns.searches = searches;
    dns.n_searches = 2;
    dns.options = options;
    dns.n_options = 1;
    resources.memory_limit_in_bytes = 1 << 30;
    linux_config.resources = &resources;
    config.hostname = "box";
    config.dns_config = &dns;
    config.annotations = annotations;
    config.n_annotations = 1;
    config.linux_config = &linux_config;
    return ttrpc_pack(&config.base, ret_length);
}

static void test_pod_of_cri(void **state)
{
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    Sandbox__CreateSandboxRequest request = SANDBOX__CREATE_SANDBOX_REQUEST__INIT;
    _cleanup_pod_ struct pod *pod = NULL;
    any.type_url = "runtime.v1.PodSandboxConfig";
    any.value.data = pack_config(&any.value.len);
    request.sandbox_id = "pod";
    request.netns_path = "/run/netns/pod";
    request.options = &any;
    assert_ok(pod_new(&request, &pod));
    struct sandbox_pod wish = pod_wish(pod);
    _cleanup_free_ char *dns = strv_join(wish.dns, ";");
    assert_string_equal(wish.hostname, "box");
    assert_string_equal(wish.network_namespace, "/run/netns/pod");
    assert_string_equal(dns, "nameserver 10.0.0.1;nameserver 10.0.0.2;search a.test b.test;options ndots:5");
    assert_int_equal(wish.annotation_count, 2);
    assert_string_equal(wish.annotations[0].value, "big");
    assert_string_equal(wish.annotations[1].key, "io.kubernetes.cri.sandbox-memory");
    assert_string_equal(wish.annotations[1].value, "1073741824");
    any.value.len--;
    struct pod *other = NULL;
    _cleanup_error_ struct error *error = pod_new(&request, &other);
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    free(any.value.data);
}

#define WORLD_TEST(function) cmocka_unit_test_setup_teardown(function, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_life_of_a_sandbox),
        WORLD_TEST(test_lost_machine),
        WORLD_TEST(test_start_that_fails),
        WORLD_TEST(test_questions),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_pod_of_cri),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
