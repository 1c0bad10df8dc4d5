/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/listing.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

#define GAP 3

char *value_text(const json_t *value)
{
    if (!value || json_is_null(value))
        return must_copy("");
    if (json_is_string(value))
        return must_copy(json_string_value(value));
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        abort(); /* only for want of memory */
    return text;
}

static char *cell(const json_t *row, const char *key)
{
    return value_text(json_object_get(row, key));
}

static size_t column_width(const struct column *column, const json_t *rows)
{
    size_t width = strlen(column->header), index;
    json_t *row;

    json_array_foreach (rows, index, row) {
        _cleanup_free_ char *text = cell(row, column->key);
        if (strlen(text) > width)
            width = strlen(text);
    }
    return width;
}

static const struct column *next_shown(const struct column *column)
{
    while (column->key && !column->header)
        column++;
    return column;
}

/* row NULL: the headers. */
static void print_line(const struct column *columns, const json_t *rows, const json_t *row)
{
    for (const struct column *column = next_shown(columns); column->key;) {
        const struct column *next = next_shown(column + 1);
        _cleanup_free_ char *text = row ? cell(row, column->key) : must_copy(column->header);
        int width = next->key ? (int)column_width(column, rows) + GAP : 0;
        printf("%-*s", width, text);
        column = next;
    }
    putchar('\n');
}

static void print_table(const struct column *columns, const json_t *rows)
{
    size_t index;
    json_t *row;

    print_line(columns, rows, NULL);
    json_array_foreach (rows, index, row) {
        print_line(columns, rows, row);
    }
}

static struct error *print_row(const struct listing_options *options, const json_t *row)
{
    _cleanup_free_ char *text = NULL;

    if (options->quiet)
        text = cell(row, options->quiet_key);
    else if (!strcmp(options->format, "json"))
        text = json_write(row);
    else
        TRY(template_expand(options->format, row, &text));
    puts(text);
    return NULL;
}

struct error *listing_print(
    const struct listing_options *options, const struct column *columns, const json_t *rows)
{
    size_t index;
    json_t *row;

    if (options->json) {
        char *text = json_dumps(rows, JSON_INDENT(2));
        puts(text);
        free(text);
        return NULL;
    }
    if (!options->quiet && (!options->format || !strcmp(options->format, "table"))) {
        print_table(columns, rows);
        return NULL;
    }
    json_array_foreach (rows, index, row) {
        TRY(print_row(options, row));
    }
    return NULL;
}
