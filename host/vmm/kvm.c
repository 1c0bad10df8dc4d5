/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/kvm.h"

#include <sys/ioctl.h>

/* KVM_MAX_CPUID_ENTRIES of the kernel's arch/x86/include/asm/kvm_host.h. */
#define CPUID_ENTRIES 256

/* Four pages below 4 GiB, outside of memory and devices, for Intel processors that cannot run real mode. */
#define TSS_ADDRESS 0xfffbd000ul
#define IDENTITY_MAP_ADDRESS 0xfffbc000ull

static struct error *check_abilities(const struct kvm *kvm)
{
    static const struct {
        int capability;
        const char *name;
    } needed[] = {
        {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
        {KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
        {KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
        {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
        {KVM_CAP_IRQFD, "KVM_CAP_IRQFD"},
        {KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"},
        {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
    };
    int version = ioctl(kvm->system, KVM_GET_API_VERSION, 0);
    if (version < 0)
        return error_errno(errno, "asking /dev/kvm for its version");
    if (version != KVM_API_VERSION)
        return error_new(
            ERROR_UNAVAILABLE, "/dev/kvm speaks version %d instead of %d", version, KVM_API_VERSION);
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        if (ioctl(kvm->system, KVM_CHECK_EXTENSION, needed[i].capability) <= 0)
            return error_new(ERROR_UNAVAILABLE, "/dev/kvm has no %s", needed[i].name);
    }
    return NULL;
}

static struct error *read_abilities(struct kvm *kvm)
{
    int size = ioctl(kvm->system, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof(struct kvm_run))
        return error_errno(size < 0 ? errno : EPROTO, "asking /dev/kvm for the size of a processor");
    kvm->run_size = (size_t)size;
    kvm->deadline_timer = ioctl(kvm->system, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
    kvm->cpuid = must_alloc(sizeof(*kvm->cpuid) + CPUID_ENTRIES * sizeof(kvm->cpuid->entries[0]));
    kvm->cpuid->nent = CPUID_ENTRIES;
    if (ioctl(kvm->system, KVM_GET_SUPPORTED_CPUID, kvm->cpuid) < 0)
        return error_errno(errno, "asking /dev/kvm what processor it offers");
    return NULL;
}

/* A signal may interrupt the creation, which then has to be begun again. */
static struct error *create_vm(struct kvm *kvm)
{
    do
        kvm->vm = ioctl(kvm->system, KVM_CREATE_VM, 0);
    while (kvm->vm < 0 && errno == EINTR);
    return kvm->vm < 0 ? error_errno(errno, "creating a virtual machine") : NULL;
}

struct error *kvm_new(int system, struct kvm **ret_kvm)
{
    _cleanup_(kvm_free) struct kvm *kvm = must_new(struct kvm);
    kvm->system = system;
    kvm->vm = -1;
    TRY(check_abilities(kvm));
    TRY(read_abilities(kvm));
    TRY(create_vm(kvm));
    *ret_kvm = TAKE_PTR(kvm);
    return NULL;
}

struct error *kvm_add_memory(struct kvm *kvm, uint64_t address, uint64_t size, void *host)
{
    const struct kvm_userspace_memory_region region = {
        .slot = kvm->slots,
        .guest_phys_addr = address,
        .memory_size = size,
        .userspace_addr = (uintptr_t)host,
    };
    if (ioctl(kvm->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return error_errno(errno, "giving the machine its memory");
    kvm->slots++;
    return NULL;
}

/* Without the deadline timer Linux calibrates the APIC's against the old interval timer, so has one then. */
static struct error *create_interval_timer(const struct kvm *kvm)
{
    const struct kvm_pit_config config = {.flags = KVM_PIT_SPEAKER_DUMMY};
    if (kvm->deadline_timer || ioctl(kvm->vm, KVM_CREATE_PIT2, &config) == 0)
        return NULL;
    return error_errno(errno, "creating the interval timer");
}

struct error *kvm_create_interrupt_controllers(struct kvm *kvm)
{
    const uint64_t identity_map = IDENTITY_MAP_ADDRESS;
    if (ioctl(kvm->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
        ioctl(kvm->vm, KVM_SET_TSS_ADDR, TSS_ADDRESS) < 0)
        return error_errno(errno, "placing KVM's own pages");
    if (ioctl(kvm->vm, KVM_CREATE_IRQCHIP, 0) < 0)
        return error_errno(errno, "creating the interrupt controllers");
    return create_interval_timer(kvm);
}

struct error *kvm_bind_notification(const struct kvm *kvm, uint64_t address, uint32_t value, int fd)
{
    const struct kvm_ioeventfd binding = {
        .datamatch = value,
        .addr = address,
        .len = sizeof(value),
        .fd = fd,
        .flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
    };
    if (ioctl(kvm->vm, KVM_IOEVENTFD, &binding) < 0)
        return error_errno(errno, "binding the notification of a queue");
    return NULL;
}

struct error *kvm_bind_interrupt(const struct kvm *kvm, uint32_t gsi, int fd)
{
    const struct kvm_irqfd binding = {.fd = (uint32_t)fd, .gsi = gsi};
    if (ioctl(kvm->vm, KVM_IRQFD, &binding) < 0)
        return error_errno(errno, "binding interrupt %u", gsi);
    return NULL;
}

void kvm_free(struct kvm *kvm)
{
    if (!kvm)
        return;
    close_fd(kvm->vm);
    close_fd(kvm->system);
    free(kvm->cpuid);
    free(kvm);
}
