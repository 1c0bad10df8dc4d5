/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence as files, one thing each, for people who have to hand it in: what runc and a runtime with kernels
 * of its own look like from inside, their start-up and latency, and a summary. The names are those of a
 * course on Kata, whose part is played here by the best walled runtime that ran.
 */
#pragma once

#include "compare/results.h"

/* Makes the directories, so that nothing is measured for a place that cannot be written. */
struct error *lab_prepare(const char *directory);
/* Writes the files, to directories that lab_prepare made. */
struct error *lab_write(const struct results *results, const char *directory);
