/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine can really do, found out by doing it.
 */
#pragma once

#include "base/json.h"
#include "hv/hv.h"

struct probe_result {
    const char *name; /* "kvm", "qemu-tcg", "virtiofsd", ... */
    bool usable;
    char *reason;    /* why it is or is not, a sentence */
    char *advice;    /* what to do, or NULL where there is nothing to do */
    json_t *details; /* an object */
};

void probe_result_clear(struct probe_result *result);

/* KVM counts as usable only when it ran a few thousand instructions of a guest, atomic ones among them,
   within PROBE_KVM_MILLISECONDS: there are hosts whose /dev/kvm opens and creates machines that then cannot
   run. Done in a child process, which is killed when the time is up. */
#define PROBE_KVM_MILLISECONDS 100
void probe_kvm(struct probe_result *ret_result);

/* Whether the processor has VMX or SVM at all: without, no KVM runs ordinary guests at speed. Costs
   microseconds, where probe_kvm takes 3 to 8 ms. */
bool probe_processor_virtualizes(void);

/* Whether our own monitor's program is there. */
void probe_vmm(struct probe_result *ret_result);
void probe_qemu(struct probe_result *ret_result);
void probe_virtiofsd(struct probe_result *ret_result);
void probe_tun(struct probe_result *ret_result);
void probe_jail(struct probe_result *ret_result);

/* requested: NULL or "auto", or a hypervisor's name. "auto" is KVM where it is usable, else emulation. A
   named one that cannot run is FAILED_PRECONDITION with the reason and what to do; never replaced by another.
   ret_reason says why it was chosen; owned by the caller. */
struct error *hv_choose(const char *requested, const struct hv_ops **ret_ops, char **ret_reason);

/* For `caisson check`: [{"name", "usable", "reason", "advice", "details"}, ...]; the hypervisor that "auto"
   means has "chosen": true among its details. Owned by the caller. */
char *probe_report_json(void);
