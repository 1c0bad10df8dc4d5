/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of run: what docker would write, and valid to the reader that the shim uses. */
#include "assertions.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "base/strv.h"
#include "cli/capability.h"
#include "cli/seccomp.h"
#include "cli/spec.h"
#include "oci/config.h"

#include <fcntl.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LIST(...) ((char *[]){__VA_ARGS__, NULL})
#define TEXT(text) ((char[]){text})

/* An input with the least that there always is. */
static struct spec_input input_of(const struct run_settings *settings, const struct image_config *image,
    const struct mount_list *mounts, char *const *arguments)
{
    return (struct spec_input){.settings = settings,
        .image = image,
        .mounts = mounts,
        .arguments = arguments,
        .network = "none",
        .hostname = "box",
        .bundle = "/bundle"};
}

static const json_t *at(const json_t *value, const char *path)
{
    _cleanup_strv_ char **keys = strv_split(path, '.');

    STRV_FOREACH (key, keys)
        value = json_is_array(value) ? json_array_get(value, strtoul(*key, NULL, 10))
                                     : json_object_get(value, *key);
    return value;
}

static void expect_at(const json_t *spec, const char *path, const char *expected)
{
    char *text = json_dumps(at(spec, path), JSON_COMPACT | JSON_ENCODE_ANY);

    if (!text || strcmp(text, expected))
        fail_msg("%s is %s, not %s", path, text ?: "absent", expected);
    free(text);
}

static Grpc__Spec *parsed(const json_t *spec)
{
    _cleanup_free_ char *text = spec_write(spec);
    Grpc__Spec *result = NULL;

    assert_ok(oci_config_parse(text, strlen(text), &result));
    return result;
}

/* ---- the whole ---- */

static void test_the_least(void **state)
{
    const struct run_settings settings = {.hypervisor = "auto"};
    const struct image_config image = {.command = LIST(TEXT("sh"))};
    const struct mount_list mounts = {0};
    const struct spec_input input = input_of(&settings, &image, &mounts, NULL);
    _cleanup_json_ json_t *spec = NULL;

    assert_ok(spec_build(&input, &spec));
    expect_at(spec, "process.args", "[\"sh\"]");
    expect_at(spec, "process.cwd", "\"/\"");
    expect_at(spec, "process.env",
        "[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\"HOSTNAME=box\"]");
    expect_at(spec, "process.noNewPrivileges", "false");
    expect_at(spec, "hostname", "\"box\"");
    expect_at(spec, "annotations", "{\"io.caisson.hypervisor\":\"auto\",\"io.caisson.network\":\"none\"}");
    _cleanup_oci_spec_ Grpc__Spec *message = parsed(spec);
    assert_int_equal(message->n_mounts, 9); /* docker's 7, hosts and hostname */
    assert_int_equal(message->linux_config->n_masked_paths, 12);
    assert_int_equal(message->linux_config->n_readonly_paths, 5);
    assert_int_equal(message->linux_config->n_namespaces, 6);
}

