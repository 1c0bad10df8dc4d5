/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child sets up the smallest machine that can reach long mode and runs it; what it found goes through a
 * pipe as one struct. The parent waits for that until the deadline and then kills the child, so a KVM that
 * never comes back from a run costs no more than the deadline.
 */
#include "hv/probe.h"

#include "hv/probe_guest.h"

#include <cpuid.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define CPUID_ENTRIES 256
#define SETUP_MILLISECONDS 2000

#define CPUID_VMX (1u << 5) /* leaf 1, ecx */
#define CPUID_SVM (1u << 2) /* leaf 0x80000001, ecx */

struct finding {
    bool running;    /* the guest is about to run; a second finding follows */
    char failed[32]; /* the step that did not work; empty: the guest ran to its end */
    int errnum;
    uint32_t exit_reason;
    uint32_t suberror;
    uint32_t rounds; /* how far the guest came */
};

struct machine {
    int kvm, vm, vcpu;
    uint8_t *memory;
    struct kvm_run *run;
};

/* --- in the child --- */

static bool fail_step(struct finding *finding, const char *step)
{
    snprintf(finding->failed, sizeof(finding->failed), "%s", step);
    finding->errnum = errno;
    return false;
}

static void put_entry(uint8_t *memory, size_t table, uint64_t entry)
{
    memcpy(memory + table, &entry, sizeof(entry));
}

static void fill_memory(uint8_t *memory)
{
    memcpy(memory + PROBE_CODE, probe_guest, (size_t)(probe_guest_end - probe_guest));
    put_entry(memory, PROBE_PML4, PROBE_PDPT | 3); /* present, writable */
    put_entry(memory, PROBE_PDPT, PROBE_PD | 3);
    put_entry(memory, PROBE_PD, 0x83); /* a page of 2 MiB */
}

