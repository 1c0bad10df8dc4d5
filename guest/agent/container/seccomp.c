/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libseccomp knows the system calls: their numbers on each architecture. The program is our own
 * (seccomp_program.c): libseccomp takes 40 ms for docker's default profile in an emulated guest, a tenth of
 * the whole start, where this takes one. The unit tests hold both programs side by side. It is kept, for
 * every exec needs it.
 *
 * Architectures that the guest's kernel cannot run are left out: their calls cannot happen, and if they did,
 * the answer would be to kill.
 */
#include "agent/container/seccomp.h"

#include "agent/container/seccomp_program.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/syscall.h>

#define X32_BIT 0x40000000u
#define TABLES_MAX 4

struct seccomp_filter {
    unsigned int flags;
    struct sock_fprog program;
};

struct name_value {
    const char *name;
    uint32_t value;
};

static const struct name_value actions[] = {
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
};

static const struct name_value operators[] = {
    {"SCMP_CMP_EQ", SECCOMP_EQ},
    {"SCMP_CMP_GE", SECCOMP_GE},
    {"SCMP_CMP_GT", SECCOMP_GT},
    {"SCMP_CMP_LE", SECCOMP_LE},
    {"SCMP_CMP_LT", SECCOMP_LT},
    {"SCMP_CMP_MASKED_EQ", SECCOMP_MASKED_EQ},
    {"SCMP_CMP_NE", SECCOMP_NE},
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
    bool carries = action->value == SECCOMP_RET_ERRNO || action->value == SECCOMP_RET_TRACE;
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

/* The system calls that 32-bit x86 has twice: as numbers of their own, and behind one number with an
   operation as first argument. libseccomp gives a negative number that counts the operation. */
static const struct multiplexed {
    int base; /* libseccomp's number is base - operation */
    uint32_t number;
    uint16_t direct[25]; /* by operation; 0: none */
} multiplexed_calls[] = {
    {-100, 102,
        {0, 359, 361, 362, 363, 0, 367, 368, 360, 0, 0, 369, 371, 373, 366, 365, 370, 372, 364, 337, 345}},
    {-200, 117,
        {0, 0, 393, 394, 0, 0, 0, 0, 0, 0, 0, 400, 401, 399, 402, 0, 0, 0, 0, 0, 0, 397, 398, 395, 396}},
};

/* Behind the multiplexer the first argument is the operation. Conditions on it say nothing there and are left
   out, the others stay, as libseccomp does. */
static struct seccomp_rule behind_multiplexer(
    const struct seccomp_rule *rule, const struct multiplexed *call, int operation)
{
    struct seccomp_rule behind = {.number = call->number, .action = rule->action, .condition_count = 1};
    behind.conditions[0] = (struct seccomp_condition){
        .comparator = SECCOMP_EQ, .mask = UINT64_MAX, .value = (uint64_t)operation};
    for (size_t i = 0; i < rule->condition_count; i++)
        if (rule->conditions[i].argument != 0)
            behind.conditions[behind.condition_count++] = rule->conditions[i];
    return behind;
}

static void add_multiplexed(struct seccomp_table *table, struct seccomp_rule *rule, int number)
{
    for (size_t i = 0; i < ARRAY_SIZE(multiplexed_calls); i++) {
        const struct multiplexed *call = &multiplexed_calls[i];
        int operation = call->base - number;
        if (operation <= 0 || operation >= (int)ARRAY_SIZE(call->direct))
            continue;
        struct seccomp_rule behind = behind_multiplexer(rule, call, operation);
        seccomp_table_add(table, &behind);
        rule->number = call->direct[operation];
        if (rule->number)
            seccomp_table_add(table, rule);
    }
}

static void add_rule(struct seccomp_table *table, const struct seccomp_rule *rule, int number)
{
    struct seccomp_rule copy = *rule;
    copy.number = (uint32_t)number;
    if (number >= 0)
        seccomp_table_add(table, &copy);
    else if (table->architecture == AUDIT_ARCH_I386)
        add_multiplexed(table, &copy, number);
}

static struct error *condition_of(
    const Grpc__LinuxSeccompArg *argument, struct seccomp_condition *ret_condition)
{
    const struct name_value *comparator = find(operators, ARRAY_SIZE(operators), argument->op);
    if (!comparator || argument->index >= SECCOMP_ARGUMENTS)
        return error_new(ERROR_INVALID_ARGUMENT, "argument %llu with operator \"%.60s\" is no condition",
            (unsigned long long)argument->index, argument->op);
    bool masked = comparator->value == SECCOMP_MASKED_EQ;
    *ret_condition = (struct seccomp_condition){
        .argument = (unsigned int)argument->index,
        .comparator = (enum seccomp_operator)comparator->value,
        .mask = masked ? argument->value : UINT64_MAX,
        .value = masked ? argument->value_two : argument->value,
    };
    return NULL;
}

/* Conditions on different arguments must all hold. When several are on the same argument, each condition is a
   rule of its own, of which one has to hold; runc does the same. */
struct rule_set {
    struct seccomp_rule rules[SECCOMP_ARGUMENTS];
    size_t count;
};

static struct error *rules_of(const Grpc__LinuxSyscall *entry, uint32_t action, struct rule_set *ret_set)
{
    struct rule_set set = {.rules[0].action = action, .count = 1};
    if (entry->n_args > SECCOMP_ARGUMENTS)
        return error_new(ERROR_INVALID_ARGUMENT, "more than %d conditions", SECCOMP_ARGUMENTS);
    struct seccomp_rule *all = &set.rules[0];
    unsigned int seen = 0;
    bool repeated = false;
    for (size_t i = 0; i < entry->n_args; i++) {
        TRY(condition_of(entry->args[i], &all->conditions[i]));
        repeated |= seen & 1u << all->conditions[i].argument;
        seen |= 1u << all->conditions[i].argument;
    }
    all->condition_count = entry->n_args;
    if (repeated) {
        for (size_t i = entry->n_args; i-- > 0;)
            set.rules[i] = (struct seccomp_rule){
                .action = action, .conditions[0] = all->conditions[i], .condition_count = 1};
        set.count = entry->n_args;
    }
    *ret_set = set;
    return NULL;
}

/* One architecture of libseccomp's, and the table that its rules belong to. */
struct target {
    uint32_t architecture;
    struct seccomp_table *table;
};

struct compilation {
    struct seccomp_table tables[TABLES_MAX];
    size_t table_count;
    struct target targets[TABLES_MAX];
    size_t target_count;
    bool newer_is_enosys;
};

static void compilation_clear(struct compilation *compilation)
{
    for (size_t i = 0; i < compilation->table_count; i++)
        free(compilation->tables[i].rules);
}

/* x32 has no table of its own: the kernel gives its programs the architecture of x86_64. */
static void add_target(struct compilation *compilation, uint32_t architecture)
{
    for (size_t i = 0; i < compilation->target_count; i++)
        if (compilation->targets[i].architecture == architecture)
            return;
    uint32_t token = architecture == SCMP_ARCH_X32 ? (uint32_t)SCMP_ARCH_X86_64 : architecture;
    struct seccomp_table *table = NULL;
    for (size_t i = 0; i < compilation->table_count; i++)
        if (compilation->tables[i].architecture == token)
            table = &compilation->tables[i];
    if (compilation->target_count == TABLES_MAX)
        return;
    if (!table) {
        table = &compilation->tables[compilation->table_count++];
        *table = (struct seccomp_table){
            .architecture = token, .wide = token & __AUDIT_ARCH_64BIT, .newest = UINT32_MAX};
    }
    compilation->targets[compilation->target_count++] = (struct target){architecture, table};
}

static void add_targets(struct compilation *compilation, const Grpc__LinuxSeccomp *profile)
{
    add_target(compilation, seccomp_arch_native());
    for (size_t i = 0; i < profile->n_architectures; i++) {
        const struct name_value *known =
            find(architectures, ARRAY_SIZE(architectures), profile->architectures[i]);
        if (known && kernel_runs(known->value))
            add_target(compilation, known->value);
    }
}

static void add_name(
    struct compilation *compilation, const char *name, const struct rule_set *set, bool is_default)
{
    for (size_t i = 0; i < compilation->target_count; i++) {
        struct seccomp_table *table = compilation->targets[i].table;
        int number = seccomp_syscall_resolve_name_arch(compilation->targets[i].architecture, name);
        if (number == __NR_SCMP_ERROR)
            continue;
        bool plain = number >= 0 && (uint32_t)number < X32_BIT;
        if (plain && compilation->newer_is_enosys &&
            (table->newest == UINT32_MAX || (uint32_t)number > table->newest))
            table->newest = (uint32_t)number;
        for (size_t j = 0; j < set->count && !is_default; j++)
            add_rule(table, &set->rules[j], number);
    }
}

static struct error *add_syscalls(
    struct compilation *compilation, uint32_t default_action, const Grpc__LinuxSyscall *entry)
{
    uint32_t action = 0;
    struct rule_set set = {0};
    TRY(action_of(entry->action, entry->has_errno_ret_case == GRPC__LINUX_SYSCALL__HAS_ERRNO_RET_ERRNO_RET,
        entry->errno_ret, &action));
    TRY(error_wrap(rules_of(entry, action, &set), "%s", entry->n_names ? entry->names[0] : "a rule"));
    for (size_t i = 0; i < entry->n_names; i++)
        add_name(compilation, entry->names[i], &set, action == default_action);
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

static struct error *compile_tables(const Grpc__LinuxSeccomp *profile, struct compilation *compilation,
    uint32_t default_action, struct seccomp_filter *filter)
{
    add_targets(compilation, profile);
    for (size_t i = 0; i < profile->n_syscalls; i++)
        TRY(add_syscalls(compilation, default_action, profile->syscalls[i]));
    size_t count = 0;
    TRY(seccomp_program_build(
        compilation->tables, compilation->table_count, default_action, &filter->program.filter, &count));
    filter->program.len = (unsigned short)count;
    return NULL;
}

static struct error *compile(const Grpc__LinuxSeccomp *profile, struct seccomp_filter *filter)
{
    bool has_errno =
        profile->has_default_errno_ret_case == GRPC__LINUX_SECCOMP__HAS_DEFAULT_ERRNO_RET_DEFAULT_ERRNO_RET;
    uint32_t default_action = 0;
    TRY(action_of(profile->default_action, has_errno, profile->default_errno_ret, &default_action));
    TRY(flags_of(profile, &filter->flags));
    bool permits = default_action == SECCOMP_RET_ALLOW || default_action == SECCOMP_RET_LOG;
    bool says_enosys = has_errno && profile->default_errno_ret == ENOSYS;
    struct compilation compilation = {.newer_is_enosys = !permits && !says_enosys};
    struct error *error = compile_tables(profile, &compilation, default_action, filter);
    compilation_clear(&compilation);
    return error;
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

const struct sock_fprog *seccomp_filter_program(const struct seccomp_filter *filter)
{
    return &filter->program;
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
