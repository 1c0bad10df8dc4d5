/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's command line, and what its end means. No process is started. */
#include "base/strv.h"
#include "hv/qemu_arguments.h"
#include "hv/qemu_failure.h"
#include "hv/relay.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct hv_config plain_config(void)
{
    return (struct hv_config){
        .name = "box",
        .kernel = "/k",
        .initrd = "/i",
        .vcpus = 1,
        .memory = UINT64_C(128) << 20,
    };
}

static const struct qemu_launch emulated = {
    .binary = "/usr/bin/qemu", .cpu = "max", .kernel = "/a,b/vmlinux", .initrd = "/initrd"};

/* The text after an option that occurs once, or NULL. */
static const char *value_of(char *const *line, const char *option)
{
    STRV_FOREACH (argument, line) {
        if (strcmp(*argument, option) == 0)
            return argument[1];
    }
    return NULL;
}

static bool has_part(char *const *line, const char *part)
{
    STRV_FOREACH (argument, line) {
        if (strstr(*argument, part))
            return true;
    }
    return false;
}

static void test_plain_machine(void **state)
{
    struct hv_config config = plain_config();
    assert_null(qemu_check_config(&config));
    _cleanup_strv_ char **line = qemu_arguments(&config, &emulated);
    assert_string_equal(line[0], "/usr/bin/qemu");
    assert_string_equal(value_of(line, "-m"), "128M");
    assert_string_equal(value_of(line, "-cpu"), "max");
    assert_string_equal(value_of(line, "-kernel"), "/a,,b/vmlinux");
    assert_non_null(strstr(value_of(line, "-sandbox"), "spawn=deny"));
    assert_non_null(strstr(value_of(line, "-append"), " quiet"));
    assert_non_null(strstr(value_of(line, "-accel"), "tcg,"));
    assert_true(strv_contains(line, "-nodefaults"));
    assert_true(has_part(line, "name=caisson.link.0"));
    assert_false(has_part(line, "memory-backend"));
    assert_false(has_part(line, "netdev"));
}

static void test_kvm_is_not_told_of_emulation(void **state)
{
    struct hv_config config = plain_config();
    struct qemu_launch launch = emulated;
    launch.kvm = true;
    _cleanup_strv_ char **line = qemu_arguments(&config, &launch);
    assert_string_equal(value_of(line, "-accel"), "kvm");
    assert_null(strstr(value_of(line, "-append"), "mitigations=off"));
    assert_null(strstr(value_of(line, "-append"), "init_on_alloc"));
}

static void test_devices_get_descriptors_in_order(void **state)
{
    struct hv_config config = plain_config();
    const struct hv_disk disks[] = {{.path = "/image", .read_only = true}, {.fd = 9}};
    const struct hv_share share = {.tag = "kataShared", .socket = 10};
    config.disks = disks;
    config.disk_count = 2;
    config.shares = &share;
    config.share_count = 1;
    _cleanup_strv_ char **line = qemu_arguments(&config, &emulated);
    assert_true(strv_contains(line, "fd=6,set=1"));
    assert_true(strv_contains(line, "fd=7,set=2"));
    assert_true(strv_contains(line, "socket,id=share0,fd=8"));
    assert_true(has_part(line, "filename=/dev/fdset/1,locking=off,read-only=on"));
    assert_true(has_part(line, "filename=/dev/fdset/2,locking=off,read-only=off"));
    assert_false(has_part(line, "/image"));
    assert_true(strv_contains(line, "memory-backend-memfd,id=ram,size=128M,share=on"));
    assert_true(has_part(line, "memory-backend=ram"));
    /* Emulated code must not outlive what the file server writes over it. */
    assert_non_null(strstr(value_of(line, "-append"), "init_on_alloc=1"));
}

