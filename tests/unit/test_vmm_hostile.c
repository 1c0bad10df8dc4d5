/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests that mean harm, each a few instructions in place of a kernel: whatever they do, the monitor goes on
 * or says how the machine ended. Skipped outside of tests/kvm/run.
 */
#include "assertions.h"
#include "base/fd.h"
#include "vmm/machine.h"
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/console.h"
#include "vmm/virtio/rng.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#define MIB (UINT64_C(1) << 20)

/* 32-bit code without paging, at 1 MiB. */
#define GUEST(name, code)                                                                                   \
    __asm__(".pushsection .rodata\n.code32\n" #name ":\n" code "\n" #name "_end:\n.code64\n.popsection\n"); \
    extern const uint8_t name[], name##_end[]

#define RESET "movb $0xfe, %al\n outb %al, $0x64\n 9: jmp 9b\n"

/* The next number of a linear congruential generator, in %esi (Numerical Recipes, chapter 7.1). */
#define NEXT_NUMBER "imull $1664525, %esi\n addl $1013904223, %esi\n"

GUEST(triple_fault, "ud2");

GUEST(run_device_registers, "movl $0xd0000000, %eax\n jmp *%eax");

GUEST(spin, "1: jmp 1b");

GUEST(sleep_for_ever, "1: cli\n hlt\n jmp 1b");

/* Every 13th port (but the one that resets), in all sizes, and strings of them. */
GUEST(all_ports, "xorl %edx, %edx\n"
                 "1: cmpw $0x64, %dx\n je 2f\n"
                 "movl %edx, %eax\n outb %al, %dx\n inb %dx, %al\n outw %ax, %dx\n inw %dx, %ax\n outl %eax, "
                 "%dx\n inl %dx, %eax\n"
                 "2: addl $13, %edx\n cmpl $0x10000, %edx\n jb 1b\n"
                 "cld\n movw $0x3f8, %dx\n movl $0x200000, %esi\n movl $3000, %ecx\n rep outsb\n"
                 "movl $0x200000, %edi\n movl $3000, %ecx\n rep insb\n"
                 "movl $0x200000, %edi\n movl $1000, %ecx\n rep insl\n" RESET);

/* Random values to random registers of eight devices, of which four exist: 0xd0000000 + 0 to 7 pages + 0 to
 * 0x1ff. */
GUEST(random_registers,
    "movl $20000, %ecx\n movl $12345, %esi\n"
    "1: " NEXT_NUMBER "movl %esi, %edi\n shrl $8, %edi\n movl %edi, %ebx\n"
    "andl $0x1fc, %edi\n shll $3, %ebx\n andl $0x7000, %ebx\n addl %ebx, %edi\n addl $0xd0000000, "
    "%edi\n" NEXT_NUMBER "movl %esi, %eax\n shrl $28, %eax\n testl $0x40000, %esi\n jz 2f\n movl %esi, %eax\n"
    "2: movl %eax, (%edi)\n testl $0x700000, %esi\n jnz 3f\n movl (%edi), %eax\n movb %al, 1(%edi)\n movw "
    "(%edi), %ax\n"
    "3: decl %ecx\n jnz 1b\n" RESET);

/* Notifications of queues that nobody set up, as fast as it can. */
GUEST(storm_of_notifications, "movl $20000, %ecx\n movl $0xd0000050, %edi\n"
                              "1: movl %ecx, %eax\n andl $3, %eax\n movl %eax, (%edi)\n movl %eax, "
                              "0x1000(%edi)\n movl %eax, 0x3000(%edi)\n"
                              "decl %ecx\n jnz 1b\n" RESET);

/* Random values to both interrupt controllers, the start of the other processor among them. */
GUEST(random_interrupts,
    "movl $20000, %ecx\n movl $54321, %esi\n"
    "1: " NEXT_NUMBER "movl %esi, %edi\n shrl $12, %edi\n andl $0x3f0, %edi\n" NEXT_NUMBER
    "movl %esi, 0xfee00000(%edi)\n movl 0xfee00000(%edi), %eax\n"
    "movl %esi, 0xfec00000\n movl %esi, 0xfec00010\n decl %ecx\n jnz 1b\n" RESET);

struct fixture {
    struct event_base *base;
    struct machine *machine;
    int link; /* our end */
    unsigned failed_devices, ticks;
    bool ended;
    char *reason; /* NULL: reset */
};

static void on_ended(void *context, const struct error *reason)
{
    struct fixture *fixture = context;
    fixture->ended = true;
    fixture->reason = reason ? must_copy(error_message(reason)) : NULL;
}

static void on_device_failed(void *context, const char *device, const struct error *reason)
{
    ((struct fixture *)context)->failed_devices++;
}

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    fixture->base = event_base_new();
    fixture->link = -1;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    machine_free(fixture->machine);
    close_fd(fixture->link);
    event_base_free(fixture->base);
    free(fixture->reason);
    free(fixture);
    return 0;
}

