/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seccomp filter that the agent makes of a profile, beside the one that libseccomp makes of it: both are
 * run here, by an interpreter, for every system call and for arguments around those that the rules name.
 */
#include "agent/container/seccomp.h"
#include "base/fd.h"
#include "oci/config.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

static void check(struct error *error)
{
    if (error)
        fail_msg("%s: %s", error_code_name(error_code(error)), error_message(error));
}

/* ---- what the kernel does with a filter ---- */

static uint32_t jump(const struct sock_filter *instruction, bool holds)
{
    return holds ? instruction->jt : instruction->jf;
}

static uint32_t run_filter(const struct sock_fprog *program, const struct seccomp_data *data)
{
    uint32_t accumulator = 0;
    for (uint32_t i = 0; i < program->len; i++) {
        const struct sock_filter *in = &program->filter[i];
        switch (in->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_true(in->k + 4 <= sizeof(*data) && in->k % 4 == 0);
            memcpy(&accumulator, (const char *)data + in->k, 4);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            accumulator &= in->k;
            break;
        case BPF_JMP | BPF_JA:
            i += in->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            i += jump(in, accumulator == in->k);
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            i += jump(in, accumulator > in->k);
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            i += jump(in, accumulator >= in->k);
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            i += jump(in, accumulator & in->k);
            break;
        case BPF_RET | BPF_K:
            return in->k;
        default:
            fail_msg("instruction %u has the unknown code %#x", i, in->code);
        }
    }
    fail_msg("the program has no end");
    return 0;
}

/* ---- the two filters ---- */

static Grpc__LinuxSeccomp *profile_of(const char *seccomp, Grpc__Spec **ret_spec)
{
    _cleanup_free_ char *text = must_printf("{\"ociVersion\":\"1.0.2\",\"process\":{\"args\":[\"sh\"],"
                                            "\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0}},"
                                            "\"root\":{\"path\":\"/r\"},\"linux\":{\"seccomp\":%s}}",
        seccomp);
    check(oci_config_parse(text, strlen(text), ret_spec));
    return (*ret_spec)->linux_config->seccomp;
}

static uint32_t reference_action(const char *name, uint32_t number)
{
    return strcmp(name, "SCMP_ACT_ALLOW") == 0   ? SCMP_ACT_ALLOW
           : strcmp(name, "SCMP_ACT_ERRNO") == 0 ? SCMP_ACT_ERRNO(number)
           : strcmp(name, "SCMP_ACT_TRACE") == 0 ? SCMP_ACT_TRACE(number)
           : strcmp(name, "SCMP_ACT_LOG") == 0   ? SCMP_ACT_LOG
           : strcmp(name, "SCMP_ACT_TRAP") == 0  ? SCMP_ACT_TRAP
           : strcmp(name, "SCMP_ACT_KILL") == 0  ? SCMP_ACT_KILL_THREAD
                                                 : SCMP_ACT_KILL_PROCESS;
}

static enum scmp_compare reference_operator(const char *name)
{
    static const char *const names[] = {"", "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"};
    for (unsigned int i = 1; i < ARRAY_SIZE(names); i++)
        if (strcmp(name + strlen("SCMP_CMP_"), names[i]) == 0)
            return (enum scmp_compare)i;
    fail_msg("no operator %s", name);
    return 0;
}

static void add_reference_rule(scmp_filter_ctx context, const Grpc__LinuxSyscall *entry)
{
    struct scmp_arg_cmp arguments[6];
    uint32_t number = entry->has_errno_ret_case ? entry->errno_ret : EPERM;
    for (size_t i = 0; i < entry->n_args; i++)
        arguments[i] = (struct scmp_arg_cmp){(unsigned int)entry->args[i]->index,
            reference_operator(entry->args[i]->op), entry->args[i]->value, entry->args[i]->value_two};
    for (size_t i = 0; i < entry->n_names; i++) {
        int call = seccomp_syscall_resolve_name(entry->names[i]);
        if (call != __NR_SCMP_ERROR)
            assert_int_equal(seccomp_rule_add_array(context, reference_action(entry->action, number), call,
                                 (unsigned int)entry->n_args, arguments),
                0);
    }
}

