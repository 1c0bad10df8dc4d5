/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's core under KVM: boots the guest kernel and hears what it says on its serial port. Skipped
 * outside of tests/kvm/run, and without $CAISSON_KERNEL and $CAISSON_HELLO_INITRD.
 */
#include "assertions.h"
#include "base/fd.h"
#include "vmm/machine.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#define PAUSES 200

struct fixture {
    struct event_base *base;
    struct machine *machine;
    struct machine_start start;
    int console; /* the reading end */
    struct event *reader;
    char text[1 << 16];
    size_t length;
    unsigned pauses;
    struct event *tick;
    bool ended;
    char *reason; /* NULL: orderly */
};

static void on_ended(void *context, const struct error *reason)
{
    struct fixture *fixture = context;
    fixture->ended = true;
    fixture->reason = reason ? must_copy(error_message(reason)) : NULL;
}

static void on_device_failed(void *context, const char *device, const struct error *reason)
{
    fail_msg("%s: %s", device, error_message(reason));
}

/* Where tests/kvm/run looks when a machine hangs. */
static void keep_console(const char *text, size_t length)
{
    const char *directory = getenv("KVM_CONSOLES");
    if (!directory)
        return;
    _cleanup_free_ char *path = must_printf("%s/guest", directory);
    _cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)!write(fd, text, length);
}

static void on_console(evutil_socket_t fd, short what, void *context)
{
    struct fixture *fixture = context;
    ssize_t count = read(fd, fixture->text + fixture->length, sizeof(fixture->text) - 1 - fixture->length);
    if (count > 0) {
        keep_console(fixture->text + fixture->length, (size_t)count);
        fixture->length += (size_t)count;
    }
}

static int set_up(void **state)
{
    struct fixture *fixture = must_new(struct fixture);
    const char *kernel = getenv("CAISSON_KERNEL"), *initrd = getenv("CAISSON_HELLO_INITRD");
    fixture->base = event_base_new();
    fixture->start = (struct machine_start){.kernel = -1, .initrd = -1, .console = -1};
    *state = fixture;
    if (!getenv("KVM_HOST") || !kernel || !initrd)
        return 0;
    assert_ok(unix_pair(&fixture->console, &fixture->start.console));
    assert_ok(fd_set_nonblocking(fixture->start.console, true));
    assert_ok(fd_set_nonblocking(fixture->console, true));
    fixture->reader = event_new(fixture->base, fixture->console, EV_READ | EV_PERSIST, on_console, fixture);
    event_add(fixture->reader, NULL);
    fixture->start.kernel = open(kernel, O_RDONLY | O_CLOEXEC);
    fixture->start.initrd = open(initrd, O_RDONLY | O_CLOEXEC);
    assert_true(fixture->start.kernel >= 0 && fixture->start.initrd >= 0);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    machine_free(fixture->machine);
    if (fixture->reader) {
        event_free(fixture->reader);
        close_fd(fixture->console);
        close_fd(fixture->start.console);
        close_fd(fixture->start.kernel);
        close_fd(fixture->start.initrd);
    }
    event_base_free(fixture->base);
    free(fixture->reason);
    free(fixture);
    return 0;
}

static void new_machine(struct fixture *fixture, unsigned processors)
{
    static const struct machine_events events = {on_ended, on_device_failed};
    const struct machine_config config = {.memory = UINT64_C(128) << 20, .processors = processors};
    if (fixture->start.kernel < 0)
        skip();
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    assert_true(kvm >= 0);
    assert_ok(machine_new(fixture->base, kvm, &config, &events, fixture, &fixture->machine));
}

static bool says(const struct fixture *fixture, const char *words)
{
    return strstr(fixture->text, words) != NULL;
}

#define COMMAND_LINE                                                                                     \
    "console=ttyS0 reboot=t panic=-1 tsc=reliable no_timer_check random.trust_cpu=on cryptomgr.notests " \
    "rootfstype=ramfs"

/* There is no link, so guest_hello ends, and the kernel panics over the loss of its init: a triple fault. */
static void run_to_the_end(struct fixture *fixture)
{
    fixture->start.command_line = COMMAND_LINE;
    assert_ok(machine_start(fixture->machine, &fixture->start));
    machine_resume(fixture->machine);
    AWAIT(fixture, fixture->ended);
    on_console(fixture->console, 0, fixture);
}

