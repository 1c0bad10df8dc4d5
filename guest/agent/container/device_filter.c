/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program keeps the five numbers of a request in registers and walks the rules from the last to the
 * first; the first that fits decides. An allowing rule fits when it grants all that is asked, a denying one
 * when it forbids any of it.
 */
#include "agent/container/device_filter.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#define ANY UINT32_MAX
#define ACCESS_ALL (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)
#define RULES_MAX 4096
#define PROLOGUE_LENGTH 6
#define RULE_LENGTH_MAX 8
#define EPILOGUE_LENGTH 2

struct rule {
    bool allow;
    uint32_t type; /* BPF_DEVCG_DEV_*, or 0 for both */
    uint32_t major;
    uint32_t minor;
    uint32_t access; /* BPF_DEVCG_ACC_* */
};

#define READ_WRITE_MKNOD ACCESS_ALL
static const struct rule default_rules[] = {
    {true, BPF_DEVCG_DEV_CHAR, ANY, ANY, BPF_DEVCG_ACC_MKNOD},
    {true, BPF_DEVCG_DEV_BLOCK, ANY, ANY, BPF_DEVCG_ACC_MKNOD},
    {true, BPF_DEVCG_DEV_CHAR, 1, 3, READ_WRITE_MKNOD},     /* null */
    {true, BPF_DEVCG_DEV_CHAR, 1, 5, READ_WRITE_MKNOD},     /* zero */
    {true, BPF_DEVCG_DEV_CHAR, 1, 7, READ_WRITE_MKNOD},     /* full */
    {true, BPF_DEVCG_DEV_CHAR, 1, 8, READ_WRITE_MKNOD},     /* random */
    {true, BPF_DEVCG_DEV_CHAR, 1, 9, READ_WRITE_MKNOD},     /* urandom */
    {true, BPF_DEVCG_DEV_CHAR, 5, 0, READ_WRITE_MKNOD},     /* tty */
    {true, BPF_DEVCG_DEV_CHAR, 5, 2, READ_WRITE_MKNOD},     /* ptmx */
    {true, BPF_DEVCG_DEV_CHAR, 136, ANY, READ_WRITE_MKNOD}, /* pts/N */
};

static uint32_t access_of(const char *letters)
{
    uint32_t access = 0;
    for (; *letters; letters++)
        access |= *letters == 'r'   ? BPF_DEVCG_ACC_READ
                  : *letters == 'w' ? BPF_DEVCG_ACC_WRITE
                  : *letters == 'm' ? BPF_DEVCG_ACC_MKNOD
                                    : 0;
    return access;
}

static struct error *rule_of(const Grpc__LinuxDeviceCgroup *entry, struct rule *ret_rule)
{
    uint32_t type = 0;
    bool all = *entry->type == '\0' || strcmp(entry->type, "a") == 0;
    if (strcmp(entry->type, "c") == 0)
        type = BPF_DEVCG_DEV_CHAR;
    else if (strcmp(entry->type, "b") == 0)
        type = BPF_DEVCG_DEV_BLOCK;
    else if (!all)
        return error_new(
            ERROR_INVALID_ARGUMENT, "the device rule has the unknown type \"%.20s\"", entry->type);
    /* As in cgroup v1, a rule for all types is for all numbers and accesses too. */
    *ret_rule = (struct rule){
        .allow = entry->allow,
        .type = type,
        .major = all || entry->major < 0 ? ANY : (uint32_t)entry->major,
        .minor = all || entry->minor < 0 ? ANY : (uint32_t)entry->minor,
        .access = all || *entry->access == '\0' ? ACCESS_ALL : access_of(entry->access),
    };
    return NULL;
}

static bool same_devices(const struct rule *one, const struct rule *other)
{
    return one->allow == other->allow && one->type == other->type && one->major == other->major &&
           one->minor == other->minor;
}

/* A grant of "r" followed by one of "w" is a grant of both together. */
static void add_rule(struct rule *rules, size_t *count, const struct rule *rule)
{
    if (*count > 0 && same_devices(&rules[*count - 1], rule))
        rules[*count - 1].access |= rule->access;
    else
        rules[(*count)++] = *rule;
}

static struct error *collect_rules(
    Grpc__LinuxDeviceCgroup *const *entries, size_t entry_count, struct rule **ret_rules, size_t *ret_count)
{
    if (entry_count > RULES_MAX)
        return error_new(ERROR_OUT_OF_RANGE, "more than %d device rules", RULES_MAX);
    _cleanup_free_ struct rule *rules =
        must_alloc_array(entry_count + ARRAY_SIZE(default_rules), sizeof(struct rule));
    size_t count = 0;
    for (size_t i = 0; i < entry_count; i++) {
        struct rule rule;
        TRY(rule_of(entries[i], &rule));
        add_rule(rules, &count, &rule);
    }
    for (size_t i = 0; i < ARRAY_SIZE(default_rules); i++)
        add_rule(rules, &count, &default_rules[i]);
    *ret_rules = TAKE_PTR(rules);
    *ret_count = count;
    return NULL;
}

static struct bpf_insn instruction(
    unsigned int code, unsigned int to, unsigned int from, int offset, int value)
{
    return (struct bpf_insn){.code = (uint8_t)code,
        .dst_reg = to & 0xf,
        .src_reg = from & 0xf,
        .off = (int16_t)offset,
        .imm = value};
}

enum { TYPE = BPF_REG_2, ACCESS = BPF_REG_3, MAJOR = BPF_REG_4, MINOR = BPF_REG_5, SCRATCH = BPF_REG_0 };

