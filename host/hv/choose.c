/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/probe.h"

#include <string.h>

/* A hypervisor out of the parts it needs: the first that is missing gives the reason. */
static void combine(struct probe_result *ret, const char *name, const struct probe_result *program,
    const struct probe_result *accelerator)
{
    const struct probe_result *missing = !program->usable ? program : NULL;
    if (!missing && accelerator && !accelerator->usable)
        missing = accelerator;
    *ret = (struct probe_result){.name = name, .usable = !missing, .details = json_object()};
    if (missing) {
        ret->reason = must_copy(missing->reason);
        ret->advice = must_copy_or_null(missing->advice);
    } else if (accelerator) {
        ret->reason = must_printf("%s; KVM: %s", program->reason, accelerator->reason);
    } else {
        ret->reason = must_printf("%s; emulation needs nothing of the processor", program->reason);
    }
}

static struct error *cannot_run(const struct probe_result *result)
{
    return error_new(ERROR_FAILED_PRECONDITION, "the hypervisor %s cannot run here: %s%s%s", result->name,
        result->reason, result->advice ? "; " : "", result->advice ? result->advice : "");
}

/* The programs are looked for when they start, not here. `required`: a hypervisor that needs KVM, or NULL for
   the best there is: QEMU, which can do all that hv.h has. */
static struct error *choose_kvm(const char *required, const struct hv_ops **ret_ops, char **ret_reason)
{
    struct probe_result kvm;
    probe_kvm(&kvm);
    struct error *error = NULL;
    if (kvm.usable) {
        *ret_ops = hv_by_name(required ? required : "qemu-kvm");
        *ret_reason = must_printf("KVM is usable: %s", kvm.reason);
    } else if (required) {
        kvm.name = required;
        error = cannot_run(&kvm);
    } else {
        *ret_ops = hv_by_name("qemu-tcg");
        *ret_reason = must_printf("KVM is not usable: %s", kvm.reason);
    }
    probe_result_clear(&kvm);
    return error;
}

struct error *hv_choose(const char *requested, const struct hv_ops **ret_ops, char **ret_reason)
{
    bool automatic = !requested || strcmp(requested, "auto") == 0;
    if (automatic && !probe_processor_virtualizes()) {
        *ret_ops = hv_by_name("qemu-tcg");
        *ret_reason =
            must_copy("KVM is not usable: this processor shows no virtualization (neither VMX nor SVM)");
        return NULL;
    }
    if (automatic)
        return choose_kvm(NULL, ret_ops, ret_reason);
    if (strcmp(requested, "qemu-kvm") == 0 || strcmp(requested, "caisson-vmm") == 0)
        return choose_kvm(requested, ret_ops, ret_reason);
    const struct hv_ops *ops = hv_by_name(requested);
    if (!ops)
        return error_new(ERROR_INVALID_ARGUMENT,
            "there is no hypervisor %s; known are auto, caisson-vmm, qemu-kvm and qemu-tcg", requested);
    *ret_ops = ops;
    *ret_reason = must_copy("it was asked for");
    return NULL;
}

static void append(json_t *report, struct probe_result *result)
{
    json_t *entry = json_object();
    json_object_set_new(entry, "name", json_string(result->name));
    json_object_set_new(entry, "usable", json_boolean(result->usable));
    json_object_set_new(entry, "reason", json_string(result->reason));
    json_object_set_new(entry, "advice", result->advice ? json_string(result->advice) : json_null());
    json_object_set(entry, "details", result->details);
    json_array_append_new(report, entry);
    probe_result_clear(result);
}

char *probe_report_json(void)
{
    struct probe_result kvm, vmm, qemu, own, with_kvm, with_tcg, rest;
    probe_kvm(&kvm);
    probe_vmm(&vmm);
    probe_qemu(&qemu);
    combine(&own, "caisson-vmm", &vmm, &kvm);
    combine(&with_kvm, "qemu-kvm", &qemu, &kvm);
    combine(&with_tcg, "qemu-tcg", &qemu, NULL);
    json_object_set_new(with_kvm.details, "chosen", json_boolean(with_kvm.usable));
    json_object_set_new(with_tcg.details, "chosen", json_boolean(!with_kvm.usable && with_tcg.usable));
    _cleanup_json_ json_t *report = json_array();
    append(report, &own);
    append(report, &with_kvm);
    append(report, &with_tcg);
    append(report, &kvm);
    append(report, &qemu);
    probe_result_clear(&vmm);
    void (*const others[])(struct probe_result *) = {probe_virtiofsd, probe_jail, probe_tun};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        others[i](&rest);
        append(report, &rest);
    }
    return json_write(report);
}
