/* SPDX-License-Identifier: Apache-2.0 */
/* The end of what somebody writes, for an error that quotes it. */
#pragma once

#include <stddef.h>

/* Adds bytes to a text of *length, of which the last `limit` are kept: it has room for limit + 1, and ends
   with NUL afterwards. */
void tail_add(char *text, size_t limit, size_t *length, const char *bytes, size_t count);
