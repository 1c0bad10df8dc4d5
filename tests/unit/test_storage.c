/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container sees to devices. The tests with a machine need $CAISSON_KERNEL and $CAISSON_HELLO_INITRD,
 * and are skipped without them.
 */
#include "base/fd.h"
#include "base/path.h"
#include "storage/share.h"
#include "storage/storage.h"

#include "base/strv.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

struct fixture {
    struct event_base *base;
    char *directory;
    char *image;
    struct storage_config config;
    struct storage_source rootfs;
    struct container_storage_config box;
    struct storage *storage;
    struct container_storage *container;
    struct hv *hv;
    struct error *error;
    bool done;
    char *failure; /* of the file server */
    bool stopped;
};

static void assert_ok(struct error *error)
{
    if (error)
        fail_msg("%s", error_message(error));
}

static char *in_directory(const struct fixture *fixture, const char *name)
{
    return must_printf("%s/%s", fixture->directory, name);
}

static void make_file(const struct fixture *fixture, const char *name, const char *text)
{
    _cleanup_free_ char *path = in_directory(fixture, name);
    assert_ok(file_write_text(AT_FDCWD, path, ""));
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    struct fixture *fixture = must_new(struct fixture);
    char template[] = "/tmp/caisson-storage-XXXXXX";
    if (!mkdtemp(template))
        return -1;
    fixture->directory = must_copy(template);
    fixture->image = in_directory(fixture, "image");
    int fd = open(fixture->image, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, 1 << 20) < 0)
        return -1;
    close(fd);
    fixture->base = event_base_new();
    fixture->config = (struct storage_config){
        .name = "test",
        .directory = fixture->directory,
        .scratch_directory = fixture->directory,
    };
    fixture->rootfs = (struct storage_source){.type = "erofs", .source = fixture->image};
    fixture->box = (struct container_storage_config){
        .container = "box",
        .rootfs = &fixture->rootfs,
        .rootfs_count = 1,
    };
    *state = fixture;
    return 0;
}

/* Files of the directory besides those that the test made. */
static void assert_nothing_new(const struct fixture *fixture)
{
    DIR *directory = opendir(fixture->directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (strstr(entry->d_name, "sock") || strstr(entry->d_name, "scratch"))
            fail_msg("%s was left", entry->d_name);
    }
    closedir(directory);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    hv_free(fixture->hv);
    container_storage_free(fixture->container);
    storage_free(fixture->storage);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_nothing_new(fixture);
    assert_ok(tree_remove(fixture->directory));
    event_base_free(fixture->base);
    error_free(fixture->error);
    free(fixture->failure);
    free(fixture->image);
    free(fixture->directory);
    free(fixture);
    return 0;
}

static void on_server_failed(void *context, const struct error *reason)
{
    struct fixture *fixture = context;
    fixture->failure = must_copy(error_message(reason));
}

static void on_done(void *context, struct error *error)
{
    struct fixture *fixture = context;
    fixture->done = true;
    fixture->error = error;
}

static void wait_done(struct fixture *fixture)
{
    while (!fixture->done)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    fixture->done = false;
}

/* Begins to add the container to a storage, which is made where there is none. */
static void begin_adding(struct fixture *fixture)
{
    static const struct storage_events events = {on_server_failed};
    if (!fixture->storage)
        assert_ok(storage_new(fixture->base, &fixture->config, &events, fixture, &fixture->storage));
    storage_add(fixture->storage, &fixture->box, on_done, fixture, &fixture->container);
}

/* The error is the caller's; the container is gone after one. */
static struct error *add_container(struct fixture *fixture)
{
    begin_adding(fixture);
    wait_done(fixture);
    struct error *error = TAKE_PTR(fixture->error);
    if (error)
        container_storage_free(TAKE_PTR(fixture->container));
    return error;
}

static void start_storage(struct fixture *fixture)
{
    assert_ok(add_container(fixture));
}

static void on_stopped(void *context, const struct error *reason)
{
    ((struct fixture *)context)->stopped = true;
}

static void start_machine(struct fixture *fixture)
{
    struct hv_config config = {
        .name = "test",
        .directory = fixture->directory,
        .kernel = getenv("CAISSON_KERNEL"),
        .initrd = getenv("CAISSON_HELLO_INITRD"),
        .vcpus = 1,
        .memory = UINT64_C(128) << 20,
    };
    if (!config.kernel || !config.initrd)
        skip();
    static const struct hv_events events = {on_stopped};
    config.disks = storage_disks(fixture->storage, &config.disk_count);
    config.shares = storage_shares(fixture->storage, &config.share_count);
    assert_ok(hv_new(hv_by_name("qemu-tcg"), fixture->base, &config, &events, fixture, &fixture->hv));
    storage_release(fixture->storage);
    hv_start(fixture->hv, on_done, fixture);
    wait_done(fixture);
    assert_ok(fixture->error);
}