static void test_everything(void **state)
{
    const struct run_settings settings = {.hypervisor = "qemu-tcg",
        .terminal = true,
        .read_only = true,
        .init = true,
        .user = "app:staff",
        .working_directory = "/srv",
        .entrypoint = "env",
        .groups = LIST(TEXT("7")),
        .limits = LIST(TEXT("nofile=10:20"), TEXT("core=unlimited")),
        .sysctls = LIST(TEXT("net.ipv4.ip_forward=1")),
        .annotations = LIST(TEXT("a.b=c=d"), TEXT("io.caisson.memory=1g")),
        .dns = LIST(TEXT("1.1.1.1"), TEXT("9.9.9.9")),
        .memory = 64u << 20,
        .cpus = 1500,
        .pids = 33,
        .vcpus = 2,
        .scratch = 1u << 30,
        .shared = 1u << 20};
    const struct image_config image = {.entrypoint = LIST(TEXT("/entry")),
        .command = LIST(TEXT("cmd")),
        .environment = LIST(TEXT("PATH=/bin"), TEXT("X=1")),
        .user = TEXT("root"),
        .working_directory = TEXT("/image")};
    const struct mount_list mounts = {0};
    struct spec_input input = input_of(&settings, &image, &mounts, LIST(TEXT("-u"), TEXT("x")));
    _cleanup_json_ json_t *spec = NULL, *seccomp = NULL;
    _cleanup_strv_ char **capabilities = NULL;

    assert_ok(capabilities_choose(NULL, NULL, false, &capabilities));
    seccomp = seccomp_default(capabilities);
    input.capabilities = capabilities;
    input.seccomp = seccomp;
    input.environment = LIST(TEXT("X=2"), TEXT("TERM=vt100"));
    input.ports = LIST(TEXT("80:80/tcp"), TEXT("81:81/udp"));
    input.network = "user";
    input.has_resolver = true;
    input.no_new_privileges = true;
    assert_ok(spec_build(&input, &spec));
    expect_at(spec, "process.args", "[\"env\",\"-u\",\"x\"]");
    expect_at(spec, "process.env", "[\"PATH=/bin\",\"X=2\",\"HOSTNAME=box\",\"TERM=vt100\"]");
    expect_at(
        spec, "process.user", "{\"uid\":0,\"gid\":0,\"username\":\"app:staff\",\"additionalGids\":[7]}");
    expect_at(spec, "process.cwd", "\"/srv\"");
    expect_at(spec, "root.readonly", "true");
    expect_at(spec, "linux.resources.memory", "{\"limit\":67108864}");
    expect_at(spec, "linux.resources.cpu", "{\"quota\":150000,\"period\":100000}");
    expect_at(spec, "linux.resources.pids", "{\"limit\":33}");
    expect_at(spec, "linux.sysctl", "{\"net.ipv4.ip_forward\":\"1\"}");
    expect_at(spec, "annotations",
        "{\"io.caisson.hypervisor\":\"qemu-tcg\",\"io.caisson.vcpus\":\"2\",\"io.caisson.scratch-size\":"
        "\"1073741824\",\"io.caisson.network\":\"user\",\"io.caisson.ports\":\"80:80/tcp,81:81/udp\","
        "\"io.caisson.dns\":\"1.1.1.1,9.9.9.9\",\"io.caisson.init\":\"true\",\"a.b\":\"c=d\","
        "\"io.caisson.memory\":\"1g\"}");
    _cleanup_oci_spec_ Grpc__Spec *message = parsed(spec);
    assert_int_equal(message->process->n_rlimits, 2);
    assert_int_equal(message->process->rlimits[0]->hard, 20);
    assert_true(message->process->rlimits[1]->soft == UINT64_MAX);
    assert_int_equal(message->process->capabilities->n_bounding, 14);
    assert_int_equal(message->process->capabilities->n_ambient, 0);
    assert_true(message->process->terminal && message->process->no_new_privileges);
}

static void test_commands(void **state)
{
    static const struct {
        const char *entrypoint; /* of the user */
        bool arguments;
        const char *expected;
    } cases[] = {{NULL, false, "/entry cmd"}, {NULL, true, "/entry arg"}, {"other", false, "other"},
        {"other", true, "other arg"}, {"", true, "arg"}};
    const struct image_config image = {.entrypoint = LIST(TEXT("/entry")), .command = LIST(TEXT("cmd"))};
    const struct image_config nothing = {0};
    const struct mount_list mounts = {0};
    _cleanup_strv_ char **none = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct run_settings settings = {.entrypoint = cases[i].entrypoint};
        char *words[] = {TEXT("arg"), NULL};
        const struct spec_input input =
            input_of(&settings, &image, &mounts, cases[i].arguments ? words : NULL);
        _cleanup_strv_ char **command = NULL;
        assert_ok(spec_command(&input, &command));
        _cleanup_free_ char *text = strv_join(command, " ");
        assert_string_equal(text, cases[i].expected);
    }
    const struct run_settings settings = {0};
    const struct spec_input input = input_of(&settings, &nothing, &mounts, NULL);
    assert_says(spec_command(&input, &none), "no command of its own");
}

