/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root file systems and volumes that come and go below a running file server. The server's own world is read
 * through /proc/PID/root; the tests with a machine see it from the guest too. All of it takes root.
 */
#include "storage_world.h"

#include "storage/mount_call.h"

#include <sys/mount.h>

static void needs_root(void)
{
    if (geteuid() != 0)
        skip();
}

/* A layer of an overlay: a directory of this name with one file of that name. */
static char *make_layer(const struct fixture *fixture, const char *name, const char *file)
{
    char *path = in_directory(fixture, name);
    assert_int_equal(mkdir(path, 0755), 0);
    if (file) {
        _cleanup_free_ char *inside = must_printf("%s/%s", name, file);
        make_file(fixture, inside, file);
    }
    return path;
}

/* Opens what the server sees at this place below its shared tree, or -1. */
static int open_served(const struct fixture *fixture, const char *path, int flags)
{
    _cleanup_free_ char *full = must_printf("/proc/%d/root", storage_process(fixture->storage));
    int root = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(root >= 0);
    /* It changes its root to the shared tree, now or in a moment. */
    bool changed = faccessat(root, "usr", F_OK, 0) < 0;
    _cleanup_free_ char *below = must_printf("%s%s", changed ? "" : "shared/", path);
    int fd = openat(root, below, flags | O_CLOEXEC, 0644);
    close_fd(root);
    return fd;
}

static void assert_served(const struct fixture *fixture, const char *path, const char *text)
{
    _cleanup_fd_ int fd = open_served(fixture, path, O_RDONLY);
    _cleanup_free_ char *found = NULL;
    if (fd < 0)
        fail_msg("the server does not see %s: %s", path, strerror(errno));
    assert_ok(fd_read_all(fd, 4096, &found, NULL));
    assert_string_equal(found, text);
}

static bool is_served(const struct fixture *fixture, const char *path)
{
    _cleanup_fd_ int fd = open_served(fixture, path, O_PATH);
    return fd >= 0;
}

static bool mounts_contain(pid_t pid, const char *text)
{
    _cleanup_free_ char *path = must_printf("/proc/%d/mountinfo", pid);
    _cleanup_free_ char *mounts = NULL;
    assert_ok(file_read(AT_FDCWD, path, 1 << 20, &mounts, NULL));
    return strstr(mounts, text) != NULL;
}

static void remove_container(struct fixture *fixture, struct container_storage *container)
{
    container_storage_remove(container, on_done, fixture);
    wait_done(fixture);
    assert_ok(fixture->error);
}

/* ---- root file systems ---- */

struct overlay {
    char **texts;
    const char *options[4];
    struct storage_source source;
};

static void set_overlay(struct fixture *fixture, struct overlay *overlay, const char *lower)
{
    _cleanup_free_ char *upper = make_layer(fixture, "upper", NULL);
    _cleanup_free_ char *work = make_layer(fixture, "work", NULL);
    *overlay = (struct overlay){0};
    strv_append(&overlay->texts, "index=off");
    strv_append_printf(&overlay->texts, "lowerdir=%s", lower);
    strv_append_printf(&overlay->texts, "upperdir=%s", upper);
    strv_append_printf(&overlay->texts, "workdir=%s", work);
    for (size_t i = 0; i < ARRAY_SIZE(overlay->options); i++)
        overlay->options[i] = overlay->texts[i];
    overlay->source = (struct storage_source){.type = "overlay",
        .source = "overlay",
        .options = overlay->options,
        .option_count = ARRAY_SIZE(overlay->options)};
    fixture->box.rootfs = &overlay->source;
}

