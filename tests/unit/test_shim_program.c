/* SPDX-License-Identifier: Apache-2.0 */
/* The shim as a program, as containerd runs it: what it prints, what stays behind, and what `delete` removes.
 */
#include "assertions.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/path.h"
#include "base/process.h"
#include "base/strv.h"
#include "proto/bootstrap.pb-c.h"
#include "proto/containerd.pb-c.h"
#include "proto/runc.pb-c.h"
#include "proto/task.pb-c.h"
#include "sandbox/host_hooks.h"
#include "ttrpc/ttrpc.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cmocka.h>

struct fixture {
    char directory[64];
    char *program; /* by its other name */
    char *input;   /* what the program gets on standard input; NULL: nothing */
    size_t input_length;
    struct process_result result;
};

static char *path_in(const struct fixture *fixture, const char *name)
{
    return must_printf("%s/%s", fixture->directory, name);
}

static void write_file(const struct fixture *fixture, const char *name, const char *text, mode_t mode)
{
    _cleanup_free_ char *path = path_in(fixture, name);
    assert_ok(file_replace(AT_FDCWD, path, text, strlen(text), mode));
}

/* A bundle is a directory with a configuration; its name is the container's. */
static void make_bundle(const struct fixture *fixture, const char *name, const char *rest)
{
    _cleanup_free_ char *directory = path_in(fixture, name);
    _cleanup_free_ char *file = must_printf("%s/config.json", name);
    _cleanup_free_ char *config = must_printf("{\"ociVersion\":\"1.0.2\",\"process\":{\"user\":{\"uid\":0,"
                                              "\"gid\":0},\"args\":[\"true\"],\"cwd\":\"/\"},"
                                              "\"root\":{\"path\":\"rootfs\"}%s}",
        rest);
    assert_int_equal(mkdir(directory, 0700), 0);
    write_file(fixture, file, config, 0600);
}

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    signal(SIGPIPE, SIG_IGN);
    strcpy(fixture->directory, "/tmp/caisson-program-XXXXXX");
    if (!mkdtemp(fixture->directory))
        return -1;
    setenv("CAISSON_STATE", fixture->directory, 1);
    setenv("CAISSON_DATA", fixture->directory, 1);
    setenv("TTRPC_ADDRESS", "", 1);
    fixture->program = path_in(fixture, "containerd-shim-kata-v2");
    assert_int_equal(symlink(getenv("CAISSON_TEST_SHIM_PROGRAM"), fixture->program), 0);
    make_bundle(fixture, "box", "");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    process_result_clear(&fixture->result);
    assert_ok(tree_remove(fixture->directory));
    free(fixture->program);
    free(fixture->input);
    free(fixture);
    return 0;
}

static int open_input(const struct fixture *fixture)
{
    int ends[2];
    if (!fixture->input)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_ok(fd_write_all(ends[1], fixture->input, fixture->input_length));
    close(ends[1]);
    return ends[0];
}

/* In the bundle. Standard output is read to its end, so whoever keeps it open would be waited for. The
   program also gets descriptor 9, which is nothing of its. */
static void run(struct fixture *fixture, const char *bundle, const char *const *words)
{
    _cleanup_free_ char *directory = path_in(fixture, bundle);
    _cleanup_strv_ char **arguments = NULL;
    _cleanup_fd_ int input = open_input(fixture);
    _cleanup_fd_ int stranger = open(fixture->directory, O_RDONLY | O_CLOEXEC);
    const struct process_fd fds[] = {{.fd = input, .child_fd = 0}, {.fd = stranger, .child_fd = 9}};
    strv_append(&arguments, fixture->program);
    for (; *words; words++)
        strv_append(&arguments, *words);
    const struct process_options options = {
        .arguments = arguments, .directory = directory, .fds = fds, .fd_count = ARRAY_SIZE(fds)};
    process_result_clear(&fixture->result);
    assert_ok(process_run(&options, 1 << 20, &fixture->result));
}

