/* SPDX-License-Identifier: Apache-2.0 */
/* What a container's configuration becomes: what the guest is told. */
#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "oci/config.h"
#include "sandbox/guest_devices.h"
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

static struct error *read_one_mount(const char *source, bool standalone, struct guest_mounts **ret_mounts)
{
    _cleanup_free_ char *text = must_printf(
        SPEC(",\"mounts\":[{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"%s\"}]"), source);
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(text);
    return guest_mounts_read(spec, "/tmp", standalone, ret_mounts);
}

static enum guest_bind bind_of(const char *source, bool standalone)
{
    _cleanup_guest_mounts_ struct guest_mounts *mounts = NULL;
    assert_ok(read_one_mount(source, standalone, &mounts));
    return mounts->mounts[0].bind;
}

static void assert_mount_refused(const char *source, const char *words)
{
    struct guest_mounts *mounts = NULL;
    _cleanup_error_ struct error *error = read_one_mount(source, false, &mounts);
    assert_int_equal(error_code(error), ERROR_UNIMPLEMENTED);
    if (!strstr(error_message(error), words))
        fail_msg("\"%s\" does not say \"%s\"", error_message(error), words);
}

static void test_live_and_copied(void **state)
{
    char path[] = "/tmp/caisson-file-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(bind_of(path, true), GUEST_BIND_COPY);
    assert_int_equal(bind_of(path, false), GUEST_BIND_SHARE);
    assert_int_equal(bind_of("/dev/fd", false), GUEST_BIND_NONE);
    unlink(path);
}

static void test_sockets_and_devices(void **state)
{
    char directory[] = "/tmp/caisson-spec-XXXXXX";
    assert_non_null(mkdtemp(directory));
    _cleanup_free_ char *socket = must_printf("%s/s", directory);
    int listener = -1;
    assert_ok(unix_listen(socket, &listener));
    assert_int_equal(bind_of(socket, false), GUEST_BIND_SOCKET);
    assert_int_equal(bind_of(socket, true), GUEST_BIND_SOCKET);
    close(listener);
    assert_ok(tree_remove(directory));
    assert_int_equal(bind_of("/dev/null", false), GUEST_BIND_NONE);
    if (access("/dev/mem", F_OK) == 0)
        assert_mount_refused("/dev/mem", "a character device");
}

/* /dev/shm is the tmpfs that every host has. */
static void test_volume_in_memory(void **state)
{
    char directory[] = "/dev/shm/caisson-spec-XXXXXX";
    assert_non_null(mkdtemp(directory));
    _cleanup_free_ char *volume = must_printf("%s/volumes/kubernetes.io~empty-dir/cache", directory);
    _cleanup_free_ char *below = must_printf("%s/below", volume);
    assert_ok(directory_create_all(below, 0700));
    assert_int_equal(chmod(volume, 02775), 0);
    _cleanup_guest_mounts_ struct guest_mounts *mounts = NULL;
    assert_ok(read_one_mount(volume, false, &mounts));
    assert_int_equal(mounts->mounts[0].bind, GUEST_BIND_VOLUME);
    assert_string_equal(mounts->mounts[0].guest_source, POD_VOLUMES "/cache");
    assert_string_equal(mounts->mounts[0].options[0], "mode=2775");
    assert_true(mounts->mounts[0].size > 0);
    assert_int_equal(bind_of(directory, false), GUEST_BIND_SHARE);
    assert_int_equal(bind_of(below, false), GUEST_BIND_SHARE);
    assert_ok(tree_remove(directory));
}

/* ---- pods ---- */

/* The namespaces that are left, with a + behind their names for a path. */
static char *namespaces_left(const char *namespaces, enum container_kind kind, bool *ret_shares_pid)
{
    _cleanup_free_ char *text =
        must_printf(SPEC(",\"hostname\":\"h\",\"linux\":{\"namespaces\":[%s]}"), namespaces);
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(text);
    const struct guest_mounts none = {0};
    const struct guest_container container = {.id = "c", .root_path = "/r", .kind = kind, .mounts = &none};
    _cleanup_strv_ char **names = NULL;
    *ret_shares_pid = guest_shares_pid_namespace(spec, kind);
    guest_spec_rewrite(spec, &container);
    for (size_t i = 0; i < spec->linux_config->n_namespaces; i++) {
        assert_string_equal(spec->linux_config->namespaces[i]->path, "");
        strv_append(&names, spec->linux_config->namespaces[i]->type);
    }
    if (*spec->hostname)
        strv_append(&names, "name");
    return strv_join(names, " ");
}

#define NEW \
    "{\"type\":\"network\"},{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}"
#define JOIN(type) "{\"type\":\"" type "\",\"path\":\"/proc/1/ns/" type "\"}"

