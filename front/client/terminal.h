/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal that a person sits at: raw while a container has it.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct terminal;

/* Makes the terminal raw; what it was is kept. */
struct error *terminal_raw(int fd, struct terminal **ret_terminal);
/* Back to what it was. Takes NULL. */
void terminal_restore(struct terminal *terminal);
DEFINE_CLEANUP(struct terminal *, terminal_restore);
#define _cleanup_terminal_ _cleanup_(terminal_restore)

/* False where the descriptor is no terminal or does not know its size. */
bool terminal_size(int fd, uint32_t *ret_columns, uint32_t *ret_rows);

#define DETACH_KEYS_DEFAULT "ctrl-p,ctrl-q"
#define DETACH_KEYS_MAX 8

/* The sequence of keys that gives the terminal back, and how much of it has been typed. */
struct detach_keys {
    char keys[DETACH_KEYS_MAX];
    size_t count; /* 0: there is no such sequence */
    size_t typed;
};

/* "ctrl-p,ctrl-q", "a,b", "ctrl-@": letters, and ctrl- with a letter or one of @ [ \ ] ^ _. "" is none. */
struct error *detach_keys_parse(const char *text, struct detach_keys *ret_keys);
/* Takes the keys out of typed bytes: a beginning of the sequence is held back until it is clear what follows.
   The buffer must have room for DETACH_KEYS_MAX bytes more. Returns true when the sequence is complete; then
   *length is what was typed before it. */
bool detach_keys_filter(struct detach_keys *keys, char *data, size_t *length);
