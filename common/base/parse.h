/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and sizes from text, whole and in range, or an error that quotes the text.
 */
#pragma once

#include "base/error.h"

#include <stdint.h>

/* Decimal digits only. `what` names the thing in the sentence: "memory limit". */
struct error *parse_unsigned(
    const char *what, const char *text, uint64_t minimum, uint64_t maximum, uint64_t *ret_value);
struct error *parse_signed(
    const char *what, const char *text, int64_t minimum, int64_t maximum, int64_t *ret_value);
/* "512m", "2g", "64KiB", "1048576": powers of 1024, in bytes. */
struct error *parse_size(const char *what, const char *text, uint64_t *ret_bytes);
/* "1.5" as thousandths: 1500. At most three decimals. */
struct error *parse_thousandths(const char *what, const char *text, uint64_t *ret_thousandths);
/* "250ms", "10s", "5m", "1h30m"; in milliseconds. A bare number is seconds. */
struct error *parse_duration(const char *what, const char *text, uint64_t *ret_milliseconds);
