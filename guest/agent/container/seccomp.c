/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libseccomp turns the profile into a filter; its program is exported and kept, because making it costs
 * milliseconds and every exec needs it. Architectures that the guest's kernel cannot run (32-bit and x32
 * programs) are left out: each adds as much work again, and their system calls cannot happen. Should one
 * happen all the same, libseccomp's answer to an unknown architecture is to kill.
 */
#include "agent/container/seccomp.h"

#include "base/fd.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define X32_BIT 0x40000000u
#define PROGRAM_BYTES_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))

DEFINE_CLEANUP(scmp_filter_ctx, seccomp_release);
#define _cleanup_seccomp_ _cleanup_(seccomp_release)

struct seccomp_filter {
    unsigned int flags;
    struct sock_fprog program;
};

struct name_value {
    const char *name;
    uint32_t value;
};

static const struct name_value actions[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
};

static const struct name_value operators[] = {
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    {"SCMP_CMP_NE", SCMP_CMP_NE},
};

static const struct name_value filter_flags[] = {
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_TSYNC", 0}, /* the process has one thread when the filter comes */
};

/* Architectures of profiles beside the guest's own, and those that its kernel may run too. */
static const struct name_value architectures[] = {
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
};

static const struct name_value *find(const struct name_value *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static struct error *action_of(const char *name, bool has_errno, uint32_t errno_return, uint32_t *ret_action)
{
    if (strcmp(name, "SCMP_ACT_NOTIFY") == 0)
        return error_new(ERROR_UNIMPLEMENTED, "SCMP_ACT_NOTIFY needs a listener outside of the VM");
    const struct name_value *action = find(actions, ARRAY_SIZE(actions), name);
    if (!action)
        return error_new(ERROR_INVALID_ARGUMENT, "\"%.60s\" is no seccomp action", name);
    bool carries = action->value == SCMP_ACT_ERRNO(0) || action->value == SCMP_ACT_TRACE(0);
    if (has_errno && !carries)
        return error_new(ERROR_INVALID_ARGUMENT, "%s does not carry an errnoRet", name);
    uint32_t data = has_errno ? errno_return & SECCOMP_RET_DATA : EPERM;
    *ret_action = action->value | (carries ? data : 0);
    return NULL;
}

/* Whether the running kernel has another system call table beside its own. */
static bool kernel_runs(uint32_t architecture)
{
#ifdef __x86_64__
    if (architecture == SCMP_ARCH_X86)
        return access("/proc/sys/abi/vsyscall32", F_OK) == 0;
    if (architecture == SCMP_ARCH_X32)
        return syscall((long)(X32_BIT | SYS_getpid)) > 0;
#endif
    return architecture == seccomp_arch_native();
}

static struct error *add_architectures(scmp_filter_ctx context, const Grpc__LinuxSeccomp *profile)
{
    for (size_t i = 0; i < profile->n_architectures; i++) {
        const struct name_value *known =
            find(architectures, ARRAY_SIZE(architectures), profile->architectures[i]);
        if (!known || !kernel_runs(known->value))
            continue;
        int result = seccomp_arch_add(context, known->value);
        if (result < 0 && result != -EEXIST)
            return error_errno(-result, "adding %s", known->name);
    }
    return NULL;
}

static struct error *comparison_of(const Grpc__LinuxSeccompArg *argument, struct scmp_arg_cmp *ret_comparison)
{
    const struct name_value *operator= find(operators, ARRAY_SIZE(operators), argument->op);
    if (!operator|| argument->index> 5)
        return error_new(ERROR_INVALID_ARGUMENT, "argument %llu with operator \"%.60s\" is no condition",
            (unsigned long long)argument->index, argument->op);
    *ret_comparison = (struct scmp_arg_cmp){
        .arg = (unsigned int)argument->index,
        .op = (enum scmp_compare) operator->value,
        .datum_a = argument->value, /* the mask of MASKED_EQ */
        .datum_b = argument->value_two,
    };
    return NULL;
}

static struct error *add_rule(scmp_filter_ctx context, uint32_t action, int number,
    const struct scmp_arg_cmp *comparisons, unsigned int count)
{
    int result = seccomp_rule_add_array(context, action, number, count, comparisons);
    return result < 0 ? error_errno(-result, "adding the rule") : NULL;
}

#define ARGUMENTS_MAX 6

/* Conditions on different arguments must all hold. libseccomp takes one condition an argument, so several on
   the same argument are rules of their own, as in runc: one of them has to hold. */
static struct error *add_conditions(
    scmp_filter_ctx context, uint32_t action, int number, const Grpc__LinuxSyscall *rule)
{
    if (rule->n_args > ARGUMENTS_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "more than %d conditions", ARGUMENTS_MAX);
    struct scmp_arg_cmp comparisons[ARGUMENTS_MAX];
    unsigned int seen = 0;
    bool repeated = false;
    for (size_t i = 0; i < rule->n_args; i++) {
        TRY(comparison_of(rule->args[i], &comparisons[i]));
        repeated |= seen & 1u << comparisons[i].arg;
        seen |= 1u << comparisons[i].arg;
    }
    if (!repeated)
        return add_rule(context, action, number, comparisons, (unsigned int)rule->n_args);
    for (size_t i = 0; i < rule->n_args; i++)
        TRY(add_rule(context, action, number, &comparisons[i], 1));
    return NULL;
}

static struct error *add_syscalls(
    scmp_filter_ctx context, uint32_t default_action, const Grpc__LinuxSyscall *rule)
{
    uint32_t action = 0;
    TRY(action_of(rule->action, rule->has_errno_ret_case == GRPC__LINUX_SYSCALL__HAS_ERRNO_RET_ERRNO_RET,
        rule->errno_ret, &action));
    if (action == default_action)
        return NULL;
    for (size_t i = 0; i < rule->n_names; i++) {
        int number = seccomp_syscall_resolve_name(rule->names[i]);
        if (number != __NR_SCMP_ERROR)
            TRY(error_wrap(add_conditions(context, action, number, rule), "%s", rule->names[i]));
    }
    return NULL;
}

static struct error *flags_of(const Grpc__LinuxSeccomp *profile, unsigned int *ret_flags)
{
    unsigned int flags = 0;
    for (size_t i = 0; i < profile->n_flags; i++) {
        const struct name_value *flag = find(filter_flags, ARRAY_SIZE(filter_flags), profile->flags[i]);
        if (!flag)
            return error_new(ERROR_INVALID_ARGUMENT, "\"%.60s\" is no seccomp flag", profile->flags[i]);
        flags |= flag->value;
    }
    *ret_flags = flags;
    return NULL;
}

/* The highest number among the profile's names, or -1. */
static int newest_syscall(const Grpc__LinuxSeccomp *profile, uint32_t architecture)
{
    int newest = -1;
    for (size_t i = 0; i < profile->n_syscalls; i++)
        for (size_t j = 0; j < profile->syscalls[i]->n_names; j++) {
            int number = seccomp_syscall_resolve_name_arch(architecture, profile->syscalls[i]->names[j]);
            if (number != __NR_SCMP_ERROR && number > newest)
                newest = number;
        }
    return newest;
}

#define STUB_LENGTH 6

/* Instructions in front of libseccomp's, for programs of the guest's own architecture. x32 calls have the bit
   set and are left to what follows. */
static size_t make_newer_is_enosys(
    const Grpc__LinuxSeccomp *profile, uint32_t default_action, struct sock_filter stub[STUB_LENGTH])
{
    bool says_enosys =
        profile->has_default_errno_ret_case == GRPC__LINUX_SECCOMP__HAS_DEFAULT_ERRNO_RET_DEFAULT_ERRNO_RET &&
        profile->default_errno_ret == ENOSYS;
    int newest = newest_syscall(profile, seccomp_arch_native());
    if (default_action == SCMP_ACT_ALLOW || default_action == SCMP_ACT_LOG || says_enosys || newest < 0)
        return 0;
    const struct sock_filter made[STUB_LENGTH] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)newest, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };
    memcpy(stub, made, sizeof(made));
    return STUB_LENGTH;
}

