/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kicking without losing a kick: who asks sets `wish` and KVM's immediate_exit under the lock and then sends
 * the signal. If the thread is in the guest, the signal ends that; if it is just before, KVM sees
 * immediate_exit; if it handles an exit, either does. The thread takes both back under the lock too.
 */
#include "vmm/vcpu.h"

#include "vmm/cpuid.h"
#include "vmm/registers.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define KICK_SIGNAL SIGUSR1

/* Handling an exit takes a few small frames; 32 processors need not reserve more. */
#define STACK_SIZE (256u << 10)

enum vcpu_wish { WISH_PAUSE, WISH_RUN, WISH_END };

struct vcpu {
    const struct vcpu_owner *owner;
    void *context;
    int fd;
    struct kvm_run *run;
    size_t run_size;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum vcpu_wish wish; /* under the lock */
    bool paused;         /* under the lock */
    bool ended;          /* the thread's own: the processor cannot run any more */
    _Atomic uint64_t exits[VCPU_EXIT_KINDS];
};

const char *vcpu_exit_name(enum vcpu_exit kind)
{
    static const char *const names[] = {
        [VCPU_EXIT_PORT_IN] = "port-in",
        [VCPU_EXIT_PORT_OUT] = "port-out",
        [VCPU_EXIT_DEVICE_READ] = "device-read",
        [VCPU_EXIT_DEVICE_WRITE] = "device-write",
        [VCPU_EXIT_INTERRUPTED] = "interrupted",
        [VCPU_EXIT_OTHER] = "other",
    };
    _Static_assert(ARRAY_SIZE(names) == VCPU_EXIT_KINDS, "every kind has a name");
    return names[kind];
}

uint64_t vcpu_exits(const struct vcpu *vcpu, enum vcpu_exit kind)
{
    return atomic_load_explicit(&vcpu->exits[kind], memory_order_relaxed);
}

/* --- in the processor's thread --- */

static void count(struct vcpu *vcpu, enum vcpu_exit kind)
{
    atomic_fetch_add_explicit(&vcpu->exits[kind], 1, memory_order_relaxed);
}

static void end(struct vcpu *vcpu, enum vcpu_end end, struct error *reason)
{
    vcpu->ended = true;
    vcpu->owner->ended(vcpu->context, end, reason);
}

/* One instruction can move a string of values. KVM keeps place, size and count within the mapping. */
static void handle_port(struct vcpu *vcpu)
{
    const struct kvm_run *run = vcpu->run;
    bool is_write = run->io.direction == KVM_EXIT_IO_OUT;
    uint8_t *data = (uint8_t *)vcpu->run + run->io.data_offset;
    count(vcpu, is_write ? VCPU_EXIT_PORT_OUT : VCPU_EXIT_PORT_IN);
    for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
        if (!is_write)
            memset(data, 0xff, run->io.size);
        vcpu->owner->port(vcpu->context, run->io.port, data, run->io.size, is_write);
    }
}

static void handle_device(struct vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    bool is_write = run->mmio.is_write;
    count(vcpu, is_write ? VCPU_EXIT_DEVICE_WRITE : VCPU_EXIT_DEVICE_READ);
    if (!is_write)
        memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
    vcpu->owner->device(vcpu->context, run->mmio.phys_addr, run->mmio.data, run->mmio.len, is_write);
}

static struct error *describe_failure(const struct kvm_run *run)
{
    if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        return error_new(
            ERROR_INTERNAL, "KVM failed to run the guest: internal error %u", run->internal.suberror);
    if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
        return error_new(ERROR_INTERNAL, "KVM failed to enter the guest: hardware reason 0x%llx",
            run->fail_entry.hardware_entry_failure_reason);
    return error_new(ERROR_INTERNAL, "KVM stopped running the guest: exit reason %u", run->exit_reason);
}

static void handle_exit(struct vcpu *vcpu)
{
    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_IO:
        handle_port(vcpu);
        break;
    case KVM_EXIT_MMIO:
        handle_device(vcpu);
        break;
    case KVM_EXIT_INTR:
        count(vcpu, VCPU_EXIT_INTERRUPTED);
        break;
    case KVM_EXIT_SHUTDOWN:
    case KVM_EXIT_SYSTEM_EVENT:
        count(vcpu, VCPU_EXIT_OTHER);
        end(vcpu, VCPU_END_RESET, NULL);
        break;
    default:
        count(vcpu, VCPU_EXIT_OTHER);
        end(vcpu, VCPU_END_ERROR, describe_failure(vcpu->run));
        break;
    }
}

