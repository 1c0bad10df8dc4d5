/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was probably meant by a misspelt name.
 */
#pragma once

#include <stddef.h>

/* The name in the list that is nearest to the text, or NULL where none is near. `next` gives the names one by
   one and NULL at their end. */
const char *suggest(const char *text, const char *(*next)(const void *list, size_t index), const void *list);