struct reading {
    char text[16384];
    size_t length;
    bool ended;
};

static void on_text(evutil_socket_t fd, short what, void *context)
{
    struct reading *reading = context;
    ssize_t count = read(fd, reading->text + reading->length, sizeof(reading->text) - 1 - reading->length);
    if (count > 0)
        reading->length += (size_t)count;
    else
        reading->ended = true;
}

static void ask_guest(struct fixture *fixture, uint32_t port, struct reading *ret_reading)
{
    int fd;
    *ret_reading = (struct reading){.length = 0};
    assert_ok(hv_connect(fixture->hv, port, &fd, NULL));
    struct event *event = event_new(fixture->base, fd, EV_READ | EV_PERSIST, on_text, ret_reading);
    event_add(event, NULL);
    while (!ret_reading->ended)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    event_free(event);
    close(fd);
}

static void assert_says(const struct reading *reading, const char *expected)
{
    if (!strstr(reading->text, expected))
        fail_msg("no \"%s\" in:\n%s", expected, reading->text);
}

static void test_image_alone(void **state)
{
    struct fixture *fixture = *state;
    start_storage(fixture);
    size_t count;
    assert_true(storage_disks(fixture->storage, &count)[0].read_only);
    assert_int_equal(count, 1);
    storage_shares(fixture->storage, &count);
    assert_int_equal(count, 0);
    storage_sandbox_mounts(fixture->storage, &count);
    assert_int_equal(count, 0);
    const struct storage_mount *mounts = container_storage_mounts(fixture->container, &count);
    assert_int_equal(count, 3);
    assert_string_equal(mounts[0].mount_point, "/run/kata-containers/box/lower");
    assert_string_equal(mounts[1].fstype, "tmpfs");
    assert_string_equal(mounts[2].options[0], "lowerdir=/run/kata-containers/box/lower");
    assert_string_equal(container_storage_rootfs(fixture->container), "/run/kata-containers/box/rootfs");
    assert_int_equal(storage_process(fixture->storage), 0);
}

static void test_missing_sources_are_named(void **state)
{
    struct fixture *fixture = *state;
    const struct storage_bind bind = {.source = "/nonexistent/data"};
    fixture->box.binds = &bind;
    fixture->box.bind_count = 1;
    _cleanup_error_ struct error *error = add_container(fixture);
    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error_message(error), "/nonexistent/data"));

    fixture->box.bind_count = 0;
    fixture->rootfs.source = "/nonexistent/image";
    _cleanup_error_ struct error *no_image = add_container(fixture);
    assert_int_equal(error_code(no_image), ERROR_NOT_FOUND);
    assert_non_null(strstr(error_message(no_image), "/nonexistent/image"));
}

static void test_unknown_type_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->rootfs.type = "ntfs";
    _cleanup_error_ struct error *error = add_container(fixture);
    assert_int_equal(error_code(error), ERROR_UNIMPLEMENTED);
}

static void test_scratch_is_sparse_and_nameless(void **state)
{
    struct fixture *fixture = *state;
    fixture->box.scratch_size = UINT64_C(2) << 30;
    start_storage(fixture);
    size_t count;
    const struct hv_disk *disks = storage_disks(fixture->storage, &count);
    assert_int_equal(count, 2);
    assert_false(disks[1].read_only);
    struct stat status;
    assert_int_equal(fstat(disks[1].fd, &status), 0);
    assert_int_equal(status.st_size, UINT64_C(2) << 30);
    assert_int_equal(status.st_nlink, 0);
    assert_true(status.st_blocks * 512 < 8 << 20);
    assert_string_equal(container_storage_mounts(fixture->container, &count)[1].source, "/dev/vdb");
}

static void test_scratch_without_room(void **state)
{
    struct fixture *fixture = *state;
    fixture->box.scratch_size = 4096;
    _cleanup_error_ struct error *small = add_container(fixture);
    assert_int_equal(error_code(small), ERROR_INVALID_ARGUMENT);
    storage_free(TAKE_PTR(fixture->storage));

    fixture->box.scratch_size = 1 << 30;
    fixture->config.scratch_directory = "/nonexistent";
    _cleanup_error_ struct error *nowhere = add_container(fixture);
    assert_int_equal(error_code(nowhere), ERROR_NOT_FOUND);
}

