/* SPDX-License-Identifier: Apache-2.0 */
#include "assertions.h"
#include "vmm/virtio/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#define PAGE UINT64_C(4096)

/* The simple model: byte by byte, is there memory, and where? */
static const uint8_t *model_byte(const struct guest_memory *memory, uint64_t address)
{
    for (unsigned i = 0; i < memory->region_count; i++) {
        const struct guest_region *region = &memory->regions[i];
        for (uint64_t j = 0; j < region->size; j++) {
            if (region->address + j == address)
                return region->host + j;
        }
    }
    return NULL;
}

static bool model_allows(const struct guest_memory *memory, uint64_t address, uint64_t length)
{
    for (uint64_t i = 0; i < length; i++) {
        const uint8_t *byte = model_byte(memory, address + i);
        if (address + i < address || !byte || byte != model_byte(memory, address) + i)
            return false;
    }
    return true;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Two small regions anywhere, also at the very end of all addresses. */
static void place_regions(struct guest_memory *memory, uint8_t *backing, uint64_t *state)
{
    memory->region_count = 2;
    uint64_t at = next_random(state) % 64;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t size = 1 + next_random(state) % 48;
        memory->regions[i] = (struct guest_region){.address = at, .size = size, .host = backing + 256 * i};
        at += size + next_random(state) % 32;
    }
    if (next_random(state) % 4 == 0)
        memory->regions[1].address = 0 - memory->regions[1].size;
}

static uint64_t near(const struct guest_memory *memory, uint64_t *state)
{
    const struct guest_region *region = &memory->regions[next_random(state) % 2];
    return region->address + next_random(state) % (2 * region->size + 8) - region->size / 2;
}

static void test_door_agrees_with_the_model(void **state)
{
    uint8_t backing[512];
    uint64_t random = 88172645463325252u;
    for (unsigned round = 0; round < 20000; round++) {
        struct guest_memory memory = {.fd = -1};
        place_regions(&memory, backing, &random);
        uint64_t address = near(&memory, &random);
        uint64_t length = 1 + next_random(&random) % 64;
        void *slice = NULL;
        struct error *error = guest_memory_slice(&memory, address, length, &slice);
        assert_int_equal(!error, model_allows(&memory, address, length));
        if (!error)
            assert_ptr_equal(slice, model_byte(&memory, address));
        else
            assert_null(slice);
        error_free(error);
    }
}

static void test_lengths_that_wrap_are_refused(void **state)
{
    static const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 4095, 0 - PAGE, UINT64_C(1) << 63};
    struct guest_memory *memory;
    void *slice = NULL;
    assert_ok(guest_memory_new(4 * PAGE, false, &memory));
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        for (uint64_t address = 0; address < 4 * PAGE; address += PAGE)
            assert_refused(guest_memory_slice(memory, address, lengths[i], &slice), ERROR_OUT_OF_RANGE,
                "are not all memory");
    }
    assert_null(slice);
    guest_memory_free(memory);
}

static void test_what_is_above_3_gib_begins_at_4(void **state)
{
    struct guest_memory *memory;
    void *low, *high;
    assert_ok(guest_memory_new(GUEST_MEMORY_GAP + 2 * PAGE, true, &memory));
    assert_int_equal(memory->region_count, 2);
    assert_ok(guest_memory_slice(memory, GUEST_MEMORY_GAP - PAGE, PAGE, &low));
    assert_ok(guest_memory_slice(memory, GUEST_MEMORY_HIGH + PAGE, PAGE, &high));
    assert_says(guest_memory_slice(memory, GUEST_MEMORY_GAP - PAGE, PAGE + 1, &low), "not all memory");
    assert_says(guest_memory_slice(memory, GUEST_MEMORY_GAP, 1, &low), "not all memory");
    assert_says(guest_memory_slice(memory, GUEST_MEMORY_HIGH + 2 * PAGE, 1, &high), "not all memory");
    assert_int_equal(memory->regions[1].offset, GUEST_MEMORY_GAP);
    guest_memory_free(memory);
}

static void test_sizes_that_are_no_memory_are_refused(void **state)
{
    struct guest_memory *memory = NULL;
    assert_refused(guest_memory_new(0, false, &memory), ERROR_INVALID_ARGUMENT, "not whole pages");
    assert_refused(guest_memory_new(PAGE + 1, true, &memory), ERROR_INVALID_ARGUMENT, "not whole pages");
    assert_null(memory);
}

static size_t resident_pages(const void *address, size_t pages)
{
    unsigned char present[64];
    size_t count = 0;
    assert_int_equal(mincore((void *)(uintptr_t)address, pages * PAGE, present), 0);
    for (size_t i = 0; i < pages; i++)
        count += present[i] & 1;
    return count;
}

/* Whole pages go, their neighbours stay. */
static void check_discard(bool shared)
{
    struct guest_memory *memory;
    assert_ok(guest_memory_new(16 * PAGE, shared, &memory));
    uint8_t *host = memory->regions[0].host;
    memset(host, 'x', 16 * PAGE);
    assert_ok(guest_memory_discard(memory, host + PAGE + 1, 3 * PAGE));
    assert_int_equal(resident_pages(host, 16), 14);
    assert_int_equal(host[2 * PAGE - 1], 'x');
    assert_int_equal(host[2 * PAGE], 0);
    assert_int_equal(host[4 * PAGE], 'x');
    assert_ok(guest_memory_discard(memory, host, PAGE - 1));
    assert_int_equal(host[0], 'x');
    assert_says(guest_memory_discard(memory, host + 15 * PAGE, 2 * PAGE), "not all memory");
    guest_memory_free(memory);
}

static void test_discarded_pages_leave_the_host(void **state)
{
    check_discard(false);
    check_discard(true);
}

static void test_a_private_map_leaves_its_file_alone(void **state)
{
    int fd = memfd_create("template", MFD_CLOEXEC);
    char first = 0;
    struct guest_memory *memory;
    assert_int_equal(ftruncate(fd, 4 * (off_t)PAGE), 0);
    assert_int_equal(pwrite(fd, "t", 1, 0), 1);
    int again = dup(fd);
    assert_ok(guest_memory_map(fd, 4 * PAGE, false, &memory));
    assert_ok(guest_memory_read(memory, 0, &first, 1));
    assert_int_equal(first, 't');
    assert_ok(guest_memory_write(memory, 0, "g", 1));
    assert_int_equal(pread(again, &first, 1, 0), 1);
    assert_int_equal(first, 't');
    guest_memory_free(memory);
    close(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_door_agrees_with_the_model),
        cmocka_unit_test(test_lengths_that_wrap_are_refused),
        cmocka_unit_test(test_what_is_above_3_gib_begins_at_4),
        cmocka_unit_test(test_sizes_that_are_no_memory_are_refused),
        cmocka_unit_test(test_discarded_pages_leave_the_host),
        cmocka_unit_test(test_a_private_map_leaves_its_file_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