static void test_overlay_is_served(void **state)
{
    struct fixture *fixture = *state;
    needs_root();
    _cleanup_free_ char *low = make_layer(fixture, "low", "bottom");
    _cleanup_free_ char *high = make_layer(fixture, "high", "top");
    _cleanup_free_ char *lower = must_printf("%s:%s", high, low);
    struct overlay overlay;
    set_overlay(fixture, &overlay, lower);
    start_storage(fixture);
    size_t count = 0;
    container_storage_mounts(fixture->container, &count);
    assert_int_equal(count, 0);
    assert_string_equal(
        container_storage_rootfs(fixture->container), "/run/kata-containers/shared/containers/box/rootfs");
    assert_served(fixture, "box/rootfs/bottom", "bottom");
    assert_served(fixture, "box/rootfs/top", "top");
    assert_false(mounts_contain(getpid(), fixture->directory));

    close_fd(open_served(fixture, "box/rootfs/new", O_CREAT | O_WRONLY));
    _cleanup_free_ char *written = in_directory(fixture, "upper/new");
    assert_int_equal(access(written, F_OK), 0);
    struct stat status;
    int host_root = container_storage_host_root(fixture->container);
    assert_int_equal(fstatat(host_root, "bottom", &status, 0), 0);

    pid_t server = storage_process(fixture->storage);
    assert_true(mounts_contain(server, " - overlay "));
    remove_container(fixture, TAKE_PTR(fixture->container));
    assert_false(mounts_contain(server, " - overlay "));
    assert_false(is_served(fixture, "box"));
    strv_free(overlay.texts);
}

/* More than the page that mount(2) takes: the directories are named relative to the one they share. */
static void test_many_layers(void **state)
{
    struct fixture *fixture = *state;
    needs_root();
    enum { LAYERS = 100 };
    char *lower = must_copy("");
    for (int i = 0; i < LAYERS; i++) {
        char name[80], file[16];
        snprintf(name, sizeof(name), "snapshot-with-a-name-of-sixty-four-letters-or-a-little-less-%d", i);
        snprintf(file, sizeof(file), "file%d", i);
        _cleanup_free_ char *path = make_layer(fixture, name, file);
        char *longer = must_printf("%s%s%s", lower, i ? ":" : "", path);
        free(lower);
        lower = longer;
    }
    assert_true(strlen(lower) > 2 * 4096);
    struct overlay overlay;
    set_overlay(fixture, &overlay, lower);
    _cleanup_error_ struct error *error = add_container(fixture);
    /* A hundred names of sixty letters are more than a page even so: said, and not cut off. */
    assert_int_equal(error_code(error), ERROR_RESOURCE_EXHAUSTED);

    lower[strlen(lower) / 2] = '\0';
    *strrchr(lower, ':') = '\0';
    assert_true(strlen(lower) > 4096);
    free(overlay.texts[1]);
    overlay.options[1] = overlay.texts[1] = must_printf("lowerdir=%s", lower);
    start_storage(fixture);
    assert_served(fixture, "box/rootfs/file0", "file0");
    assert_served(fixture, "box/rootfs/file40", "file40");
    strv_free(overlay.texts);
    free(lower);
}

/* As containerd's native snapshotter does it, and its views. */
static void test_bind_is_served(void **state)
{
    struct fixture *fixture = *state;
    needs_root();
    _cleanup_free_ char *tree = make_layer(fixture, "tree", "file");
    const char *options[] = {"rbind", "ro", "X-containerd.something=else"};
    fixture->rootfs = (struct storage_source){
        .type = "bind", .source = tree, .options = options, .option_count = ARRAY_SIZE(options)};
    start_storage(fixture);
    assert_served(fixture, "box/rootfs/file", "file");
    assert_int_equal(open_served(fixture, "box/rootfs/new", O_CREAT | O_WRONLY), -1);
    assert_int_equal(errno, EROFS);
}

/* Mounts in sequence, with a template as containerd 2.2 has them, directories that it wants made, and one
   below the root through a link that must not lead out of it. */
