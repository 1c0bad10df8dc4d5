/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox's storage in the test's event loop, with its own directory, the real file server, and a machine
 * where $CAISSON_KERNEL and $CAISSON_HELLO_INITRD say what to start.
 */
#pragma once

#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "storage/share.h"
#include "storage/storage.h"

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

static __attribute__((unused)) char *in_directory(const struct fixture *fixture, const char *name)
{
    return must_printf("%s/%s", fixture->directory, name);
}

static __attribute__((unused)) void make_file(
    const struct fixture *fixture, const char *name, const char *text)
{
    _cleanup_free_ char *path = in_directory(fixture, name);
    assert_ok(file_write_text(AT_FDCWD, path, ""));
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static __attribute__((unused)) int set_up(void **state)
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
static __attribute__((unused)) void assert_nothing_new(const struct fixture *fixture)
{
    DIR *directory = opendir(fixture->directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (strstr(entry->d_name, "sock") || strstr(entry->d_name, "scratch"))
            fail_msg("%s was left", entry->d_name);
    }
    closedir(directory);
}

static __attribute__((unused)) int tear_down(void **state)
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

static __attribute__((unused)) void on_server_failed(void *context, const struct error *reason)
{
    struct fixture *fixture = context;
    fixture->failure = must_copy(error_message(reason));
}

static __attribute__((unused)) void on_done(void *context, struct error *error)
{
    struct fixture *fixture = context;
    fixture->done = true;
    fixture->error = error;
}

static __attribute__((unused)) void wait_done(struct fixture *fixture)
{
    while (!fixture->done)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    fixture->done = false;
}

/* Begins to add the container to a storage, which is made where there is none. */
static __attribute__((unused)) void begin_adding(struct fixture *fixture)
{
    static const struct storage_events events = {on_server_failed};
    if (!fixture->storage)
        assert_ok(storage_new(fixture->base, &fixture->config, &events, fixture, &fixture->storage));
    storage_add(fixture->storage, &fixture->box, on_done, fixture, &fixture->container);
}

/* The error is the caller's; the container is gone after one. */
static __attribute__((unused)) struct error *add_container(struct fixture *fixture)
{
    begin_adding(fixture);
    wait_done(fixture);
    struct error *error = TAKE_PTR(fixture->error);
    if (error)
        container_storage_free(TAKE_PTR(fixture->container));
    return error;
}

static __attribute__((unused)) void start_storage(struct fixture *fixture)
{
    assert_ok(add_container(fixture));
}

static __attribute__((unused)) void on_stopped(void *context, const struct error *reason)
{
    ((struct fixture *)context)->stopped = true;
}

static __attribute__((unused)) void start_machine(struct fixture *fixture)
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

static __attribute__((unused)) void on_text(evutil_socket_t fd, short what, void *context)
{
    struct reading *reading = context;
    ssize_t count = read(fd, reading->text + reading->length, sizeof(reading->text) - 1 - reading->length);
    if (count > 0)
        reading->length += (size_t)count;
    else
        reading->ended = true;
}

static __attribute__((unused)) void ask_guest(
    struct fixture *fixture, uint32_t port, struct reading *ret_reading)
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

static __attribute__((unused)) void assert_reading_says(const struct reading *reading, const char *expected)
{
    if (!strstr(reading->text, expected))
        fail_msg("no \"%s\" in:\n%s", expected, reading->text);
}

#define WITH_STORAGE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