static void run_action(struct fixture *fixture, const char *bundle, const char *action)
{
    const char *const words[] = {
        "-namespace", "ns", "-address", "", "-publish-binary", "", "-id", bundle, action, NULL};
    run(fixture, bundle, words);
    if (fixture->result.status != 0)
        fail_msg("%s: %s", action, fixture->result.errors);
    assert_string_equal(fixture->result.errors, "");
}

/* What the file of the bundle says. */
static char *address_of(const struct fixture *fixture, const char *bundle)
{
    _cleanup_free_ char *name = must_printf("%s/%s/address", fixture->directory, bundle);
    char *address = NULL;
    assert_ok(file_read(AT_FDCWD, name, 4096, &address, NULL));
    assert_int_equal(strncmp(address, "unix:///", 8), 0);
    return address;
}

/* Returns the socket's path. */
static char *start(struct fixture *fixture, const char *bundle)
{
    run_action(fixture, bundle, "start");
    _cleanup_free_ char *address = address_of(fixture, bundle);
    assert_string_equal(fixture->result.output, address);
    return must_copy(address + strlen("unix://"));
}

/* ---- the process that stays ---- */

struct daemon {
    struct event_base *base;
    struct ttrpc_client *client;
    pid_t pid;
    int pidfd;
};

static void meet(const char *socket, struct daemon *daemon)
{
    int fd = -1;
    ProtobufCMessage *response = NULL;
    Task__ConnectRequest request = TASK__CONNECT_REQUEST__INIT;
    request.id = "box";
    daemon->base = event_base_new();
    assert_ok(unix_connect(socket, &fd));
    assert_ok(ttrpc_client_new(daemon->base, fd, NULL, NULL, &daemon->client));
    assert_ok(ttrpc_client_call_and_wait(
        daemon->client, &task__task__descriptor, "Connect", &request.base, 20000, &response));
    daemon->pid = (pid_t)((Task__ConnectResponse *)response)->shim_pid;
    daemon->pidfd = (int)syscall(SYS_pidfd_open, daemon->pid, 0);
    protobuf_c_message_free_unpacked(response, NULL);
}

/* Waits for its end, which something else has caused. */
static void part(struct daemon *daemon)
{
    struct pollfd ended = {.fd = daemon->pidfd, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, 20000), 1);
    ttrpc_client_free(daemon->client);
    event_base_free(daemon->base);
    close(daemon->pidfd);
}

static void end(struct daemon *daemon)
{
    assert_int_equal(syscall(SYS_pidfd_send_signal, daemon->pidfd, SIGTERM, NULL, 0), 0);
    part(daemon);
}

static size_t count_entries(const struct fixture *fixture, const char *name)
{
    _cleanup_free_ char *path = path_in(fixture, name);
    DIR *directory = opendir(path);
    size_t count = 0;
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2;
}

static void assert_holds_nothing_of(const struct daemon *daemon, const char *path)
{
    _cleanup_free_ char *name = must_printf("/proc/%d/fd", daemon->pid);
    DIR *directory = opendir(name);
    struct dirent *entry;
    assert_non_null(directory);
    while ((entry = readdir(directory))) {
        char target[4096] = "";
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
        bool standard = strlen(entry->d_name) == 1 && entry->d_name[0] <= '2' && entry->d_name[0] >= '0';
        if (length > 0 && (strcmp(target, path) == 0 || (standard && strcmp(target, "/dev/null") != 0)))
            fail_msg("descriptor %s is %s", entry->d_name, target);
    }
    closedir(directory);
}