static void test_network(void **state)
{
    struct hv_config config = plain_config();
    const struct hv_port ports[] = {
        {.host_port = 8080, .guest_port = 80},
        {.udp = true, .host_address = "127.0.0.1", .host_port = 53, .guest_port = 5353},
    };
    config.network = (struct hv_network){HV_NETWORK_USER, ports, 2, {0x52, 0x54, 0, 0xab, 2, 3}};
    _cleanup_strv_ char **line = qemu_arguments(&config, &emulated);
    assert_string_equal(value_of(line, "-netdev"),
        "user,id=net0,ipv6=off,hostfwd=tcp::8080-:80,hostfwd=udp:127.0.0.1:53-:5353");
    assert_true(strv_contains(line, "virtio-net-device,netdev=net0,mac=52:54:00:ab:02:03"));
}

static void test_taps(void **state)
{
    struct hv_config config = plain_config();
    const struct hv_disk disk = {.path = "/image", .read_only = true};
    const struct hv_nic nics[] = {
        {.fd = 50, .mac = {0x52, 0x54, 0, 0xab, 2, 3}}, {.fd = 60, .mac = {0x52, 0x54, 0, 0xab, 2, 4}}};
    config.disks = &disk;
    config.disk_count = 1;
    size_t room = qemu_room(&config);
    config.network = (struct hv_network){.nics = nics, .nic_count = 2};
    assert_int_equal(hv_room(hv_by_name("qemu-tcg"), &config), room - 2);
    assert_true(hv_by_name("qemu-tcg")->capabilities & HV_TAP);
    assert_null(qemu_check_config(&config));
    _cleanup_strv_ char **line = qemu_arguments(&config, &emulated);
    assert_true(strv_contains(line, "tap,id=tap0,fd=7,vhost=off"));
    assert_true(strv_contains(line, "virtio-net-device,netdev=tap0,mac=52:54:00:ab:02:03"));
    assert_true(strv_contains(line, "tap,id=tap1,fd=8,vhost=off"));
    assert_true(strv_contains(line, "virtio-net-device,netdev=tap1,mac=52:54:00:ab:02:04"));
    config.network.nic_count = room + 1;
    assert_int_equal(qemu_room(&config), 0);
    _cleanup_error_ struct error *error = qemu_check_config(&config);
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
}

static void test_ipv6_ports_go_through_loopback(void **state)
{
    struct hv_config config = plain_config();
    struct hv_port port = {.host_address = "::1", .host_port = 8080, .guest_port = 80};
    config.network = (struct hv_network){.kind = HV_NETWORK_USER, .ports = &port, .port_count = 1};
    assert_null(qemu_check_config(&config));
    char loopback[RELAY_ADDRESS_SIZE];
    relay_address(config.name, loopback);
    assert_memory_equal(loopback, "127.", 4);
    _cleanup_strv_ char **line = qemu_arguments(&config, &emulated);
    _cleanup_free_ char *expected = must_printf("hostfwd=tcp:%s:8080-:80", loopback);
    assert_non_null(strstr(value_of(line, "-netdev"), expected));
    port.udp = true;
    _cleanup_error_ struct error *error = qemu_check_config(&config);
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
}

static void test_processors_and_own_parameters(void **state)
{
    struct hv_config config = plain_config();
    config.vcpus = 4;
    config.append = "agent.log=debug";
    config.debug = true;
    config.memory = (UINT64_C(128) << 20) + 1;
    _cleanup_strv_ char **line = qemu_arguments(&config, &emulated);
    assert_string_equal(value_of(line, "-smp"), "4");
    assert_string_equal(value_of(line, "-m"), "129M");
    assert_non_null(strstr(value_of(line, "-accel"), "thread=single"));
    qemu_add_kernel_parameter(line, "x=1");
    const char *append = value_of(line, "-append");
    assert_non_null(strstr(append, " agent.log=debug x=1"));
    assert_null(strstr(append, "quiet"));
}

