/* SPDX-License-Identifier: Apache-2.0 */
/* One page that needs nothing else: styles inside, charts as SVG, light or dark as the reader's system says.
 */
#include "compare/page.h"

#include "base/strv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>Container runtimes side by side</title>\n<style>\n"
    ":root{color-scheme:light "
    "dark;--ink:#1b1f24;--paper:#fff;--soft:#5b6470;--line:#d5dae0;--bar:#2f6fbb;--err:#111}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--paper:#14171a;--soft:#9aa5b1;--line:#343b43;--"
    "bar:#6aa5e8;"
    "--err:#fff}}\n"
    "body{font:16px/1.5 "
    "system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:68rem;margin:0 auto;"
    "padding:1rem}\n"
    "h1{line-height:1.2}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}\n"
    ".scroll{overflow-x:auto;margin:1rem 0}table{border-collapse:collapse;font-size:.9rem;min-width:60%}\n"
    "@media(max-width:40rem){table{min-width:44rem}}\n"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}\n"
    "td:not(:first-child){font-variant-numeric:tabular-nums}th{color:var(--soft);font-weight:600}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(19rem,1fr));gap:1rem}\n"
    "figure{margin:0}figcaption{font-weight:600;font-size:.9rem}figcaption "
    "small{color:var(--soft);font-weight:400}\n"
    "svg{width:100%;height:auto;font:12px system-ui,sans-serif;fill:var(--ink)}.bar{fill:var(--bar)}\n"
    ".err{stroke:var(--err);stroke-width:1.5}.value{fill:var(--soft)}\n"
    "</style></head><body>\n";

static void put_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            putc(*text, out);
        }
    }
}

static void put_element(FILE *out, const char *name, const char *text)
{
    fprintf(out, "<%s>", name);
    put_text(out, text);
    fprintf(out, "</%s>", name);
}

static void put_table(FILE *out, const struct block *table)
{
    fputs("<div class=\"scroll\"><table>\n", out);
    for (size_t i = 0; i < table->row_count; i++) {
        fputs("<tr>", out);
        STRV_FOREACH (cell, table->rows[i])
            put_element(out, i == 0 ? "th" : "td", *cell);
        fputs("</tr>\n", out);
    }
    fputs("</table></div>\n", out);
}

/* ---- charts ---- */

/* In the units of the SVG's own coordinates. */
#define CHART_WIDTH 340.0
#define LABEL_WIDTH 118.0
#define VALUE_WIDTH 52.0
#define ROW_HEIGHT 24.0

static double longest(const struct block *chart)
{
    double most = 0;
    for (size_t i = 0; i < chart->bar_count; i++) {
        double end = chart->bars[i].high > chart->bars[i].value ? chart->bars[i].high : chart->bars[i].value;
        most = end > most ? end : most;
    }
    return most > 0 ? most : 1;
}

static void put_bar(FILE *out, const struct bar *bar, double top, double scale)
{
    double middle = top + ROW_HEIGHT / 2;
    _cleanup_free_ char *value = number_text(bar->value);
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", LABEL_WIDTH - 6, middle + 4);
    put_text(out, bar->label);
    fprintf(out, "</text><rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\"/>",
        LABEL_WIDTH, top + 4, bar->value * scale < 1 ? 1 : bar->value * scale, ROW_HEIGHT - 8);
    fprintf(out, "<line class=\"err\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
        LABEL_WIDTH + bar->low * scale, LABEL_WIDTH + bar->high * scale, middle, middle);
    const double ends[] = {bar->low, bar->high};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        fprintf(out, "<line class=\"err\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
            LABEL_WIDTH + ends[i] * scale, LABEL_WIDTH + ends[i] * scale, middle - 4, middle + 4);
    double reach = bar->high > bar->value ? bar->high : bar->value;
    fprintf(out, "<text class=\"value\" x=\"%.1f\" y=\"%.1f\">", LABEL_WIDTH + reach * scale + 5, middle + 4);
    put_text(out, value);
    fputs("</text>\n", out);
}

static void put_chart(FILE *out, const struct block *chart)
{
    double scale = (CHART_WIDTH - LABEL_WIDTH - VALUE_WIDTH) / longest(chart);
    fputs("<figure><figcaption>", out);
    put_text(out, chart->text);
    fprintf(out, " <small>%s, %s is better</small></figcaption><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">",
        chart->unit, chart->higher_is_better ? "more" : "less", CHART_WIDTH,
        ROW_HEIGHT * (double)chart->bar_count);
    put_element(out, "title", chart->text);
    for (size_t i = 0; i < chart->bar_count; i++)
        put_bar(out, &chart->bars[i], ROW_HEIGHT * (double)i, scale);
    fputs("</svg></figure>\n", out);
}

/* ---- blocks ---- */

/* Items and charts that follow each other share one element around them. */
static const char *wrapper(const struct block *block)
{
    return !block ? NULL : block->kind == BLOCK_ITEM ? "ul" : block->kind == BLOCK_CHART ? "div" : NULL;
}

static void put_block(FILE *out, const struct block *block)
{
    const char heading[] = {'h', (char)('0' + block->level), '\0'};
    switch (block->kind) {
    case BLOCK_HEADING:
        put_element(out, heading, block->text);
        break;
    case BLOCK_PARAGRAPH:
        put_element(out, "p", block->text);
        break;
    case BLOCK_ITEM:
        put_element(out, "li", block->text);
        break;
    case BLOCK_TABLE:
        put_table(out, block);
        break;
    case BLOCK_CHART:
        put_chart(out, block);
        break;
    }
    putc('\n', out);
}

char *page_html(const struct page *page)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort(); /* only for want of memory */
    fputs(head, out);
    const char *open = NULL;
    for (size_t i = 0; i < page->count; i++) {
        const char *needed = wrapper(&page->blocks[i]);
        if (open != needed && open)
            fprintf(out, "</%s>\n", open);
        if (open != needed && needed)
            fprintf(out, "<%s%s>\n", needed, needed[0] == 'd' ? " class=\"charts\"" : "");
        open = needed;
        put_block(out, &page->blocks[i]);
    }
    if (open)
        fprintf(out, "</%s>\n", open);
    fputs("</body></html>\n", out);
    fclose(out);
    return text;
}
