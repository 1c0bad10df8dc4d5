/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that must be understood. Those that must be refused are in test_oci_refused.c. */
#include "base/path.h"
#include "base/process.h"
#include "base/strv.h"
#include "oci/big_integer.h"
#include "oci/config.h"
#include "oci_documents.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static Grpc__Spec *parse(const char *quoted)
{
    _cleanup_free_ char *text = oci_unquote(quoted);
    Grpc__Spec *spec = NULL;
    _cleanup_error_ struct error *error = oci_config_parse(text, strlen(text), &spec);

    if (error)
        fail_msg("%s", error_message(error));
    return spec;
}

static void assert_strings(const char **strings, size_t count, const char *joined)
{
    _cleanup_strv_ char **vector = NULL;

    for (size_t i = 0; i < count; i++)
        strv_append(&vector, strings[i]);
    _cleanup_free_ char *text = strv_join(vector, " ");
    assert_string_equal(text, joined);
}

static void test_smallest_document(void **state)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(OCI_SPEC(""));

    assert_string_equal(spec->version, "1.0.2");
    assert_string_equal(spec->root->path, "rootfs");
    assert_false(spec->root->readonly);
    assert_string_equal(spec->process->cwd, "/");
    assert_strings(spec->process->args, spec->process->n_args, "sh");
    assert_string_equal(spec->hostname, "");
    assert_int_equal(spec->process->user->uid, 0);
    assert_int_equal(spec->process->user->has_umask_case, GRPC__USER__HAS_UMASK__NOT_SET);
    assert_null(spec->linux_config);
    assert_int_equal(spec->n_mounts, 0);
}

static void test_process(void **state)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(oci_full_document);
    const Grpc__Process *process = spec->process;

    assert_true(process->terminal);
    assert_int_equal(process->console_size->height, 25);
    assert_int_equal(process->user->uid, 1000);
    assert_int_equal(process->user->umask, 18);
    assert_int_equal(process->user->has_umask_case, GRPC__USER__HAS_UMASK_UMASK);
    assert_int_equal(process->user->n_additional_gids, 2);
    assert_int_equal(process->user->additional_gids[1], 4294967295);
    assert_strings(process->args, process->n_args, "sh -c echo  \xc3\xa4");
    assert_strings(process->env, process->n_env, "PATH=/bin EMPTY=");
    assert_strings(
        process->capabilities->bounding, process->capabilities->n_bounding, "CAP_CHOWN CAP_NEXT_YEAR");
    assert_strings(process->capabilities->ambient, process->capabilities->n_ambient, "CAP_CHOWN");
    assert_int_equal(process->rlimits[0]->soft, 1024);
    assert_string_equal(process->rlimits[1]->type, "RLIMIT_MEMLOCK");
    assert_true(process->rlimits[1]->hard == UINT64_MAX);
    assert_true(process->rlimits[1]->soft == (uint64_t)INT64_MAX + 1);
    assert_true(process->no_new_privileges);
    assert_int_equal(process->oom_score_adj, -500);
    assert_string_equal(process->apparmor_profile, "confined");
    assert_string_equal(process->io_priority->class_, "IOPRIO_CLASS_IDLE");
}

static void test_mounts_hooks_annotations(void **state)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(oci_full_document);

    assert_true(spec->root->readonly);
    assert_string_equal(spec->hostname, "host");
    assert_string_equal(spec->domainname, "domain");
    assert_int_equal(spec->n_mounts, 2);
    assert_string_equal(spec->mounts[0]->destination, "/proc");
    assert_string_equal(spec->mounts[1]->destination, "/relative");
    assert_strings(spec->mounts[1]->options, spec->mounts[1]->n_options, "rbind ro");
    assert_string_equal(spec->hooks->create_runtime[0]->path, "/hook");
    assert_int_equal(spec->hooks->create_runtime[0]->timeout, 5);
    assert_int_equal(spec->hooks->n_poststop, 1);
    assert_string_equal(oci_annotation(spec, "a.b/c"), "value");
    assert_string_equal(oci_annotation(spec, "empty"), "");
    assert_null(oci_annotation(spec, "none"));
}