static void test_privileged(void **state)
{
    const struct run_settings settings = {.hypervisor = "auto", .privileged = true};
    const struct image_config image = {.command = LIST(TEXT("sh"))};
    const struct mount_list mounts = {0};
    const struct spec_input input = input_of(&settings, &image, &mounts, NULL);
    _cleanup_json_ json_t *spec = NULL;

    assert_ok(spec_build(&input, &spec));
    assert_null(at(spec, "linux.maskedPaths"));
    assert_null(at(spec, "linux.seccomp"));
    expect_at(spec, "mounts.4.options", "[\"nosuid\",\"noexec\",\"nodev\"]");
    _cleanup_oci_spec_ Grpc__Spec *message = parsed(spec);
    assert_int_equal(message->linux_config->resources->n_devices, 1);
}

static void refuse_settings(const struct run_settings *settings, const char *sentence)
{
    const struct image_config image = {.command = LIST(TEXT("sh"))};
    const struct mount_list mounts = {0};
    const struct spec_input input = input_of(settings, &image, &mounts, NULL);
    json_t *spec = NULL;

    assert_says(spec_build(&input, &spec), sentence);
}

static void test_settings_that_are_wrong(void **state)
{
    refuse_settings(
        &(struct run_settings){.hypervisor = "a", .limits = LIST(TEXT("nofle=1"))}, "did you mean nofile");
    refuse_settings(&(struct run_settings){.hypervisor = "a", .limits = LIST(TEXT("nofile"))}, "NAME=SOFT");
    refuse_settings(
        &(struct run_settings){.hypervisor = "a", .limits = LIST(TEXT("nofile=3:2"))}, "above the hard");
    refuse_settings(&(struct run_settings){.hypervisor = "a", .sysctls = LIST(TEXT("x"))}, "NAME=VALUE");
    refuse_settings(&(struct run_settings){.hypervisor = "a", .annotations = LIST(TEXT("=x"))}, "KEY=VALUE");
    refuse_settings(&(struct run_settings){.hypervisor = "a", .memory = 4096}, "at least");
    refuse_settings(&(struct run_settings){.hypervisor = "a", .working_directory = "tmp"}, "absolute");
    refuse_settings(&(struct run_settings){.hypervisor = "a", .groups = LIST(TEXT("staff"))}, "--group-add");
    refuse_settings(&(struct run_settings){.hypervisor = "a", .user = "\xff"}, "UTF-8");
}

static void test_unlimited_survives_reading(void **state)
{
    char directory[] = "/tmp/caisson-spec-XXXXXX";
    _cleanup_json_ json_t *spec = json_pack("{s:[{s:s, s:I, s:I}], s:s}", "rlimits", "type", "RLIMIT_CORE",
        "soft", (json_int_t)SPEC_UNLIMITED, "hard", (json_int_t)SPEC_UNLIMITED, "text",
        "\"soft\":9223372036854775807");
    _cleanup_json_ json_t *again = NULL;

    assert_non_null(mkdtemp(directory));
    _cleanup_free_ char *path = must_printf("%s/config.json", directory), *text = spec_write(spec);
    assert_non_null(strstr(text, "\"soft\":18446744073709551615,\"hard\":18446744073709551615"));
    assert_ok(file_write_text(AT_FDCWD, path, text));
    assert_ok(spec_read(directory, &again));
    assert_true(json_equal(spec, again));
    error_free(tree_remove(directory));
}

/* ---- seccomp ---- */

/* Whether a rule without conditions gives the call this action. */
static bool has_rule(const json_t *profile, const char *name, const char *action, bool conditional)
{
    size_t index, position;
    json_t *rule, *text;

    json_array_foreach (json_object_get(profile, "syscalls"), index, rule) {
        if (strcmp(json_string_value(json_object_get(rule, "action")), action) ||
            (json_object_get(rule, "args") != NULL) != conditional)
            continue;
        json_array_foreach (json_object_get(rule, "names"), position, text) {
            if (!strcmp(json_string_value(text), name))
                return true;
        }
    }
    return false;
}

