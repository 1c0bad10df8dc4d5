/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of the command line: one table, one function each.
 */
#pragma once

#include "cli/options.h"

/* docker's: the runtime failed; the command is there but cannot be run; there is no such command. */
#define EXIT_RUNTIME_FAILED 125
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND 127
#define EXIT_SIGNALLED 128

struct verb {
    const char *name;
    const char *arguments; /* as the help shows them: "IMAGE [COMMAND [ARG...]]" */
    const char *summary;   /* one line */
    const char *details;   /* further sentences of the help, or NULL */
    const char *example;   /* one or more lines */
    const struct option *options;
    size_t settings_size;
    const void *defaults; /* the settings before options, or NULL for zeroes */
    unsigned minimum;     /* how many arguments there must be */
    unsigned maximum;
    bool stop_early; /* what follows the first argument is none of our options */
    bool hidden;
    /* arguments end with NULL and are the verb's to change. An error is printed and ends the program with
       EXIT_RUNTIME_FAILED. */
    struct error *(*run)(void *settings, char **arguments, int *ret_code);
};

/* The table ends with NULL. */
extern const struct verb *const verbs[];

extern const struct verb verb_check, verb_compare, verb_exec, verb_images, verb_inspect, verb_kill, verb_load,
    verb_logs, verb_pause, verb_ps, verb_publish, verb_pull, verb_rm, verb_rmi, verb_run, verb_setup,
    verb_stats, verb_stop, verb_unpause, verb_version, verb_wait;

/* The whole help of a verb, and the overview, owned by the caller. */
char *help_of_verb(const struct verb *verb);
char *help_overview(void);

/* "caisson: SENTENCE" on stderr. */
void complain(const struct error *error);
