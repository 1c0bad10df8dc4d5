/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enough of TOML (https://toml.io/en/v1.0.0) to know what a containerd configuration defines and on which
 * line: tables and keys with their full paths. Values are kept as text; the few that matter have readers.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOML_MAX (4u << 20)
#define TOML_STATEMENTS_MAX 100000
#define TOML_DEPTH_MAX 64

/* [a.b], [[a.b]], or a.b = VALUE below a table. */
struct toml_statement {
    unsigned line;
    bool table;
    bool array;  /* [[...]] */
    char **path; /* from the root */
    size_t own;  /* how many of the path's last parts stand in this statement: 1 for a plain key */
    char *value; /* as written, without the comment; NULL for tables */
};

struct toml {
    char *name;
    struct toml_statement *statements;
    size_t count;
};

/* INVALID_ARGUMENT with "NAME:LINE: what" where the text is not TOML. */
struct error *toml_parse(const char *name, const char *text, size_t length, struct toml **ret_toml);
/* Values, or an error that names file and line. */
struct error *toml_integer(
    const struct toml *toml, const struct toml_statement *statement, int64_t *ret_value);
struct error *toml_string(const struct toml *toml, const struct toml_statement *statement, char **ret_value);
struct error *toml_strings(
    const struct toml *toml, const struct toml_statement *statement, char ***ret_values);
/* Whether the statement's path begins with the other one. */
bool toml_is_below(const struct toml_statement *statement, char *const *path);
/* Takes NULL. */
void toml_free(struct toml *toml);

DEFINE_CLEANUP(struct toml *, toml_free);
#define _cleanup_toml_ _cleanup_(toml_free)
