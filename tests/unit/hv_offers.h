/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same tests on every hypervisor that this machine offers, or on the one that $CAISSON_TEST_HYPERVISOR
 * names. A KVM host that is emulated itself (tests/kvm/run) is not asked to emulate another machine.
 * $CAISSON_TEST_FILTER picks tests by a pattern of their names: '*pause*'.
 */
#pragma once

#include "assertions.h"
#include "hv/probe.h"
#include "hv/programs.h"

#include <string.h>

#include <cmocka.h>

#define HV_KNOWN 3

static bool hv_is_offered(const char *name)
{
    const char *only = getenv("CAISSON_TEST_HYPERVISOR"), *host = getenv("KVM_HOST");
    if (only && *only && strcmp(only, name) != 0)
        return false;
    if (!(only && *only) && host && strcmp(host, "emulated") == 0 && strcmp(name, "qemu-tcg") == 0)
        return false;
    const struct hv_ops *ops;
    _cleanup_free_ char *reason = NULL, *program = NULL;
    struct error *error = hv_choose(name, &ops, &reason);
    if (!error)
        error = strcmp(name, "caisson-vmm") == 0 ? find_vmm(&program) : find_qemu(&program);
    bool offered = !error;
    error_free(error);
    return offered;
}

/* Each test's set-up finds the hypervisor's struct hv_ops in its state. 0: all passed. */
static int hv_run_on_each(const struct CMUnitTest *tests, size_t count)
{
    static const char *const known[HV_KNOWN] = {"caisson-vmm", "qemu-kvm", "qemu-tcg"};
    struct CMUnitTest *all = must_alloc_array(HV_KNOWN * count, sizeof(*all));
    size_t total = 0;
    for (size_t i = 0; i < HV_KNOWN; i++) {
        if (!hv_is_offered(known[i]))
            continue;
        for (size_t j = 0; j < count; j++, total++) {
            all[total] = tests[j];
            all[total].name = must_printf("%s: %s", known[i], tests[j].name);
            all[total].initial_state = (void *)(uintptr_t)hv_by_name(known[i]);
        }
    }
    cmocka_set_test_filter(getenv("CAISSON_TEST_FILTER"));
    int failed = _cmocka_run_group_tests("hypervisors", all, total, NULL, NULL);
    for (size_t i = 0; i < total; i++)
        free((void *)(uintptr_t)all[i].name);
    free(all);
    return failed;
}