static void test_mounts_in_sequence(void **state)
{
    struct fixture *fixture = *state;
    needs_root();
    _cleanup_free_ char *low = make_layer(fixture, "low", "bottom");
    _cleanup_free_ char *space = make_layer(fixture, "space", NULL);
    _cleanup_free_ char *extra = make_layer(fixture, "extra", "more");
    _cleanup_free_ char *place = in_directory(fixture, "low/place");
    _cleanup_free_ char *link = in_directory(fixture, "low/link");
    assert_int_equal(mkdir(place, 0755), 0);
    assert_int_equal(symlink("/place", link), 0);
    const char *bind[] = {"rbind", "rw"};
    const char *overlay[] = {"X-containerd.mkdir.path={{ mount 1 }}/upper:0755",
        "X-containerd.mkdir.path={{ mount 1 }}/work:0711:5:6", "workdir={{ mount 1 }}/work",
        "upperdir={{ mount 1 }}/upper", "lowerdir={{ mount 0 }}"};
    const struct storage_source mounts[] = {
        {.type = "bind", .source = low, .options = bind, .option_count = 2},
        {.type = "bind", .source = space, .options = bind, .option_count = 2},
        {.type = "bind", .source = extra, .target = "/link", .options = bind, .option_count = 2},
        {.type = "format/mkdir/overlay", .source = "overlay", .options = overlay, .option_count = 5},
    };
    fixture->box.rootfs = mounts;
    fixture->box.rootfs_count = ARRAY_SIZE(mounts);
    start_storage(fixture);
    assert_served(fixture, "box/rootfs/bottom", "bottom");
    assert_served(fixture, "box/rootfs/place/more", "more");
    close_fd(open_served(fixture, "box/rootfs/new", O_CREAT | O_WRONLY));
    _cleanup_free_ char *written = in_directory(fixture, "space/upper/new");
    assert_int_equal(access(written, F_OK), 0);
    struct stat status;
    _cleanup_free_ char *work = in_directory(fixture, "space/work");
    assert_int_equal(stat(work, &status), 0);
    assert_int_equal(status.st_uid, 5);
    assert_int_equal(status.st_gid, 6);
}

