/* SPDX-License-Identifier: Apache-2.0 */
/* Settings: what annotations may do, and how large a machine becomes. */
#include "assertions.h"
#include "base/fd.h"
#include "base/strv.h"
#include "config/config.h"
#include "oci/config.h"
#include "sandbox/settings.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PROCESS "\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0}"
#define SPEC(rest) "{\"ociVersion\":\"1.0.2\"," PROCESS "},\"root\":{\"path\":\"rootfs\"}" rest "}"
#define KATA "io.katacontainers.config"

static Grpc__Spec *parse(const char *text)
{
    Grpc__Spec *spec = NULL;
    assert_ok(oci_config_parse(text, strlen(text), &spec));
    return spec;
}

/* With these annotations: "k":"v",... */
static Grpc__Spec *annotated(const char *annotations)
{
    _cleanup_free_ char *text = must_printf(SPEC(",\"annotations\":{%s}"), annotations);
    return parse(text);
}

static struct class *the_default_class;

static int make_class(void **state)
{
    the_default_class = class_new("default");
    return 0;
}

static int drop_class(void **state)
{
    class_free(the_default_class);
    return 0;
}

static const struct class *default_class(void)
{
    return the_default_class;
}

/* ---- from Caisson's own command line ---- */

static struct settings *settings_of(const char *text)
{
    struct settings *settings = NULL;
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(text);
    assert_ok(settings_read(spec, default_class(), true, &settings));
    return settings;
}

static void test_default_size(void **state)
{
    _cleanup_settings_ struct settings *settings = settings_of(SPEC(""));
    assert_string_equal(settings->hypervisor, "auto");
    assert_int_equal(settings->vcpus, 1);
    assert_int_equal(settings->memory, 512u << 20);
    assert_int_equal(settings->network, HV_NETWORK_NONE);
    assert_null(settings->dns);
}

static void test_size_of_limits(void **state)
{
    static const struct {
        const char *text;
        unsigned vcpus;
        uint64_t mebibytes;
    } cases[] = {
        {SPEC(",\"linux\":{\"resources\":{\"memory\":{\"limit\":268435456}}}"), 1, 256 + 64},
        {SPEC(",\"linux\":{\"resources\":{\"memory\":{\"limit\":268435457}}}"), 1, 256 + 65},
        {SPEC(",\"linux\":{\"resources\":{\"memory\":{\"limit\":1048576}}}"), 1, 128},
        {SPEC(",\"linux\":{\"resources\":{\"memory\":{\"limit\":-1}}}"), 1, 512},
        {SPEC(",\"linux\":{\"resources\":{\"cpu\":{\"quota\":150000,\"period\":100000}}}"), 2, 512},
        {SPEC(",\"linux\":{\"resources\":{\"cpu\":{\"quota\":200000,\"period\":100000}}}"), 2, 512},
        {SPEC(",\"linux\":{\"resources\":{\"cpu\":{\"quota\":-1,\"period\":100000}}}"), 1, 512},
        {SPEC(",\"annotations\":{\"io.caisson.vcpus\":\"4\",\"io.caisson.memory\":\"1g\"}"), 4, 1024},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_settings_ struct settings *settings = settings_of(cases[i].text);
        assert_int_equal(settings->vcpus, cases[i].vcpus);
        assert_int_equal(settings->memory, cases[i].mebibytes << 20);
    }
}

static void test_network_settings(void **state)
{
    _cleanup_settings_ struct settings *settings = settings_of(
        SPEC(",\"annotations\":{\"io.caisson.network\":\"user\",\"io.caisson.dns\":\"1.1.1.1,::1\","
             "\"io.caisson.ports\":\"8080:80,127.0.0.1:53:5353/udp,[::1]:443:8443/tcp\"}"));
    assert_int_equal(settings->network, HV_NETWORK_USER);
    assert_string_equal(settings->dns[1], "::1");
    assert_int_equal(settings->port_count, 3);
    assert_null(settings->ports[0].host_address);
    assert_int_equal(settings->ports[0].host_port, 8080);
    assert_int_equal(settings->ports[0].guest_port, 80);
    assert_string_equal(settings->ports[1].host_address, "127.0.0.1");
    assert_true(settings->ports[1].udp);
    assert_string_equal(settings->ports[2].host_address, "::1");
    assert_int_equal(settings->ports[2].guest_port, 8443);
}

