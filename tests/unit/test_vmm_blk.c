/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-blk on real files, with the test as the driver. */
#include "assertions.h"
#include "vmm/virtio/blk.h"
#include "vmm_driver.h"

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SECTOR 512u
#define SECTORS 256u
#define HEADER DRIVER_BUFFERS
#define STATUS (DRIVER_BUFFERS + 0x100)
#define DATA (DRIVER_BUFFERS + 0x1000)
#define UNTOUCHED 0xee

struct fixture {
    struct driver driver;
    struct event_base *base;
    struct worker_pool *pool;
    struct rate_limit rate;
    int file; /* the test's own descriptor of the disk's file */
};

static int create_file(size_t bytes)
{
    char path[] = "/tmp/caisson-blk-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    assert_true(fd >= 0);
    unlink(path);
    for (size_t i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t)(i / SECTOR + i % SECTOR);
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)i), 1);
    }
    return fd;
}

static void open_disk(struct fixture *fixture, size_t bytes, bool read_only, bool durable)
{
    struct virtio_device *device;
    fixture->file = create_file(bytes);
    const struct blk_options options = {.fd = dup(fixture->file),
        .read_only = read_only,
        .durable = durable,
        .identifier = "disk-7",
        .rate = fixture->rate};
    assert_ok(driver_open(&fixture->driver, false));
    fixture->base = fixture->driver.base;
    assert_ok(worker_pool_new(fixture->driver.bus, 2, NULL, &fixture->pool));
    assert_ok(blk_new(fixture->driver.bus, fixture->pool, &options, &device));
    assert_ok(driver_attach(&fixture->driver, device));
    driver_start(&fixture->driver, device->features);
}

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    open_disk(fixture, SECTORS * SECTOR, false, true);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    struct driver *driver = &fixture->driver;
    virtio_mmio_free(TAKE_PTR(driver->mmio));
    virtio_device_free(TAKE_PTR(driver->device));
    worker_pool_free(fixture->pool);
    driver_close(driver);
    close(fixture->file);
    free(fixture);
    return 0;
}

/* Offers a request whose data is in two pieces, the status behind it. */
static void offer(struct fixture *fixture, uint32_t type, uint64_t sector, uint32_t length)
{
    struct driver *driver = &fixture->driver;
    bool reads = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
    const struct virtio_blk_outhdr header = {.type = type, .sector = sector};
    const struct driver_part parts[] = {{HEADER, sizeof(header), false}, {DATA, length / 3, reads},
        {DATA + length / 3, length - length / 3, reads}, {STATUS, 1, true}};
    memcpy(driver_at(driver, HEADER), &header, sizeof(header));
    *(uint8_t *)driver_at(driver, STATUS) = UNTOUCHED;
    driver_offer(driver, 0, parts, ARRAY_SIZE(parts));
    driver_notify(driver, 0);
}

/* The request's status and how much the device says it wrote. */
static uint8_t request(
    struct fixture *fixture, uint32_t type, uint64_t sector, uint32_t length, uint32_t *ret)
{
    offer(fixture, type, sector, length);
    AWAIT(fixture, driver_has_used(&fixture->driver, 0));
    uint32_t written = driver_take(&fixture->driver, 0).len;
    if (ret)
        *ret = written;
    return *(uint8_t *)driver_at(&fixture->driver, STATUS);
}

static void test_reads_what_the_file_has(void **state)
{
    struct fixture *fixture = *state;
    uint8_t expected[8 * SECTOR];
    uint32_t written;
    assert_int_equal(request(fixture, VIRTIO_BLK_T_IN, 3, sizeof(expected), &written), VIRTIO_BLK_S_OK);
    assert_int_equal(written, sizeof(expected) + 1);
    assert_int_equal(pread(fixture->file, expected, sizeof(expected), 3 * SECTOR), sizeof(expected));
    assert_memory_equal(driver_at(&fixture->driver, DATA), expected, sizeof(expected));
}

static void test_writes_reach_the_file(void **state)
{
    struct fixture *fixture = *state;
    uint8_t found[4 * SECTOR];
    uint32_t written;
    memset(driver_at(&fixture->driver, DATA), 'w', sizeof(found));
    assert_int_equal(request(fixture, VIRTIO_BLK_T_OUT, SECTORS - 4, sizeof(found), &written), 0);
    assert_int_equal(written, 1);
    assert_int_equal(request(fixture, VIRTIO_BLK_T_FLUSH, 0, 0, NULL), VIRTIO_BLK_S_OK);
    assert_int_equal(pread(fixture->file, found, sizeof(found), (SECTORS - 4) * SECTOR), sizeof(found));
    assert_memory_equal(found, driver_at(&fixture->driver, DATA), sizeof(found));
}

