/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/statistics.h"

#include "base/cleanup.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONFIDENCE 0.95

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Nearest rank: the smallest value that at least that share of the samples does not exceed. */
static double percentile(const double *sorted, size_t count, double share)
{
    size_t rank = (size_t)ceil(share * (double)count);
    return sorted[rank > 0 ? rank - 1 : 0];
}

static double middle(const double *sorted, size_t count)
{
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/*
 * How many samples may be cut off at each end: each sample is below the true median with probability 1/2, so
 * the chance that no more than k of n are is a sum of binomial coefficients over 2^n. The largest k whose two
 * tails together stay under 5 % is taken; 0 where not even the whole range reaches that.
 */
static size_t trimmed(size_t count)
{
    double term = pow(0.5, (double)count), tail = 0;
    size_t cut = 0;
    for (size_t k = 0; k < count / 2; k++) {
        tail += term;
        if (2 * tail > 1 - CONFIDENCE)
            break;
        cut = k;
        term *= (double)(count - k) / (double)(k + 1);
    }
    return cut;
}

struct summary summarize(const double *values, size_t count)
{
    struct summary summary = {.count = count};
    if (count == 0)
        return summary;
    _cleanup_free_ double *sorted = must_alloc_array(count, sizeof(*sorted));
    memcpy(sorted, values, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_value);
    size_t cut = trimmed(count);
    summary.minimum = sorted[0];
    summary.maximum = sorted[count - 1];
    summary.median = middle(sorted, count);
    summary.p95 = percentile(sorted, count, 0.95);
    summary.p99 = percentile(sorted, count, 0.99);
    summary.low = sorted[cut];
    summary.high = sorted[count - 1 - cut];
    return summary;
}

bool summaries_differ(const struct summary *left, const struct summary *right)
{
    return left->count >= SUMMARY_LEAST && right->count >= SUMMARY_LEAST &&
           (left->high < right->low || right->high < left->low);
}