static void test_the_default_profile(void **state)
{
    static const char *const never[] = {"init_module", "kexec_load", "add_key", "keyctl", "io_uring_setup",
        "userfaultfd", "perf_event_open", "bpf", "mount", "unshare", "setns", "swapon", "reboot", "ptrace_x"};
    _cleanup_strv_ char **capabilities = NULL, **more = NULL;

    assert_ok(capabilities_choose(NULL, NULL, false, &capabilities));
    assert_ok(capabilities_choose(LIST(TEXT("SYS_ADMIN"), TEXT("SYS_MODULE")), NULL, false, &more));
    _cleanup_json_ json_t *usual = seccomp_default(capabilities), *wide = seccomp_default(more);
    assert_true(has_rule(usual, "read", "SCMP_ACT_ALLOW", false));
    assert_true(has_rule(usual, "chroot", "SCMP_ACT_ALLOW", false));
    assert_true(has_rule(usual, "clone", "SCMP_ACT_ALLOW", true));
    assert_true(has_rule(usual, "socket", "SCMP_ACT_ALLOW", true));
    assert_true(has_rule(usual, "personality", "SCMP_ACT_ALLOW", true));
    assert_true(has_rule(usual, "clone3", "SCMP_ACT_ERRNO", false));
    for (size_t i = 0; i < ARRAY_SIZE(never); i++)
        assert_false(has_rule(usual, never[i], "SCMP_ACT_ALLOW", false));
    assert_true(has_rule(wide, "mount", "SCMP_ACT_ALLOW", false));
    assert_true(has_rule(wide, "clone3", "SCMP_ACT_ALLOW", false));
    assert_true(has_rule(wide, "init_module", "SCMP_ACT_ALLOW", false));
    assert_false(has_rule(wide, "clone3", "SCMP_ACT_ERRNO", false));
}

static struct error *read_profile(const char *text, json_t **ret_profile)
{
    char path[] = "/tmp/caisson-profile-XXXXXX";
    int fd = mkstemp(path);

    assert_ok(fd_write_all(fd, text, strlen(text)));
    close(fd);
    struct error *error = seccomp_read_file(path, LIST(TEXT("CAP_SYS_PTRACE")), ret_profile);
    unlink(path);
    return error;
}

static void test_a_profile_in_dockers_format(void **state)
{
    _cleanup_json_ json_t *profile = NULL;
    json_t *none = NULL;

    assert_ok(read_profile(
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"archMap\":[],\"syscalls\":["
        "{\"names\":[\"a\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":null,\"comment\":\"x\"},"
        "{\"names\":[\"b\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_BOOT\"]}},"
        "{\"names\":[\"c\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_PTRACE\"]}},"
        "{\"names\":[\"d\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"caps\":[\"CAP_SYS_PTRACE\"]}},"
        "{\"names\":[\"e\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":[\"s390x\"]}},"
        "{\"names\":[\"f\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"4.8\"}},"
        "{\"name\":\"g\",\"action\":\"SCMP_ACT_ALLOW\"}]}",
        &profile));
    expect_at(profile, "architectures", "[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\"]");
    assert_int_equal(json_array_size(at(profile, "syscalls")), 4);
    expect_at(profile, "syscalls.0", "{\"names\":[\"a\"],\"action\":\"SCMP_ACT_ALLOW\"}");
    expect_at(profile, "syscalls.1.names", "[\"c\"]");
    expect_at(profile, "syscalls.2.names", "[\"f\"]");
    expect_at(profile, "syscalls.3.names", "[\"g\"]");
    assert_says(read_profile("{}", &none), "defaultAction");
    assert_says(read_profile("{", &none), "line");
    assert_says(read_profile("{\"defaultAction\":\"x\",\"syscalls\":[3]}", &none), "syscalls[0]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_least),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_privileged),
        cmocka_unit_test(test_settings_that_are_wrong),
        cmocka_unit_test(test_unlimited_survives_reading),
        cmocka_unit_test(test_the_default_profile),
        cmocka_unit_test(test_a_profile_in_dockers_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