static void test_what_lies_outside_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct stat before, after;
    fstat(fixture->file, &before);
    static const uint64_t sectors[] = {SECTORS, SECTORS - 1, UINT64_MAX, UINT64_MAX / SECTOR, UINT64_MAX - 1};
    for (size_t i = 0; i < ARRAY_SIZE(sectors); i++) {
        assert_int_equal(request(fixture, VIRTIO_BLK_T_IN, sectors[i], 2 * SECTOR, NULL), VIRTIO_BLK_S_IOERR);
        assert_int_equal(
            request(fixture, VIRTIO_BLK_T_OUT, sectors[i], 2 * SECTOR, NULL), VIRTIO_BLK_S_IOERR);
    }
    assert_int_equal(request(fixture, VIRTIO_BLK_T_OUT, 0, SECTOR + 1, NULL), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(fixture, 77, 0, SECTOR, NULL), VIRTIO_BLK_S_UNSUPP);
    fstat(fixture->file, &after);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(fixture->driver.failures, 0);
}

static uint8_t zero(struct fixture *fixture, uint32_t type, uint64_t sector, uint32_t count, uint32_t flags)
{
    const struct virtio_blk_discard_write_zeroes segment = {
        .sector = sector, .num_sectors = count, .flags = flags};
    memcpy(driver_at(&fixture->driver, DATA), &segment, sizeof(segment));
    return request(fixture, type, 0, sizeof(segment), NULL);
}

static void assert_zeros(struct fixture *fixture, uint64_t sector, uint32_t count)
{
    static const uint8_t zeros[SECTOR];
    uint8_t found[SECTOR];
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(pread(fixture->file, found, SECTOR, (off_t)((sector + i) * SECTOR)), SECTOR);
        assert_memory_equal(found, zeros, SECTOR);
    }
}