/* All of it is there from the start; the guest is told to begin with a part. */
static void test_machines_that_grow(void **state)
{
    struct hv_config config = plain_config();
    config.memory_max = UINT64_C(1000) << 20;
    config.vcpus_max = 2;
    config.hot_disks = true;
    assert_null(qemu_check_config(&config));
    _cleanup_strv_ char **line = qemu_arguments(&config, &emulated);
    assert_string_equal(value_of(line, "-smp"), "2");
    assert_string_equal(value_of(line, "-m"), "1024M");
    assert_non_null(strstr(value_of(line, "-accel"), "thread=single"));
    assert_non_null(strstr(value_of(line, "-append"), " mem=128M maxcpus=1"));
    assert_true(has_part(line, "memory-backend-memfd,id=ram,size=1024M,share=on"));
    assert_true(has_part(line, "virtio-scsi-device,id=hot"));

    /* No more than it has: as any other. */
    config.memory_max = config.memory;
    config.vcpus_max = 1;
    config.hot_disks = false;
    _cleanup_strv_ char **fixed = qemu_arguments(&config, &emulated);
    assert_null(strstr(value_of(fixed, "-append"), "mem="));
    assert_null(strstr(value_of(fixed, "-append"), "maxcpus"));
    assert_false(has_part(fixed, "memory-backend"));
    assert_false(has_part(fixed, "scsi"));
}

/* A microvm has a hole between 3 and 4 GiB. */
static void test_addresses_of_memory(void **state)
{
    const uint64_t gib = UINT64_C(1) << 30;
    assert_int_equal(qemu_memory_address(128 << 20), 128 << 20);
    assert_int_equal(qemu_memory_address(3 * gib - 1), 3 * gib - 1);
    assert_int_equal(qemu_memory_address(3 * gib), 4 * gib);
    assert_int_equal(qemu_memory_address(5 * gib), 6 * gib);
}

static void test_disks_that_last(void **state)
{
    struct hv_config config = plain_config();
    const struct hv_disk disks[] = {{.fd = 9, .durable = true}, {.fd = 9}};
    config.disks = disks;
    config.disk_count = 2;
    _cleanup_strv_ char **line = qemu_arguments(&config, &emulated);
    assert_false(has_part(line, "/dev/fdset/1,locking=off,read-only=off,discard=unmap,cache.no-flush"));
    assert_true(has_part(line, "/dev/fdset/2,locking=off,read-only=off,discard=unmap,cache.no-flush=on"));
}

static void assert_refused(const struct hv_config *config)
{
    _cleanup_error_ struct error *error = qemu_check_config(config);
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
}

static void test_impossible_machines(void **state)
{
    struct hv_config config = plain_config();
    config.memory = 1 << 20;
    assert_refused(&config);
    config = plain_config();
    config.memory = UINT64_MAX;
    assert_refused(&config);
    config = plain_config();
    config.vcpus = 0;
    assert_refused(&config);
    config = plain_config();
    config.disk_count = SIZE_MAX - 4;
    assert_refused(&config);
    config = plain_config();
    config.initrd = NULL;
    assert_refused(&config);
    config = plain_config();
    const struct hv_share share = {.tag = "a,b"};
    config.shares = &share;
    config.share_count = 1;
    assert_refused(&config);
    config = plain_config();
    const struct hv_port port = {.host_address = "127.0.0.1,id=x", .host_port = 1, .guest_port = 1};
    config.network = (struct hv_network){.kind = HV_NETWORK_USER, .ports = &port, .port_count = 1};
    assert_refused(&config);
}

static void assert_sentence(struct error *error, enum error_code code, const char *part)
{
    assert_int_equal(error_code(error), code);
    if (!strstr(error_message(error), part))
        fail_msg("no \"%s\" in: %s", part, error_message(error));
    error_free(error);
}

static size_t index_of(char *const *line, const char *argument)
{
    size_t index = 0;
    while (line[index] && strcmp(line[index], argument) != 0)
        index++;
    return index;
}