/* libseccomp's program for the guest's own architecture and 32-bit x86. */
static struct sock_fprog reference(const Grpc__LinuxSeccomp *profile)
{
    uint32_t number = profile->has_default_errno_ret_case ? profile->default_errno_ret : EPERM;
    scmp_filter_ctx context = seccomp_init(reference_action(profile->default_action, number));
    assert_non_null(context);
    if (profile->n_architectures > 1)
        assert_int_equal(seccomp_arch_add(context, SCMP_ARCH_X86), 0);
    for (size_t i = 0; i < profile->n_syscalls; i++)
        add_reference_rule(context, profile->syscalls[i]);
    int file = memfd_create("reference", MFD_CLOEXEC);
    assert_int_equal(seccomp_export_bpf(context, file), 0);
    seccomp_release(context);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    char *bytes = NULL;
    size_t length = 0;
    check(fd_read_all(file, 1u << 20, &bytes, &length));
    close(file);
    return (struct sock_fprog){
        .len = (unsigned short)(length / sizeof(struct sock_filter)), .filter = (void *)bytes};
}

/* ---- comparison ---- */

/* Values around those that the rules name. */
#define PROBES_MAX 256
struct probes {
    uint64_t values[PROBES_MAX];
    size_t count;
};

static void add_probes(struct probes *probes, uint64_t value)
{
    const uint64_t around[] = {value, value - 1, value + 1, value | UINT64_C(1) << 32, value << 32, ~value};
    for (size_t i = 0; i < ARRAY_SIZE(around) && probes->count < PROBES_MAX; i++)
        probes->values[probes->count++] = around[i];
}

static void collect_probes(const Grpc__LinuxSeccomp *profile, struct probes *probes)
{
    add_probes(probes, 0);
    for (size_t i = 0; i < profile->n_syscalls; i++)
        for (size_t j = 0; j < profile->syscalls[i]->n_args; j++) {
            add_probes(probes, profile->syscalls[i]->args[j]->value);
            add_probes(probes, profile->syscalls[i]->args[j]->value_two);
        }
}

static void compare_call(const struct sock_fprog *ours, const struct sock_fprog *theirs,
    const struct probes *probes, uint32_t architecture, int number)
{
    for (size_t i = 0; i < probes->count; i++) {
        struct seccomp_data data = {.nr = number, .arch = architecture};
        for (size_t j = 0; j < ARRAY_SIZE(data.args); j++) {
            data.args[j] = probes->values[(i + j * (i % 7)) % probes->count];
            if (!(architecture & __AUDIT_ARCH_64BIT))
                data.args[j] = (uint32_t)data.args[j];
        }
        uint32_t our_answer = run_filter(ours, &data);
        uint32_t their_answer = run_filter(theirs, &data);
        if (our_answer != their_answer)
            fail_msg("call %d of %#x with %#llx, %#llx, %#llx: %#x, libseccomp %#x", number, architecture,
                (unsigned long long)data.args[0], (unsigned long long)data.args[1],
                (unsigned long long)data.args[2], our_answer, their_answer);
    }
}

/* Numbers up to the newest named ones: beyond, ours says ENOSYS and libseccomp does not know of that. */
static void compare(const char *seccomp, int newest)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = NULL;
    const Grpc__LinuxSeccomp *profile = profile_of(seccomp, &spec);
    _cleanup_(seccomp_filter_free) struct seccomp_filter *filter = NULL;
    check(seccomp_filter_compile(profile, &filter));
    const struct sock_fprog *ours = seccomp_filter_program(filter);
    struct sock_fprog theirs = reference(profile);
    struct probes probes = {0};
    collect_probes(profile, &probes);
    for (int number = -1; number <= newest; number++) {
        compare_call(ours, &theirs, &probes, AUDIT_ARCH_X86_64, number);
        if (profile->n_architectures > 1)
            compare_call(ours, &theirs, &probes, AUDIT_ARCH_I386, number);
    }
    compare_call(ours, &theirs, &probes, AUDIT_ARCH_X86_64, 0x40000000);
    compare_call(ours, &theirs, &probes, AUDIT_ARCH_AARCH64, 1);
    free(theirs.filter);
}