static void test_discards_give_blocks_back(void **state)
{
    struct fixture *fixture = *state;
    struct stat before, after;
    fstat(fixture->file, &before);
    assert_int_equal(zero(fixture, VIRTIO_BLK_T_DISCARD, 64, 128, 0), VIRTIO_BLK_S_OK);
    fstat(fixture->file, &after);
    assert_true(after.st_blocks < before.st_blocks);
    assert_int_equal(after.st_size, before.st_size);
    assert_zeros(fixture, 64, 128);
    assert_int_equal(zero(fixture, VIRTIO_BLK_T_WRITE_ZEROES, 1, 2, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(
        zero(fixture, VIRTIO_BLK_T_WRITE_ZEROES, 5, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP), VIRTIO_BLK_S_OK);
    assert_zeros(fixture, 1, 2);
    assert_zeros(fixture, 5, 1);
    assert_int_equal(zero(fixture, VIRTIO_BLK_T_DISCARD, SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR);
    assert_int_equal(zero(fixture, VIRTIO_BLK_T_DISCARD, UINT64_MAX, 1, 0), VIRTIO_BLK_S_IOERR);
    assert_int_equal(zero(fixture, VIRTIO_BLK_T_WRITE_ZEROES, 0, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(fixture, VIRTIO_BLK_T_DISCARD, 0, 17, NULL), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(fixture, VIRTIO_BLK_T_DISCARD, 0, 33 * 16, NULL), VIRTIO_BLK_S_IOERR);
}

static void test_it_has_a_serial_number(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(request(fixture, VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES, NULL), VIRTIO_BLK_S_OK);
    assert_string_equal(driver_at(&fixture->driver, DATA), "disk-7");
}

static void test_a_read_only_disk_stays_as_it_is(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    open_disk(fixture, 4 * SECTOR, true, false);
    assert_true(fixture->driver.device->features >> VIRTIO_BLK_F_RO & 1);
    assert_int_equal(request(fixture, VIRTIO_BLK_T_OUT, 0, SECTOR, NULL), VIRTIO_BLK_S_IOERR);
    assert_int_equal(zero(fixture, VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(fixture, VIRTIO_BLK_T_IN, 0, SECTOR, NULL), VIRTIO_BLK_S_OK);
    void *old = fixture;
    tear_down(&old);
}

static void test_the_last_sector_is_filled_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    open_disk(fixture, 2 * SECTOR + 100, true, false);
    memset(driver_at(&fixture->driver, DATA), 'x', 3 * SECTOR);
    assert_int_equal(request(fixture, VIRTIO_BLK_T_IN, 0, 3 * SECTOR, NULL), VIRTIO_BLK_S_OK);
    const uint8_t *data = driver_at(&fixture->driver, DATA);
    assert_int_equal(data[2 * SECTOR + 99], (uint8_t)(2 + 99));
    for (unsigned i = 100; i < SECTOR; i++)
        assert_int_equal(data[2 * SECTOR + i], 0);
    assert_int_equal(ftruncate(fixture->file, 0), 0);
    assert_int_equal(request(fixture, VIRTIO_BLK_T_IN, 0, 3 * SECTOR, NULL), VIRTIO_BLK_S_IOERR);
    void *old = fixture;
    tear_down(&old);
}

static void test_requests_without_header_or_status_stop_the_disk(void **state)
{
    struct fixture *fixture = *state;
    const struct driver_part no_status = {HEADER, 16, false}, no_header = {STATUS, 1, true};
    driver_offer(&fixture->driver, 0, &no_status, 1);
    driver_notify(&fixture->driver, 0);
    AWAIT(fixture, fixture->driver.failures == 1);
    driver_start(&fixture->driver, 0);
    driver_offer(&fixture->driver, 0, &no_header, 1);
    driver_notify(&fixture->driver, 0);
    AWAIT(fixture, fixture->driver.failures == 2);
    driver_start(&fixture->driver, 0);
    assert_int_equal(request(fixture, VIRTIO_BLK_T_IN, 0, SECTOR, NULL), VIRTIO_BLK_S_OK);
}

/* After a reset nothing of the old requests reaches memory, wherever they were. */
static void test_a_reset_ends_what_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    struct driver *driver = &fixture->driver;
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < DRIVER_QUEUE_SIZE / 4; i++)
            offer(fixture, i % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_FLUSH, i, SECTOR);
        if (round % 2)
            driver_turn(driver);
        driver_write(driver, VIRTIO_MMIO_STATUS, 0);
        memset(driver_at(driver, HEADER), UNTOUCHED, 0x1000);
        memset(driver_at(driver, driver_ring(0)), UNTOUCHED, 0x4000);
        driver_turn(driver);
        const uint8_t *used = driver_at(driver, driver_ring(0) + 0x2000);
        assert_int_equal(*(uint8_t *)driver_at(driver, STATUS), UNTOUCHED);
        assert_int_equal(used[2], UNTOUCHED);
        driver_start(driver, 0);
    }
    assert_int_equal(request(fixture, VIRTIO_BLK_T_IN, 0, SECTOR, NULL), VIRTIO_BLK_S_OK);
}

/* The driver offers its chains once more while they are under way: bounded, and refused. */
static void test_a_chain_cannot_be_under_way_twice(void **state)
{
    struct fixture *fixture = *state;
    struct driver *driver = &fixture->driver;
    virtio_bus_pause(driver->bus);
    for (unsigned i = 0; i < DRIVER_QUEUE_SIZE; i++)
        offer(fixture, VIRTIO_BLK_T_FLUSH, 0, 0);
    struct virtqueue_chain chain;
    driver->bus->budget = 2 * DRIVER_QUEUE_SIZE;
    for (unsigned i = 0; i < DRIVER_QUEUE_SIZE; i++)
        assert_true(virtio_device_next(driver->device, 0, &chain));
    driver_offer_head(driver, 0, 0);
    assert_false(virtio_device_next(driver->device, 0, &chain));
    assert_non_null(strstr(driver->failure, "more chains under way"));
    virtio_bus_resume(driver->bus);
}

static void test_a_limit_holds_requests_back(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    fixture->rate = (struct rate_limit){.bytes_per_second = 1, .bytes_burst = 1};
    open_disk(fixture, SECTORS * SECTOR, true, false);
    assert_int_equal(request(fixture, VIRTIO_BLK_T_IN, 0, SECTOR, NULL), VIRTIO_BLK_S_OK);
    offer(fixture, VIRTIO_BLK_T_IN, 0, SECTOR);
    driver_turn(&fixture->driver);
    assert_false(driver_has_used(&fixture->driver, 0));
    void *old = fixture;
    tear_down(&old);
}

static void test_settling_ends_all_requests(void **state)
{
    struct fixture *fixture = *state;
    offer(fixture, VIRTIO_BLK_T_FLUSH, 0, 0);
    driver_turn(&fixture->driver);
    worker_settle(fixture->pool);
    assert_true(driver_has_used(&fixture->driver, 0));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_reads_what_the_file_has),
        CASE(test_writes_reach_the_file),
        CASE(test_what_lies_outside_is_an_error),
        CASE(test_discards_give_blocks_back),
        CASE(test_it_has_a_serial_number),
        cmocka_unit_test(test_a_read_only_disk_stays_as_it_is),
        cmocka_unit_test(test_the_last_sector_is_filled_up),
        CASE(test_requests_without_header_or_status_stop_the_disk),
        CASE(test_a_reset_ends_what_is_under_way),
        CASE(test_a_chain_cannot_be_under_way_twice),
        cmocka_unit_test(test_a_limit_holds_requests_back),
        CASE(test_settling_ends_all_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