static void test_what_cannot_be_mounted(void **state)
{
    struct fixture *fixture = *state;
    needs_root();
    const char *shifted[] = {"rbind", "uidmap=0:1000:65536"};
    const struct {
        struct storage_source source;
        const char *words;
    } bad[] = {
        {{.type = "bind", .source = "/nonexistent/tree"}, "/nonexistent/tree"},
        {{.type = "overlay", .source = "overlay"}, "mounting overlay"},
        {{.type = "fuse3.fuse-overlayfs", .source = "overlay"}, "needs a program"},
        {{.type = "secret/overlay", .source = "overlay"}, "secret/overlay"},
        {{.type = "format/bind", .source = "{{ mount 0 }}"}, "not understood"},
        {{.type = "bind", .source = "/", .options = shifted, .option_count = 2}, "shifted user ids"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        fixture->rootfs = bad[i].source;
        _cleanup_error_ struct error *error = add_container(fixture);
        assert_non_null(error);
        if (!strstr(error_message(error), bad[i].words))
            fail_msg("\"%s\" does not say \"%s\"", error_message(error), bad[i].words);
    }
}

/* ---- a sandbox that grows ---- */

static void test_containers_come_and_go(void **state)
{
    struct fixture *fixture = *state;
    needs_root();
    _cleanup_free_ char *data = make_layer(fixture, "data", "file");
    _cleanup_free_ char *fixed = make_layer(fixture, "fixed", "file");
    make_file(fixture, "single.txt", "single");
    _cleanup_free_ char *single = in_directory(fixture, "single.txt");
    const struct storage_bind binds[] = {{data, false}, {fixed, true}, {single, false}};
    fixture->config.dynamic = true;
    fixture->box.binds = binds;
    fixture->box.bind_count = ARRAY_SIZE(binds);
    start_storage(fixture);
    pid_t server = storage_process(fixture->storage);
    struct container_storage *first = TAKE_PTR(fixture->container);

    fixture->box.container = "other";
    fixture->box.bind_count = 1;
    /* Its image would be the machine's second disk. */
    start_storage(fixture);
    assert_int_equal(storage_process(fixture->storage), server);
    assert_served(fixture, "box/0/file", "file");
    assert_served(fixture, "box/2/single.txt", "single");
    assert_served(fixture, "other/0/file", "file");
    assert_int_equal(open_served(fixture, "box/1/new", O_CREAT | O_WRONLY), -1);
    close_fd(open_served(fixture, "box/0/new", O_CREAT | O_WRONLY));
    _cleanup_free_ char *written = in_directory(fixture, "data/new");
    assert_int_equal(access(written, F_OK), 0);
    /* Not even the server can put anything beside the mounts. */
    assert_int_equal(open_served(fixture, "file", O_CREAT | O_WRONLY), -1);

    remove_container(fixture, first);
    assert_false(is_served(fixture, "box"));
    assert_served(fixture, "other/0/file", "file");

    fixture->box.container = "box";
    fixture->box.bind_count = 3;
    struct container_storage *second = TAKE_PTR(fixture->container);
    start_storage(fixture);
    assert_served(fixture, "box/2/single.txt", "single");
    container_storage_free(second);
}

/* Whatever it was doing, there is no helper and no mount left. */
static void test_interrupted_adding(void **state)
{
    struct fixture *fixture = *state;
    needs_root();
    _cleanup_free_ char *tree = make_layer(fixture, "tree", "file");
    const struct storage_bind bind = {tree, false};
    fixture->config.dynamic = true;
    fixture->box.binds = &bind;
    fixture->box.bind_count = 1;
    begin_adding(fixture);
    remove_container(fixture, TAKE_PTR(fixture->container));
    assert_false(is_served(fixture, "box"));

    begin_adding(fixture);
    storage_free(TAKE_PTR(fixture->storage));
    event_base_loop(fixture->base, EVLOOP_NONBLOCK);
    assert_false(fixture->done);
}

static void test_mounts_die_with_the_server(void **state)
{
    struct fixture *fixture = *state;
    needs_root();
    _cleanup_free_ char *tree = make_layer(fixture, "tree", "file");
    const struct storage_bind bind = {tree, false};
    fixture->config.dynamic = true;
    fixture->box.binds = &bind;
    fixture->box.bind_count = 1;
    start_storage(fixture);
    kill(storage_process(fixture->storage), SIGKILL);
    while (!fixture->failure)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    remove_container(fixture, TAKE_PTR(fixture->container));
}

static void test_guest_sees_containers_come_and_go(void **state)
{
    struct fixture *fixture = *state;
    needs_root();
    _cleanup_free_ char *low = make_layer(fixture, "low", "bottom");
    _cleanup_free_ char *data = make_layer(fixture, "data", "file");
    const struct storage_bind bind = {data, true};
    struct overlay overlay;
    set_overlay(fixture, &overlay, low);
    fixture->config.dynamic = true;
    start_storage(fixture);
    start_machine(fixture);
    storage_set_machine(fixture->storage, fixture->hv);
    struct reading reading;
    ask_guest(fixture, 4, &reading);
    assert_reading_says(&reading, "/run/share/box/rootfs/ writable");
    assert_reading_says(&reading, "/run/share/box/rootfs/bottom uid=0");
    _cleanup_free_ char *written = in_directory(fixture, "upper/from-guest");
    assert_int_equal(access(written, F_OK), 0);

    struct container_storage *first = TAKE_PTR(fixture->container);
    const struct storage_source tree = {.type = "bind", .source = data};
    fixture->box = (struct container_storage_config){
        .container = "other", .rootfs = &tree, .rootfs_count = 1, .binds = &bind, .bind_count = 1};
    start_storage(fixture);
    ask_guest(fixture, 4, &reading);
    assert_reading_says(&reading, "/run/share/other/rootfs/file");
    assert_reading_says(&reading, "/run/share/other/0/ Read-only file system");
    assert_reading_says(&reading, "/run/share/box/rootfs/bottom");

    remove_container(fixture, first);
    ask_guest(fixture, 4, &reading);
    assert_reading_says(&reading, "/run/share/other/rootfs/file");
    assert_null(strstr(reading.text, "/box"));
    strv_free(overlay.texts);
}

/* ---- disks ---- */

static void test_writable_disk(void **state)
{
    struct fixture *fixture = *state;
    const char *options[] = {"rw", "loop"};
    fixture->rootfs = (struct storage_source){
        .type = "ext4", .source = fixture->image, .options = options, .option_count = 2};
    fixture->box.scratch_size = 1 << 30;
    start_storage(fixture);
    size_t count;
    const struct hv_disk *disks = storage_disks(fixture->storage, &count);
    assert_int_equal(count, 1);
    assert_false(disks[0].read_only);
    assert_true(disks[0].durable);
    assert_true(container_storage_is_durable(fixture->container));
    const struct storage_mount *mounts = container_storage_mounts(fixture->container, &count);
    assert_int_equal(count, 1);
    assert_string_equal(mounts[0].source, "/dev/vda");
    assert_string_equal(mounts[0].mount_point, "/run/kata-containers/box/rootfs");
    assert_null(mounts[0].options);
}

static uint16_t ext4_magic(const char *path)
{
    uint16_t magic = 0;
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, &magic, sizeof(magic), 1024 + 56), sizeof(magic));
    return magic;
}

