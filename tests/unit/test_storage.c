/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container sees to devices. The tests with a machine need $CAISSON_KERNEL and $CAISSON_HELLO_INITRD,
 * and are skipped without them.
 */
#include "storage_world.h"

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
    assert_non_null(error);
    assert_non_null(strstr(error_message(error), geteuid() == 0 ? "ntfs" : "root"));
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
    assert_reading_says(&reading, "/run/scratch/ writable");
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
    assert_reading_says(&reading, "/run/share/box/0/ writable");
    assert_reading_says(&reading, "/run/share/box/0/one uid=0 size=1");
    assert_reading_says(&reading, "/run/share/box/1/ Read-only file system");
    assert_reading_says(&reading, "/run/share/box/1/two uid=0 size=2");
    assert_reading_says(&reading, "/run/share/box/2/single.txt uid=0 size=3");
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