/* struct bpf_cgroup_dev_ctx: the access in the upper half of the first word, the type in the lower. */
static size_t emit_prologue(struct bpf_insn *out)
{
    const unsigned int load = BPF_LDX | BPF_W | BPF_MEM;
    out[0] = instruction(load, TYPE, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
    out[1] = instruction(BPF_ALU | BPF_MOV | BPF_X, ACCESS, TYPE, 0, 0);
    out[2] = instruction(BPF_ALU | BPF_RSH | BPF_K, ACCESS, 0, 0, 16);
    out[3] = instruction(BPF_ALU | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff);
    out[4] = instruction(load, MAJOR, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
    out[5] = instruction(load, MINOR, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
    return PROLOGUE_LENGTH;
}

/* Each comparison that fails jumps behind the rule; the distances are filled in once its end is known. */
static size_t emit_rule(struct bpf_insn *out, const struct rule *rule)
{
    const unsigned int differs = BPF_JMP32 | BPF_JNE | BPF_K;
    size_t used = 0;
    if (rule->type)
        out[used++] = instruction(differs, TYPE, 0, 0, (int)rule->type);
    if (rule->major != ANY)
        out[used++] = instruction(differs, MAJOR, 0, 0, (int)rule->major);
    if (rule->minor != ANY)
        out[used++] = instruction(differs, MINOR, 0, 0, (int)rule->minor);
    if (rule->access != ACCESS_ALL) {
        uint32_t tested = rule->allow ? ~rule->access : rule->access;
        out[used++] = instruction(BPF_ALU | BPF_MOV | BPF_X, SCRATCH, ACCESS, 0, 0);
        out[used++] = instruction(BPF_ALU | BPF_AND | BPF_K, SCRATCH, 0, 0, (int)tested);
        out[used++] = instruction(rule->allow ? differs : BPF_JMP32 | BPF_JEQ | BPF_K, SCRATCH, 0, 0, 0);
    }
    size_t tests = used;
    out[used++] = instruction(BPF_ALU | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, rule->allow);
    out[used++] = instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    for (size_t i = 0; i < tests; i++)
        if (BPF_CLASS(out[i].code) == BPF_JMP32)
            out[i].off = (int16_t)(used - i - 1);
    return used;
}

static bool decides_everything(const struct rule *rule)
{
    return rule->type == 0 && rule->major == ANY && rule->minor == ANY && rule->access == ACCESS_ALL;
}

struct error *device_filter_compile(Grpc__LinuxDeviceCgroup *const *entries, size_t entry_count,
    struct bpf_insn **ret_instructions, size_t *ret_count)
{
    _cleanup_free_ struct rule *rules = NULL;
    size_t rule_count = 0;
    TRY(collect_rules(entries, entry_count, &rules, &rule_count));
    struct bpf_insn *out = must_alloc_array(
        PROLOGUE_LENGTH + rule_count * RULE_LENGTH_MAX + EPILOGUE_LENGTH, sizeof(struct bpf_insn));
    size_t used = emit_prologue(out);
    bool decided = false;
    /* What stands before a rule for everything is dead code, which the kernel's verifier refuses. */
    for (size_t i = rule_count; i-- > 0 && !decided;) {
        used += emit_rule(out + used, &rules[i]);
        decided = decides_everything(&rules[i]);
    }
    if (!decided) {
        out[used++] = instruction(BPF_ALU | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
        out[used++] = instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    }
    *ret_instructions = out;
    *ret_count = used;
    return NULL;
}

static long bpf(enum bpf_cmd command, union bpf_attr *attributes)
{
    return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/* Zeroed apart from what is set: the kernel refuses unknown bytes. */
static struct error *load(const struct bpf_insn *instructions, size_t count, int *ret_program)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = (uint64_t)(uintptr_t)instructions;
    attributes.insn_cnt = (uint32_t)count;
    attributes.license = (uint64_t)(uintptr_t) "Apache-2.0";
    long program = bpf(BPF_PROG_LOAD, &attributes);
    if (program < 0)
        return error_errno(errno, "loading the device rules of the cgroup");
    *ret_program = (int)program;
    return NULL;
}

static bool allows_everything(Grpc__LinuxDeviceCgroup *const *entries, size_t count)
{
    struct rule last;
    if (count == 0)
        return false;
    struct error *error = rule_of(entries[count - 1], &last);
    bool all = !error && last.allow && decides_everything(&last);
    error_free(error);
    return all;
}

static struct error *detach(int cgroup)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.target_fd = (uint32_t)cgroup;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    if (bpf(BPF_PROG_DETACH, &attributes) < 0 && errno != ENOENT)
        return error_errno(errno, "dropping the device rules of the cgroup");
    return NULL;
}

struct error *device_filter_attach(int cgroup, Grpc__LinuxDeviceCgroup *const *entries, size_t count)
{
    if (allows_everything(entries, count))
        return detach(cgroup);
    _cleanup_free_ struct bpf_insn *instructions = NULL;
    size_t instruction_count = 0;
    TRY(device_filter_compile(entries, count, &instructions, &instruction_count));
    _cleanup_fd_ int program = -1;
    TRY(load(instructions, instruction_count, &program));
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.target_fd = (uint32_t)cgroup;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    if (bpf(BPF_PROG_ATTACH, &attributes) < 0)
        return error_errno(errno, "applying the device rules to the cgroup");
    return NULL;
}