static void test_refused_settings(void **state)
{
    static const char *const annotations[] = {
        "\"io.caisson.hypervisor\":\"abacus\"",
        "\"io.caisson.vcpus\":\"0\"",
        "\"io.caisson.vcpus\":\"1000\"",
        "\"io.caisson.memory\":\"lots\"",
        "\"io.caisson.memory\":\"1m\"",
        "\"io.caisson.memory\":\"9999999g\"",
        "\"io.caisson.network\":\"bridge\"",
        "\"io.caisson.ports\":\"80:80\"",
        "\"io.caisson.network\":\"user\",\"io.caisson.ports\":\"80\"",
        "\"io.caisson.network\":\"user\",\"io.caisson.ports\":\"0:80\"",
        "\"io.caisson.network\":\"user\",\"io.caisson.ports\":\"80:80/icmp\"",
        "\"io.caisson.network\":\"user\",\"io.caisson.ports\":\"example.com:80:80\"",
        "\"io.caisson.network\":\"user\",\"io.caisson.ports\":\"[::1:80:80\"",
        "\"io.caisson.network\":\"user\",\"io.caisson.ports\":\"1:2:3:4\"",
        "\"io.caisson.dns\":\"not-an-address\"",
        "\"io.caisson.debug\":\"perhaps\"",
    };
    for (size_t i = 0; i < ARRAY_SIZE(annotations); i++) {
        struct settings *settings = NULL;
        _cleanup_free_ char *text = must_printf("{\"ociVersion\":\"1.0.2\"," PROCESS
                                                "},\"root\":{\"path\":\"r\"},\"annotations\":{%s}}",
            annotations[i]);
        _cleanup_oci_spec_ Grpc__Spec *spec = parse(text);
        _cleanup_error_ struct error *error = settings_read(spec, default_class(), true, &settings);
        if (error_code(error) != ERROR_INVALID_ARGUMENT && error_code(error) != ERROR_OUT_OF_RANGE)
            fail_msg("%s was not refused", annotations[i]);
        assert_null(settings);
    }
}

/* ---- annotations of pods ---- */

/* Of a pod, in a class of this configuration's [default]. */
static struct error *read_in_class(const char *class_text, const char *annotations, struct settings **ret)
{
    _cleanup_free_ char *text = must_printf("[default]\n%s", class_text);
    _cleanup_config_ struct config *config = NULL;
    _cleanup_class_ struct class *class = NULL;
    _cleanup_oci_spec_ Grpc__Spec *spec = annotated(annotations);
    assert_ok(config_parse("test.conf", text, strlen(text), &config));
    assert_ok(config_class(config, "default", &class));
    return settings_read(spec, class, false, ret);
}

static struct settings *pod(const char *class_text, const char *annotations)
{
    struct settings *settings = NULL;
    assert_ok(read_in_class(class_text, annotations, &settings));
    return settings;
}

static void expect_remark(const struct settings *settings, const char *name, const char *words)
{
    STRV_FOREACH (remark, settings->remarks)
        if (strstr(*remark, name) && strstr(*remark, words))
            return;
    _cleanup_free_ char *all = strv_join(settings->remarks, " | ");
    fail_msg("no remark on %s (%s) in: %s", name, words, all);
}

static void test_kata_annotations(void **state)
{
    _cleanup_settings_ struct settings *settings =
        pod("kernel_params = a=1\nenable_annotations = vcpus default_memory default_max* kernel_params "
            "disable_guest_seccomp\n",
            "\"" KATA ".hypervisor.default_vcpus\":\"1.5\","
            "\"" KATA ".hypervisor.default_max_vcpus\":\"3\","
            "\"" KATA ".hypervisor.default_memory\":\"768\","
            "\"" KATA ".hypervisor.default_maxmemory\":\"1024\","
            "\"" KATA ".hypervisor.kernel_params\":\"b c=2\","
            "\"" KATA ".runtime.disable_guest_seccomp\":\"True\"");
    assert_int_equal(settings->vcpus, 2);
    assert_int_equal(settings->vcpus_max, 3);
    assert_int_equal(settings->memory, 768u << 20);
    assert_int_equal(settings->memory_max, 1024u << 20);
    assert_string_equal(settings->kernel_params, "a=1 b c=2");
    assert_false(settings->guest_seccomp);
    assert_null(settings->remarks);
}

