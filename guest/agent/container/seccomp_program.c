/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For each architecture the numbers of system calls are cut into segments that get one answer each, and the
 * program finds the segment by bisection: some eight comparisons, whatever the length of the profile. That
 * matters twice, for the kernel also runs the program for every number when it is installed, to remember
 * those that are always allowed.
 *
 * A segment is one return, or for a number with conditions a row of rules. Within a rule each failed
 * comparison jumps to the next rule.
 */
#include "agent/container/seccomp_program.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

/* Jump distances that stand for labels until these are known. No rule is this long. */
#define TO_HOLDS 0xfe /* the condition holds: behind it */
#define TO_FAILS 0xff /* the rule does not fit: behind it */
#define JUMP_MAX 0xfd

/* The number of a call that a tracer has cancelled; it is no call. */
#define CANCELLED_CALL UINT32_MAX
/* Numbers of x86_64's table have this bit when x32 programs call; other tables end below it. */
#define X32_BIT 0x40000000u

struct code {
    struct sock_filter *instructions;
    size_t count;
};

/* From `start` up to the start of the next segment. */
struct segment {
    uint32_t start;
    uint32_t action;
    const struct seccomp_rule *rules; /* with conditions, to be asked first */
    size_t rule_count;
};

struct segments {
    struct segment *items;
    size_t count;
};

void seccomp_table_add(struct seccomp_table *table, const struct seccomp_rule *rule)
{
    if ((table->count & (table->count + 1)) == 0) /* doubles at 0, 1, 3, 7 and so on */
        table->rules = must_resize(table->rules, 2 * table->count + 2, sizeof(*rule));
    table->rules[table->count] = *rule;
    table->rules[table->count].order = table->count;
    table->count++;
}

/* By number; within a number the conditional ones first, then as the profile has them. */
static int compare_rules(const void *one, const void *other)
{
    const struct seccomp_rule *a = one;
    const struct seccomp_rule *b = other;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    if ((a->condition_count == 0) != (b->condition_count == 0))
        return a->condition_count == 0 ? 1 : -1;
    return a->order < b->order ? -1 : 1;
}

static void emit(struct code *code, unsigned int operation, uint32_t value, size_t if_true, size_t if_false)
{
    if ((code->count & (code->count + 1)) == 0)
        code->instructions =
            must_resize(code->instructions, 2 * code->count + 2, sizeof(*code->instructions));
    code->instructions[code->count++] = (struct sock_filter){
        .code = (uint16_t)operation, .jt = (uint8_t)if_true, .jf = (uint8_t)if_false, .k = value};
}

