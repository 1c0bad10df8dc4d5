/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/page.h"

#include "base/strv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What Markdown would take for markup is escaped; a pipe would end a table's cell. */
static void put_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\`*_<>|[]", *text))
            putc('\\', out);
        putc(*text == '\n' ? ' ' : *text, out);
    }
}

static void put_row(FILE *out, char *const *row)
{
    STRV_FOREACH (cell, row) {
        fputs("| ", out);
        put_text(out, *cell);
        putc(' ', out);
    }
    fputs("|\n", out);
}

static void put_table(FILE *out, const struct block *table)
{
    put_row(out, table->rows[0]);
    for (size_t i = 0; i < strv_length(table->rows[0]); i++)
        fputs("|---", out);
    fputs("|\n", out);
    for (size_t i = 1; i < table->row_count; i++)
        put_row(out, table->rows[i]);
    putc('\n', out);
}

/* Charts are for HTML: their figures stand in the tables. */
static void put_block(FILE *out, const struct block *block, bool list_ends)
{
    switch (block->kind) {
    case BLOCK_HEADING:
        for (unsigned i = 0; i < block->level; i++)
            putc('#', out);
        putc(' ', out);
        put_text(out, block->text);
        fputs("\n\n", out);
        break;
    case BLOCK_PARAGRAPH:
        put_text(out, block->text);
        fputs("\n\n", out);
        break;
    case BLOCK_ITEM:
        fputs("- ", out);
        put_text(out, block->text);
        fputs(list_ends ? "\n\n" : "\n", out);
        break;
    case BLOCK_TABLE:
        put_table(out, block);
        break;
    case BLOCK_CHART:
        break;
    }
}

char *page_markdown(const struct page *page)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort(); /* only for want of memory */
    for (size_t i = 0; i < page->count; i++)
        put_block(out, &page->blocks[i], i + 1 == page->count || page->blocks[i + 1].kind != BLOCK_ITEM);
    fclose(out);
    return text;
}