static void test_namespaces(void **state)
{
    static const struct {
        const char *namespaces;
        enum container_kind kind;
        const char *left;
        bool shares_pid;
    } cases[] = {
        {NEW, CONTAINER_SINGLE, "pid ipc uts mount name", false},
        {NEW, CONTAINER_SANDBOX, "pid mount", false},
        {NEW, CONTAINER_OF_POD, "network pid ipc uts mount name", false},
        {JOIN("network") "," JOIN("ipc") "," JOIN("uts") "," JOIN("pid") ",{\"type\":\"mount\"}",
            CONTAINER_OF_POD, "mount", true},
        {JOIN("network") "," JOIN("ipc") ",{\"type\":\"uts\"},{\"type\":\"pid\"}", CONTAINER_OF_POD,
            "uts pid name", false},
        {"{\"type\":\"mount\"},{\"type\":\"time\"}", CONTAINER_OF_POD, "mount", true},
        {"{\"type\":\"mount\"}", CONTAINER_SINGLE, "mount pid", false},
        {"{\"type\":\"mount\"}," JOIN("network"), CONTAINER_SANDBOX, "mount pid", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool shares_pid = false;
        _cleanup_free_ char *left = namespaces_left(cases[i].namespaces, cases[i].kind, &shares_pid);
        assert_string_equal(left, cases[i].left);
        assert_int_equal(shares_pid, cases[i].shares_pid);
    }
}

static void test_devices(void **state)
{
    _cleanup_oci_spec_ Grpc__Spec *known = parse(
        SPEC(",\"linux\":{\"devices\":[{\"path\":\"/dev/fuse\",\"type\":\"c\",\"major\":10,\"minor\":229},"
             "{\"path\":\"/dev/p\",\"type\":\"p\"}]}"));
    _cleanup_oci_spec_ Grpc__Spec *unknown = parse(
        SPEC(",\"linux\":{\"devices\":[{\"path\":\"/dev/sda\",\"type\":\"b\",\"major\":8,\"minor\":0}]}"));
    assert_ok(guest_devices_check(known));
    _cleanup_error_ struct error *error = guest_devices_check(unknown);
    assert_int_equal(error_code(error), ERROR_FAILED_PRECONDITION);
    assert_non_null(strstr(error_message(error), "block device /dev/sda (8:0)"));
}

/* ---- limits ---- */

static void test_memory_with_huge_pages(void **state)
{
    _cleanup_oci_spec_ Grpc__Spec *spec =
        parse("{\"ociVersion\":\"1.0.2\",\"process\":{\"args\":[\"x\"],\"cwd\":\"/"
              "\",\"user\":{\"uid\":0,\"gid\":0}},"
              "\"root\":{\"path\":\"r\"},\"linux\":{\"resources\":{\"memory\":{\"limit\":1048576},"
              "\"hugepageLimits\":["
              "{\"pageSize\":\"2MB\",\"limit\":4194304},{\"pageSize\":\"1GB\",\"limit\":1073741824},"
              "{\"pageSize\":\"64KB\",\"limit\":9223372036854771712}]}}}");
    const Grpc__LinuxResources *resources = spec->linux_config->resources;
    assert_int_equal(guest_huge_page_limit(resources, 2u << 20), 4u << 20);
    assert_int_equal(guest_huge_page_limit(resources, 1u << 30), 1u << 30);
    assert_int_equal(guest_huge_page_limit(resources, 64u << 10), 0);
    assert_int_equal(guest_huge_page_limit(NULL, 0), 0);
    assert_int_equal(guest_memory_limit(resources), (1u << 20) + (4u << 20) + (1u << 30));
}

/* ---- mount propagation ---- */

/* The directory is mounted like this. */
static struct error *read_propagation(const char *options, struct guest_mounts **ret_mounts)
{
    _cleanup_free_ char *text = must_printf(
        "{\"ociVersion\":\"1.0.2\",\"process\":{\"args\":[\"x\"],\"cwd\":\"/"
        "\",\"user\":{\"uid\":0,\"gid\":0}},"
        "\"root\":{\"path\":\"r\"},\"mounts\":[{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"/tmp\","
        "\"options\":[%s]}]}",
        options);
    _cleanup_oci_spec_ Grpc__Spec *spec = parse(text);
    return guest_mounts_read(spec, "/tmp", false, ret_mounts);
}

static void test_propagation(void **state)
{
    static const struct {
        const char *options;
        bool follows;
    } cases[] = {{"\"rbind\"", false}, {"\"rbind\",\"rprivate\"", false}, {"\"rbind\",\"rslave\"", true},
        {"\"bind\",\"slave\",\"rw\"", true}, {"\"rbind\",\"rslave\",\"ro\"", false}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_guest_mounts_ struct guest_mounts *mounts = NULL;
        assert_ok(read_propagation(cases[i].options, &mounts));
        if (mounts->mounts[0].follows != cases[i].follows)
            fail_msg("%s", cases[i].options);
    }
    struct guest_mounts *mounts = NULL;
    _cleanup_error_ struct error *error = read_propagation("\"rbind\",\"rshared\"", &mounts);
    assert_int_equal(error_code(error), ERROR_UNIMPLEMENTED);
    assert_non_null(strstr(error_message(error), "/d"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_classes_of_mounts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rewriting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing_source, set_up, tear_down),
        cmocka_unit_test(test_live_and_copied),
        cmocka_unit_test(test_sockets_and_devices),
        cmocka_unit_test(test_volume_in_memory),
        cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_memory_with_huge_pages),
        cmocka_unit_test(test_propagation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