static void emit_load(struct code *code, size_t offset)
{
    emit(code, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_return(struct code *code, uint32_t action)
{
    emit(code, BPF_RET | BPF_K, action, 0, 0);
}

/* The label becomes the instruction that comes next. */
static void set_label(struct code *code, size_t from, uint8_t label)
{
    for (size_t i = from; i < code->count; i++) {
        struct sock_filter *jump = &code->instructions[i];
        if (BPF_CLASS(jump->code) != BPF_JMP)
            continue;
        if (jump->jt == label)
            jump->jt = (uint8_t)(code->count - i - 1);
        if (jump->jf == label)
            jump->jf = (uint8_t)(code->count - i - 1);
    }
}

/* ---- conditions ---- */

/* For each operator: where to go when the upper halves differ (greater, less), and the test of the lower
   halves when they are equal. */
static const struct comparison {
    uint8_t greater;
    uint8_t less;
    unsigned int test;
    bool negated;
} comparisons[] = {
    [SECCOMP_EQ] = {TO_FAILS, TO_FAILS, BPF_JEQ, false},
    [SECCOMP_MASKED_EQ] = {TO_FAILS, TO_FAILS, BPF_JEQ, false},
    [SECCOMP_NE] = {TO_HOLDS, TO_HOLDS, BPF_JEQ, true},
    [SECCOMP_GT] = {TO_HOLDS, TO_FAILS, BPF_JGT, false},
    [SECCOMP_GE] = {TO_HOLDS, TO_FAILS, BPF_JGE, false},
    [SECCOMP_LT] = {TO_FAILS, TO_HOLDS, BPF_JGE, true},
    [SECCOMP_LE] = {TO_FAILS, TO_HOLDS, BPF_JGT, true},
};

static void emit_half(struct code *code, const struct seccomp_condition *condition, size_t offset, int shift)
{
    emit_load(code, offsetof(struct seccomp_data, args) + condition->argument * sizeof(uint64_t) + offset);
    uint32_t mask = (uint32_t)(condition->mask >> shift);
    if (mask != UINT32_MAX)
        emit(code, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum { LOWER_HALF = 0, UPPER_HALF = 4 };
#else
enum { LOWER_HALF = 4, UPPER_HALF = 0 };
#endif

static void emit_condition(struct code *code, const struct seccomp_condition *condition, bool wide)
{
    const struct comparison *comparison = &comparisons[condition->comparator];
    uint64_t value = condition->value & condition->mask;
    uint32_t upper = (uint32_t)(value >> 32);
    size_t start = code->count;
    if (wide) {
        emit_half(code, condition, UPPER_HALF, 32);
        if (comparison->greater != comparison->less)
            emit(code, BPF_JMP | BPF_JGT | BPF_K, upper, comparison->greater, 0);
        emit(code, BPF_JMP | BPF_JEQ | BPF_K, upper, 0, comparison->less);
    }
    emit_half(code, condition, LOWER_HALF, 0);
    emit(code, BPF_JMP | comparison->test | BPF_K, (uint32_t)value, comparison->negated ? TO_FAILS : TO_HOLDS,
        comparison->negated ? TO_HOLDS : TO_FAILS);
    set_label(code, start, TO_HOLDS);
}

static void emit_rule(struct code *code, const struct seccomp_rule *rule, bool wide)
{
    size_t start = code->count;
    for (size_t i = 0; i < rule->condition_count; i++)
        emit_condition(code, &rule->conditions[i], wide);
    emit_return(code, rule->action);
    set_label(code, start, TO_FAILS);
}

/* ---- segments ---- */

/* Neighbours with the same plain answer are one. */
static void add_segment(struct segments *segments, const struct segment *segment)
{
    struct segment *last = segments->count ? &segments->items[segments->count - 1] : NULL;
    if (last && !last->rule_count && !segment->rule_count && last->action == segment->action)
        return;
    segments->items = must_resize(segments->items, segments->count + 1, sizeof(*segment));
    segments->items[segments->count++] = *segment;
}

/* All rules of one number, as the segment of that number. */
static struct segment segment_of(const struct seccomp_rule *rules, size_t count, uint32_t default_action)
{
    struct segment segment = {.start = rules[0].number, .action = default_action, .rules = rules};
    while (segment.rule_count < count && rules[segment.rule_count].condition_count > 0)
        segment.rule_count++;
    if (segment.rule_count < count)
        segment.action = rules[segment.rule_count].action;
    return segment;
}

/* What no rule names, from `start` to before `end`: refused as the profile says, or unknown to it. */
static void add_gap(struct segments *segments, const struct seccomp_table *table, uint32_t start,
    uint32_t end, uint32_t default_action)
{
    struct segment known = {.start = start, .action = default_action};
    struct segment beyond = {.start = table->newest + 1, .action = SECCOMP_RET_ERRNO | ENOSYS};
    if (start >= end)
        return;
    if (table->newest >= X32_BIT || start >= X32_BIT || beyond.start >= end) {
        add_segment(segments, &known);
        return;
    }
    if (start < beyond.start)
        add_segment(segments, &known);
    else
        beyond.start = start;
    add_segment(segments, &beyond);
}

/* x32 programs have x86_64's architecture and numbers of their own; where none may run, these are killed. */
static void add_end(struct segments *segments, const struct seccomp_table *table, uint32_t default_action)
{
    bool has_x32 = table->count > 0 && table->rules[table->count - 1].number >= X32_BIT;
    struct segment x32 = {.start = X32_BIT, .action = SECCOMP_RET_KILL_THREAD};
    struct segment cancelled = {.start = CANCELLED_CALL, .action = default_action};
    if (table->architecture == AUDIT_ARCH_X86_64 && !has_x32)
        add_segment(segments, &x32);
    add_segment(segments, &cancelled);
}

/* Rules are sorted. */
static struct segments cut(const struct seccomp_table *table, uint32_t default_action)
{
    struct segments segments = {0};
    uint32_t start = 0;
    for (size_t i = 0; i < table->count;) {
        const struct seccomp_rule *rules = &table->rules[i];
        size_t same = 1;
        while (i + same < table->count && rules[same].number == rules->number)
            same++;
        struct segment segment = segment_of(rules, same, default_action);
        add_gap(&segments, table, start, rules->number, default_action);
        add_segment(&segments, &segment);
        start = rules->number + 1;
        i += same;
    }
    add_gap(&segments, table, start, CANCELLED_CALL, default_action);
    add_end(&segments, table, default_action);
    return segments;
}

static void emit_segment(struct code *code, const struct segment *segment, bool wide)
{
    for (size_t i = 0; i < segment->rule_count; i++)
        emit_rule(code, &segment->rules[i], wide);
    emit_return(code, segment->action);
}

/* The accumulator holds the number. The lower half of the segments comes first, and what lies in the upper
   one jumps over it: directly where eight bits suffice. */
static void emit_search(struct code *code, const struct segment *segments, size_t count, bool wide)
{
    if (count == 1) {
        emit_segment(code, segments, wide);
        return;
    }
    size_t middle = count / 2;
    struct code lower = {0};
    emit_search(&lower, segments, middle, wide);
    if (lower.count <= JUMP_MAX) {
        emit(code, BPF_JMP | BPF_JGE | BPF_K, segments[middle].start, lower.count, 0);
    } else {
        emit(code, BPF_JMP | BPF_JGE | BPF_K, segments[middle].start, 0, 1);
        emit(code, BPF_JMP | BPF_JA, (uint32_t)lower.count, 0, 0);
    }
    for (size_t i = 0; i < lower.count; i++)
        emit(code, lower.instructions[i].code, lower.instructions[i].k, lower.instructions[i].jt,
            lower.instructions[i].jf);
    free(lower.instructions);
    emit_search(code, segments + middle, count - middle, wide);
}

static void emit_table(struct code *code, struct seccomp_table *table, uint32_t default_action)
{
    qsort(table->rules, table->count, sizeof(*table->rules), compare_rules);
    struct segments segments = cut(table, default_action);
    struct code body = {0};
    emit_load(&body, offsetof(struct seccomp_data, nr));
    emit_search(&body, segments.items, segments.count, table->wide);
    emit_load(code, offsetof(struct seccomp_data, arch));
    emit(code, BPF_JMP | BPF_JEQ | BPF_K, table->architecture, 1, 0);
    emit(code, BPF_JMP | BPF_JA, (uint32_t)body.count, 0, 0);
    for (size_t i = 0; i < body.count; i++)
        emit(code, body.instructions[i].code, body.instructions[i].k, body.instructions[i].jt,
            body.instructions[i].jf);
    free(body.instructions);
    free(segments.items);
}

struct error *seccomp_program_build(struct seccomp_table *tables, size_t count, uint32_t default_action,
    struct sock_filter **ret_instructions, size_t *ret_count)
{
    struct code code = {0};
    for (size_t i = 0; i < count; i++)
        emit_table(&code, &tables[i], default_action);
    emit_return(&code, SECCOMP_RET_KILL_THREAD);
    if (code.count > BPF_MAXINSNS) {
        free(code.instructions);
        return error_new(ERROR_OUT_OF_RANGE, "the profile makes a filter of %zu instructions", code.count);
    }
    *ret_instructions = code.instructions;
    *ret_count = code.count;
    return NULL;
}