static struct error *export_program(scmp_filter_ctx context, const struct sock_filter *stub,
    size_t stub_length, struct seccomp_filter *filter)
{
    _cleanup_fd_ int file = memfd_create("seccomp", MFD_CLOEXEC);
    if (file < 0)
        return error_errno(errno, "making a file for the filter");
    int result = seccomp_export_bpf(context, file);
    if (result < 0)
        return error_errno(-result, "compiling the filter");
    if (lseek(file, 0, SEEK_SET) < 0)
        return error_errno(errno, "reading the filter back");
    _cleanup_free_ char *bytes = NULL;
    size_t length = 0;
    TRY(fd_read_all(file, PROGRAM_BYTES_MAX, &bytes, &length));
    size_t count = stub_length + length / sizeof(struct sock_filter);
    if (count > BPF_MAXINSNS)
        return error_new(ERROR_OUT_OF_RANGE, "the profile makes a filter of %zu instructions", count);
    filter->program.filter = must_alloc_array(count, sizeof(struct sock_filter));
    filter->program.len = (unsigned short)count;
    memcpy(filter->program.filter, stub, stub_length * sizeof(struct sock_filter));
    memcpy(filter->program.filter + stub_length, bytes, length);
    return NULL;
}

static struct error *compile(const Grpc__LinuxSeccomp *profile, struct seccomp_filter *filter)
{
    bool has_errno =
        profile->has_default_errno_ret_case == GRPC__LINUX_SECCOMP__HAS_DEFAULT_ERRNO_RET_DEFAULT_ERRNO_RET;
    uint32_t default_action = 0;
    TRY(action_of(profile->default_action, has_errno, profile->default_errno_ret, &default_action));
    TRY(flags_of(profile, &filter->flags));
    _cleanup_seccomp_ scmp_filter_ctx context = seccomp_init(default_action);
    if (!context)
        return error_new(ERROR_INTERNAL, "libseccomp refused the default action");
    /* 2: a binary tree over the numbers. The kernel runs the filter for every number when it is installed. */
    int result = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (result < 0)
        return error_errno(-result, "setting up libseccomp");
    TRY(add_architectures(context, profile));
    for (size_t i = 0; i < profile->n_syscalls; i++)
        TRY(add_syscalls(context, default_action, profile->syscalls[i]));
    struct sock_filter stub[STUB_LENGTH];
    size_t stub_length = make_newer_is_enosys(profile, default_action, stub);
    return export_program(context, stub, stub_length, filter);
}

struct error *seccomp_filter_compile(const Grpc__LinuxSeccomp *profile, struct seccomp_filter **ret_filter)
{
    _cleanup_(seccomp_filter_free) struct seccomp_filter *filter = NULL;
    if (profile) {
        filter = must_new(struct seccomp_filter);
        TRY(error_wrap(compile(profile, filter), "the seccomp profile"));
    }
    *ret_filter = TAKE_PTR(filter);
    return NULL;
}

void seccomp_filter_free(struct seccomp_filter *filter)
{
    if (!filter)
        return;
    free(filter->program.filter);
    free(filter);
}

struct error *seccomp_filter_install(const struct seccomp_filter *filter)
{
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->flags, &filter->program) < 0)
        return error_errno(errno, "installing the seccomp filter");
    return NULL;
}
