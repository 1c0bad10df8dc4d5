/* SPDX-License-Identifier: Apache-2.0 */
/* The ring reader and the MMIO transport, driven through virtio-rng, the simplest device. */
#include "assertions.h"
#include "vmm/virtio/rng.h"
#include "vmm_driver.h"

#include <linux/virtio_ids.h>

#define INDIRECT (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_INDEX (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

static int set_up(void **state)
{
    struct driver *driver = must_new(struct driver);
    assert_ok(driver_open(driver, false));
    assert_ok(driver_attach(driver, rng_new(driver->bus)));
    *state = driver;
    return 0;
}

static int tear_down(void **state)
{
    driver_close(*state);
    free(*state);
    return 0;
}

static const struct driver_part buffer = {DRIVER_BUFFERS, 32, true};

static void await_used(struct driver *driver)
{
    AWAIT(driver, driver_has_used(driver, 0));
}

/* The device is stopped with these words, stays so, and works again after a reset. */
static void assert_stops(struct driver *driver, const char *words)
{
    driver_notify(driver, 0);
    AWAIT(driver, driver->failures > 0);
    assert_true(driver_is_stopped(driver));
    if (!strstr(driver->failure, words))
        fail_msg("\"%s\" should say \"%s\"", driver->failure, words);
    assert_true(driver_read(driver, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
    driver_notify(driver, 0);
    driver_turn(driver);
    assert_int_equal(driver->failures, 1);
    driver_start(driver, INDIRECT);
    assert_false(driver_is_stopped(driver));
    driver_offer(driver, 0, &buffer, 1);
    driver_notify(driver, 0);
    await_used(driver);
}

static void test_registers_name_the_device(void **state)
{
    struct driver *driver = *state;
    assert_int_equal(driver_read(driver, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
    assert_int_equal(driver_read(driver, VIRTIO_MMIO_VERSION), 2);
    assert_int_equal(driver_read(driver, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_RNG);
    assert_int_equal(driver_read(driver, VIRTIO_MMIO_QUEUE_NUM_MAX), VIRTQUEUE_SIZE_MAX);
    driver_write(driver, VIRTIO_MMIO_QUEUE_SEL, 1);
    assert_int_equal(driver_read(driver, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
    assert_int_equal(driver_read(driver, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
}

static void test_a_buffer_is_filled(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, 0);
    uint16_t head = driver_offer(driver, 0, &buffer, 1);
    driver_notify(driver, 0);
    await_used(driver);
    struct vring_used_elem used = driver_take(driver, 0);
    assert_int_equal(used.id, head);
    assert_int_equal(used.len, 32);
    static const uint8_t zeros[32];
    assert_memory_not_equal(driver_at(driver, DRIVER_BUFFERS), zeros, sizeof(zeros));
    assert_int_equal(driver_interrupts(driver), 1);
    assert_int_equal(driver_read(driver, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
    driver_write(driver, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
    assert_int_equal(driver_read(driver, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

/* More chains than 2^16, so that every index wraps. */
static void test_indexes_wrap(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, EVENT_INDEX);
    for (unsigned i = 0; i < 70000; i++) {
        uint16_t head = driver_offer(driver, 0, &buffer, 1);
        driver_notify(driver, 0);
        await_used(driver);
        assert_int_equal(driver_take(driver, 0).id, head);
    }
    assert_int_equal(driver->failures, 0);
}

static void test_features_that_were_not_offered_are_refused(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, UINT64_C(1) << 40);
    assert_false(driver_read(driver, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK);
    assert_false(driver_read(driver, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_DRIVER_OK);
}

static void test_a_ring_outside_memory_is_never_ready(void **state)
{
    struct driver *driver = *state;
    static const uint32_t registers[] = {
        VIRTIO_MMIO_QUEUE_DESC_HIGH, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_USED_HIGH};
    for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
        driver_start(driver, 0);
        driver_write(driver, VIRTIO_MMIO_STATUS, 0);
        driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        driver_write(driver, VIRTIO_MMIO_DRIVER_FEATURES, 1);
        driver_write(driver, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
        driver_write(driver, registers[i], UINT32_MAX);
        driver_set_queue(driver, 0);
        assert_int_equal(driver_read(driver, VIRTIO_MMIO_QUEUE_READY), 0);
        assert_true(driver_is_stopped(driver));
        assert_int_equal(driver->failures, i + 1);
        assert_non_null(strstr(driver->failure, "are not all memory"));
    }
}

/* The owner hears of a guest's mischief a few times, and not for as long as the guest likes. */
static void test_complaints_have_an_end(void **state)
{
    struct driver *driver = *state;
    for (unsigned i = 0; i < 100; i++) {
        driver_start(driver, 0);
        driver_offer_head(driver, 0, DRIVER_QUEUE_SIZE);
        driver_notify(driver, 0);
        AWAIT(driver, driver_is_stopped(driver));
    }
    assert_int_equal(driver->failures, VIRTIO_COMPLAINTS_MAX);
}

static void test_a_descriptor_outside_memory_stops(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, 0);
    driver_offer(driver, 0, &(struct driver_part){DRIVER_MEMORY - 8, 16, true}, 1);
    assert_stops(driver, "not all memory");
}

static void test_a_length_that_wraps_stops(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, 0);
    driver_offer(driver, 0, &(struct driver_part){UINT64_MAX - 7, 16, true}, 1);
    assert_stops(driver, "not all memory");
}

static void test_a_loop_stops(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, 0);
    uint16_t head = driver_offer(driver, 0, &buffer, 1);
    struct vring_desc *descriptor = &driver_descriptors(driver, 0)[head];
    descriptor->flags |= VRING_DESC_F_NEXT;
    descriptor->next = head;
    assert_stops(driver, "a chain of more than 64 descriptors");
}

static void test_a_head_or_next_beyond_the_table_stops(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, 0);
    driver_offer_head(driver, 0, DRIVER_QUEUE_SIZE);
    assert_stops(driver, "descriptor 64 of 64");
}

static void test_readable_behind_writable_stops(void **state)
{
    struct driver *driver = *state;
    const struct driver_part parts[] = {{DRIVER_BUFFERS, 8, true}, {DRIVER_BUFFERS, 8, false}};
    driver_start(driver, 0);
    driver_offer(driver, 0, parts, 2);
    assert_stops(driver, "readable descriptor behind");
}

static void test_an_index_that_jumps_stops(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, 0);
    driver_available(driver, 0)->idx = DRIVER_QUEUE_SIZE + 1;
    assert_stops(driver, "65 chains in a queue of 64");
}

/* An indirect table of these descriptors at the buffers' begin + 0x1000. */
static void offer_indirect(
    struct driver *driver, const struct vring_desc *table, size_t count, uint16_t more_flags)
{
    memcpy(driver_at(driver, DRIVER_BUFFERS + 0x1000), table, count * sizeof(*table));
    uint16_t head = driver_offer(driver, 0,
        &(struct driver_part){DRIVER_BUFFERS + 0x1000, (uint32_t)(count * sizeof(*table)), false}, 1);
    driver_descriptors(driver, 0)[head].flags = VRING_DESC_F_INDIRECT | more_flags;
}

static void test_indirect_chains_are_followed(void **state)
{
    struct driver *driver = *state;
    const struct vring_desc table[] = {{DRIVER_BUFFERS, 8, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2},
        {DRIVER_MEMORY, 8, VRING_DESC_F_WRITE, 0}, {DRIVER_BUFFERS + 64, 8, VRING_DESC_F_WRITE, 0}};
    driver_start(driver, INDIRECT);
    offer_indirect(driver, table, ARRAY_SIZE(table), 0);
    driver_notify(driver, 0);
    await_used(driver);
    assert_int_equal(driver_take(driver, 0).len, 16);
}

static void test_bad_indirect_tables_stop(void **state)
{
    struct driver *driver = *state;
    const struct vring_desc nested = {DRIVER_BUFFERS, 16, VRING_DESC_F_INDIRECT, 0};
    const struct vring_desc loop = {DRIVER_BUFFERS, 8, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 0};
    const struct vring_desc beyond = {DRIVER_BUFFERS, 8, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1};
    driver_start(driver, INDIRECT);
    offer_indirect(driver, &nested, 1, 0);
    assert_stops(driver, "inside another");
    driver->failures = 0;
    offer_indirect(driver, &loop, 1, 0);
    assert_stops(driver, "more than 64 descriptors");
    driver->failures = 0;
    offer_indirect(driver, &beyond, 1, 0);
    assert_stops(driver, "descriptor 1 of 1");
    driver->failures = 0;
    offer_indirect(driver, &loop, 1, VRING_DESC_F_NEXT);
    assert_stops(driver, "does not end its chain");
    driver->failures = 0;
    offer_indirect(driver, &loop, 0, 0);
    assert_stops(driver, "indirect table of 0 bytes");
}

/* A storm of kicks with nothing behind them, and of chains without end, leaves the thread to others. */
static void test_storms_do_not_keep_the_thread(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, 0);
    for (unsigned i = 0; i < 100000; i++)
        driver_notify(driver, i % 3);
    driver_turn(driver);
    assert_int_equal(driver->failures, 0);
    driver_offer(driver, 0, &buffer, 1);
    driver_notify(driver, 0);
    await_used(driver);
}

/* What one wake-up may take ends, and the rest follows at the next. */
static void test_a_wake_up_takes_so_much_and_no_more(void **state)
{
    struct driver *driver = *state;
    struct virtqueue_chain chain;
    driver_start(driver, 0);
    driver_turn(driver);
    for (unsigned i = 0; i < 3; i++)
        driver_offer(driver, 0, &buffer, 1);
    driver->bus->budget = 2;
    assert_true(virtio_device_next(driver->device, 0, &chain));
    assert_true(virtio_device_next(driver->device, 0, &chain));
    assert_false(virtio_device_next(driver->device, 0, &chain));
    await_used(driver);
}

/* The device says that it has seen all, so that the driver notifies it of what comes behind. */
static void test_notifications_are_asked_for(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, EVENT_INDEX);
    for (unsigned i = 0; i < 3; i++)
        driver_offer(driver, 0, &buffer, 1);
    driver_notify(driver, 0);
    await_used(driver);
    uint16_t wanted;
    memcpy(&wanted, &driver_used(driver, 0)->ring[DRIVER_QUEUE_SIZE], sizeof(wanted));
    assert_int_equal(wanted, 3);
}

static void test_chains_have_a_largest_size(void **state)
{
    const uint64_t size = UINT64_C(64) << 20, part = size / 2;
    struct virtqueue queue = {.size = 64, .descriptors = 0, .available = 0x1000, .used = 0x2000};
    struct virtqueue_chain chain;
    struct guest_memory *memory;
    bool found = false;
    assert_ok(guest_memory_new(size, false, &memory));
    for (unsigned i = 0; i < 33; i++) {
        const struct vring_desc descriptor = {
            part, (uint32_t)part, i < 32 ? VRING_DESC_F_NEXT : 0, (uint16_t)(i + 1)};
        assert_ok(guest_memory_write(memory, i * sizeof(descriptor), &descriptor, sizeof(descriptor)));
    }
    assert_ok(guest_memory_write(memory, 0x1002, &(uint16_t){1}, sizeof(uint16_t)));
    assert_ok(virtqueue_start(&queue, memory, false));
    assert_says(virtqueue_pop(&queue, &chain, &found), "a chain of more than 1073741824 bytes");
    assert_false(found);
    guest_memory_free(memory);
}

static void test_interrupts_only_where_wanted(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, 0);
    driver_interrupts(driver);
    driver_available(driver, 0)->flags = VRING_AVAIL_F_NO_INTERRUPT;
    driver_offer(driver, 0, &buffer, 1);
    driver_notify(driver, 0);
    await_used(driver);
    assert_int_equal(driver_interrupts(driver), 0);
    driver_start(driver, EVENT_INDEX);
    driver_available(driver, 0)->ring[DRIVER_QUEUE_SIZE] = 1; /* used_event: after the second */
    for (unsigned i = 0; i < 2; i++) {
        driver_offer(driver, 0, &buffer, 1);
        driver_notify(driver, 0);
        await_used(driver);
        driver_take(driver, 0);
        assert_int_equal(driver_interrupts(driver), i);
    }
}

static void test_a_paused_bus_takes_nothing(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, 0);
    driver_turn(driver);
    virtio_bus_pause(driver->bus);
    driver_offer(driver, 0, &buffer, 1);
    driver_notify(driver, 0);
    driver_turn(driver);
    assert_false(driver_has_used(driver, 0));
    virtio_bus_resume(driver->bus);
    await_used(driver);
}

static void test_queue_registers_are_closed_while_active(void **state)
{
    struct driver *driver = *state;
    driver_start(driver, 0);
    driver_write(driver, VIRTIO_MMIO_QUEUE_READY, 0);
    driver_write(driver, VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
    assert_int_equal(driver_read(driver, VIRTIO_MMIO_QUEUE_READY), 1);
    driver_offer(driver, 0, &buffer, 1);
    driver_notify(driver, 0);
    await_used(driver);
}

/* Every offset with every length, read and written: nothing happens that a reset does not mend. */
static void test_any_access_is_harmless(void **state)
{
    struct driver *driver = *state;
    for (unsigned length = 1; length <= 8; length *= 2) {
        for (uint64_t offset = 0; offset < VIRTIO_MMIO_SIZE; offset++) {
            uint64_t value = offset * 0x9e3779b97f4a7c15u;
            virtio_mmio_access(driver->mmio, offset, &value, length, true);
            virtio_mmio_access(driver->mmio, offset, &value, length, false);
        }
    }
    driver_start(driver, 0);
    driver_offer(driver, 0, &buffer, 1);
    driver_notify(driver, 0);
    await_used(driver);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_registers_name_the_device),
        CASE(test_a_buffer_is_filled),
        CASE(test_indexes_wrap),
        CASE(test_features_that_were_not_offered_are_refused),
        CASE(test_a_ring_outside_memory_is_never_ready),
        CASE(test_complaints_have_an_end),
        CASE(test_a_descriptor_outside_memory_stops),
        CASE(test_a_length_that_wraps_stops),
        CASE(test_a_loop_stops),
        CASE(test_a_head_or_next_beyond_the_table_stops),
        CASE(test_readable_behind_writable_stops),
        CASE(test_an_index_that_jumps_stops),
        CASE(test_indirect_chains_are_followed),
        CASE(test_bad_indirect_tables_stop),
        CASE(test_storms_do_not_keep_the_thread),
        CASE(test_a_wake_up_takes_so_much_and_no_more),
        CASE(test_notifications_are_asked_for),
        cmocka_unit_test(test_chains_have_a_largest_size),
        CASE(test_interrupts_only_where_wanted),
        CASE(test_a_paused_bus_takes_nothing),
        CASE(test_queue_registers_are_closed_while_active),
        CASE(test_any_access_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