static void add_devices(struct fixture *fixture)
{
    struct virtio_bus *bus = machine_bus(fixture->machine);
    struct worker_pool *workers;
    struct virtio_device *console, *disk;
    int link, image = memfd_create("disk", MFD_CLOEXEC);
    assert_int_equal(ftruncate(image, 1 << 20), 0);
    assert_ok(unix_pair(&fixture->link, &link));
    assert_ok(console_new(bus, link, "test", &console));
    assert_ok(machine_add_device(fixture->machine, console));
    assert_ok(machine_add_device(fixture->machine, rng_new(bus)));
    assert_ok(machine_add_device(fixture->machine, balloon_new(bus, true)));
    assert_ok(machine_workers(fixture->machine, &workers));
    assert_ok(blk_new(bus, workers, &(struct blk_options){.fd = image}, &disk));
    assert_ok(machine_add_device(fixture->machine, disk));
}

/* The smallest kernel: the code and a PVH note that points to it. */
static int kernel_of(const uint8_t *code, size_t size)
{
    const struct {
        Elf64_Ehdr header;
        Elf64_Phdr programs[2];
        Elf64_Nhdr note;
        char name[4];
        uint32_t entry;
    } file = {
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
            .e_type = ET_EXEC,
            .e_machine = EM_X86_64,
            .e_phoff = sizeof(Elf64_Ehdr),
            .e_phentsize = sizeof(Elf64_Phdr),
            .e_phnum = 2},
        .programs =
            {{.p_type = PT_LOAD, .p_offset = sizeof(file), .p_paddr = MIB, .p_filesz = size, .p_memsz = size},
                {.p_type = PT_NOTE, .p_offset = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr), .p_filesz = 20}},
        .note = {.n_namesz = 4, .n_descsz = 4, .n_type = 18},
        .name = "Xen",
        .entry = (uint32_t)MIB,
    };
    int fd = memfd_create("kernel", MFD_CLOEXEC);
    assert_ok(fd_write_all(fd, &file, sizeof(file)));
    assert_ok(fd_write_all(fd, code, size));
    return fd;
}

static void start(struct fixture *fixture, const uint8_t *code, const uint8_t *end)
{
    static const struct machine_events events = {on_ended, on_device_failed};
    const struct machine_config config = {.memory = 32 * MIB, .processors = 2};
    if (!getenv("KVM_HOST"))
        skip();
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    assert_true(kvm >= 0);
    assert_ok(machine_new(fixture->base, kvm, &config, &events, fixture, &fixture->machine));
    add_devices(fixture);
    _cleanup_fd_ int kernel = kernel_of(code, (size_t)(end - code));
    const struct machine_start how = {.kernel = kernel, .initrd = -1, .command_line = "", .console = -1};
    assert_ok(machine_start(fixture->machine, &how));
    machine_resume(fixture->machine);
}

#define START(fixture, guest) start(fixture, guest, guest##_end)

static void assert_resets(struct fixture *fixture)
{
    AWAIT(fixture, fixture->ended);
    if (fixture->reason)
        fail_msg("%s", fixture->reason);
}

static void triple_fault_ends_it(void **state)
{
    START(*state, triple_fault);
    assert_resets(*state);
}

static void code_in_registers_ends_it(void **state)
{
    struct fixture *fixture = *state;
    START(fixture, run_device_registers);
    AWAIT(fixture, fixture->ended);
    assert_non_null(fixture->reason);
    assert_non_null(strstr(fixture->reason, "KVM"));
}

static void all_ports_are_harmless(void **state)
{
    START(*state, all_ports);
    assert_resets(*state);
}

static void random_registers_are_harmless(void **state)
{
    struct fixture *fixture = *state;
    START(fixture, random_registers);
    assert_resets(fixture);
    assert_true(machine_exits(fixture->machine, VCPU_EXIT_DEVICE_WRITE) > 1000);
}

static void notifications_are_harmless(void **state)
{
    START(*state, storm_of_notifications);
    assert_resets(*state);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct fixture *fixture = context;
    machine_pause(fixture->machine);
    machine_resume(fixture->machine);
    fixture->ticks++;
}

/* It may well stop itself for ever, or end in one way or another; it must go on obeying until then. */
static void random_interrupts_are_harmless(void **state)
{
    struct fixture *fixture = *state;
    const struct timeval often = {.tv_usec = 5000};
    START(fixture, random_interrupts);
    struct event *tick = event_new(fixture->base, -1, EV_PERSIST, on_tick, fixture);
    event_add(tick, &often);
    AWAIT(fixture, fixture->ended || fixture->ticks == 200);
    event_free(tick);
}

static void pause_and_free(struct fixture *fixture)
{
    machine_pause(fixture->machine);
    machine_resume(fixture->machine);
    machine_pause(fixture->machine);
    machine_resume(fixture->machine);
    machine_free(TAKE_PTR(fixture->machine));
    assert_false(fixture->ended);
}

static void spinning_is_stopped(void **state)
{
    START(*state, spin);
    pause_and_free(*state);
}

static void sleeping_is_stopped(void **state)
{
    START(*state, sleep_for_ever);
    pause_and_free(*state);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define WITH_GUEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        WITH_GUEST(triple_fault_ends_it),
        WITH_GUEST(code_in_registers_ends_it),
        WITH_GUEST(all_ports_are_harmless),
        WITH_GUEST(random_registers_are_harmless),
        WITH_GUEST(notifications_are_harmless),
        WITH_GUEST(random_interrupts_are_harmless),
        WITH_GUEST(spinning_is_stopped),
        WITH_GUEST(sleeping_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
