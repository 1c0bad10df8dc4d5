/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last output of a guest's console (or of a helper's standard error), kept for sentences about what went
 * wrong. The text is the guest's: only printable characters come out.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_KEPT (16u << 10)

struct console;

/* Called once, at the first byte. */
typedef void console_first(void *context);

/* Takes the descriptor and reads it as long as it lasts. first may be NULL. */
struct error *console_new(
    struct event_base *base, int fd, console_first *first, void *context, struct console **ret_console);
/* Takes NULL. */
void console_free(struct console *console);
/* Reads at once what has arrived and was not read yet. */
void console_flush(struct console *console);

/* How many bytes have come so far. */
uint64_t console_received(const struct console *console);
/* All that is kept; lines end with \n. Owned by the caller. */
char *console_text(const struct console *console);
/* The last lines that say something, at most `count`, joined with "; ". Empty where there is none. */
char *console_last_lines(const struct console *console, size_t count);
/* "Attempted to kill init! exitcode=0x00000009" when the guest's kernel panicked, else NULL. */
char *console_panic(const struct console *console);
