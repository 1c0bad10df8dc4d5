/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/registers.h"

#include <linux/kvm.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

/* Intel SDM volume 4, table 2-2. */
#define MSR_MISC_ENABLE 0x1a0
#define MSR_MTRR_DEFAULT_TYPE 0x2ff

#define MISC_ENABLE_FAST_STRINGS 1
#define MTRR_ENABLE_WRITE_BACK 0x806

#define CR0_PROTECTED 0x1u
#define CR0_EXTENSION_TYPE 0x10u
#define CR0_PAGING 0x80000000u
#define CR4_PHYSICAL_ADDRESS_EXTENSION 0x20u
#define EFER_LONG_MODE 0x500u /* enabled and active */

#define RFLAGS_ALWAYS_SET 2u

/* Selectors of boot.c's descriptor table; PVH has no table and lets any do. */
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TASK 0x18

/* Offsets into the local APIC's page, and what virtual wire mode has there. */
#define APIC_LVT0 0x350
#define APIC_LVT1 0x360
#define APIC_EXTERNAL 0x700u
#define APIC_NMI 0x400u

static struct error *set_msrs(int vcpu)
{
    static const struct kvm_msr_entry entries[] = {
        {.index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRINGS},
        {.index = MSR_MTRR_DEFAULT_TYPE, .data = MTRR_ENABLE_WRITE_BACK},
    };
    _cleanup_free_ struct kvm_msrs *msrs = must_alloc(sizeof(*msrs) + sizeof(entries));
    msrs->nmsrs = ARRAY_SIZE(entries);
    memcpy(msrs->entries, entries, sizeof(entries));
    int set = ioctl(vcpu, KVM_SET_MSRS, msrs);
    if (set < 0)
        return error_errno(errno, "setting a processor's model-specific registers");
    if (set < (int)msrs->nmsrs)
        return error_new(
            ERROR_UNIMPLEMENTED, "KVM does not know the model-specific register 0x%x", entries[set].index);
    return NULL;
}

static void set_apic_register(struct kvm_lapic_state *apic, size_t offset, uint32_t value)
{
    memcpy(apic->regs + offset, &value, sizeof(value));
}

static struct error *set_local_apic(int vcpu)
{
    struct kvm_lapic_state apic;
    if (ioctl(vcpu, KVM_GET_LAPIC, &apic) < 0)
        return error_errno(errno, "reading a processor's interrupt controller");
    set_apic_register(&apic, APIC_LVT0, APIC_EXTERNAL);
    set_apic_register(&apic, APIC_LVT1, APIC_NMI);
    if (ioctl(vcpu, KVM_SET_LAPIC, &apic) < 0)
        return error_errno(errno, "setting a processor's interrupt controller");
    return NULL;
}

struct error *registers_reset(int vcpu)
{
    const struct kvm_fpu fpu = {.fcw = 0x37f, .mxcsr = 0x1f80}; /* as after FINIT */
    TRY(set_msrs(vcpu));
    if (ioctl(vcpu, KVM_SET_FPU, &fpu) < 0)
        return error_errno(errno, "setting a processor's floating-point unit");
    return set_local_apic(vcpu);
}

static void set_flat_segments(struct kvm_sregs *special, bool long_mode)
{
    const struct kvm_segment code = {.limit = UINT32_MAX,
        .selector = SELECTOR_CODE,
        .type = 11, /* executable */
        .present = 1,
        .s = 1,
        .g = 1,
        .db = !long_mode,
        .l = long_mode};
    const struct kvm_segment data = {
        .limit = UINT32_MAX, .selector = SELECTOR_DATA, .type = 3, .present = 1, .s = 1, .g = 1, .db = 1};
    const struct kvm_segment task = {
        .limit = 0x67, .selector = SELECTOR_TASK, .type = 11 /* busy */, .present = 1};
    special->cs = code;
    special->ds = special->es = special->fs = special->gs = special->ss = data;
    special->tr = task;
}

struct error *registers_enter(int vcpu, const struct boot_entry *entry)
{
    struct kvm_sregs special;
    if (ioctl(vcpu, KVM_GET_SREGS, &special) < 0)
        return error_errno(errno, "reading a processor's registers");
    set_flat_segments(&special, entry->long_mode);
    special.cr0 = CR0_PROTECTED | CR0_EXTENSION_TYPE;
    special.cr4 = 0;
    if (entry->long_mode) {
        special.gdt =
            (struct kvm_dtable){.base = BOOT_GDT_ADDRESS, .limit = BOOT_GDT_ENTRIES * sizeof(uint64_t) - 1};
        special.cr3 = BOOT_PAGE_TABLES_ADDRESS;
        special.cr4 = CR4_PHYSICAL_ADDRESS_EXTENSION;
        special.cr0 |= CR0_PAGING;
        special.efer |= EFER_LONG_MODE;
    }
    const struct kvm_regs registers = {
        .rip = entry->instruction,
        .rflags = RFLAGS_ALWAYS_SET,
        .rbx = entry->long_mode ? 0 : entry->argument,
        .rsi = entry->long_mode ? entry->argument : 0,
    };
    if (ioctl(vcpu, KVM_SET_SREGS, &special) < 0 || ioctl(vcpu, KVM_SET_REGS, &registers) < 0)
        return error_errno(errno, "setting a processor's registers");
    return NULL;
}
