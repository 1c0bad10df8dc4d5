/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, the handshake on standard input, and the files of an instance. */
#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "proto/bootstrap.pb-c.h"
#include "proto/runc.pb-c.h"
#include "shim/handshake.h"
#include "shim/instance.h"
#include "shim/options.h"
#include "shim/places.h"
#include "ttrpc/ttrpc.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct error *parse(struct shim_options *options, const char *line)
{
    static char copy[512];
    char *arguments[32] = {NULL};
    int count = 0;
    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        arguments[count++] = word;
    return shim_options_parse(count, arguments, options);
}

static void test_as_containerd_writes_it(void **state)
{
    struct shim_options options;
    assert_ok(parse(&options, "shim -namespace k8s.io -address /run/c.sock -publish-binary "
                              "/usr/bin/containerd -id abc -debug start"));
    assert_int_equal(options.action, SHIM_START);
    assert_string_equal(options.namespace, "k8s.io");
    assert_string_equal(options.address, "/run/c.sock");
    assert_string_equal(options.publish_binary, "/usr/bin/containerd");
    assert_string_equal(options.id, "abc");
    assert_string_equal(options.bundle, "");
    assert_true(options.debug);
    assert_ok(parse(&options, "shim --namespace=n --id=abc -bundle /b -debug=false delete"));
    assert_int_equal(options.action, SHIM_DELETE);
    assert_string_equal(options.bundle, "/b");
    assert_false(options.debug);
}

static void test_other_actions(void **state)
{
    struct shim_options options;
    assert_ok(parse(&options, "shim -v"));
    assert_int_equal(options.action, SHIM_VERSION);
    assert_ok(parse(&options, "shim --version"));
    assert_int_equal(options.action, SHIM_VERSION);
    assert_ok(parse(&options, "shim -info"));
    assert_int_equal(options.action, SHIM_INFO);
    assert_ok(parse(&options, "shim check"));
    assert_int_equal(options.action, SHIM_CHECK);
}

static void test_refused_lines(void **state)
{
    static const char *const lines[] = {"shim", "shim start", "shim -namespace n start",
        "shim -namespace n -id ../x start", "shim -namespace n -id", "shim -what start", "shim fly",
        "shim -debug=maybe -namespace n -id a start"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        struct shim_options options;
        _cleanup_error_ struct error *error = parse(&options, lines[i]);
        if (error_code(error) != ERROR_INVALID_ARGUMENT)
            fail_msg("\"%s\" was not refused", lines[i]);
    }
}

/* ---- handshake ---- */

static const struct shim_options named = {.namespace = "ns", .id = "box"};

static struct handshake handshake_of(const char *id, int level)
{
    Bootstrap__BootstrapParams params = BOOTSTRAP__BOOTSTRAP_PARAMS__INIT;
    params.instance_id = id;
    params.namespace_ = "ns";
    params.log_level = level;
    params.containerd_ttrpc_address = "/run/events";
    size_t length = 0;
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&params.base, &length);
    return handshake_parse(bytes, length, &named);
}

static void test_bootstrap_params(void **state)
{
    struct handshake handshake = handshake_of("box", BOOTSTRAP__LOG_LEVEL__LOG_LEVEL_DEBUG);
    assert_string_equal(handshake.ttrpc_address, "/run/events");
    assert_true(handshake.debug);
    handshake_clear(&handshake);
    handshake = handshake_of("another", 0);
    assert_null(handshake.ttrpc_address);
}

/* An Any of options, as up to containerd 2.2: its type stands where the id would. */
static void test_other_input(void **state)
{
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = "runtimeoptions.v1.Options";
    any.value = (ProtobufCBinaryData){.data = (uint8_t[]){0x0a, 0x01, 'x'}, .len = 3};
    size_t length = 0;
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&any.base, &length);
    assert_null(handshake_parse(bytes, length, &named).ttrpc_address);
    assert_null(handshake_parse((const uint8_t *)"\xff\xff", 2, &named).ttrpc_address);
    assert_null(handshake_parse(NULL, 0, &named).ttrpc_address);
}

/* runc's options, with ShimCgroup; the bytes are the caller's. */
static Google__Protobuf__Any runc_options(uint8_t **ret_bytes)
{
    Runc__Options options = RUNC__OPTIONS__INIT;
    options.shim_cgroup = "/containerd/shim";
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = "containerd.runc.v1.Options";
    any.value.data = *ret_bytes = ttrpc_pack(&options.base, &any.value.len);
    return any;
}