#define ARCHITECTURES "\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\"],"

static void test_allow_list(void **unused)
{
    compare(
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\"," ARCHITECTURES "\"syscalls\":["
        "{\"names\":[\"read\",\"write\",\"open\",\"close\",\"stat\",\"no_such_call\",\"exit_group\","
        "\"socketcall\","
        "\"ipc\",\"futex\",\"futex_waitv\",\"accept4\",\"semget\",\"recv\"],\"action\":\"SCMP_ACT_ALLOW\"},"
        "{\"names\":[\"clone3\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38},"
        "{\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"},"
        "{\"names\":[\"kexec_load\"],\"action\":\"SCMP_ACT_TRAP\"},"
        "{\"names\":[\"bpf\"],\"action\":\"SCMP_ACT_TRACE\",\"errnoRet\":5},"
        "{\"names\":[\"swapon\"],\"action\":\"SCMP_ACT_LOG\"}]}",
        449);
}

static void test_every_operator(void **unused)
{
    static const char *const operators[] = {"NE", "LT", "LE", "EQ", "GE", "GT"};
    static const uint64_t values[] = {
        0, 1, 40, 0xffffffff, UINT64_C(0x100000000), UINT64_C(0x1234567890), UINT64_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(operators); i++)
        for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
            _cleanup_free_ char *seccomp = must_printf(
                "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"personality\"],\"action\":"
                "\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":%llu,\"op\":\"SCMP_CMP_%s\"}]}]}",
                (unsigned long long)values[j], operators[i]);
            compare(seccomp, 135);
        }
}

static void test_conditions_together(void **unused)
{
    compare(
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\"," ARCHITECTURES "\"syscalls\":["
        "{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2114060288,"
        "\"valueTwo\":0,\"op\":\"SCMP_CMP_MASKED_EQ\"}]},"
        "{\"names\":[\"mmap\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":2,\"value\":5,\"op\":"
        "\"SCMP_CMP_EQ\"},{\"index\":3,\"value\":4294967296,\"op\":\"SCMP_CMP_GE\"},{\"index\":1,\"value\":9,"
        "\"op\":\"SCMP_CMP_NE\"}]},"
        "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":8,"
        "\"op\":"
        "\"SCMP_CMP_EQ\"}]},"
        "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":131072,"
        "\"op\":\"SCMP_CMP_EQ\"}]},"
        "{\"names\":[\"fcntl\"],\"action\":\"SCMP_ACT_LOG\",\"args\":[{\"index\":1,\"value\":255,"
        "\"valueTwo\":4611686018427387920,\"op\":\"SCMP_CMP_MASKED_EQ\"}]},"
        "{\"names\":[\"read\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\"}]}",
        135);
}

static void test_deny_list(void **unused)
{
    compare("{\"defaultAction\":\"SCMP_ACT_ALLOW\"," ARCHITECTURES "\"syscalls\":["
            "{\"names\":[\"mount\",\"umount2\",\"socket\"],\"action\":\"SCMP_ACT_ERRNO\"},"
            "{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":1,\"value\":9,\"op\":"
            "\"SCMP_CMP_EQ\"}]}]}",
        460);
}

/* Profiles are long; jumps in a program reach 255 instructions. */
static void test_many_scattered_rules(void **unused)
{
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    fputs("{\"defaultAction\":\"SCMP_ACT_ERRNO\"," ARCHITECTURES "\"syscalls\":[", out);
    for (int number = 0; number < 330; number += 2) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, number);
        fprintf(out,
            "%s{\"names\":[\"%s\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":%d,\"args\":[{\"index\":%d,"
            "\"value\":%d,"
            "\"op\":\"SCMP_CMP_GT\"}]}",
            number ? "," : "", name, number % 50 + 2, number % 6, number);
        free(name);
    }
    fputs("]}", out);
    fclose(out);
    compare(text, 320);
}

static uint32_t answer(const struct seccomp_filter *filter, uint32_t architecture, uint32_t number)
{
    struct seccomp_data data = {.nr = (int)number, .arch = architecture};
    return run_filter(seccomp_filter_program(filter), &data);
}

