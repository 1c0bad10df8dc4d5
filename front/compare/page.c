/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/page.h"

#include "base/strv.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

static struct block *add(struct page *page, enum block_kind kind)
{
    page->blocks = must_resize(page->blocks, page->count + 1, sizeof(*page->blocks));
    struct block *block = &page->blocks[page->count++];
    *block = (struct block){.kind = kind};
    return block;
}

void page_heading(struct page *page, unsigned level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct block *block = add(page, BLOCK_HEADING);
    block->level = level;
    block->text = must_vprintf(format, arguments);
    va_end(arguments);
}

void page_paragraph(struct page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(page, BLOCK_PARAGRAPH)->text = must_vprintf(format, arguments);
    va_end(arguments);
}

void page_item(struct page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(page, BLOCK_ITEM)->text = must_vprintf(format, arguments);
    va_end(arguments);
}

struct block *page_table(struct page *page, char *const *header)
{
    struct block *table = add(page, BLOCK_TABLE);
    table_row(table, strv_copy(header));
    return table;
}

void table_row(struct block *table, char **row_taken)
{
    table->rows = must_resize(table->rows, table->row_count + 1, sizeof(*table->rows));
    table->rows[table->row_count++] = row_taken;
}

struct block *page_chart(struct page *page, const char *title, const char *unit, bool higher_is_better)
{
    struct block *chart = add(page, BLOCK_CHART);
    chart->text = must_copy(title);
    chart->unit = must_copy(unit);
    chart->higher_is_better = higher_is_better;
    return chart;
}

void chart_bar(struct block *chart, const char *label, double value, double low, double high)
{
    chart->bars = must_resize(chart->bars, chart->bar_count + 1, sizeof(*chart->bars));
    chart->bars[chart->bar_count++] =
        (struct bar){.label = must_copy(label), .value = value, .low = low, .high = high};
}

void page_clear(struct page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        struct block *block = &page->blocks[i];
        free(block->text);
        free(block->unit);
        for (size_t row = 0; row < block->row_count; row++)
            strv_free(block->rows[row]);
        free(block->rows);
        for (size_t bar = 0; bar < block->bar_count; bar++)
            free(block->bars[bar].label);
        free(block->bars);
    }
    free(page->blocks);
    *page = (struct page){0};
}

char *number_text(double value)
{
    static const struct {
        double from, unit;
        const char *suffix;
    } scales[] = {{1e9, 1e9, " G"}, {1e6, 1e6, " M"}, {1e4, 1e3, " k"}};
    const char *suffix = "";
    double size = fabs(value);
    for (size_t i = 0; i < ARRAY_SIZE(scales) && !*suffix; i++) {
        if (size < scales[i].from)
            continue;
        suffix = scales[i].suffix;
        size /= scales[i].unit;
        value /= scales[i].unit;
    }
    return must_printf("%.*f%s", size >= 100 || size == 0 ? 0 : size >= 10 ? 1 : 2, value, suffix);
}