static void test_shim_cgroup(void **state)
{
    _cleanup_free_ uint8_t *options = NULL;
    Google__Protobuf__Any any = runc_options(&options);
    size_t length = 0;
    _cleanup_free_ uint8_t *legacy = ttrpc_pack(&any.base, &length);
    struct handshake handshake = handshake_parse(legacy, length, &named);
    assert_string_equal(handshake.shim_cgroup, "/containerd/shim");
    assert_false(handshake.reads_result);
    handshake_clear(&handshake);

    Bootstrap__Extension extension = BOOTSTRAP__EXTENSION__INIT;
    Bootstrap__Extension empty = BOOTSTRAP__EXTENSION__INIT;
    Bootstrap__Extension *extensions[] = {&empty, &extension};
    Bootstrap__BootstrapParams params = BOOTSTRAP__BOOTSTRAP_PARAMS__INIT;
    extension.value = &any;
    params.instance_id = "box";
    params.namespace_ = "ns";
    params.extensions = extensions;
    params.n_extensions = ARRAY_SIZE(extensions);
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&params.base, &length);
    handshake = handshake_parse(bytes, length, &named);
    assert_string_equal(handshake.shim_cgroup, "/containerd/shim");
    assert_true(handshake.reads_result);
    handshake_clear(&handshake);
}

/* Version 3 is for who can read it; to the others it would be an error, or a part of the path. */
static void test_reply(void **state)
{
    struct handshake old = {0};
    struct handshake new = {.reads_result = true};
    size_t length = 0;
    _cleanup_free_ uint8_t *bare = handshake_reply(&old, "unix:///run/s", &length);
    assert_int_equal(length, strlen("unix:///run/s"));
    assert_memory_equal(bare, "unix:///run/s", length);
    _cleanup_free_ uint8_t *bytes = handshake_reply(&new, "unix:///run/s", &length);
    Bootstrap__BootstrapResult *result = bootstrap__bootstrap_result__unpack(NULL, length, bytes);
    assert_non_null(result);
    assert_int_equal(result->version, 3);
    assert_string_equal(result->address, "unix:///run/s");
    assert_string_equal(result->protocol, "ttrpc");
    bootstrap__bootstrap_result__free_unpacked(result, NULL);
}

static void test_reading_does_not_wait_for_terminals(void **state)
{
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_null(handshake_read(fd, &named).ttrpc_address);
    close(fd);
}

/* ---- places and instances ---- */

struct fixture {
    char directory[64];
    struct places *places;
};

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    strcpy(fixture->directory, "/tmp/caisson-places-XXXXXX");
    if (!mkdtemp(fixture->directory))
        return -1;
    setenv("CAISSON_STATE", fixture->directory, 1);
    setenv("CAISSON_DATA", fixture->directory, 1);
    assert_ok(places_find("/run/one.sock", "ns", "box", &fixture->places));
    assert_ok(places_make(fixture->places));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    places_free(fixture->places);
    assert_ok(tree_remove(fixture->directory));
    free(fixture);
    return 0;
}

static void test_places_differ(void **state)
{
    const struct fixture *fixture = *state;
    _cleanup_places_ struct places *other = NULL;
    _cleanup_places_ struct places *elsewhere = NULL;
    assert_ok(places_find("/run/one.sock", "ns", "box2", &other));
    assert_string_not_equal(other->socket, fixture->places->socket);
    assert_true(strlen(other->socket) - strlen(fixture->directory) < 60);
    assert_ok(places_find("/run/other.sock", "ns", "box", &elsewhere));
    assert_string_not_equal(elsewhere->socket, fixture->places->socket);
}

static void test_sandbox_of_a_pod(void **state)
{
    const struct fixture *fixture = *state;
    static const char config[] = "{\"annotations\":{\"io.kubernetes.cri.sandbox-id\":\"pod\"}}";
    _cleanup_free_ char *path = must_printf("%s/config.json", fixture->directory);
    _cleanup_free_ char *alone = places_sandbox_of(fixture->directory, "box");
    assert_string_equal(alone, "box");
    assert_ok(file_replace(AT_FDCWD, path, config, strlen(config), 0600));
    _cleanup_free_ char *pod = places_sandbox_of(fixture->directory, "box");
    assert_string_equal(pod, "pod");
}

/* A process that holds the lock as a shim does; returns when it does. */
static pid_t hold_lock(const struct places *places)
{
    int lock = -1;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        error_free(instance_lock(places, &lock));
        error_free(instance_own(lock, getpid()));
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void test_one_instance(void **state)
{
    const struct fixture *fixture = *state;
    int lock = -1;
    pid_t pid = hold_lock(fixture->places);
    _cleanup_error_ struct error *error = instance_lock(fixture->places, &lock);
    assert_int_equal(error_code(error), ERROR_ALREADY_EXISTS);
    assert_false(instance_answers(fixture->places));
    assert_ok(instance_kill(fixture->places));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_ok(instance_kill(fixture->places));
    assert_ok(instance_lock(fixture->places, &lock));
    close(lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_containerd_writes_it),
        cmocka_unit_test(test_other_actions),
        cmocka_unit_test(test_refused_lines),
        cmocka_unit_test(test_bootstrap_params),
        cmocka_unit_test(test_other_input),
        cmocka_unit_test(test_shim_cgroup),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_reading_does_not_wait_for_terminals),
        cmocka_unit_test_setup_teardown(test_places_differ, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sandbox_of_a_pod, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_instance, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
