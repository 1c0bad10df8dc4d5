/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines that change while they run, with the real agent in them: disks that come and go, memory and
 * processors that are added, clock and entropy. Needs $CAISSON_KERNEL and $CAISSON_AGENT_INITRD, and is
 * skipped without them. On each hypervisor there is (hv_offers.h); what one has no capability for is skipped.
 */
#include "assertions.h"
#include "base/fd.h"
#include "hv/hv.h"
#include "hv_offers.h"
#include "proto/agent.pb-c.h"
#include "ttrpc/ttrpc.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#define AGENT_PORT 1024
#define CALL_MS 60000
#define MIB (UINT64_C(1) << 20)
#define IMAGE_BYTES (8 * MIB)

struct fixture {
    const struct hv_ops *ops;
    struct event_base *base;
    struct hv_config config;
    struct hv *hv;
    struct ttrpc_client *agent;
    bool done; /* of what is waited for */
    struct error *error;
    char *address;
};

static void on_stopped(void *context, const struct error *reason)
{
    fail_msg("the machine has ended: %s", reason ? error_message(reason) : "in order");
}

static void on_done(void *context, struct error *error)
{
    struct fixture *fixture = context;
    fixture->done = true;
    fixture->error = error;
}

static void on_attached(void *context, struct error *error, const char *address)
{
    struct fixture *fixture = context;
    free(fixture->address);
    fixture->address = address ? must_copy(address) : NULL;
    on_done(fixture, error);
}

static void await(struct fixture *fixture)
{
    while (!fixture->done)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    fixture->done = false;
}

static void await_success(struct fixture *fixture)
{
    await(fixture);
    assert_ok(TAKE_PTR(fixture->error));
}

static void await_failure(struct fixture *fixture, enum error_code code)
{
    await(fixture);
    assert_int_equal(error_code(fixture->error), code);
    error_free(TAKE_PTR(fixture->error));
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    struct fixture *fixture = must_new(struct fixture);
    fixture->ops = *state;
    fixture->base = event_base_new();
    fixture->config = (struct hv_config){
        .name = "growing",
        .directory = "/tmp",
        .kernel = getenv("CAISSON_KERNEL"),
        .initrd = getenv("CAISSON_AGENT_INITRD"),
        .vcpus = 1,
        .memory = 128 * MIB,
    };
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ttrpc_client_free(fixture->agent);
    hv_free(fixture->hv);
    event_base_free(fixture->base);
    free(fixture->address);
    free(fixture);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    return 0;
}

static void start(struct fixture *fixture)
{
    if (!fixture->config.kernel || !fixture->config.initrd)
        skip();
    static const struct hv_events events = {on_stopped};
    assert_ok(hv_new(fixture->ops, fixture->base, &fixture->config, &events, fixture, &fixture->hv));
    hv_start(fixture->hv, on_done, fixture);
    await_success(fixture);
    int fd;
    assert_ok(hv_connect(fixture->hv, AGENT_PORT, &fd, NULL));
    assert_ok(ttrpc_client_new(fixture->base, fd, NULL, NULL, &fixture->agent));
}

static void need(const struct fixture *fixture, enum hv_capability capability)
{
    if (!(fixture->ops->capabilities & capability))
        skip();
}

static struct error *call(struct fixture *fixture, const char *method, const ProtobufCMessage *request,
    ProtobufCMessage **ret_reply)
{
    return ttrpc_client_call_and_wait(
        fixture->agent, &grpc__agent_service__descriptor, method, request, CALL_MS, ret_reply);
}

/* A file without a name that holds an empty ext4 file system. */
static int make_image(void)
{
    char path[] = "/tmp/caisson-growth-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, IMAGE_BYTES), 0);
    char command[128];
    snprintf(command, sizeof(command), "/sbin/mkfs.ext4 -q -O ^has_journal %s", path);
    assert_int_equal(system(command), 0);
    assert_int_equal(unlink(path), 0);
    return fd;
}

/* The bytes of the file system at a path of the guest. */
static uint64_t volume_bytes(struct fixture *fixture, const char *path)
{
    Grpc__VolumeStatsRequest request = GRPC__VOLUME_STATS_REQUEST__INIT;
    request.volume_guest_path = path;
    ProtobufCMessage *message = NULL;
    assert_ok(call(fixture, "GetVolumeStats", &request.base, &message));
    uint64_t bytes = (uint64_t)((const Grpc__VolumeStatsResponse *)(const void *)message)->usage[0]->total;
    protobuf_c_message_free_unpacked(message, NULL);
    return bytes;
}

