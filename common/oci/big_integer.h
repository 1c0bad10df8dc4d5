/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integers between 2^63 and 2^64 in JSON, which the specification allows (an infinite resource limit is
 * 18446744073709551615) and jansson, whose integers are signed, refuses.
 *
 * Before parsing, such a number is replaced by a string of the same width, "#" and sixteen hexadecimal
 * digits, so that line and column of a syntax error stay those of the file. Whoever wants an unsigned number
 * asks oci_big_integer_decode as well.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A copy of the text, of the same length, with the big integers replaced; NULL where there are none. */
char *oci_big_integers_encode(const char *text, size_t length);
bool oci_big_integer_decode(const char *text, uint64_t *ret_value);
