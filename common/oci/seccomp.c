/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp. Names of system calls are not checked: those that a kernel lacks are to be skipped there. */
#include "oci/shape.h"
#include "proto/oci.pb-c.h"

#include <string.h>

/* linux/err.h: MAX_ERRNO; linux/seccomp.h: the data of a return value has 16 bits. */
#define ERRNO_MAX 4095
#define TRACE_DATA_MAX 65535

static const char *const architectures[] = {"SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB", NULL};
static const struct oci_rule architecture_rule = {
    .reason = "is not an architecture of seccomp", .words = architectures};

static const char *const flags[] = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", NULL};
static const struct oci_rule flag_rule = {.reason = "is not a flag of seccomp", .words = flags};

/* SCMP_ACT_NOTIFY is left out: its listener would be a process outside the virtual machine. */
static const char *const actions[] = {"SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", NULL};
static const struct oci_rule action_rule = {.reason = "is not a supported action", .words = actions};

static const char *const operators[] = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ",
    "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ", NULL};
static const struct oci_rule operator_rule = {.reason = "is not a comparison", .words = operators};

/* ---- arguments ---- */

static const struct oci_member argument_members[] = {
    {"index", "index", .required = true, .maximum = 5},
    {"value", "value", .required = true},
    {"valueTwo", "value_two"},
    {"op", "op", .rule = &operator_rule, .required = true},
};
static const struct oci_shape argument_shape = {
    &grpc__linux_seccomp_arg__descriptor, OCI_MEMBERS(argument_members)};

/* ---- rules ---- */

/* An error number goes with ERRNO and TRACE only. */
static struct error *check_error_number(
    const char *action, uint32_t number, const char *key, const struct oci_place *parent)
{
    struct oci_place place = {.parent = parent, .key = key};

    if (strcmp(action, "SCMP_ACT_TRACE") == 0)
        return NULL;
    if (strcmp(action, "SCMP_ACT_ERRNO") != 0)
        return oci_refuse(&place, "%s returns no error number", action);
    if (number > ERRNO_MAX)
        return oci_refuse(&place, "%u is not between 0 and %d", number, ERRNO_MAX);
    return NULL;
}

static const struct oci_member syscall_members[] = {
    {"names", "names", .rule = &oci_rule_not_empty, .required = true},
    {"action", "action", .rule = &action_rule, .required = true},
    {"errnoRet", "errno_ret", .maximum = TRACE_DATA_MAX},
    {"args", "args", &argument_shape},
};

static struct error *finish_syscall(ProtobufCMessage *message, const struct oci_place *place)
{
    const Grpc__LinuxSyscall *rule = (const Grpc__LinuxSyscall *)message;

    if (rule->has_errno_ret_case == GRPC__LINUX_SYSCALL__HAS_ERRNO_RET_ERRNO_RET)
        return check_error_number(rule->action, rule->errno_ret, "errnoRet", place);
    return NULL;
}

static const struct oci_shape syscall_shape = {
    &grpc__linux_syscall__descriptor, OCI_MEMBERS(syscall_members), .finish = finish_syscall};

/* ---- the profile ---- */

static const struct oci_member seccomp_members[] = {
    {"defaultAction", "default_action", .rule = &action_rule, .required = true},
    {"defaultErrnoRet", "default_errno_ret", .maximum = TRACE_DATA_MAX},
    {"architectures", "architectures", .rule = &architecture_rule},
    {"flags", "flags", .rule = &flag_rule},
    {"syscalls", "syscalls", &syscall_shape},
};

static struct error *finish_seccomp(ProtobufCMessage *message, const struct oci_place *place)
{
    const Grpc__LinuxSeccomp *profile = (const Grpc__LinuxSeccomp *)message;

    if (profile->has_default_errno_ret_case == GRPC__LINUX_SECCOMP__HAS_DEFAULT_ERRNO_RET_DEFAULT_ERRNO_RET)
        return check_error_number(
            profile->default_action, profile->default_errno_ret, "defaultErrnoRet", place);
    return NULL;
}

const struct oci_shape oci_seccomp_shape = {
    &grpc__linux_seccomp__descriptor, OCI_MEMBERS(seccomp_members), .finish = finish_seccomp};
