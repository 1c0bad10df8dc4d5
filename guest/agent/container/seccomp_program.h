/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules on system calls as a program of classic BPF, which is what the kernel takes.
 */
#pragma once

#include "base/error.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECCOMP_ARGUMENTS 6

enum seccomp_operator {
    SECCOMP_EQ,
    SECCOMP_NE,
    SECCOMP_LT,
    SECCOMP_LE,
    SECCOMP_GT,
    SECCOMP_GE,
    SECCOMP_MASKED_EQ,
};

struct seccomp_condition {
    unsigned int argument;
    enum seccomp_operator comparator;
    uint64_t mask; /* of MASKED_EQ; all ones for the others */
    uint64_t value;
};

struct seccomp_rule {
    uint32_t number;
    uint32_t action; /* SECCOMP_RET_* with its data */
    struct seccomp_condition conditions[SECCOMP_ARGUMENTS];
    size_t condition_count; /* all must hold; 0: always */
    size_t order;           /* of the profile; set by the table */
};

/* The rules for programs of one architecture. */
struct seccomp_table {
    uint32_t architecture; /* AUDIT_ARCH_* */
    bool wide;             /* its arguments have 64 bits */
    struct seccomp_rule *rules;
    size_t count;
    uint32_t newest; /* what lies above is answered with ENOSYS; UINT32_MAX: nothing is */
};

void seccomp_table_add(struct seccomp_table *table, const struct seccomp_rule *rule);

/* For one system call, the rules with conditions are asked in their order and then the first one without;
   where none fits, the default action is the answer. Programs of an architecture that has no table are
   killed. OUT_OF_RANGE where the kernel's limit on instructions is passed. */
struct error *seccomp_program_build(struct seccomp_table *tables, size_t count, uint32_t default_action,
    struct sock_filter **ret_instructions, size_t *ret_count);