static bool make_vm(struct machine *machine, struct finding *finding)
{
    machine->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (machine->kvm < 0)
        return fail_step(finding, "open");
    if (ioctl(machine->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return fail_step(finding, "KVM_GET_API_VERSION");
    machine->vm = ioctl(machine->kvm, KVM_CREATE_VM, 0);
    if (machine->vm < 0)
        return fail_step(finding, "KVM_CREATE_VM");
    machine->memory = mmap(NULL, PROBE_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (machine->memory == MAP_FAILED)
        return fail_step(finding, "mmap");
    fill_memory(machine->memory);
    const struct kvm_userspace_memory_region region = {
        .memory_size = PROBE_MEMORY, .userspace_addr = (uintptr_t)machine->memory};
    if (ioctl(machine->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return fail_step(finding, "KVM_SET_USER_MEMORY_REGION");
    /* Intel processors that cannot run real mode need a place of three pages for it. */
    if (ioctl(machine->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul) < 0)
        return fail_step(finding, "KVM_SET_TSS_ADDR");
    return true;
}

static bool make_vcpu(struct machine *machine, struct finding *finding)
{
    machine->vcpu = ioctl(machine->vm, KVM_CREATE_VCPU, 0);
    if (machine->vcpu < 0)
        return fail_step(finding, "KVM_CREATE_VCPU");
    int size = ioctl(machine->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof(*machine->run))
        return fail_step(finding, "KVM_GET_VCPU_MMAP_SIZE");
    machine->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, machine->vcpu, 0);
    if (machine->run == MAP_FAILED)
        return fail_step(finding, "mmap");
    struct kvm_cpuid2 *cpuid = must_alloc(sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));
    cpuid->nent = CPUID_ENTRIES;
    if (ioctl(machine->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0 ||
        ioctl(machine->vcpu, KVM_SET_CPUID2, cpuid) < 0)
        return fail_step(finding, "KVM_SET_CPUID2");
    struct kvm_sregs special;
    if (ioctl(machine->vcpu, KVM_GET_SREGS, &special) < 0)
        return fail_step(finding, "KVM_GET_SREGS");
    special.cs.base = 0;
    special.cs.selector = 0;
    const struct kvm_regs registers = {.rip = PROBE_CODE, .rflags = 2};
    if (ioctl(machine->vcpu, KVM_SET_SREGS, &special) < 0 ||
        ioctl(machine->vcpu, KVM_SET_REGS, &registers) < 0)
        return fail_step(finding, "KVM_SET_REGS");
    return true;
}

static bool run_guest(struct machine *machine, struct finding *finding)
{
    int result = ioctl(machine->vcpu, KVM_RUN, 0);
    const struct kvm_run *run = machine->run;
    memcpy(&finding->rounds, machine->memory + PROBE_COUNTER, sizeof(finding->rounds));
    finding->exit_reason = run->exit_reason;
    if (result < 0)
        return fail_step(finding, "KVM_RUN");
    if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        finding->suberror = run->internal.suberror;
    const uint8_t *data = (const uint8_t *)run;
    if (run->exit_reason == KVM_EXIT_IO && run->io.port == PROBE_PORT && run->io.size == 1 &&
        data[run->io.data_offset] == PROBE_DONE && finding->rounds == PROBE_ROUNDS)
        return true;
    errno = 0;
    return fail_step(finding, "guest");
}

static void tell(int report, const struct finding *finding)
{
    ssize_t ignored = write(report, finding, sizeof(*finding));
    (void)ignored;
}

static void be_child(int report)
{
    struct finding finding = {0};
    struct machine machine = {-1, -1, -1, NULL, NULL};
    if (make_vm(&machine, &finding) && make_vcpu(&machine, &finding)) {
        finding.running = true;
        tell(report, &finding);
        finding.running = false;
        (void)run_guest(&machine, &finding);
    }
    tell(report, &finding);
    _exit(0);
}

/* --- in the parent --- */

static int64_t now_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* False when the deadline passed or the child died. */
static bool await_finding(int report, int64_t milliseconds, struct finding *ret_finding)
{
    int64_t deadline = now_milliseconds() + milliseconds;
    for (;;) {
        struct pollfd ready = {.fd = report, .events = POLLIN};
        int64_t left = deadline - now_milliseconds();
        int count = poll(&ready, 1, left > 0 ? (int)left : 0);
        if (count > 0)
            return read(report, ret_finding, sizeof(*ret_finding)) == sizeof(*ret_finding);
        if (count == 0 || errno != EINTR)
            return false;
    }
}

/* Making a machine can take its time on a busy host, which says nothing about how guests run. */
static bool await_findings(int report, struct finding *ret_finding)
{
    if (!await_finding(report, SETUP_MILLISECONDS, ret_finding))
        return false;
    return !ret_finding->running || await_finding(report, PROBE_KVM_MILLISECONDS, ret_finding);
}

static bool run_probe(struct finding *ret_finding)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return fail_step(ret_finding, "pipe");
    pid_t pid = fork();
    if (pid == 0)
        be_child(ends[1]);
    close_fd(ends[1]);
    bool found = pid > 0 && await_findings(ends[0], ret_finding);
    close_fd(ends[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    return found;
}

static char *group_name(gid_t gid)
{
    const struct group *group = getgrgid(gid);
    return group ? must_copy(group->gr_name) : must_printf("%u", gid);
}

static void explain_open(struct probe_result *result, int errnum)
{
    struct stat status;
    if (errnum == EACCES && stat("/dev/kvm", &status) == 0) {
        _cleanup_free_ char *group = group_name(status.st_gid);
        bool group_may = (status.st_mode & 0060) == 0060;
        result->reason = must_printf("you may not open /dev/kvm (it belongs to the group %s)", group);
        result->advice = group_may
                             ? must_printf("join the group: usermod -aG %s USER, then log in again", group)
                             : must_copy("run as root, or give /dev/kvm to a group: chmod 0660 /dev/kvm");
        return;
    }
    if (errnum == ENOENT || errnum == ENODEV || errnum == ENXIO) {
        result->reason = must_copy("there is no /dev/kvm");
        result->advice =
            must_copy("switch on virtualization in the firmware and load kvm-intel or kvm-amd; in a "
                      "virtual machine, ask for nested virtualization");
        return;
    }
    result->reason = must_printf("/dev/kvm cannot be opened: %s", strerror(errnum));
}

static void explain_guest(struct probe_result *result, const struct finding *finding)
{
    if (finding->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        result->reason = must_printf("/dev/kvm opens, but a guest dies in it after %u of %d rounds of lock "
                                     "cmpxchg16b (internal error %u): it emulates instructions instead of "
                                     "running them",
            finding->rounds, PROBE_ROUNDS, finding->suberror);
    else
        result->reason = must_printf("/dev/kvm opens, but a guest stopped in it after %u of %d rounds of "
                                     "lock cmpxchg16b (exit reason %u)",
            finding->rounds, PROBE_ROUNDS, finding->exit_reason);
    result->advice = must_copy("this host's KVM is only for special guests; use a host with hardware "
                               "virtualization, or stay with emulation (qemu-tcg)");
}

static void explain(struct probe_result *result, const struct finding *finding)
{
    if (strcmp(finding->failed, "open") == 0)
        explain_open(result, finding->errnum);
    else if (strcmp(finding->failed, "guest") == 0)
        explain_guest(result, finding);
    else
        result->reason =
            must_printf("/dev/kvm opens, but %s fails: %s", finding->failed, strerror(finding->errnum));
}

bool probe_processor_virtualizes(void)
{
    unsigned eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & CPUID_VMX))
        return true;
    return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & CPUID_SVM);
}

void probe_kvm(struct probe_result *ret_result)
{
    struct probe_result result = {.name = "kvm", .details = json_object()};
    struct finding finding = {0};
    if (!run_probe(&finding)) {
        result.reason =
            must_printf("/dev/kvm opens, but a guest did not run %d rounds of lock cmpxchg16b in %d "
                        "ms: it is too slow to be of use",
                PROBE_ROUNDS, PROBE_KVM_MILLISECONDS);
        result.advice =
            must_copy("use a host with hardware virtualization, or stay with emulation (qemu-tcg)");
    } else if (finding.failed[0]) {
        explain(&result, &finding);
    } else {
        result.usable = true;
        result.reason = must_copy("a guest ran in it");
    }
    json_object_set_new(result.details, "rounds", json_integer(finding.rounds));
    *ret_result = result;
}
