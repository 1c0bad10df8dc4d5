/* SPDX-License-Identifier: Apache-2.0 */
#include "assertions.h"
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/rate.h"
#include "vmm_driver.h"

#include <linux/virtio_balloon.h>
#include <sys/mman.h>

enum { INFLATE, DEFLATE, REPORT };

#define PAGE 4096u
#define REPORTING (UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING)
#define CONFIG_PAGES VIRTIO_MMIO_CONFIG
#define CONFIG_ACTUAL (VIRTIO_MMIO_CONFIG + 4)
#define USED_PAGES (DRIVER_BUFFERS / PAGE + 64) /* page numbers that the guest plays with */

struct fixture {
    struct driver driver;
    struct event_base *base;
};

static int open_balloon(void **state, bool shared)
{
    struct fixture *fixture = must_new(struct fixture);
    assert_ok(driver_open(&fixture->driver, shared));
    assert_ok(driver_attach(&fixture->driver, balloon_new(fixture->driver.bus, true)));
    fixture->base = fixture->driver.base;
    driver_start(&fixture->driver, REPORTING);
    memset(driver_at(&fixture->driver, USED_PAGES * PAGE), 'x', 64 * PAGE);
    *state = fixture;
    return 0;
}

static int set_up(void **state)
{
    return open_balloon(state, false);
}

static int set_up_shared(void **state)
{
    return open_balloon(state, true);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    driver_close(&fixture->driver);
    free(fixture);
    return 0;
}

static bool is_resident(struct fixture *fixture, uint32_t page)
{
    unsigned char present;
    assert_int_equal(mincore(driver_at(&fixture->driver, (uint64_t)page * PAGE), PAGE, &present), 0);
    return present & 1;
}

static void give(struct fixture *fixture, unsigned queue, const uint32_t *pages, unsigned count)
{
    const struct driver_part part = {DRIVER_BUFFERS, (uint32_t)(count * sizeof(*pages)), false};
    memcpy(driver_at(&fixture->driver, DRIVER_BUFFERS), pages, part.length);
    driver_offer(&fixture->driver, queue, &part, 1);
    driver_notify(&fixture->driver, queue);
}

static void test_inflated_pages_leave_the_host(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t pages[] = {
        USED_PAGES + 9, USED_PAGES + 8, USED_PAGES + 7, USED_PAGES + 20, USED_PAGES + 1};
    give(fixture, INFLATE, pages, ARRAY_SIZE(pages));
    AWAIT(fixture, driver_has_used(&fixture->driver, INFLATE));
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(
            is_resident(fixture, USED_PAGES + i), i != 1 && i != 7 && i != 8 && i != 9 && i != 20);
    give(fixture, DEFLATE, pages, ARRAY_SIZE(pages));
    AWAIT(fixture, driver_has_used(&fixture->driver, DEFLATE));
}

static void test_reported_pages_leave_the_host(void **state)
{
    struct fixture *fixture = *state;
    const struct driver_part parts[] = {
        {(USED_PAGES + 16) * UINT64_C(4096), 16 * PAGE, true}, {USED_PAGES * UINT64_C(4096), 2 * PAGE, true}};
    driver_offer(&fixture->driver, REPORT, parts, 2);
    driver_notify(&fixture->driver, REPORT);
    AWAIT(fixture, driver_has_used(&fixture->driver, REPORT));
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(is_resident(fixture, USED_PAGES + i), i >= 32 || (i >= 2 && i < 16));
}

static void test_pages_outside_memory_stop_the_balloon(void **state)
{
    struct fixture *fixture = *state;
    static const uint32_t bad[] = {DRIVER_MEMORY / PAGE, UINT32_MAX};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        give(fixture, INFLATE, &bad[i], 1);
        AWAIT(fixture, fixture->driver.failures == i + 1);
        driver_start(&fixture->driver, REPORTING);
    }
}

