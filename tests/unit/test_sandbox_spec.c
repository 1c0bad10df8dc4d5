/* SPDX-License-Identifier: Apache-2.0 */
/* What a container's configuration becomes: what the guest is told. */
#include "base/fd.h"
#include "base/path.h"
#include "oci/config.h"
#include "sandbox/guest_spec.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define PROCESS "\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0}"
#define SPEC(rest) "{\"ociVersion\":\"1.0.2\"," PROCESS "},\"root\":{\"path\":\"rootfs\"}" rest "}"

static void assert_ok(struct error *error)
{
    if (error)
        fail_msg("%s", error_message(error));
}

static Grpc__Spec *parse(const char *text)
{
    Grpc__Spec *spec = NULL;
    assert_ok(oci_config_parse(text, strlen(text), &spec));
    return spec;
}

/* ---- the guest's configuration ---- */

static const char big_spec[] =
    "{\"ociVersion\":\"1.0.2\"," PROCESS ",\"apparmorProfile\":\"p\",\"selinuxLabel\":\"l\"},"
    "\"root\":{\"path\":\"rootfs\"},"
    "\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/etc/hosts\",\"type\":\"bind\",\"source\":\"hosts\"},"
    "{\"destination\":\"/data\",\"source\":\"%s/shared\",\"options\":[\"rbind\",\"ro\"]},"
    "{\"destination\":\"/dev/shm\",\"type\":\"bind\",\"source\":\"/run/some/shm\",\"options\":[\"rbind\"]},"
    "{\"destination\":\"/dev/null2\",\"type\":\"bind\",\"source\":\"/dev/null\"}],"
    "\"hooks\":{\"poststop\":[{\"path\":\"/h\"}],\"startContainer\":[{\"path\":\"/g\"}]},"
    "\"linux\":{\"cgroupsPath\":\"/host/path\",\"mountLabel\":\"m\","
    "\"namespaces\":[{\"type\":\"pid\",\"path\":\"/proc/5/ns/"
    "pid\"},{\"type\":\"network\"},{\"type\":\"mount\"}],"
    "\"resources\":{\"cpu\":{\"cpus\":\"3\",\"mems\":\"1\",\"quota\":1000,\"period\":1000},"
    "\"pids\":{\"limit\":5},\"network\":{\"classID\":7}}}}";

struct fixture {
    char directory[64];
    Grpc__Spec *spec;
    struct guest_mounts *mounts;
};

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    strcpy(fixture->directory, "/tmp/caisson-spec-XXXXXX");
    if (!mkdtemp(fixture->directory))
        return -1;
    _cleanup_free_ char *shared = must_printf("%s/shared", fixture->directory);
    _cleanup_free_ char *bundle = must_printf("%s/bundle", fixture->directory);
    _cleanup_free_ char *hosts = must_printf("%s/bundle/hosts", fixture->directory);
    assert_int_equal(mkdir(shared, 0700), 0);
    assert_int_equal(mkdir(bundle, 0700), 0);
    assert_ok(file_replace(AT_FDCWD, hosts, "x", 1, 0600));
    char text[sizeof(big_spec) + 128];
    const char *place = strstr(big_spec, "%s");
    snprintf(
        text, sizeof(text), "%.*s%s%s", (int)(place - big_spec), big_spec, fixture->directory, place + 2);
    fixture->spec = parse(text);
    assert_ok(guest_mounts_read(fixture->spec, bundle, true, &fixture->mounts));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    oci_spec_free(fixture->spec);
    guest_mounts_free(fixture->mounts);
    assert_ok(tree_remove(fixture->directory));
    free(fixture);
    return 0;
}

static void test_classes_of_mounts(void **state)
{
    const struct fixture *fixture = *state;
    const struct guest_mount *mounts = fixture->mounts->mounts;
    _cleanup_free_ char *hosts = must_printf("%s/bundle/hosts", fixture->directory);
    assert_int_equal(mounts[0].bind, GUEST_BIND_NONE);
    assert_int_equal(mounts[1].bind, GUEST_BIND_COPY);
    assert_string_equal(mounts[1].host_source, hosts);
    assert_int_equal(mounts[2].bind, GUEST_BIND_SHARE);
    assert_true(mounts[2].directory);
    assert_int_equal(mounts[3].bind, GUEST_BIND_SHARED_MEMORY);
    assert_int_equal(mounts[4].bind, GUEST_BIND_NONE);
    assert_int_equal(guest_mounts_count(fixture->mounts, GUEST_BIND_SHARE), 1);
}

static void test_rewriting(void **state)
{
    struct fixture *fixture = *state;
    Grpc__Spec *spec = fixture->spec;
    fixture->mounts->mounts[1].guest_source = must_copy("/copies/1");
    fixture->mounts->mounts[2].guest_source = must_copy("/shared/0");
    const struct guest_container container = {
        .id = "c1", .root_path = "/guest/rootfs", .kind = CONTAINER_SINGLE, .mounts = fixture->mounts};
    guest_spec_rewrite(spec, &container);
    assert_string_equal(spec->root->path, "/guest/rootfs");
    assert_string_equal(spec->process->apparmor_profile, "");
    assert_string_equal(spec->process->selinux_label, "");
    assert_string_equal(spec->linux_config->cgroups_path, "/c1");
    assert_string_equal(spec->linux_config->mount_label, "");
    assert_int_equal(spec->linux_config->n_namespaces, 2);
    assert_string_equal(spec->linux_config->namespaces[0]->type, "pid");
    assert_string_equal(spec->linux_config->namespaces[0]->path, "");
    assert_string_equal(spec->linux_config->namespaces[1]->type, "mount");
    assert_string_equal(spec->linux_config->resources->cpu->cpus, "");
    assert_int_equal(spec->linux_config->resources->cpu->quota, 1000);
    assert_int_equal(spec->linux_config->resources->pids->limit, 5);
    assert_null(spec->linux_config->resources->network);
    assert_string_equal(spec->mounts[0]->source, "proc");
    assert_string_equal(spec->mounts[1]->source, "/copies/1");
    assert_string_equal(spec->mounts[2]->source, "/shared/0");
    assert_string_equal(spec->mounts[3]->type, "tmpfs");
    assert_int_equal(spec->mounts[3]->n_options, 5);
    assert_string_equal(spec->mounts[4]->source, "/dev/null");
    assert_int_equal(spec->hooks->n_poststop, 0);
    assert_int_equal(spec->hooks->n_start_container, 1);
}

static void test_missing_source(void **state)
{
    const struct fixture *fixture = *state;
    struct guest_mounts *mounts = NULL;
    _cleanup_oci_spec_ Grpc__Spec *spec =
        parse(SPEC(",\"mounts\":[{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"nothing\"}]"));
    _cleanup_error_ struct error *error = guest_mounts_read(spec, fixture->directory, true, &mounts);
    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error_message(error), "/d does not exist on the host: nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_classes_of_mounts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rewriting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing_source, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