static void test_start_and_join(void **state)
{
    struct fixture *fixture = *state;
    struct daemon daemon;
    make_bundle(fixture, "other", ",\"annotations\":{\"io.kubernetes.cri-o.SandboxID\":\"box\"}");
    _cleanup_free_ char *socket = start(fixture, "box");
    meet(socket, &daemon);
    assert_holds_nothing_of(&daemon, fixture->directory);
    _cleanup_free_ char *joined = start(fixture, "other");
    assert_string_equal(joined, socket);
    end(&daemon);
    assert_int_equal(count_entries(fixture, "sandboxes"), 0);
}

static void test_start_after_a_crash(void **state)
{
    struct fixture *fixture = *state;
    struct daemon first, second;
    _cleanup_free_ char *socket = start(fixture, "box");
    meet(socket, &first);
    assert_int_equal(kill(first.pid, SIGKILL), 0);
    part(&first);
    _cleanup_free_ char *again = start(fixture, "box");
    meet(again, &second);
    assert_int_not_equal(first.pid, second.pid);
    end(&second);
}

static void test_log_fifo(void **state)
{
    struct fixture *fixture = *state;
    struct daemon daemon;
    char text[4096] = "";
    _cleanup_free_ char *path = path_in(fixture, "box/log");
    assert_int_equal(mkfifo(path, 0600), 0);
    _cleanup_fd_ int log = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    _cleanup_free_ char *socket = start(fixture, "box");
    meet(socket, &daemon);
    end(&daemon);
    assert_true(read(log, text, sizeof(text) - 1) > 0);
    assert_non_null(strstr(text, "signal 15"));
}

/* As containerd 2.3 and later begin. */
static void test_bootstrap(void **state)
{
    struct fixture *fixture = *state;
    struct daemon daemon;
    Bootstrap__BootstrapParams params = BOOTSTRAP__BOOTSTRAP_PARAMS__INIT;
    params.instance_id = "box";
    params.namespace_ = "ns";
    params.containerd_version = "2.3.0";
    fixture->input = (char *)ttrpc_pack(&params.base, &fixture->input_length);
    run_action(fixture, "box", "start");
    _cleanup_free_ char *address = address_of(fixture, "box");
    Bootstrap__BootstrapResult *result = bootstrap__bootstrap_result__unpack(
        NULL, fixture->result.output_length, (uint8_t *)fixture->result.output);
    assert_non_null(result);
    assert_int_equal(result->version, 3);
    assert_string_equal(result->address, address);
    bootstrap__bootstrap_result__free_unpacked(result, NULL);
    meet(address + strlen("unix://"), &daemon);
    end(&daemon);
}

static void test_shim_cgroup_that_is_not_there(void **state)
{
    struct fixture *fixture = *state;
    static const char *const words[] = {"-namespace", "ns", "-id", "box", "start", NULL};
    Runc__Options options = RUNC__OPTIONS__INIT;
    options.shim_cgroup = "/not/there";
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = "containerd.runc.v1.Options";
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&options.base, &any.value.len);
    any.value.data = bytes;
    fixture->input = (char *)ttrpc_pack(&any.base, &fixture->input_length);
    run(fixture, "box", words);
    assert_int_not_equal(fixture->result.status, 0);
    assert_non_null(strstr(fixture->result.errors, "ShimCgroup"));
    assert_string_equal(fixture->result.output, "");
}

/* ---- questions ---- */

static void test_version(void **state)
{
    struct fixture *fixture = *state;
    static const char *const words[] = {"-v", NULL};
    run(fixture, "box", words);
    assert_int_equal(fixture->result.status, 0);
    assert_int_equal(strncmp(fixture->result.output, "io.containerd.kata.v2 ", 22), 0);
    assert_non_null(strstr(fixture->result.output, "commit "));
    assert_ptr_equal(
        strchr(fixture->result.output, '\n') + 1, fixture->result.output + fixture->result.output_length);
}