static void test_own_annotations(void **state)
{
    _cleanup_settings_ struct settings *settings =
        pod("enable_annotations = hypervisor vcpus scratch_size debug\n",
            "\"io.caisson.hypervisor\":\"qemu-tcg\",\"io.caisson.vcpus\":\"4\","
            "\"io.caisson.scratch-size\":\"1g\",\"io.caisson.debug\":\"true\"");
    assert_string_equal(settings->hypervisor, "qemu-tcg");
    assert_int_equal(settings->vcpus, 4);
    assert_int_equal(settings->scratch_size, 1u << 30);
    assert_true(settings->debug);
    assert_null(settings->remarks);
}

static void test_not_allowed(void **state)
{
    _cleanup_settings_ struct settings *settings = pod("enable_annotations = memory\n",
        "\"" KATA ".hypervisor.default_vcpus\":\"8\",\"io.caisson.debug\":\"true\","
        "\"" KATA ".hypervisor.kernel_params\":\"init=/bin/sh\","
        "\"" KATA ".hypervisor.virtio_fs_extra_args\":\"x\","
        "\"" KATA "_path\":\"/opt/kata/configuration.toml\","
        "\"io.caisson.network\":\"user\",\"io.caisson.ports\":\"80:80\",\"io.caisson.vcpu\":\"2\"");
    assert_int_equal(settings->vcpus, 1);
    assert_false(settings->debug);
    assert_null(settings->kernel_params);
    assert_int_equal(settings->network, HV_NETWORK_NONE);
    assert_int_equal(settings->port_count, 0);
    expect_remark(settings, "default_vcpus", "enable_annotations of class default");
    expect_remark(settings, "io.caisson.debug", "enable_annotations");
    expect_remark(settings, "kernel_params", "enable_annotations");
    expect_remark(settings, "virtio_fs_extra_args", "no counterpart");
    expect_remark(settings, "config_path", "configuration of Kata");
    expect_remark(settings, "io.caisson.ports", "own command line");
    expect_remark(settings, "io.caisson.vcpu", "did you mean io.caisson.vcpus?");
}

/* No list can give these away. */
static void test_never_allowed(void **state)
{
    _cleanup_settings_ struct settings *settings = pod("enable_annotations = *\n",
        "\"io.caisson.kernel\":\"/etc/shadow\",\"io.caisson.enable-annotations\":\"*\","
        "\"io.caisson.memory_overhead\":\"0\",\"" KATA ".hypervisor.kernel\":\"/etc/shadow\"");
    assert_null(settings->kernel);
    assert_int_equal(strv_length(settings->remarks), 4);
}

static void test_bad_values(void **state)
{
    static const char *const annotations[] = {
        "\"" KATA ".hypervisor.default_vcpus\":\"0\"",
        "\"" KATA ".hypervisor.default_vcpus\":\"-1\"",
        "\"" KATA ".hypervisor.default_vcpus\":\"5\"",
        "\"" KATA ".hypervisor.default_memory\":\"1\"",
        "\"" KATA ".hypervisor.default_memory\":\"512m\"",
        "\"" KATA ".hypervisor.default_memory\":\"99999999999\"",
        "\"" KATA ".hypervisor.kernel_params\":\"init=/bin/sh\"",
        "\"" KATA ".runtime.disable_guest_seccomp\":\"yes\"",
        "\"io.caisson.vcpus\":\"5\"",
        "\"io.caisson.memory\":\"2g\"",
    };
    for (size_t i = 0; i < ARRAY_SIZE(annotations); i++) {
        struct settings *settings = NULL;
        _cleanup_error_ struct error *error = read_in_class(
            "vcpus_max = 4\nmemory_max = 1g\nenable_annotations = *\n", annotations[i], &settings);
        if (!error)
            fail_msg("%s was not refused", annotations[i]);
        assert_non_null(strstr(error_message(error), "annotation"));
        assert_null(settings);
    }
}