/* The number behind a name in the agent's metrics; -1: it has no such name. */
static int64_t metric(struct fixture *fixture, const char *name)
{
    Grpc__GetMetricsRequest request = GRPC__GET_METRICS_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    assert_ok(call(fixture, "GetMetrics", &request.base, &message));
    const char *text = ((const Grpc__Metrics *)(const void *)message)->metrics;
    const char *found = strstr(text, name);
    int64_t value = found ? strtoll(found + strlen(name), NULL, 10) : -1;
    protobuf_c_message_free_unpacked(message, NULL);
    return value;
}

static void create_sandbox(struct fixture *fixture, Grpc__Storage **storages, size_t count)
{
    Grpc__CreateSandboxRequest request = GRPC__CREATE_SANDBOX_REQUEST__INIT;
    request.storages = storages;
    request.n_storages = count;
    assert_ok(call(fixture, "CreateSandbox", &request.base, NULL));
}

/* ---- disks ---- */

static void attach(struct fixture *fixture, int image, bool read_only)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
    const struct hv_disk disk = {.path = path, .read_only = read_only};
    hv_attach_disk(fixture->hv, &disk, on_attached, fixture);
    await_success(fixture);
}

static void test_disk_comes_and_goes(void **state)
{
    struct fixture *fixture = *state;
    need(fixture, HV_ATTACH_DISK);
    fixture->config.hot_disks = true;
    start(fixture);
    int image = make_image();
    attach(fixture, image, false);
    assert_string_equal(fixture->address, "0:1");

    Grpc__Storage storage = GRPC__STORAGE__INIT;
    storage.driver = "scsi";
    storage.source = fixture->address;
    storage.fstype = "ext4";
    storage.mount_point = "/run/kata-containers/one/disk";
    create_sandbox(fixture, (Grpc__Storage *[]){&storage}, 1);
    uint64_t bytes = volume_bytes(fixture, storage.mount_point);
    assert_true(bytes > IMAGE_BYTES / 2 && bytes <= IMAGE_BYTES);

    hv_detach_disk(fixture->hv, "0:1", on_done, fixture);
    await_success(fixture);
    hv_detach_disk(fixture->hv, "0:1", on_done, fixture);
    await_failure(fixture, ERROR_NOT_FOUND);
    /* Its names are free again, and so is the image. */
    attach(fixture, image, true);
    assert_string_equal(fixture->address, "0:1");
    attach(fixture, image, true);
    assert_string_equal(fixture->address, "0:2");
    close(image);
}

static void test_disks_while_paused(void **state)
{
    struct fixture *fixture = *state;
    need(fixture, HV_ATTACH_DISK);
    fixture->config.hot_disks = true;
    start(fixture);
    hv_pause(fixture->hv, on_done, fixture);
    await_success(fixture);
    int image = make_image();
    attach(fixture, image, true);
    hv_detach_disk(fixture->hv, fixture->address, on_done, fixture);
    await_success(fixture);
    close(image);
}

static void test_refused_disks(void **state)
{
    struct fixture *fixture = *state;
    need(fixture, HV_ATTACH_DISK);
    fixture->config.hot_disks = true;
    start(fixture);
    const struct hv_disk missing = {.path = "/nonexistent/image"};
    hv_attach_disk(fixture->hv, &missing, on_attached, fixture);
    await_failure(fixture, ERROR_NOT_FOUND);
    /* Opened for reading, offered for writing: QEMU refuses the node, and all is taken back. */
    int kernel = open(fixture->config.kernel, O_RDONLY | O_CLOEXEC);
    const struct hv_disk read_only = {.fd = kernel};
    hv_attach_disk(fixture->hv, &read_only, on_attached, fixture);
    await_failure(fixture, ERROR_UNKNOWN);
    attach(fixture, kernel, true);
    assert_string_equal(fixture->address, "0:1");
    close(kernel);
}

static void test_no_controller(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    const struct hv_disk disk = {.path = fixture->config.kernel, .read_only = true};
    hv_attach_disk(fixture->hv, &disk, on_attached, fixture);
    bool able = fixture->ops->capabilities & HV_ATTACH_DISK;
    await_failure(fixture, able ? ERROR_FAILED_PRECONDITION : ERROR_UNIMPLEMENTED);
}

/* ---- memory and processors ---- */

static void add_memory(struct fixture *fixture, uint64_t offset)
{
    Grpc__MemHotplugByProbeRequest request = GRPC__MEM_HOTPLUG_BY_PROBE_REQUEST__INIT;
    uint64_t address = hv_memory_address(fixture->hv, offset);
    request.n_mem_hotplug_probe_addr = 1;
    request.mem_hotplug_probe_addr = &address;
    assert_ok(call(fixture, "MemHotplugByProbe", &request.base, NULL));
}

