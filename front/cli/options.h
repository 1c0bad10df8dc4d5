/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options as tables. A table says for each option where in the verb's settings its value goes; one parser
 * fills them in: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, flags together (-it), --flag=false, and "--"
 * as the end of options. What is misspelt is answered with what was probably meant.
 */
#pragma once

#include "base/error.h"
#include "base/suggest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The type of the member that an option fills. */
enum option_kind {
    OPTION_FLAG,        /* bool */
    OPTION_TEXT,        /* const char *, into the command line */
    OPTION_LIST,        /* char **, a vector of copies; may be given again and again */
    OPTION_NUMBER,      /* int64_t, not negative */
    OPTION_BOUND,       /* the same; -1, as people say "none" elsewhere, is 0 */
    OPTION_SIZE,        /* uint64_t, in bytes */
    OPTION_THOUSANDTHS, /* uint64_t */
    OPTION_REFUSED, /* none: the help says why, and so does the error; takes a value where it has a name */
};

struct option {
    const char *name; /* without dashes; NULL ends the table */
    char letter;      /* or 0 */
    enum option_kind kind;
    size_t offset;
    const char *value; /* what the value is called in the help; NULL for flags */
    const char *help;  /* NULL: another name of the option before it, not shown */
};

#define OPTION(settings, name, letter, kind, member, value, help)                    \
    {                                                                                \
        name, letter, kind, __builtin_offsetof(struct settings, member), value, help \
    }
#define OPTIONS_END \
    {               \
        0           \
    }

/*
 * Parses arguments, which end with NULL, into the settings. *ret_rest points to what is no option: with
 * stop_early at the first argument that is none, else the options are taken from between the others, and the
 * vector of arguments is reordered. --help and -h (where no option has that letter) set *ret_help and end the
 * parsing. The settings keep what was filled in before an error.
 */
struct error *options_parse(const struct option *table, char **arguments, bool stop_early, void *settings,
    char ***ret_rest, bool *ret_help);
/* Frees the lists. */
void options_release(const struct option *table, void *settings);
