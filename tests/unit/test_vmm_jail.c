/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's confinement of itself: each part is entered in a child, which tells by its end what it found.
 */
#include "assertions.h"
#include "base/fd.h"
#include "base/log.h"
#include "vmm/jail.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kvm.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

typedef int in_child(void);

/* The child's status as wait(2) gives it. */
static int run(in_child *child)
{
    pid_t pid = fork();
    /* Not by _exit, before which the address sanitizer makes a call of its own. */
    if (pid == 0)
        syscall(SYS_exit_group, child());
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_child_says_0(in_child *child)
{
    int status = run(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_child_is_killed(in_child *child)
{
    int status = run(child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* Number 77: where the kernel allows this user no namespaces. */
#define NO_NAMESPACES 77

static int enter(void)
{
    bool alone = false;
    struct error *error = jail_enter(3, &alone);
    if (error)
        dprintf(STDERR_FILENO, "%s\n", error_message(error));
    return error ? 1 : alone ? 0 : NO_NAMESPACES;
}

static int look_for_files(void)
{
    int entered = enter();
    if (entered)
        return entered;
    if (open("/proc/self/status", O_RDONLY | O_CLOEXEC) >= 0 ||
        open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0)
        return 2;
    if (open("/made", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0)
        return 3;
    DIR *root = opendir("/..");
    for (struct dirent *entry; root && (entry = readdir(root));) {
        if (entry->d_name[0] != '.')
            return 4;
    }
    return root ? 0 : 5;
}

static int look_for_network(void)
{
    int entered = enter();
    if (entered)
        return entered;
    struct if_nameindex *names = if_nameindex();
    for (unsigned i = 0; names && names[i].if_index; i++) {
        if (strcmp(names[i].if_name, "lo") != 0)
            return 2;
    }
    return 0;
}

static int look_for_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{1, 1, 1}, {1, 1, 1}};
    int entered = enter();
    if (entered != 0 && entered != NO_NAMESPACES)
        return entered;
    if (syscall(SYS_capget, &header, data) < 0)
        return 2;
    if (data[0].effective | data[0].permitted | data[0].inheritable | data[1].effective | data[1].permitted)
        return 3;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_DUMPABLE) == 0 ? 0 : 4;
}

/* Of root, whose id it no longer has. */
static int look_for_processes(void)
{
    pid_t parent = getppid();
    int entered = enter();
    if (entered != 0 && entered != NO_NAMESPACES)
        return entered;
    return kill(parent, 0) < 0 && errno == EPERM ? 0 : 2;
}

static int look_for_descriptors(void)
{
    int entered = enter();
    if (entered != 0 && entered != NO_NAMESPACES)
        return entered;
    for (int fd = 3; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            return 2;
    }
    return 0;
}

static void need_namespaces(void)
{
    int status = run(enter);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_NAMESPACES)
        skip();
}

static void has_an_empty_root(void **state)
{
    need_namespaces();
    assert_child_says_0(look_for_files);
}

static void has_no_network(void **state)
{
    need_namespaces();
    assert_child_says_0(look_for_network);
}

static void has_no_rights(void **state)
{
    assert_child_says_0(look_for_rights);
}

static bool is_root_of_host(void)
{
    _cleanup_free_ char *map = NULL;
    assert_ok(file_read(AT_FDCWD, "/proc/self/uid_map", 4096, &map, NULL));
    return geteuid() == 0 && strstr(map, "4294967295");
}

static void has_no_power_over_root(void **state)
{
    if (!is_root_of_host())
        skip();
    assert_child_says_0(look_for_processes);
}

static void has_no_descriptors(void **state)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_child_says_0(look_for_descriptors);
    close_fd(fd);
}

static void confine(enum jail_thread thread)
{
    struct error *error = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? error_errno(errno, "prctl") : NULL;
    if (error || jail_confine(thread))
        _exit(1);
}

static int work_as_processor(void)
{
    int pipes[2];
    if (pipe(pipes) < 0)
        return 2;
    confine(JAIL_VCPU);
    char byte = 1;
    free(must_alloc(1 << 20));
    (void)ioctl(pipes[0], KVM_RUN, 0);
    return write(pipes[1], &byte, 1) == 1 && read(pipes[0], &byte, 1) == 1 ? 0 : 3;
}

/* The first line of the log, and more memory than malloc keeps, in a thread of its own. It does not end: with
   the address sanitizer that takes a call more. */
static void *complain(void *argument)
{
    enum { PIECES = 4096, SIZE = 4096 };
    const int *done = argument;
    char byte = 1;
    confine(JAIL_VCPU);
    log_warning("the guest is hostile");
    void **pieces = must_alloc_array(PIECES, sizeof(*pieces));
    for (int i = 0; i < PIECES; i++)
        pieces[i] = must_alloc(SIZE);
    for (int i = PIECES; i-- > 0;)
        free(pieces[i]);
    free(pieces);
    if (write(done[1], &byte, 1) != 1)
        abort();
    for (;;)
        (void)!read(done[2], &byte, 1);
}

static int complain_as_processor(void)
{
    pthread_t thread;
    char line[256];
    int lines[2], done[4], entered = enter();
    if (entered != 0 && entered != NO_NAMESPACES)
        return entered;
    if (pipe(lines) < 0 || pipe(done) < 0 || pipe(done + 2) < 0)
        return 2;
    log_open(lines[1], LOG_LEVEL_INFO, "test");
    if (pthread_create(&thread, NULL, complain, done) != 0)
        return 3;
    return read(done[0], line, 1) == 1 && read(lines[0], line, sizeof(line)) > 0 ? 0 : 4;
}

static int open_as_processor(void)
{
    confine(JAIL_VCPU);
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int configure_as_processor(void)
{
    confine(JAIL_VCPU);
    return ioctl(0, KVM_SET_USER_MEMORY_REGION, NULL);
}

static int make_code_as_main(void)
{
    confine(JAIL_MAIN);
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int connect_as_main(void)
{
    confine(JAIL_MAIN);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int fork_as_worker(void)
{
    confine(JAIL_WORKER);
    return fork();
}

static int kill_as_worker(void)
{
    pid_t parent = getppid();
    confine(JAIL_WORKER);
    return (int)syscall(SYS_tgkill, parent, parent, 0);
}

static void lets_work(void **state)
{
    assert_child_says_0(work_as_processor);
    assert_child_says_0(complain_as_processor);
}

static void kills_for_what_is_not_allowed(void **state)
{
    assert_child_is_killed(open_as_processor);
    assert_child_is_killed(configure_as_processor);
    assert_child_is_killed(make_code_as_main);
    assert_child_is_killed(connect_as_main);
    assert_child_is_killed(fork_as_worker);
    assert_child_is_killed(kill_as_worker);
}

static void processors_need_few(void **state)
{
    assert_in_range(jail_call_count(JAIL_VCPU), 1, 30);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_an_empty_root),
        cmocka_unit_test(has_no_network),
        cmocka_unit_test(has_no_rights),
        cmocka_unit_test(has_no_power_over_root),
        cmocka_unit_test(has_no_descriptors),
        cmocka_unit_test(lets_work),
        cmocka_unit_test(kills_for_what_is_not_allowed),
        cmocka_unit_test(processors_need_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