static uint64_t host_memory(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t memory_total(struct fixture *fixture)
{
    return (uint64_t)metric(fixture, "kata_guest_meminfo{item=\"memtotal\"} ");
}

/* To more than this host has; the last block that is added lies beyond 4 GiB. */
static void test_memory_grows(void **state)
{
    struct fixture *fixture = *state;
    need(fixture, HV_GROW);
    fixture->config.memory = 100 * MIB;
    fixture->config.memory_max = host_memory() + 3200 * MIB;
    start(fixture);
    uint64_t before = memory_total(fixture), run_before = volume_bytes(fixture, "/run");
    assert_true(before > 64 * MIB && before <= HV_MEMORY_BLOCK);
    add_memory(fixture, HV_MEMORY_BLOCK);
    assert_true(memory_total(fixture) >= before + HV_MEMORY_BLOCK * 9 / 10);
    add_memory(fixture, HV_MEMORY_BLOCK);
    add_memory(fixture, 3072 * MIB);
    uint64_t after = memory_total(fixture);
    assert_true(after >= before + 2 * HV_MEMORY_BLOCK * 9 / 10 && after <= 3 * HV_MEMORY_BLOCK);

    /* What is written below /run has its share of it. */
    uint64_t run_growth = volume_bytes(fixture, "/run") - run_before;
    assert_true(run_growth >= HV_MEMORY_BLOCK && run_growth <= 3 * HV_MEMORY_BLOCK / 2);

    /* And it can be used: a file in memory that is larger than the guest was. */
    Grpc__Storage storage = GRPC__STORAGE__INIT;
    storage.driver = "ephemeral";
    storage.source = "tmpfs";
    storage.fstype = "tmpfs";
    storage.mount_point = "/run/kata-containers/sandbox/memory";
    create_sandbox(fixture, (Grpc__Storage *[]){&storage}, 1);
    assert_true(volume_bytes(fixture, storage.mount_point) > HV_MEMORY_BLOCK);
}

static unsigned processors(struct fixture *fixture)
{
    unsigned count = 0;
    char name[64];
    do
        snprintf(name, sizeof(name), "kata_guest_cpu_time{cpu=\"%u\",item=\"idle\"} ", count++);
    while (metric(fixture, name) >= 0);
    return count - 1;
}

static void test_processors_grow(void **state)
{
    struct fixture *fixture = *state;
    need(fixture, HV_GROW);
    fixture->config.vcpus_max = 2;
    start(fixture);
    assert_int_equal(processors(fixture), 1);
    Grpc__OnlineCPUMemRequest request = GRPC__ONLINE_CPUMEM_REQUEST__INIT;
    request.nb_cpus = 1;
    request.cpu_only = true;
    assert_ok(call(fixture, "OnlineCPUMem", &request.base, NULL));
    assert_int_equal(processors(fixture), 2);
    struct error *error = call(fixture, "OnlineCPUMem", &request.base, NULL);
    assert_int_equal(error_code(error), ERROR_UNAVAILABLE);
    error_free(error);
}

/* ---- what else a guest is told while it runs ---- */

static void test_clock_and_entropy(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    Grpc__SetGuestDateTimeRequest date = GRPC__SET_GUEST_DATE_TIME_REQUEST__INIT;
    date.sec = 2000000000;
    date.usec = 999999;
    assert_ok(call(fixture, "SetGuestDateTime", &date.base, NULL));
    date.usec = 1000000;
    _cleanup_error_ struct error *refused = call(fixture, "SetGuestDateTime", &date.base, NULL);
    assert_int_equal(error_code(refused), ERROR_INVALID_ARGUMENT);
    uint8_t bytes[512] = {1};
    Grpc__ReseedRandomDevRequest seed = GRPC__RESEED_RANDOM_DEV_REQUEST__INIT;
    seed.data = (ProtobufCBinaryData){.data = bytes, .len = sizeof(bytes)};
    assert_ok(call(fixture, "ReseedRandomDev", &seed.base, NULL));
}

#define WITH_MACHINE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(test_disk_comes_and_goes),
        WITH_MACHINE(test_disks_while_paused),
        WITH_MACHINE(test_refused_disks),
        WITH_MACHINE(test_no_controller),
        WITH_MACHINE(test_memory_grows),
        WITH_MACHINE(test_processors_grow),
        WITH_MACHINE(test_clock_and_entropy),
    };
    return hv_run_on_each(tests, ARRAY_SIZE(tests));
}
