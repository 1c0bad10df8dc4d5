/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program is some thirty instructions, written down here: a compiler for them, or a library to load them,
 * would be more to carry than they are. In C it would be
 *
 *     if (context->protocol != IPPROTO_TCP)
 *         return SK_PASS;
 *     if (context->family == AF_INET && (context->local_ip4 & 255.0.0.0) == 127.0.0.0)
 *         key = 0;
 *     else if (context->family == AF_INET6 && context->local_ip6 == ::1)
 *         key = 1;
 *     else
 *         return SK_PASS;
 *     listener = map_lookup(listeners, &key);
 *     if (listener) {
 *         assign(context, listener);
 *         release(listener);
 *     }
 *     return SK_PASS;
 *
 * Addresses are in the order of the network, and so are the constants.
 */
#include "net/steer.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum listener_key { LISTENER_IPV4, LISTENER_IPV6, LISTENER_COUNT };

/* ---- the program ---- */

/* Of the instruction that a jump goes to. */
#define AT_IPV6 11
#define AT_SELECT 20
#define AT_PASS 33

#define FIELD(name) ((int16_t)offsetof(struct bpf_sk_lookup, name))
#define LOAD(register, offset)                                                                          \
    {                                                                                                   \
        .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = (register), .src_reg = BPF_REG_6, .off = (offset) \
    }
#define MOVE(to, from)                                                          \
    {                                                                           \
        .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (to), .src_reg = (from) \
    }
#define SET(register, value)                                                       \
    {                                                                              \
        .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (register), .imm = (value) \
    }
#define ADD(register, value)                                                       \
    {                                                                              \
        .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (register), .imm = (value) \
    }
#define MASK(register, value)                                                             \
    {                                                                                     \
        .code = BPF_ALU | BPF_AND | BPF_K, .dst_reg = (register), .imm = (int32_t)(value) \
    }
#define MERGE(to, from)                                                      \
    {                                                                        \
        .code = BPF_ALU | BPF_OR | BPF_X, .dst_reg = (to), .src_reg = (from) \
    }
#define SET_KEY(value)                                                                     \
    {                                                                                      \
        .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -4, .imm = (value) \
    }
#define CALL(function)                                \
    {                                                 \
        .code = BPF_JMP | BPF_CALL, .imm = (function) \
    }
#define JUMP_IF(condition, register, value, from, to)                                                      \
    {                                                                                                      \
        .code = BPF_JMP32 | (condition) | BPF_K, .dst_reg = (register), .off = (int16_t)((to) - (from)-1), \
        .imm = (int32_t)(value)                                                                            \
    }
/* The verifier takes only a comparison of all 64 bits for a check of a pointer. */
#define JUMP_IF_NULL(register, from, to)                                                            \
    {                                                                                               \
        .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = (register), .off = (int16_t)((to) - (from)-1) \
    }
#define JUMP(from, to)                                              \
    {                                                               \
        .code = BPF_JMP | BPF_JA, .off = (int16_t)((to) - (from)-1) \
    }
#define R0 BPF_REG_0
#define R1 BPF_REG_1
#define R2 BPF_REG_2
#define R3 BPF_REG_3
#define CONTEXT BPF_REG_6
#define LISTENER BPF_REG_7

