/* SPDX-License-Identifier: Apache-2.0 */
/* What each of several processors is told that it is. */
#include "assertions.h"
#include "vmm/cpuid.h"

static const struct kvm_cpuid_entry2 offer[] = {
    {.function = 0, .eax = 0x1f},
    {.function = 1, .ebx = 0x07ff0800, .ecx = 1, .edx = 1u << 28},
    {.function = 4, .index = 0, .eax = 0xfc004121},
    {.function = 4, .index = 3, .eax = 0xfc1fc163},
    {.function = 4, .index = 4, .eax = 0},
    {.function = 0xb, .index = 0, .eax = 1, .ebx = 2, .ecx = 0x100},
    {.function = 0xb, .index = 1, .eax = 7, .ebx = 64, .ecx = 0x201},
    {.function = 0xb, .index = 2},
    {.function = 0x80000008, .eax = 0x3030, .ecx = 0x703f},
    {.function = 0x8000001e, .eax = 9, .ebx = 0x104, .ecx = 0x301},
};

static struct kvm_cpuid2 *make_offer(void)
{
    struct kvm_cpuid2 *cpuid = must_alloc(sizeof(*cpuid) + sizeof(offer));
    cpuid->nent = ARRAY_SIZE(offer);
    memcpy(cpuid->entries, offer, sizeof(offer));
    return cpuid;
}

static const struct kvm_cpuid_entry2 *leaf(const struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
            return &cpuid->entries[i];
    }
    print_error("no leaf 0x%x\n", function);
    abort(); /* which gcc knows does not return */
}

static void third_of_four(void **state)
{
    _cleanup_free_ struct kvm_cpuid2 *all = make_offer(), *cpuid = cpuid_for_processor(all, 2, 4, true);
    assert_int_equal(leaf(cpuid, 1, 0)->ebx, 0x02040800);
    assert_int_equal(leaf(cpuid, 1, 0)->ecx, 1 | 1u << 24 | 1u << 31);
    assert_int_equal(leaf(cpuid, 1, 0)->edx, 1u << 28);
    assert_int_equal(leaf(cpuid, 4, 0)->eax, 0x0c000121);
    assert_int_equal(leaf(cpuid, 4, 3)->eax, 0x0c00c163);
    assert_int_equal(leaf(cpuid, 4, 4)->eax, 0);
    assert_int_equal(leaf(cpuid, 0xb, 0)->eax, 0);
    assert_int_equal(leaf(cpuid, 0xb, 0)->ebx, 1);
    assert_int_equal(leaf(cpuid, 0xb, 0)->edx, 2);
    assert_int_equal(leaf(cpuid, 0xb, 1)->eax, 2);
    assert_int_equal(leaf(cpuid, 0xb, 1)->ebx, 4);
    assert_int_equal(leaf(cpuid, 0xb, 1)->ecx, 0x201);
    assert_int_equal(leaf(cpuid, 0xb, 2)->ebx, 0);
    assert_int_equal(leaf(cpuid, 0x80000008, 0)->ecx, 0x2003);
    assert_int_equal(leaf(cpuid, 0x8000001e, 0)->eax, 2);
    assert_int_equal(leaf(cpuid, 0x8000001e, 0)->ebx, 2);
}

static void only_one(void **state)
{
    _cleanup_free_ struct kvm_cpuid2 *all = make_offer(), *cpuid = cpuid_for_processor(all, 0, 1, false);
    assert_int_equal(leaf(cpuid, 1, 0)->ebx, 0x00010800);
    assert_int_equal(leaf(cpuid, 1, 0)->ecx, 1 | 1u << 31);
    assert_int_equal(leaf(cpuid, 1, 0)->edx, 0);
    assert_int_equal(leaf(cpuid, 4, 3)->eax, 0x00000163);
    assert_int_equal(leaf(cpuid, 0x80000008, 0)->ecx, 0);
    assert_memory_equal(all->entries, offer, sizeof(offer));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(third_of_four),
        cmocka_unit_test(only_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