/* EAGAIN is what a processor that the kernel has not started yet says when it is woken. */
static void run_once(struct vcpu *vcpu)
{
    if (ioctl(vcpu->fd, KVM_RUN, 0) == 0)
        handle_exit(vcpu);
    else if (errno == EINTR || errno == EAGAIN)
        count(vcpu, VCPU_EXIT_INTERRUPTED);
    else
        end(vcpu, VCPU_END_ERROR, error_errno(errno, "running the guest"));
}

/* False: the thread shall end. */
static bool obey(struct vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    vcpu->paused = true;
    pthread_cond_broadcast(&vcpu->changed);
    while (vcpu->wish == WISH_PAUSE || (vcpu->ended && vcpu->wish != WISH_END))
        pthread_cond_wait(&vcpu->changed, &vcpu->lock);
    bool go_on = vcpu->wish == WISH_RUN;
    vcpu->paused = false;
    vcpu->run->immediate_exit = 0;
    pthread_mutex_unlock(&vcpu->lock);
    return go_on;
}

static void *run_thread(void *argument)
{
    struct vcpu *vcpu = argument;
    bool confined = false;
    while (obey(vcpu)) {
        struct error *error = confined ? NULL : vcpu->owner->confine(vcpu->context);
        confined = true;
        if (error)
            end(vcpu, VCPU_END_ERROR, error);
        while (!vcpu->ended && !vcpu->run->immediate_exit)
            run_once(vcpu);
    }
    return NULL;
}

/* --- in other threads --- */

static void wish(struct vcpu *vcpu, enum vcpu_wish wish)
{
    pthread_mutex_lock(&vcpu->lock);
    vcpu->wish = wish;
    vcpu->run->immediate_exit = 1;
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
    pthread_kill(vcpu->thread, KICK_SIGNAL);
}

void vcpu_pause(struct vcpu *vcpu)
{
    wish(vcpu, WISH_PAUSE);
}

void vcpu_wait_paused(struct vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    while (!vcpu->paused)
        pthread_cond_wait(&vcpu->changed, &vcpu->lock);
    pthread_mutex_unlock(&vcpu->lock);
}

void vcpu_resume(struct vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    vcpu->wish = WISH_RUN;
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
}

/* Being there is enough: the signal's work is done when KVM_RUN returns. */
static void on_kick(int number)
{
}

static struct error *start_thread(struct vcpu *vcpu)
{
    const struct sigaction kick = {.sa_handler = on_kick};
    if (sigaction(KICK_SIGNAL, &kick, NULL) < 0)
        return error_errno(errno, "catching a signal");
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    int failure = pthread_create(&vcpu->thread, &attributes, run_thread, vcpu);
    pthread_attr_destroy(&attributes);
    if (failure)
        return error_errno(failure, "starting a processor's thread");
    vcpu->has_thread = true;
    return NULL;
}

static struct error *create(struct vcpu *vcpu, const struct kvm *kvm, unsigned number, unsigned processors)
{
    _cleanup_free_ struct kvm_cpuid2 *cpuid =
        cpuid_for_processor(kvm->cpuid, number, processors, kvm->deadline_timer);
    vcpu->fd = ioctl(kvm->vm, KVM_CREATE_VCPU, (unsigned long)number);
    if (vcpu->fd < 0)
        return error_errno(errno, "creating processor %u", number);
    void *run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (run == MAP_FAILED)
        return error_errno(errno, "mapping processor %u", number);
    vcpu->run = run;
    if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
        return error_errno(errno, "setting what processor %u is", number);
    return registers_reset(vcpu->fd);
}

struct error *vcpu_new(const struct kvm *kvm, unsigned number, unsigned processors,
    const struct vcpu_owner *owner, void *context, struct vcpu **ret_vcpu)
{
    _cleanup_(vcpu_free) struct vcpu *vcpu = must_new(struct vcpu);
    vcpu->owner = owner;
    vcpu->context = context;
    vcpu->fd = -1;
    vcpu->run_size = kvm->run_size;
    pthread_mutex_init(&vcpu->lock, NULL);
    pthread_cond_init(&vcpu->changed, NULL);
    TRY(create(vcpu, kvm, number, processors));
    TRY(start_thread(vcpu));
    *ret_vcpu = TAKE_PTR(vcpu);
    return NULL;
}

struct error *vcpu_enter(const struct vcpu *vcpu, const struct boot_entry *entry)
{
    return registers_enter(vcpu->fd, entry);
}

void vcpu_free(struct vcpu *vcpu)
{
    if (!vcpu)
        return;
    if (vcpu->has_thread) {
        wish(vcpu, WISH_END);
        pthread_join(vcpu->thread, NULL);
    }
    if (vcpu->run)
        munmap(vcpu->run, vcpu->run_size);
    close_fd(vcpu->fd);
    pthread_cond_destroy(&vcpu->changed);
    pthread_mutex_destroy(&vcpu->lock);
    free(vcpu);
}
