/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings: rows are JSON objects; they are shown as a table, as one JSON array (--json), as one JSON object
 * a line (--format json), or through a template (--format '{{.ID}} {{.Names}}').
 */
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct column {
    const char *key;    /* member of the rows; NULL ends the columns */
    const char *header; /* NULL: not in the table, only in JSON and for templates */
};

struct listing_options {
    bool json;
    bool quiet;         /* one value a line: that of quiet_key */
    const char *format; /* or NULL */
    const char *quiet_key;
};

/* The columns' options for a verb's table of options. */
#define LISTING_OPTIONS(settings)                                                               \
    OPTION(settings, "format", 0, OPTION_TEXT, format, "TEMPLATE", "json, or as in '{{.ID}}'"), \
        OPTION(settings, "json", 0, OPTION_FLAG, json, NULL, "one JSON array")

struct error *listing_print(
    const struct listing_options *options, const struct column *columns, const json_t *rows);

/*
 * Text with {{.Member.Member}}, {{json .Member}} and {{json .}} replaced; \t and \n are tab and line end.
 * "table " at the beginning is passed over. Members are found whatever their case. INVALID_ARGUMENT for what
 * is not understood and for a member that there is not. Owned by the caller.
 */
struct error *template_expand(const char *format, const json_t *object, char **ret_text);

/* A string itself, another value as JSON, "" for NULL and null. Owned by the caller. */
char *value_text(const json_t *value);

/* "3 minutes ago" and so on for a time in milliseconds since 1970; "" for 0. Owned by the caller. */
char *time_ago(int64_t milliseconds);
/* "3 minutes". Owned by the caller. */
char *time_span(int64_t milliseconds);
/* RFC 3339 in UTC; "" for 0. Owned by the caller. */
char *time_text(int64_t milliseconds);
/* "12.3MiB". Owned by the caller. */
char *size_text(uint64_t bytes);