/* A pod cannot raise what its class allows. */
static void test_bounds_only_fall(void **state)
{
    _cleanup_settings_ struct settings *settings =
        pod("vcpus_max = 4\nmemory_max = 1g\nenable_annotations = *\n",
            "\"" KATA ".hypervisor.default_max_vcpus\":\"64\",\"io.caisson.memory-max\":\"2t\"");
    assert_int_equal(settings->vcpus_max, 4);
    assert_int_equal(settings->memory_max, 1u << 30);
}

/* ---- limits of pods ---- */

#define CRI "\"io.kubernetes.cri.sandbox-"

static void test_pod_sizes(void **state)
{
    static const struct {
        const char *class_text, *annotations;
        unsigned vcpus;
        uint64_t mebibytes;
    } cases[] = {
        /* Nothing limits it: the class's own size. */
        {"", CRI "cpu-quota\":\"0\"," CRI "cpu-period\":\"100000\"," CRI "memory\":\"0\"", 1, 512},
        {"vcpus = 2\nmemory = 1g\n", CRI "cpu-quota\":\"-1\"," CRI "memory\":\"0\"", 2, 1024},
        /* The limits, rounded up, with the class's overhead. */
        {"", CRI "cpu-quota\":\"220000\"," CRI "cpu-period\":\"100000\"," CRI "memory\":\"536870912\"", 3,
            576},
        {"memory_overhead = 100m\n", CRI "memory\":\"536870912\"", 1, 612},
        {"", CRI "memory\":\"1048576\"", 1, 128},
        /* Front ends' mistakes are left aside. */
        {"", CRI "cpu-quota\":\"many\"," CRI "cpu-period\":\"0\"," CRI "memory\":\"1e9\"", 1, 512},
        /* Processors are capped. */
        {"vcpus_max = 2\n", CRI "cpu-quota\":\"800000\"," CRI "cpu-period\":\"100000\"", 2, 512},
        /* CRI-O's, by its new and its old name. */
        {"",
            "\"pod-linux-resources.crio.io\":\"{\\\"cpu_period\\\":100000,\\\"cpu_quota\\\":150000,"
            "\\\"memory_limit_in_bytes\\\":268435456,\\\"unified\\\":{}}\"",
            2, 320},
        {"", "\"io.kubernetes.cri-o.PodLinuxResources\":\"{\\\"memory_limit_in_bytes\\\":268435456}\"", 1,
            320},
        {"", "\"io.kubernetes.cri-o.PodLinuxResources\":\"null\"", 1, 512},
        {"", "\"io.kubernetes.cri-o.PodLinuxResources\":\"[{\"", 1, 512},
        /* Kata's annotations are the least, ours are exact. */
        {"enable_annotations = *\n",
            "\"" KATA ".hypervisor.default_vcpus\":\"2\",\"" KATA ".hypervisor.default_memory\":\"1024\"," CRI
            "cpu-quota\":\"400000\"," CRI "cpu-period\":\"100000\"," CRI "memory\":\"268435456\"",
            4, 1024},
        {"enable_annotations = *\n",
            "\"io.caisson.vcpus\":\"2\",\"io.caisson.memory\":\"200m\"," CRI "cpu-quota\":\"400000\"," CRI
            "cpu-period\":\"100000\"," CRI "memory\":\"268435456\"",
            2, 200},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_settings_ struct settings *settings = pod(cases[i].class_text, cases[i].annotations);
        if (settings->vcpus != cases[i].vcpus || settings->memory != cases[i].mebibytes << 20)
            fail_msg("case %zu (%s): %u vCPUs, %llu bytes", i, cases[i].annotations, settings->vcpus,
                (unsigned long long)settings->memory);
        assert_true(settings->vcpus_max == 0 || settings->vcpus_max >= settings->vcpus);
        assert_true(settings->memory_max >= settings->memory);
    }
}