static void test_too_many_pages_stop_the_balloon(void **state)
{
    struct fixture *fixture = *state;
    const struct driver_part part = {DRIVER_BUFFERS, 257 * sizeof(uint32_t), false};
    driver_offer(&fixture->driver, INFLATE, &part, 1);
    driver_notify(&fixture->driver, INFLATE);
    AWAIT(fixture, fixture->driver.failures == 1);
    assert_non_null(strstr(fixture->driver.failure, "more than 256 pages"));
}

static void test_the_guest_learns_its_target(void **state)
{
    struct fixture *fixture = *state;
    driver_interrupts(&fixture->driver);
    uint32_t generation = driver_read(&fixture->driver, VIRTIO_MMIO_CONFIG_GENERATION);
    balloon_set_target(fixture->driver.device, 10 * PAGE);
    assert_int_equal(driver_read(&fixture->driver, CONFIG_PAGES), 10);
    assert_int_not_equal(driver_read(&fixture->driver, VIRTIO_MMIO_CONFIG_GENERATION), generation);
    assert_int_equal(driver_interrupts(&fixture->driver), 1);
    driver_write(&fixture->driver, CONFIG_ACTUAL, 7);
    driver_write(&fixture->driver, CONFIG_PAGES, 99);
    assert_int_equal(driver_read(&fixture->driver, CONFIG_PAGES), 10);
    assert_int_equal(balloon_size(fixture->driver.device), 7 * PAGE);
}

/* Rate limits have no device of their own; here are their sums. */
static void test_a_bucket_keeps_its_mean(void **state)
{
    struct rate_bucket bucket = rate_bucket_full(1000, 100, 0);
    uint64_t now = 0, total = 0;
    while (now < 10000000) {
        uint64_t delay = rate_bucket_delay(&bucket, now);
        if (delay == 0) {
            rate_bucket_charge(&bucket, 37);
            total += 37;
        }
        now += delay;
    }
    assert_in_range(total, 10 * 1000, 10 * 1000 + 100 + 37);
}

static void test_a_debt_is_paid_before_the_next(void **state)
{
    struct rate_bucket bucket = rate_bucket_full(1000, 100, 5);
    assert_int_equal(rate_bucket_delay(&bucket, 5), 0);
    rate_bucket_charge(&bucket, 1100);
    assert_int_equal(rate_bucket_delay(&bucket, 5), 1000001);
    assert_int_equal(rate_bucket_delay(&bucket, 1000005), 1);
    assert_int_equal(rate_bucket_delay(&bucket, 1000006), 0);
}

static void test_no_amount_overflows_a_bucket(void **state)
{
    struct rate_bucket bucket = rate_bucket_full(UINT64_MAX, UINT64_MAX, 0);
    for (unsigned i = 0; i < 1000; i++) {
        if (rate_bucket_delay(&bucket, i) == 0)
            rate_bucket_charge(&bucket, UINT64_MAX);
    }
    assert_int_equal(rate_bucket_delay(&bucket, UINT64_MAX), 0);
    struct rate_bucket none = rate_bucket_full(0, 0, 0);
    rate_bucket_charge(&none, 1000);
    assert_int_equal(rate_bucket_delay(&none, 1), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define SHARED_CASE(test) cmocka_unit_test_setup_teardown(test, set_up_shared, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_inflated_pages_leave_the_host),
        SHARED_CASE(test_inflated_pages_leave_the_host),
        CASE(test_reported_pages_leave_the_host),
        SHARED_CASE(test_reported_pages_leave_the_host),
        CASE(test_pages_outside_memory_stop_the_balloon),
        CASE(test_too_many_pages_stop_the_balloon),
        CASE(test_the_guest_learns_its_target),
        cmocka_unit_test(test_a_bucket_keeps_its_mean),
        cmocka_unit_test(test_a_debt_is_paid_before_the_next),
        cmocka_unit_test(test_no_amount_overflows_a_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
