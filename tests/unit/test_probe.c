/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probes, on whatever machine this is: their verdicts must agree with each other and with what the choice
 * does, and say why.
 */
#include "base/json.h"
#include "hv/probe.h"
#include "hv/tsc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static void test_kvm_verdict_has_a_reason(void **state)
{
    struct probe_result result;
    probe_kvm(&result);
    assert_true(strlen(result.reason) > 10);
    int64_t rounds = json_integer_value(json_object_get(result.details, "rounds"));
    assert_int_equal(result.usable, rounds == 1000);
    if (access("/dev/kvm", F_OK) < 0 || !probe_processor_virtualizes())
        assert_false(result.usable);
    probe_result_clear(&result);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_choice_follows_the_probe(void **state)
{
    struct probe_result kvm;
    probe_kvm(&kvm);
    const struct hv_ops *ops = NULL;
    char *reason = NULL;
    assert_null(hv_choose("auto", &ops, &reason));
    assert_string_equal(ops->name, kvm.usable ? "qemu-kvm" : "qemu-tcg");
    assert_non_null(strstr(reason, probe_processor_virtualizes() ? kvm.reason : "neither VMX nor SVM"));
    free(reason);
    reason = NULL;
    _cleanup_error_ struct error *error = hv_choose("qemu-kvm", &ops, &reason);
    assert_int_equal(error_code(error), kvm.usable ? ERROR_OK : ERROR_FAILED_PRECONDITION);
    if (!kvm.usable)
        assert_non_null(strstr(error_message(error), kvm.reason));
    free(reason);
    probe_result_clear(&kvm);
}

static void test_unknown_hypervisor(void **state)
{
    const struct hv_ops *ops = NULL;
    char *reason = NULL;
    _cleanup_error_ struct error *error = hv_choose("bochs", &ops, &reason);
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error_message(error), "bochs"));
    assert_null(ops);
    assert_null(reason);
}

static void test_missing_qemu_is_told(void **state)
{
    setenv("CAISSON_QEMU", "/nonexistent/qemu", 1);
    struct probe_result result;
    probe_qemu(&result);
    unsetenv("CAISSON_QEMU");
    assert_false(result.usable);
    assert_non_null(strstr(result.reason, "/nonexistent/qemu"));
    assert_non_null(result.advice);
    probe_result_clear(&result);
}

static void test_report(void **state)
{
    _cleanup_free_ char *text = probe_report_json();
    _cleanup_json_ json_t *report = NULL;
    assert_null(json_read("report", text, strlen(text), &report));
    assert_true(json_array_size(report) >= 6);
    size_t index, chosen = 0;
    json_t *entry;
    json_array_foreach (report, index, entry) {
        assert_true(json_is_string(json_object_get(entry, "name")));
        assert_true(json_is_boolean(json_object_get(entry, "usable")));
        assert_true(json_is_string(json_object_get(entry, "reason")));
        chosen += json_is_true(json_object_get(json_object_get(entry, "details"), "chosen"));
    }
    assert_in_range(chosen, 0, 1);
}

static void test_clock_rate_is_steady(void **state)
{
    struct tsc_sample sample = tsc_sample();
    uint64_t first = tsc_rate(&sample);
    uint64_t second = tsc_rate(&sample);
    assert_in_range(second, first - first / 1000, first + first / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kvm_verdict_has_a_reason),
        cmocka_unit_test(test_choice_follows_the_probe),
        cmocka_unit_test(test_unknown_hypervisor),
        cmocka_unit_test(test_missing_qemu_is_told),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_clock_rate_is_steady),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