static void assert_ended_by_itself(const struct fixture *fixture)
{
    if (!says(fixture, "Kernel panic") || fixture->reason)
        fail_msg("it ended by %s after saying: %s", fixture->reason, fixture->text);
}

static void boots_and_ends_by_itself(void **state)
{
    struct fixture *fixture = *state;
    new_machine(fixture, 1);
    run_to_the_end(fixture);
    assert_ended_by_itself(fixture);
    assert_true(machine_exits(fixture->machine, VCPU_EXIT_PORT_OUT) > fixture->length);
    assert_int_equal(machine_exits(fixture->machine, VCPU_EXIT_OTHER), 1);
}

static void starts_several_processors(void **state)
{
    struct fixture *fixture = *state;
    new_machine(fixture, 4);
    run_to_the_end(fixture);
    assert_ended_by_itself(fixture);
    assert_true(says(fixture, "Brought up 1 node, 4 CPUs"));
}

/* A copy of the kernel in which nobody finds the PVH note: the name of its owner is another. */
static int kernel_without_note(int kernel)
{
    static const uint8_t note[] = {4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0};
    char *data;
    size_t length;
    assert_ok(fd_read_all(kernel, 64 << 20, &data, &length));
    uint8_t *found = memmem(data, length, note, sizeof(note));
    assert_non_null(found);
    found[sizeof(note) - 2] = 'o';
    int copy = memfd_create("kernel", MFD_CLOEXEC);
    assert_true(copy >= 0);
    assert_ok(fd_write_all(copy, data, length));
    free(data);
    return copy;
}

static void boots_as_64_bit_code(void **state)
{
    struct fixture *fixture = *state;
    new_machine(fixture, 1);
    int copy = kernel_without_note(fixture->start.kernel);
    close_fd(fixture->start.kernel);
    fixture->start.kernel = copy;
    run_to_the_end(fixture);
    assert_ended_by_itself(fixture);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct fixture *fixture = context;
    machine_pause(fixture->machine);
    uint64_t before = machine_exits(fixture->machine, VCPU_EXIT_PORT_OUT);
    machine_pause(fixture->machine);
    assert_int_equal(machine_exits(fixture->machine, VCPU_EXIT_PORT_OUT), before);
    machine_resume(fixture->machine);
    if (++fixture->pauses == PAUSES)
        event_del(fixture->tick);
}

/* Many times while it boots, and then it goes on undisturbed; what the guest was about to do at a port or
 * register is not lost. */
static void survives_pauses(void **state)
{
    struct fixture *fixture = *state;
    new_machine(fixture, 2);
    const struct timeval often = {.tv_usec = 2000};
    fixture->tick = event_new(fixture->base, -1, EV_PERSIST, on_tick, fixture);
    fixture->start.command_line = COMMAND_LINE;
    assert_ok(machine_start(fixture->machine, &fixture->start));
    machine_resume(fixture->machine);
    event_add(fixture->tick, &often);
    AWAIT(fixture, fixture->ended);
    event_free(fixture->tick);
    on_console(fixture->console, 0, fixture);
    assert_ended_by_itself(fixture);
    assert_true(fixture->pauses > 10);
}

static void ends_while_it_runs(void **state)
{
    struct fixture *fixture = *state;
    new_machine(fixture, 2);
    fixture->start.command_line = COMMAND_LINE;
    assert_ok(machine_start(fixture->machine, &fixture->start));
    machine_resume(fixture->machine);
    AWAIT(fixture, says(fixture, "Linux version"));
    machine_free(TAKE_PTR(fixture->machine));
    assert_false(fixture->ended);
}

static void refuses_what_is_no_kernel(void **state)
{
    struct fixture *fixture = *state;
    new_machine(fixture, 1);
    fixture->start.command_line = COMMAND_LINE;
    int kernel = fixture->start.kernel;
    fixture->start.kernel = fixture->start.initrd;
    struct error *error = machine_start(fixture->machine, &fixture->start);
    fixture->start.kernel = kernel;
    assert_refused(error, ERROR_INVALID_ARGUMENT, "not an ELF file");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define WITH_MACHINE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        WITH_MACHINE(boots_and_ends_by_itself),
        WITH_MACHINE(starts_several_processors),
        WITH_MACHINE(boots_as_64_bit_code),
        WITH_MACHINE(survives_pauses),
        WITH_MACHINE(ends_while_it_runs),
        WITH_MACHINE(refuses_what_is_no_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
