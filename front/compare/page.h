/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A report before it has a form: blocks of plain text, tables and charts. Renderers turn the same page
 * into Markdown and into HTML, so the two say the same.
 */
#pragma once

#include "base/cleanup.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>

enum block_kind { BLOCK_HEADING, BLOCK_PARAGRAPH, BLOCK_ITEM, BLOCK_TABLE, BLOCK_CHART };

struct bar {
    char *label;
    double value;
    double low; /* the interval of the value */
    double high;
};

struct block {
    enum block_kind kind;
    unsigned level; /* of a heading: 1, 2 or 3 */
    char *text;     /* heading, paragraph, item; title of a chart */
    char ***rows;   /* of a table: vectors of strings; the first is the header */
    size_t row_count;
    struct bar *bars;
    size_t bar_count;
    char *unit; /* of a chart */
    bool higher_is_better;
};

struct page {
    struct block *blocks;
    size_t count;
};

void page_heading(struct page *page, unsigned level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void page_paragraph(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An item of a list; items in a row make one list. */
void page_item(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The header is copied. The pointers that these return live until the next call on the page. */
struct block *page_table(struct page *page, char *const *header);
void table_row(struct block *table, char **row_taken);
struct block *page_chart(struct page *page, const char *title, const char *unit, bool higher_is_better);
void chart_bar(struct block *chart, const char *label, double value, double low, double high);

void page_clear(struct page *page);
#define _cleanup_page_ __attribute__((cleanup(page_clear)))

/* Texts owned by the caller. The HTML is whole and needs nothing from anywhere else. */
char *page_markdown(const struct page *page);
char *page_html(const struct page *page);

/* Three significant digits, and no more than people read: "626", "18.2", "0.21", "1.2 M". */
char *number_text(double value);
