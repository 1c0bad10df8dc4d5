/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs with the real virtiofsd where there is one, and with peers that misbehave. */
#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/process.h"
#include "vmm/virtio/fs.h"
#include "vmm_driver.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/virtio_fs.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define REQUESTS 1 /* the queue */
#define ASKED DRIVER_BUFFERS
#define ANSWERED (DRIVER_BUFFERS + 0x1000)

struct fixture {
    struct driver driver;
    struct event_base *base;
    char directory[32];
    pid_t server;
};

static const char *const servers[] = {"/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"};

static const char *find_server(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
        if (access(servers[i], X_OK) == 0)
            return servers[i];
    }
    return NULL;
}

static void make_directory(struct fixture *fixture)
{
    strcpy(fixture->directory, "/tmp/caisson-fs-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    _cleanup_free_ char *shared = must_printf("%s/shared", fixture->directory);
    _cleanup_free_ char *file = must_printf("%s/hello", shared);
    assert_int_equal(mkdir(shared, 0755), 0);
    assert_ok(file_write_text(AT_FDCWD, file, "hello, guest"));
}

static int start_server(struct fixture *fixture)
{
    _cleanup_free_ char *path = must_printf("%s/socket", fixture->directory);
    _cleanup_free_ char *source = must_printf("source=%s/shared", fixture->directory);
    char *arguments[] = {(char *)(uintptr_t)find_server(), (char[]){"--fd=3"}, (char[]){"-o"}, source,
        (char[]){"-o"}, (char[]){"sandbox=chroot"}, (char[]){"-f"}, NULL};
    int listener, socket;
    assert_ok(unix_listen(path, &listener));
    assert_ok(fd_set_nonblocking(listener, false));
    const struct process_fd fds[] = {{listener, 3}};
    const struct process_options options = {
        .arguments = arguments, .fds = fds, .fd_count = 1, .die_with_parent = true};
    assert_ok(process_spawn(&options, &fixture->server));
    assert_ok(unix_connect(path, &socket));
    close(listener);
    return socket;
}

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    struct virtio_device *device;
    make_directory(fixture);
    assert_ok(driver_open(&fixture->driver, true));
    fixture->base = fixture->driver.base;
    assert_ok(fs_new(fixture->driver.bus, start_server(fixture), "share0", &device));
    assert_ok(driver_attach(&fixture->driver, device));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    driver_close(&fixture->driver);
    waitpid(fixture->server, NULL, 0);
    assert_ok(tree_remove(fixture->directory));
    free(fixture);
    return 0;
}

/* A FUSE request through the ring; returns what follows the answer's header. */
static void *ask(struct fixture *fixture, uint32_t opcode, uint64_t node, const void *body, size_t length)
{
    static uint64_t unique;
    struct driver *driver = &fixture->driver;
    const struct fuse_in_header header = {
        .len = (uint32_t)(sizeof(header) + length), .opcode = opcode, .unique = ++unique, .nodeid = node};
    memcpy(driver_at(driver, ASKED), &header, sizeof(header));
    memcpy(driver_at(driver, ASKED + sizeof(header)), body, length);
    const struct driver_part parts[] = {{ASKED, sizeof(header), false},
        {ASKED + sizeof(header), (uint32_t)length, false}, {ANSWERED, sizeof(struct fuse_out_header), true},
        {ANSWERED + sizeof(struct fuse_out_header), 4096, true}};
    driver_offer(driver, REQUESTS, parts, ARRAY_SIZE(parts));
    driver_notify(driver, REQUESTS);
    AWAIT(
        fixture, driver_has_used(driver, REQUESTS)); /* the server's calls wake the loop, nothing else does */
    driver_take(driver, REQUESTS);
    const struct fuse_out_header *answer = driver_at(driver, ANSWERED);
    assert_int_equal(answer->unique, unique);
    assert_int_equal(answer->error, 0);
    return driver_at(driver, ANSWERED + sizeof(*answer));
}