static void test_info(void **state)
{
    struct fixture *fixture = *state;
    static const char *const words[] = {"-info", NULL};
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = "runtimeoptions.v1.Options";
    fixture->input = (char *)ttrpc_pack(&any.base, &fixture->input_length);
    run(fixture, "box", words);
    assert_int_equal(fixture->result.status, 0);
    Containerd__RuntimeInfo *info = containerd__runtime_info__unpack(
        NULL, fixture->result.output_length, (uint8_t *)fixture->result.output);
    assert_non_null(info);
    assert_string_equal(info->name, "io.containerd.kata.v2");
    assert_string_equal(info->options->type_url, "runtimeoptions.v1.Options");
    assert_string_equal(info->annotations[0]->key, "containerd.io/runtime-allow-mounts");
    assert_non_null(strstr(info->annotations[0]->value, "erofs"));
    _cleanup_json_ json_t *features = NULL;
    assert_ok(
        json_read("features", (char *)info->features->value.data, info->features->value.len, &features));
    containerd__runtime_info__free_unpacked(info, NULL);
}

/* ---- delete ---- */

static void assert_deleted(const struct fixture *fixture)
{
    Task__DeleteResponse *response =
        task__delete_response__unpack(NULL, fixture->result.output_length, (uint8_t *)fixture->result.output);
    assert_non_null(response);
    assert_int_equal(response->exit_status, 137);
    assert_true(response->exited_at->seconds > 0);
    task__delete_response__free_unpacked(response, NULL);
}

static void test_delete_ends_a_shim(void **state)
{
    struct fixture *fixture = *state;
    struct daemon daemon;
    make_bundle(fixture, "other", ",\"annotations\":{\"io.kubernetes.cri.sandbox-id\":\"box\"}");
    _cleanup_free_ char *socket = start(fixture, "box");
    meet(socket, &daemon);
    /* That of a container in a pod does not. */
    run_action(fixture, "other", "delete");
    assert_deleted(fixture);
    assert_int_equal(kill(daemon.pid, 0), 0);
    run_action(fixture, "box", "delete");
    assert_deleted(fixture);
    part(&daemon);
    assert_int_equal(count_entries(fixture, "sandboxes"), 0);
    run_action(fixture, "box", "delete");
    assert_deleted(fixture);
}

/* Hooks that are due run once. */
static void test_delete_runs_hooks(void **state)
{
    struct fixture *fixture = *state;
    _cleanup_free_ char *hook = path_in(fixture, "hook");
    _cleanup_free_ char *ran = path_in(fixture, "ran");
    _cleanup_free_ char *script = must_printf("#!/bin/sh\ncat >>%s\n", ran);
    _cleanup_free_ char *hooks = must_printf(",\"hooks\":{\"poststop\":[{\"path\":\"%s\"}]}", hook);
    _cleanup_free_ char *text = NULL;
    write_file(fixture, "hook", script, 0755);
    make_bundle(fixture, "hooked", hooks);
    run_action(fixture, "hooked", "delete");
    assert_int_equal(access(ran, F_OK), -1);
    write_file(fixture, "hooked/" HOST_HOOKS_NOTE, "", 0600);
    run_action(fixture, "hooked", "delete");
    run_action(fixture, "hooked", "delete");
    assert_ok(file_read(AT_FDCWD, ran, 4096, &text, NULL));
    _cleanup_json_ json_t *said = NULL;
    assert_ok(json_read("state", text, strlen(text), &said));
    assert_string_equal(json_string_value(json_object_get(said, "status")), "stopped");
    assert_string_equal(json_string_value(json_object_get(said, "id")), "hooked");
}

#define PROGRAM_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROGRAM_TEST(test_start_and_join),
        PROGRAM_TEST(test_start_after_a_crash),
        PROGRAM_TEST(test_log_fifo),
        PROGRAM_TEST(test_bootstrap),
        PROGRAM_TEST(test_shim_cgroup_that_is_not_there),
        PROGRAM_TEST(test_version),
        PROGRAM_TEST(test_info),
        PROGRAM_TEST(test_delete_ends_a_shim),
        PROGRAM_TEST(test_delete_runs_hooks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