static void test_freed_while_making_scratch(void **state)
{
    struct fixture *fixture = *state;
    fixture->box.scratch_size = UINT64_C(2) << 30;
    begin_adding(fixture);
    container_storage_free(TAKE_PTR(fixture->container));
    event_base_loop(fixture->base, EVLOOP_NONBLOCK);
    assert_false(fixture->done);
}

static void test_guest_writes_to_scratch(void **state)
{
    struct fixture *fixture = *state;
    fixture->box.scratch_size = UINT64_C(64) << 20;
    start_storage(fixture);
    start_machine(fixture);
    struct reading reading;
    ask_guest(fixture, 5, &reading);
    assert_says(&reading, "/run/scratch/ writable");
}

static void test_guest_sees_volumes(void **state)
{
    struct fixture *fixture = *state;
    _cleanup_free_ char *writable = in_directory(fixture, "writable");
    _cleanup_free_ char *fixed = in_directory(fixture, "fixed");
    _cleanup_free_ char *single = in_directory(fixture, "single.txt");
    assert_int_equal(mkdir(writable, 0755), 0);
    assert_int_equal(mkdir(fixed, 0755), 0);
    make_file(fixture, "writable/one", "1");
    make_file(fixture, "fixed/two", "22");
    make_file(fixture, "single.txt", "333");
    make_file(fixture, "secret.txt", "4444");
    const struct storage_bind binds[] = {{writable, false}, {fixed, true}, {single, true}};
    fixture->box.binds = binds;
    fixture->box.bind_count = ARRAY_SIZE(binds);
    start_storage(fixture);
    assert_string_equal(
        container_storage_bind_path(fixture->container, 0), "/run/kata-containers/shared/containers/box/0");
    assert_string_equal(container_storage_bind_path(fixture->container, 2),
        "/run/kata-containers/shared/containers/box/2/single.txt");
    start_machine(fixture);
    struct reading reading;
    ask_guest(fixture, 4, &reading);
    assert_says(&reading, "/run/share/box/0/ writable");
    assert_says(&reading, "/run/share/box/0/one uid=0 size=1");
    assert_says(&reading, "/run/share/box/1/ Read-only file system");
    assert_says(&reading, "/run/share/box/1/two uid=0 size=2");
    assert_says(&reading, "/run/share/box/2/single.txt uid=0 size=3");
    assert_null(strstr(reading.text, "secret"));
    _cleanup_free_ char *written = in_directory(fixture, "writable/from-guest");
    _cleanup_free_ char *text = NULL;
    assert_ok(file_read(AT_FDCWD, written, 100, &text, NULL));
    assert_string_equal(text, "guest\n");
}

static void test_dead_server_is_told(void **state)
{
    struct fixture *fixture = *state;
    const struct storage_bind bind = {fixture->directory, true};
    fixture->box.binds = &bind;
    fixture->box.bind_count = 1;
    start_storage(fixture);
    assert_true(storage_process(fixture->storage) > 0);
    kill(storage_process(fixture->storage), SIGKILL);
    while (!fixture->failure)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    assert_non_null(strstr(fixture->failure, "signal 9"));
}

static void test_server_arguments(void **state)
{
    char path[] = "/usr/libexec/virtiofsd";
    _cleanup_strv_ char **rust = share_arguments(&(struct virtiofsd_program){path, true});
    assert_true(strv_contains(rust, "--shared-dir=/shared"));
    _cleanup_strv_ char **c = share_arguments(&(struct virtiofsd_program){path, false});
    assert_true(strv_contains(c, "-f"));
    assert_false(strv_contains(c, "--shared-dir=/shared"));
}

#define WITH_STORAGE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORAGE(test_image_alone),
        WITH_STORAGE(test_missing_sources_are_named),
        WITH_STORAGE(test_unknown_type_is_refused),
        WITH_STORAGE(test_scratch_is_sparse_and_nameless),
        WITH_STORAGE(test_scratch_without_room),
        WITH_STORAGE(test_freed_while_making_scratch),
        WITH_STORAGE(test_guest_writes_to_scratch),
        WITH_STORAGE(test_guest_sees_volumes),
        WITH_STORAGE(test_dead_server_is_told),
        cmocka_unit_test(test_server_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