/* As containerd 2.2 has a writable layer made when it is first used. */
static void test_disk_is_made(void **state)
{
    struct fixture *fixture = *state;
    _cleanup_free_ char *path = in_directory(fixture, "rwlayer.img");
    const char *options[] = {"X-containerd.mkfs.fs=ext4", "X-containerd.mkfs.size=64MiB", "rw", "loop"};
    fixture->rootfs = (struct storage_source){
        .type = "mkfs/ext4", .source = path, .options = options, .option_count = ARRAY_SIZE(options)};
    start_storage(fixture);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 64 << 20);
    assert_int_equal(ext4_magic(path), 0xef53);
    size_t count;
    assert_string_equal(container_storage_mounts(fixture->container, &count)[0].fstype, "ext4");
    container_storage_free(TAKE_PTR(fixture->container));
    assert_int_equal(ext4_magic(path), 0xef53);

    static const char *const sizes[] = {"", "0", "many", "5X", "99999999999999G", "-1", "5MiBs"};
    _cleanup_free_ char *other = in_directory(fixture, "other.img");
    fixture->rootfs.source = other;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        _cleanup_free_ char *option = must_printf("X-containerd.mkfs.size=%s", sizes[i]);
        options[1] = option;
        _cleanup_error_ struct error *error = add_container(fixture);
        if (error_code(error) != ERROR_INVALID_ARGUMENT)
            fail_msg("size %s", sizes[i]);
        assert_int_equal(access(other, F_OK), -1);
    }
}

/* containerd's EROFS snapshotter with a writable disk: all of it is the guest's. */
static void test_layers_are_disks(void **state)
{
    struct fixture *fixture = *state;
    const char *disk[] = {"rw", "loop"}, *image[] = {"ro", "loop"};
    const char *overlay[] = {"X-containerd.mkdir.path={{ mount 0 }}/upper:0755", "workdir={{ mount 0 }}/work",
        "upperdir={{ mount 0 }}/upper", "lowerdir={{ overlay 1 2 }}"};
    const struct storage_source mounts[] = {
        {.type = "ext4", .source = fixture->image, .options = disk, .option_count = 2},
        {.type = "erofs", .source = fixture->image, .options = image, .option_count = 2},
        {.type = "erofs", .source = fixture->image, .options = image, .option_count = 2},
        {.type = "format/mkdir/overlay", .source = "overlay", .options = overlay, .option_count = 4},
    };
    fixture->box.rootfs = mounts;
    fixture->box.rootfs_count = ARRAY_SIZE(mounts);
    start_storage(fixture);
    size_t count;
    storage_disks(fixture->storage, &count);
    assert_int_equal(count, 3);
    const struct storage_mount *guest = container_storage_mounts(fixture->container, &count);
    assert_int_equal(count, 4);
    assert_string_equal(guest[1].options[0], "ro");
    assert_string_equal(guest[3].options[1], "upperdir=/run/kata-containers/box/layer0/upper");
    assert_string_equal(
        guest[3].options[2], "lowerdir=/run/kata-containers/box/layer1:/run/kata-containers/box/layer2");
}

