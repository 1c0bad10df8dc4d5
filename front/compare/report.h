/* SPDX-License-Identifier: Apache-2.0 */
/* The report: results put into words, tables and charts. Pure functions of the results. */
#pragma once

#include "compare/page.h"
#include "compare/results.h"

void report_write(const struct results *results, struct page *ret_page);
/* What a terminal shows at the end: a few lines, owned by the caller. */
char *report_summary(const struct results *results);
/* What changed from one report to another beyond their noise. */
/* What makes two reports so unlike that changes between them say nothing of the runtimes, in a phrase that is
   owned by the caller; NULL: they are alike. */
char *report_unlike(const struct results *before, const struct results *after);
void report_difference(const struct results *before, const struct results *after, struct page *ret_page);

/* ---- parts, one file each ---- */

void report_advice(const struct results *results, struct page *page);
void report_isolation(const struct results *results, struct page *page);
void report_costs(const struct results *results, struct page *page);
void report_method(const struct results *results, struct page *page);