static void test_linux(void **state)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(oci_full_document);
    const Grpc__Linux *config = spec->linux_config;

    assert_int_equal(config->uid_mappings[0]->size, 4294967295);
    assert_int_equal(config->gid_mappings[0]->host_id, 1000);
    assert_string_equal(config->sysctl[0]->key, "net.ipv4.ip_forward");
    assert_string_equal(config->cgroups_path, "/group");
    assert_int_equal(config->n_namespaces, 3);
    assert_string_equal(config->namespaces[1]->path, "/proc/1/ns/net");
    assert_int_equal(config->devices[0]->file_mode, 0666);
    assert_int_equal(config->devices[1]->file_mode, 0600);
    assert_int_equal(config->devices[1]->minor, 0);
    assert_string_equal(config->rootfs_propagation, "rslave");
    assert_strings(config->masked_paths, config->n_masked_paths, "/proc/kcore");
    assert_strings(config->readonly_paths, config->n_readonly_paths, "/proc/sys");
    assert_string_equal(config->personality->domain, "LINUX32");
}

static void test_resources(void **state)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(oci_full_document);
    const Grpc__LinuxResources *resources = spec->linux_config->resources;

    assert_false(resources->devices[0]->allow);
    assert_int_equal(resources->devices[0]->major, -1);
    assert_int_equal(resources->devices[1]->major, 10);
    assert_int_equal(resources->memory->limit, 536870912);
    assert_int_equal(resources->memory->swap, -1);
    assert_int_equal(resources->cpu->quota, 150000);
    assert_int_equal(resources->cpu->burst, 20000);
    assert_string_equal(resources->cpu->cpus, "0-3,7");
    assert_int_equal(resources->pids->limit, 100);
    assert_int_equal(resources->block_io->weight_device[0]->leaf_weight, 300);
    assert_int_equal(resources->block_io->throttle_write_iops_device[0]->rate, 300);
    assert_string_equal(resources->hugepage_limits[0]->pagesize, "2MB");
    assert_int_equal(resources->network->priorities[0]->priority, 500);
    assert_string_equal(resources->unified[0]->key, "memory.high");
}

static void test_seccomp(void **state)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(oci_full_document);
    const Grpc__LinuxSeccomp *profile = spec->linux_config->seccomp;

    assert_string_equal(profile->default_action, "SCMP_ACT_ERRNO");
    assert_int_equal(profile->default_errno_ret, 38);
    assert_strings(profile->architectures, profile->n_architectures, "SCMP_ARCH_X86_64 SCMP_ARCH_X86");
    assert_int_equal(profile->n_syscalls, 3);
    assert_strings(profile->syscalls[0]->names, profile->syscalls[0]->n_names, "read write");
    assert_int_equal(profile->syscalls[0]->has_errno_ret_case, GRPC__LINUX_SYSCALL__HAS_ERRNO_RET__NOT_SET);
    assert_int_equal(profile->syscalls[1]->args[0]->value, 2114060288);
    assert_string_equal(profile->syscalls[1]->args[0]->op, "SCMP_CMP_MASKED_EQ");
    assert_int_equal(profile->syscalls[2]->errno_ret, 0);
    assert_int_equal(profile->syscalls[2]->has_errno_ret_case, GRPC__LINUX_SYSCALL__HAS_ERRNO_RET_ERRNO_RET);
}