/* ---- reading mounts ---- */

static void test_templates(void **state)
{
    const struct storage_source sources[3] = {{.source = "/a"}, {.source = "/b"}, {.source = "/c"}};
    char *const places[] = {(char[]){"/0"}, (char[]){"/1"}, (char[]){"/2"}};
    const struct {
        const char *text, *result;
    } cases[] = {
        {"plain", "plain"},
        {"{{ mount 1 }}/x", "/1/x"},
        {"a{{source 2}}b{{ target 0 }}", "a/cb/0"},
        {"{{ overlay 0 2 }}", "/0:/1:/2"},
        {"{{ overlay 2 0 }}", "/2:/1:/0"},
        {"{{ overlay 1 1 }}", "/1"},
        {"{{ mount 3 }}", NULL},
        {"{{ mount -1 }}", NULL},
        {"{{ mount 1", NULL},
        {"{{ mount }}", NULL},
        {"{{ overlay 1 }}", NULL},
        {"{{ mount 1 2 }}", NULL},
        {"{{ exec 1 }}", NULL},
        {"{{ mount 1 x }}", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *result = NULL;
        _cleanup_error_ struct error *error = mount_template(cases[i].text, sources, 3, places, &result);
        if (!!error == !!cases[i].result)
            fail_msg("%s", cases[i].text);
        if (cases[i].result)
            assert_string_equal(result, cases[i].result);
    }
}

static void test_options(void **state)
{
    const char *options[] = {"ro", "nodev", "dev", "noatime", "loop", "defaults", "index=off", "metacopy=on",
        "X-containerd.mkfs.size=1GiB"};
    const struct storage_source source = {
        .type = "mkdir/ext4", .source = "/s", .options = options, .option_count = ARRAY_SIZE(options)};
    struct mount_call call = {0};
    assert_ok(mount_call_read(&source, 0, NULL, &call));
    assert_string_equal(call.type, "ext4");
    assert_int_equal(call.flags, MS_RDONLY | MS_NOATIME);
    assert_true(call.loop);
    assert_string_equal(call.data, "index=off,metacopy=on");
    mount_call_clear(&call);

    static const char *const bad[] = {"X-containerd.mkdir.path=relative",
        "X-containerd.mkdir.path=/a:", "X-containerd.mkdir.path=/a:0755:1", "X-containerd.mkdir.path=/a:9",
        "remount", "X-containerd.dmverity=/meta"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const struct storage_source one = {
            .type = "ext4", .source = "/s", .options = &bad[i], .option_count = 1};
        _cleanup_error_ struct error *error = mount_call_read(&one, 0, NULL, &call);
        if (!error)
            fail_msg("%s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORAGE(test_overlay_is_served),
        WITH_STORAGE(test_many_layers),
        WITH_STORAGE(test_bind_is_served),
        WITH_STORAGE(test_mounts_in_sequence),
        WITH_STORAGE(test_what_cannot_be_mounted),
        WITH_STORAGE(test_containers_come_and_go),
        WITH_STORAGE(test_interrupted_adding),
        WITH_STORAGE(test_mounts_die_with_the_server),
        WITH_STORAGE(test_guest_sees_containers_come_and_go),
        WITH_STORAGE(test_writable_disk),
        WITH_STORAGE(test_disk_is_made),
        WITH_STORAGE(test_layers_are_disks),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