static void test_snapshots(void **state)
{
    struct hv_config config = plain_config();
    const struct hv_disk disk = {.fd = 9};
    struct hv_snapshot snapshot = {.memory = "/host/memory", .state = -1};
    config.snapshot = &snapshot;
    assert_null(qemu_check_config(&config));
    _cleanup_strv_ char **saved = qemu_arguments(&config, &emulated);
    assert_true(strv_contains(saved, "memory-backend-file,id=ram,size=128M,mem-path=/memory,share=on"));
    assert_false(strv_contains(saved, "-incoming"));
    /* The first six of eight transports are empty, and are filled from the last one on. */
    const char *first = strstr(value_of(saved, "-append"), "virtio_mmio.device=512@0xfeb00a00:10");
    assert_non_null(first);
    assert_non_null(strstr(first, "virtio_mmio.device=512@0xfeb00000:5"));
    assert_null(strstr(value_of(saved, "-append"), "0xfeb00c00"));

    snapshot.state = 8;
    config.disks = &disk;
    config.disk_count = 1;
    _cleanup_strv_ char **restored = qemu_arguments(&config, &emulated);
    assert_true(strv_contains(restored, "memory-backend-file,id=ram,size=128M,mem-path=/memory,share=off"));
    assert_string_equal(value_of(restored, "-incoming"), "defer");
    assert_string_equal(value_of(restored, "-append"), value_of(saved, "-append"));
    size_t balloon = index_of(restored, "virtio-balloon-device,free-page-reporting=off");
    size_t its_disk = index_of(restored, "virtio-blk-device,drive=disk0,werror=report,rerror=report");
    assert_true(balloon < its_disk && restored[its_disk]);

    config.hot_disks = true;
    struct error *error = qemu_check_config(&config);
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    error_free(error);
}

static void test_errors_of_qemu(void **state)
{
    assert_sentence(
        qemu_failure_from_errors(1,
            "qemu-system-x86_64: -netdev user,id=net0,hostfwd=udp:127.0.0.1:53-:53: Could not set up "
            "host forwarding rule 'udp:127.0.0.1:53-:53'"),
        ERROR_ALREADY_EXISTS, "port 127.0.0.1:53/udp of the host");
    assert_sentence(qemu_failure_from_errors(1, "host forwarding rule 'tcp::8080-:80'"), ERROR_ALREADY_EXISTS,
        "port 8080/tcp");
    assert_sentence(qemu_failure_from_errors(
                        1, "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory"),
        ERROR_RESOURCE_EXHAUSTED, "not enough memory");
    assert_sentence(qemu_failure_from_errors(1, "qemu-system-x86_64: -device foo: bad device"),
        ERROR_INTERNAL, "exit code 1: bad device");
    assert_sentence(qemu_failure_from_errors(3, ""), ERROR_INTERNAL, "said nothing");
}

static void test_ends(void **state)
{
    struct qemu_end end = {.errors = "", .console = "last words", .started = true};
    assert_null(qemu_failure(&end));
    end.started = false;
    assert_sentence(
        qemu_failure(&end), ERROR_ABORTED, "before its agent answered; its console says: last words");
    end.started = true;
    end.status = SIGKILL;
    assert_sentence(qemu_failure(&end), ERROR_ABORTED, "SIGKILL");
    end.status = SIGSEGV;
    assert_sentence(qemu_failure(&end), ERROR_ABORTED, "signal 11");
    end.status = 0;
    end.panic = "Attempted to kill init!";
    assert_sentence(qemu_failure(&end), ERROR_ABORTED, "panicked: Attempted to kill init!");
    _cleanup_error_ struct error *fault = error_new(ERROR_DEADLINE_EXCEEDED, "too slow");
    end.fault = fault;
    assert_sentence(qemu_failure(&end), ERROR_DEADLINE_EXCEEDED, "too slow");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_machine),
        cmocka_unit_test(test_kvm_is_not_told_of_emulation),
        cmocka_unit_test(test_devices_get_descriptors_in_order),
        cmocka_unit_test(test_network),
        cmocka_unit_test(test_taps),
        cmocka_unit_test(test_ipv6_ports_go_through_loopback),
        cmocka_unit_test(test_processors_and_own_parameters),
        cmocka_unit_test(test_machines_that_grow),
        cmocka_unit_test(test_addresses_of_memory),
        cmocka_unit_test(test_disks_that_last),
        cmocka_unit_test(test_impossible_machines),
        cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_errors_of_qemu),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
