/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of a series of samples. Timings on shared machines have long tails, so everything here is
 * built on order, not on means: a median with the interval that covers the true one with 95 % confidence,
 * whatever the distribution (the binomial interval of order statistics).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct summary {
    size_t count; /* 0: nothing else is set */
    double minimum;
    double median;
    double maximum;
    double p95; /* the nearest rank: with few samples it is the maximum */
    double p99;
    double
        low; /* of the median's interval; below six samples the minimum and the maximum, which cover less */
    double high;
};

/* The values may be in any order and stay so. */
struct summary summarize(const double *values, size_t count);

/* Of fewer samples nothing is said: two times three that come from the same place lie apart in one case of
   ten, two times four in one of 35. */
#define SUMMARY_LEAST 4

/* Whether two series differ beyond their noise: the intervals of their medians do not meet, and there are
   samples enough. */
bool summaries_differ(const struct summary *left, const struct summary *right);
