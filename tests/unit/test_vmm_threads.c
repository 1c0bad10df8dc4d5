/* SPDX-License-Identifier: Apache-2.0 */
/* A processor in a thread of its own starts devices, gives them work and resets them in the midst of it,
   while the I/O thread and workers do that work: after a reset nothing of it reaches memory any more. */
#include "assertions.h"
#include "base/fd.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/rng.h"
#include "vmm_driver.h"

#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define ROUNDS 400
#define CHAINS 16
#define MARK 0xa5
#define DATA (DRIVER_BUFFERS + 0x1000)
#define DATA_SIZE 0x20000

struct fixture {
    struct driver driver;
    struct worker_pool *pool;
    void (*offer)(struct fixture *fixture, unsigned number);
    unsigned touched; /* rounds in which memory changed after a reset */
    unsigned finished;
};

static void offer_random(struct fixture *fixture, unsigned number)
{
    driver_offer(&fixture->driver, 0, &(struct driver_part){DATA + number * 256, 256, true}, 1);
}

static void offer_read(struct fixture *fixture, unsigned number)
{
    const struct virtio_blk_outhdr header = {.type = number % 4 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_FLUSH};
    const struct driver_part parts[] = {
        {DRIVER_BUFFERS + number * 16, 16, false}, {DATA + number * 4608, 4608, true}};
    memcpy(driver_at(&fixture->driver, parts[0].address), &header, sizeof(header));
    driver_offer(&fixture->driver, 0, parts, 2);
}

static void offer_output(struct fixture *fixture, unsigned number)
{
    driver_offer(&fixture->driver, 5, &(struct driver_part){DATA, 4096, false}, 1);
    driver_offer(&fixture->driver, 4, &(struct driver_part){DATA + number * 256, 256, true}, 1);
}

static bool is_marked(struct driver *driver)
{
    const uint8_t *data = driver_at(driver, DATA);
    for (size_t i = 0; i < DATA_SIZE; i++) {
        if (data[i] != MARK)
            return false;
    }
    return true;
}

static void one_round(struct fixture *fixture, unsigned round)
{
    struct driver *driver = &fixture->driver;
    unsigned queues = virtio_mmio_queue_count(driver->mmio);
    driver_start(driver, driver->device->features);
    for (unsigned i = 0; i < CHAINS; i++) {
        fixture->offer(fixture, i);
        driver_notify(driver, i % queues);
    }
    for (unsigned i = 0; i < round % 200; i++)
        driver_read(driver, VIRTIO_MMIO_INTERRUPT_STATUS);
    driver_write(driver, VIRTIO_MMIO_STATUS, 0);
    memset(driver_at(driver, DATA), MARK, DATA_SIZE);
    for (unsigned i = 0; i < 20; i++)
        driver_read(driver, VIRTIO_MMIO_STATUS);
    fixture->touched += !is_marked(driver);
}

static void *run_processor(void *context)
{
    struct fixture *fixture = context;
    for (unsigned i = 0; i < ROUNDS; i++)
        one_round(fixture, i);
    __atomic_store_n(&fixture->finished, 1, __ATOMIC_RELEASE);
    eventfd_write(fixture->driver.device->notify_fds[0], 1);
    return NULL;
}

static void run(struct fixture *fixture, struct virtio_device *device)
{
    pthread_t processor;
    assert_ok(driver_attach(&fixture->driver, device));
    assert_int_equal(pthread_create(&processor, NULL, run_processor, fixture), 0);
    while (!__atomic_load_n(&fixture->finished, __ATOMIC_ACQUIRE))
        event_base_loop(fixture->driver.base, EVLOOP_ONCE);
    pthread_join(processor, NULL);
    assert_int_equal(fixture->touched, 0);
    assert_string_equal(fixture->driver.failure, "");
    virtio_mmio_free(TAKE_PTR(fixture->driver.mmio));
    virtio_device_free(TAKE_PTR(fixture->driver.device));
    worker_pool_free(fixture->pool);
    driver_close(&fixture->driver);
}

static void test_random_numbers(void **state)
{
    struct fixture fixture = {.offer = offer_random};
    assert_ok(driver_open(&fixture.driver, false));
    run(&fixture, rng_new(fixture.driver.bus));
}

static void test_disk(void **state)
{
    struct fixture fixture = {.offer = offer_read};
    struct virtio_device *device;
    const struct blk_options options = {.fd = memfd_create("disk", MFD_CLOEXEC), .durable = true};
    assert_ok(driver_open(&fixture.driver, false));
    assert_int_equal(ftruncate(options.fd, 1 << 20), 0);
    assert_ok(worker_pool_new(fixture.driver.bus, 2, NULL, &fixture.pool));
    assert_ok(blk_new(fixture.driver.bus, fixture.pool, &options, &device));
    run(&fixture, device);
}

/* The peer never reads, so that output is always under way when the reset comes. */
static void test_console(void **state)
{
    struct fixture fixture = {.offer = offer_output};
    struct virtio_device *device;
    int peer, socket;
    assert_ok(unix_pair(&peer, &socket));
    assert_ok(fd_write_all(peer, "some input that waits", 21));
    assert_ok(driver_open(&fixture.driver, false));
    assert_ok(console_new(fixture.driver.bus, socket, "port", &device));
    run(&fixture, device);
    close(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_numbers),
        cmocka_unit_test(test_disk),
        cmocka_unit_test(test_console),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
