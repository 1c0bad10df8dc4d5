/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals of a front end that owns a container, as events: they are blocked from the start, so that each one
 * ends in an orderly way back, whatever was going on when it came.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <stdbool.h>

struct signals;

typedef void signal_received(void *context, int signal);

/* Blocks HUP, INT, QUIT, TERM, USR1, USR2, ALRM, CONT and WINCH. Children started by process_spawn have them
   unblocked. SIGPIPE is ignored. */
struct error *signals_new(struct signals **ret_signals);
/* From now on signals are told from the loop. `received` may be replaced by calling this again. */
void signals_watch(
    struct signals *signals, struct event_base *base, signal_received *received, void *context);
/* The signal that asks this program to end (HUP, INT, QUIT or TERM) and waits to be told; 0 for none. It
   stays waiting. */
int signals_pending_end(void);
/* Whether the signal asks a program to end. */
bool signal_ends(int signal);
/* Takes NULL. The signals stay blocked: the program is about to end. */
void signals_free(struct signals *signals);
DEFINE_CLEANUP(struct signals *, signals_free);
#define _cleanup_signals_ _cleanup_(signals_free)

/* "TERM", "SIGTERM", "15" -> 15. */
struct error *signal_parse(const char *text, int *ret_signal);