static void test_newer_calls_are_unknown(void **unused)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = NULL;
    const Grpc__LinuxSeccomp *profile = profile_of(
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\",\"statx\"],\"action\":"
        "\"SCMP_ACT_ALLOW\"},{\"names\":[\"rseq\"],\"action\":\"SCMP_ACT_ERRNO\"}]}",
        &spec);
    _cleanup_(seccomp_filter_free) struct seccomp_filter *filter = NULL;
    check(seccomp_filter_compile(profile, &filter));
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, SYS_statx), SECCOMP_RET_ALLOW);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, SYS_statx - 1), SECCOMP_RET_ERRNO | EPERM);
    /* Named, even if as the default has it. */
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, SYS_rseq), SECCOMP_RET_ERRNO | EPERM);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, SYS_rseq + 1), SECCOMP_RET_ERRNO | ENOSYS);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 5000), SECCOMP_RET_ERRNO | ENOSYS);
    assert_int_equal(answer(filter, AUDIT_ARCH_X86_64, 0x40000001), SECCOMP_RET_KILL_THREAD);
    assert_int_equal(answer(filter, AUDIT_ARCH_I386, 3), SECCOMP_RET_KILL_THREAD);
}

static void test_several_conditions_on_one_argument(void **unused)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = NULL;
    const Grpc__LinuxSeccomp *profile = profile_of(
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"personality\"],\"action\":"
        "\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},{\"index\":0,"
        "\"value\":5,\"op\":\"SCMP_CMP_EQ\"}]}]}",
        &spec);
    _cleanup_(seccomp_filter_free) struct seccomp_filter *filter = NULL;
    check(seccomp_filter_compile(profile, &filter));
    for (uint64_t value = 0; value < 7; value++) {
        struct seccomp_data data = {.nr = SYS_personality, .arch = AUDIT_ARCH_X86_64, .args = {value}};
        bool allowed = run_filter(seccomp_filter_program(filter), &data) == SECCOMP_RET_ALLOW;
        assert_int_equal(allowed, value == 1 || value == 5);
    }
}

/* The kernel takes it, and does as the interpreter does. */
static void test_installed(void **unused)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = NULL;
    const Grpc__LinuxSeccomp *profile = profile_of(
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],\"syscalls\":[{"
        "\"names\":"
        "[\"kill\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":77,\"args\":[{\"index\":1,\"value\":0,\"op\":"
        "\"SCMP_CMP_EQ\"}]},{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"}]}",
        &spec);
    _cleanup_(seccomp_filter_free) struct seccomp_filter *filter = NULL;
    check(seccomp_filter_compile(profile, &filter));
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (seccomp_filter_install(filter))
            _exit(1);
        if (syscall(SYS_kill, getpid(), 0) != -1 || errno != 77)
            _exit(2);
        syscall(SYS_getppid);
        _exit(3);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void test_refused(void **unused)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = NULL;
    Grpc__LinuxSeccomp *profile = profile_of("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":"
                                             "[\"kill\"],\"action\":\"SCMP_ACT_ERRNO\"}]}",
        &spec);
    static const struct {
        const char *action;
        enum error_code code;
    } cases[] = {{"SCMP_ACT_NOTIFY", ERROR_UNIMPLEMENTED}, {"SCMP_ACT_NONSENSE", ERROR_INVALID_ARGUMENT}};
    const char *kept = profile->syscalls[0]->action;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        profile->syscalls[0]->action = cases[i].action;
        struct seccomp_filter *filter = NULL;
        _cleanup_error_ struct error *error = seccomp_filter_compile(profile, &filter);
        assert_int_equal(error_code(error), cases[i].code);
        assert_null(filter);
    }
    profile->syscalls[0]->action = kept;
    struct seccomp_filter *none = NULL;
    check(seccomp_filter_compile(NULL, &none));
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allow_list),
        cmocka_unit_test(test_every_operator),
        cmocka_unit_test(test_conditions_together),
        cmocka_unit_test(test_deny_list),
        cmocka_unit_test(test_many_scattered_rules),
        cmocka_unit_test(test_newer_calls_are_unknown),
        cmocka_unit_test(test_several_conditions_on_one_argument),
        cmocka_unit_test(test_installed),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