static void greet(struct fixture *fixture)
{
    const struct fuse_init_in init = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_readahead = 4096};
    const struct fuse_init_out *answer = ask(fixture, FUSE_INIT, 0, &init, sizeof(init));
    assert_int_equal(answer->major, FUSE_KERNEL_VERSION);
}

static void read_hello(struct fixture *fixture)
{
    const struct fuse_entry_out *entry = ask(fixture, FUSE_LOOKUP, FUSE_ROOT_ID, "hello", sizeof("hello"));
    uint64_t node = entry->nodeid;
    const struct fuse_open_in how = {.flags = O_RDONLY};
    const struct fuse_open_out *opened = ask(fixture, FUSE_OPEN, node, &how, sizeof(how));
    const struct fuse_read_in what = {.fh = opened->fh, .size = 64};
    assert_memory_equal(ask(fixture, FUSE_READ, node, &what, sizeof(what)), "hello, guest", 12);
}

static void test_a_file_is_read_through_the_ring(void **state)
{
    struct fixture *fixture = *state;
    assert_memory_equal(fixture->driver.device->config, "share0", sizeof("share0"));
    driver_start(&fixture->driver, 0);
    greet(fixture);
    read_hello(fixture);
}

/* A reset takes the queues back from the server, which serves the next driver as well. */
static void test_the_server_survives_a_reset(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < 3; i++) {
        driver_start(&fixture->driver, 0);
        greet(fixture);
        read_hello(fixture);
    }
    assert_int_equal(fixture->driver.failures, 0);
}

static void test_a_dead_server_stops_the_share(void **state)
{
    struct fixture *fixture = *state;
    driver_start(&fixture->driver, 0);
    greet(fixture);
    kill(fixture->server, SIGKILL);
    AWAIT(fixture, driver_is_stopped(&fixture->driver));
    assert_non_null(strstr(fixture->driver.failure, "gone away"));
    driver_start(&fixture->driver, 0);
    assert_true(driver_is_stopped(&fixture->driver));
}

/* The number of the answer, its flags, and its content, as a peer that has written it beforehand. */
static struct error *open_with(const uint32_t *answer, size_t length, bool shared)
{
    struct driver driver;
    struct virtio_device *device = NULL;
    int peer, socket;
    assert_ok(driver_open(&driver, shared));
    assert_ok(unix_pair(&peer, &socket));
    assert_ok(fd_write_all(peer, answer, length));
    shutdown(peer, SHUT_WR);
    struct error *error = fs_new(driver.bus, socket, "t", &device);
    assert_null(device);
    driver_close(&driver);
    close(peer);
    return error;
}

static void test_peers_that_misbehave_are_refused(void **state)
{
    static const uint32_t other[] = {2, 5, 8, 0, 0}, no_reply[] = {1, 1, 8, 0, 0}, large[] = {1, 5, 80, 0, 0},
                          poor[] = {1, 5, 8, 0, 0};
    static const uint32_t good[] = {1, 5, 8, 0x70000000, 1, 15, 5, 8, 0, 0};
    assert_says(open_with(NULL, 0, true), "gone away");
    assert_says(open_with(other, 7, true), "gone away");
    assert_says(open_with(other, sizeof(other), true), "answers request 1 by 2");
    assert_says(open_with(no_reply, sizeof(no_reply), true), "with flags 0x1");
    assert_says(open_with(large, sizeof(large), true), "and 80 bytes");
    assert_says(open_with(poor, sizeof(poor), true), "lacks features");
    assert_says(open_with(good, sizeof(good), false), "memory that is shared");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest strange_peers[] = {cmocka_unit_test(test_peers_that_misbehave_are_refused)};
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_peers_that_misbehave_are_refused),
        CASE(test_a_file_is_read_through_the_ring),
        CASE(test_the_server_survives_a_reset),
        CASE(test_a_dead_server_stops_the_share),
    };
    if (!find_server() || geteuid() != 0)
        return cmocka_run_group_tests(strange_peers, NULL, NULL);
    return cmocka_run_group_tests(all, NULL, NULL);
}