static long bpf(enum bpf_cmd command, union bpf_attr *attributes)
{
    return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static struct error *load_program(int listeners, int *ret_program)
{
    const struct bpf_insn program[] = {
        [0] = MOVE(CONTEXT, R1),
        [1] = LOAD(R0, FIELD(protocol)),
        [2] = JUMP_IF(BPF_JNE, R0, IPPROTO_TCP, 2, AT_PASS),
        [3] = LOAD(R0, FIELD(family)),
        [4] = JUMP_IF(BPF_JEQ, R0, AF_INET6, 4, AT_IPV6),
        [5] = JUMP_IF(BPF_JNE, R0, AF_INET, 5, AT_PASS),
        [6] = LOAD(R0, FIELD(local_ip4)),
        [7] = MASK(R0, htonl(IN_CLASSA_NET)),
        [8] = JUMP_IF(BPF_JNE, R0, htonl((uint32_t)IN_LOOPBACKNET << IN_CLASSA_NSHIFT), 8, AT_PASS),
        [9] = SET_KEY(LISTENER_IPV4),
        [10] = JUMP(10, AT_SELECT),
        [AT_IPV6] = LOAD(R0, FIELD(local_ip6[0])),
        [12] = LOAD(R1, FIELD(local_ip6[1])),
        [13] = MERGE(R0, R1),
        [14] = LOAD(R1, FIELD(local_ip6[2])),
        [15] = MERGE(R0, R1),
        [16] = JUMP_IF(BPF_JNE, R0, 0, 16, AT_PASS),
        [17] = LOAD(R0, FIELD(local_ip6[3])),
        [18] = JUMP_IF(BPF_JNE, R0, htonl(1), 18, AT_PASS),
        [19] = SET_KEY(LISTENER_IPV6),
        /* Two instructions wide: a map's descriptor as a 64-bit constant. */
        [AT_SELECT] = {.code = BPF_LD | BPF_DW | BPF_IMM,
            .dst_reg = R1,
            .src_reg = BPF_PSEUDO_MAP_FD,
            .imm = listeners},
        [22] = MOVE(R2, BPF_REG_10),
        [23] = ADD(R2, -4),
        [24] = CALL(BPF_FUNC_map_lookup_elem),
        [25] = JUMP_IF_NULL(R0, 25, AT_PASS),
        [26] = MOVE(LISTENER, R0),
        [27] = MOVE(R1, CONTEXT),
        [28] = MOVE(R2, LISTENER),
        [29] = SET(R3, 0),
        [30] = CALL(BPF_FUNC_sk_assign),
        [31] = MOVE(R1, LISTENER),
        [32] = CALL(BPF_FUNC_sk_release),
        [AT_PASS] = SET(R0, SK_PASS),
        [34] = {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr attributes = {.prog_type = BPF_PROG_TYPE_SK_LOOKUP};
    attributes.expected_attach_type = BPF_SK_LOOKUP;
    attributes.insns = (uintptr_t)program;
    attributes.insn_cnt = ARRAY_SIZE(program);
    attributes.license = (uintptr_t) "Apache-2.0";
    long fd = bpf(BPF_PROG_LOAD, &attributes);
    if (fd < 0)
        return error_errno(errno, "the kernel takes no sk_lookup program");
    *ret_program = (int)fd;
    return NULL;
}

/* ---- what it chooses from, and where it runs ---- */

static struct error *make_table(int *ret_table)
{
    union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_SOCKMAP};
    attributes.key_size = sizeof(uint32_t);
    attributes.value_size = sizeof(uint32_t);
    attributes.max_entries = LISTENER_COUNT;
    long fd = bpf(BPF_MAP_CREATE, &attributes);
    if (fd < 0)
        return error_errno(errno, "the kernel makes no map of sockets");
    *ret_table = (int)fd;
    return NULL;
}

static struct error *put_listener(int table, uint32_t key, int listener)
{
    uint32_t value = (uint32_t)listener;
    union bpf_attr attributes = {.map_fd = (uint32_t)table};
    attributes.key = (uintptr_t)&key;
    attributes.value = (uintptr_t)&value;
    if (listener >= 0 && bpf(BPF_MAP_UPDATE_ELEM, &attributes) < 0)
        return error_errno(errno, "the kernel takes no listening socket into a map");
    return NULL;
}

static struct error *attach(int program, int namespace, int *ret_link)
{
    union bpf_attr attributes = {0};
    attributes.link_create.prog_fd = (uint32_t)program;
    attributes.link_create.target_fd = (uint32_t) namespace;
    attributes.link_create.attach_type = BPF_SK_LOOKUP;
    long fd = bpf(BPF_LINK_CREATE, &attributes);
    if (fd < 0)
        return error_errno(errno, "the kernel attaches no sk_lookup program to a network namespace");
    *ret_link = (int)fd;
    return NULL;
}

/* The link keeps the program, and that the table. */
struct error *steer_loopback(int namespace, int listener4, int listener6, int *ret_link)
{
    _cleanup_fd_ int table = -1, program = -1;
    TRY(make_table(&table));
    TRY(put_listener(table, LISTENER_IPV4, listener4));
    TRY(put_listener(table, LISTENER_IPV6, listener6));
    TRY(load_program(table, &program));
    return attach(program, namespace, ret_link);
}