static void test_nothing_is_lost_on_the_wire(void **state)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(oci_full_document);
    size_t length = grpc__spec__get_packed_size(spec);
    _cleanup_free_ uint8_t *once = must_alloc(length);
    _cleanup_free_ uint8_t *twice = must_alloc(length);

    assert_int_equal(grpc__spec__pack(spec, once), length);
    _cleanup_oci_spec_ Grpc__Spec *copy = grpc__spec__unpack(NULL, length, once);
    assert_non_null(copy);
    assert_int_equal(grpc__spec__pack(copy, twice), length);
    assert_memory_equal(once, twice, length);
    assert_true(copy->process->rlimits[1]->hard == UINT64_MAX);
}

static void test_null_and_empty_mean_missing(void **state)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(OCI_SPEC(
        ",'hooks':null,'mounts':[],'annotations':{},'linux':{'rootfsPropagation':'','seccomp':null,"
        "'intelRdt':{},'timeOffsets':null,'namespaces':[{'type':'pid','path':''}],'unknown':[1,{}]}"));

    assert_null(spec->hooks);
    assert_null(spec->linux_config->seccomp);
    assert_string_equal(spec->linux_config->rootfs_propagation, "");
}

static void test_process_and_resources_stand_alone(void **state)
{
    _cleanup_free_ char *process_text = oci_unquote("{'cwd':'/tmp','args':['id'],'user':{'uid':7,'gid':8}}");
    _cleanup_free_ char *resources_text =
        oci_unquote("{'memory':{'limit':1048576},'unified':{'cpu.max':'max'}}");
    _cleanup_oci_process_ Grpc__Process *process = NULL;
    _cleanup_oci_resources_ Grpc__LinuxResources *resources = NULL;

    assert_null(oci_process_parse(process_text, strlen(process_text), &process));
    assert_int_equal(process->user->gid, 8);
    assert_null(oci_resources_parse(resources_text, strlen(resources_text), &resources));
    assert_int_equal(resources->memory->limit, 1048576);
}

/* A profile of the size that engines ship: some hundred names, and rules that differ by argument. */
static void test_long_seccomp_profile(void **state)
{
    enum { NAMES = 400, RULES = 40 };
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    fprintf(out, "{'defaultAction':'SCMP_ACT_ERRNO','syscalls':[");
    for (int rule = 0; rule < RULES; rule++) {
        fprintf(out, "%s{'action':'SCMP_ACT_ALLOW','names':['call_0'", rule ? "," : "");
        for (int name = 1; name < NAMES; name++)
            fprintf(out, ",'call_%d'", name);
        fprintf(out, "],'args':[{'index':%d,'value':18446744073709551615,'op':'SCMP_CMP_NE'}]}", rule % 6);
    }
    fprintf(out, "]}");
    fclose(out);
    _cleanup_free_ char *seccomp = text;
    _cleanup_free_ char *document = must_printf(OCI_SPEC(",'linux':{'seccomp':%s}"), seccomp);
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(document);
    const Grpc__LinuxSeccomp *profile = spec->linux_config->seccomp;
    assert_int_equal(profile->n_syscalls, RULES);
    assert_int_equal(profile->syscalls[RULES - 1]->n_names, NAMES);
    assert_true(profile->syscalls[RULES - 1]->args[0]->value == UINT64_MAX);
}

/* ---- integers beyond 2^63 ---- */

static void assert_encoded(const char *text, const char *expected)
{
    _cleanup_free_ char *encoded = oci_big_integers_encode(text, strlen(text));

    if (!expected) {
        assert_null(encoded);
        return;
    }
    assert_non_null(encoded);
    assert_memory_equal(encoded, expected, strlen(text));
}