/* Room to grow that nobody asked for costs every machine. */
static void test_room_to_grow(void **state)
{
    static const struct {
        const char *class_text, *annotations;
        uint64_t mebibytes;
        bool told;
    } cases[] = {
        {"", "", 4096, false},
        {"", CRI "cpu-quota\":\"0\"," CRI "cpu-period\":\"100000\"," CRI "memory\":\"0\"", 4096, true},
        {"", CRI "memory\":\"1073741824\"", 4096, true},
        {"memory_overhead = 0\n", CRI "memory\":\"4294967296\"", 8192, true},
        {"memory_max = 1g\n", CRI "memory\":\"268435456\"", 1024, true},
        {"memory_max = 1g\nmemory_max = auto\nvcpus_max = auto\n", "", 4096, false},
        {"enable_annotations = *\n", "\"io.caisson.memory-max\":\"1g\"", 1024, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_settings_ struct settings *settings = pod(cases[i].class_text, cases[i].annotations);
        if (settings->memory_max != cases[i].mebibytes << 20 || settings->limits_told != cases[i].told)
            fail_msg("case %zu: %llu MiB, told %d", i, (unsigned long long)settings->memory_max >> 20,
                settings->limits_told);
        assert_int_equal(settings->vcpus_max, 0);
    }
}

static void test_too_large_a_limit(void **state)
{
    struct settings *settings = NULL;
    _cleanup_error_ struct error *error =
        read_in_class("memory_max = 1g\n", CRI "memory\":\"1073741824\"", &settings);
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error_message(error), "1073741824"));
    assert_non_null(strstr(error_message(error), "memory_max"));
    assert_null(settings);
}

/* ---- the whole way from a file ---- */

static void test_class_choice(void **state)
{
    char file[] = "/tmp/test-settings-XXXXXX";
    close_fd(mkstemp(file));
    assert_ok(file_write_text(
        AT_FDCWD, file, "[default]\nvcpus = 2\n[class a]\nvcpus = 3\n[class b]\nvcpus = 4\n"));
    _cleanup_free_ char *with_class = must_printf("%s#a", file);
    static const char b[] = "\"io.caisson.class\":\"b\"";
    const struct {
        const char *path, *annotations;
        unsigned vcpus;
    } cases[] = {{file, "", 2}, {with_class, "", 3}, {with_class, b, 4}, {file, b, 4}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_settings_ struct settings *settings = NULL;
        _cleanup_oci_spec_ Grpc__Spec *spec = annotated(cases[i].annotations);
        const struct settings_source source = {.spec = spec, .config_path = cases[i].path};
        assert_ok(settings_load(&source, &settings));
        assert_int_equal(settings->vcpus, cases[i].vcpus);
    }
    _cleanup_oci_spec_ Grpc__Spec *spec = annotated("\"io.caisson.class\":\"c\"");
    const struct settings_source source = {.spec = spec, .config_path = file};
    struct settings *none = NULL;
    _cleanup_error_ struct error *error = settings_load(&source, &none);
    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error_message(error), "annotation io.caisson.class: there is no class \"c\""));
    unlink(file);
}

static void test_kata_configuration(void **state)
{
    setenv("CAISSON_CONFIG", "/dev/null", 1);
    _cleanup_settings_ struct settings *settings = NULL;
    _cleanup_oci_spec_ Grpc__Spec *spec = annotated("");
    const struct settings_source source = {.spec = spec, .config_path = "/opt/kata/configuration-qemu.toml"};
    assert_ok(settings_load(&source, &settings));
    unsetenv("CAISSON_CONFIG");
    expect_remark(settings, "configuration-qemu.toml", "left aside");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_size),
        cmocka_unit_test(test_size_of_limits),
        cmocka_unit_test(test_network_settings),
        cmocka_unit_test(test_refused_settings),
        cmocka_unit_test(test_kata_annotations),
        cmocka_unit_test(test_own_annotations),
        cmocka_unit_test(test_not_allowed),
        cmocka_unit_test(test_never_allowed),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_bounds_only_fall),
        cmocka_unit_test(test_pod_sizes),
        cmocka_unit_test(test_room_to_grow),
        cmocka_unit_test(test_too_large_a_limit),
        cmocka_unit_test(test_class_choice),
        cmocka_unit_test(test_kata_configuration),
    };
    return cmocka_run_group_tests_name("settings", tests, make_class, drop_class);
}