static void test_big_integers(void **state)
{
    uint64_t value = 0;

    assert_encoded("[18446744073709551615,1]", "[\"#ffffffffffffffff\" ,1]");
    assert_encoded("9223372036854775808", "\"#8000000000000000\"");
    assert_encoded("9223372036854775807", NULL);
    assert_encoded("18446744073709551616", NULL);
    assert_encoded("-18446744073709551615", NULL);
    assert_encoded("18446744073709551615.5", NULL);
    assert_encoded("1.18446744073709551615", NULL);
    assert_encoded("\"18446744073709551615\"", NULL);
    assert_encoded("\"\\\"18446744073709551615", NULL);
    assert_encoded("\"a\\", NULL);
    assert_true(oci_big_integer_decode("#8000000000000001", &value));
    assert_true(value == (uint64_t)INT64_MAX + 2);
    assert_false(oci_big_integer_decode("#800000000000000g", &value));
    assert_false(oci_big_integer_decode("#80", &value));
    assert_false(oci_big_integer_decode("", &value));
}

static void test_bytes_after_a_zero_are_kept(void **state)
{
    static const char text[] = "\0[18446744073709551615]";
    _cleanup_free_ char *encoded = oci_big_integers_encode(text, sizeof(text) - 1);

    assert_memory_equal(encoded, "\0[\"#ffffffffffffffff\" ]", sizeof(text) - 1);
}

/* ---- bundles ---- */

struct bundle {
    char path[32];
    int fd;
};

static int make_bundle(void **state)
{
    struct bundle *bundle = must_new(struct bundle);

    strcpy(bundle->path, "/tmp/test-oci-XXXXXX");
    assert_non_null(mkdtemp(bundle->path));
    bundle->fd = open(bundle->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    assert_true(bundle->fd >= 0);
    *state = bundle;
    return 0;
}

static int remove_bundle(void **state)
{
    struct bundle *bundle = *state;

    close_fd(bundle->fd);
    assert_null(tree_remove(bundle->path));
    free(bundle);
    return 0;
}

static void test_bundle_without_config(void **state)
{
    const struct bundle *bundle = *state;
    Grpc__Spec *spec = NULL;
    _cleanup_error_ struct error *error = oci_config_load(bundle->fd, &spec);

    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
    assert_null(spec);
}

/* What runc writes for a new bundle is read as it stands. */
static void read_specification_of_runc(const struct bundle *bundle, bool rootless)
{
    char *arguments[] = {(char[]){"runc"}, (char[]){"spec"}, rootless ? (char[]){"--rootless"} : NULL, NULL};
    struct process_options options = {.arguments = arguments, .directory = bundle->path};
    _cleanup_free_ char *output = NULL;
    _cleanup_oci_spec_ Grpc__Spec *spec = NULL;
    _cleanup_error_ struct error *error = process_run_checked(&options, 4096, &output);

    if (error_code(error) == ERROR_NOT_FOUND)
        skip();
    assert_null(error);
    assert_null(oci_config_load(bundle->fd, &spec));
    assert_strings(spec->process->args, spec->process->n_args, "sh");
    assert_int_equal(spec->n_mounts, 7);
    assert_int_equal(spec->linux_config->n_uid_mappings, rootless);
}

static void test_specification_of_runc(void **state)
{
    read_specification_of_runc(*state, false);
}

static void test_rootless_specification_of_runc(void **state)
{
    read_specification_of_runc(*state, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smallest_document),
        cmocka_unit_test(test_process),
        cmocka_unit_test(test_mounts_hooks_annotations),
        cmocka_unit_test(test_linux),
        cmocka_unit_test(test_resources),
        cmocka_unit_test(test_seccomp),
        cmocka_unit_test(test_nothing_is_lost_on_the_wire),
        cmocka_unit_test(test_null_and_empty_mean_missing),
        cmocka_unit_test(test_process_and_resources_stand_alone),
        cmocka_unit_test(test_long_seccomp_profile),
        cmocka_unit_test(test_big_integers),
        cmocka_unit_test(test_bytes_after_a_zero_are_kept),
        cmocka_unit_test_setup_teardown(test_bundle_without_config, make_bundle, remove_bundle),
        cmocka_unit_test_setup_teardown(test_specification_of_runc, make_bundle, remove_bundle),
        cmocka_unit_test_setup_teardown(test_rootless_specification_of_runc, make_bundle, remove_bundle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
