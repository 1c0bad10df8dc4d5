/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fifos between a front end and the shim, in the container's bundle.
 *
 * Order of opening, so that nobody waits for anybody: this side opens output and errors for reading before
 * the shim knows of them, and holds the input open for reading and writing; once the process is started, and
 * the shim therefore has its end, fifos_started turns the input into a pure writing end, so that the shim's
 * closing is seen as EPIPE and ours as end of file.
 */
#pragma once

#include "base/error.h"
#include "client/task.h"

#include <stdbool.h>

struct fifos {
    char *input_path; /* NULL: no such stream */
    char *output_path;
    char *errors_path;
    int input; /* non-blocking; -1 once closed or absent */
    int output;
    int errors;
    bool terminal;
};

/* Makes BUNDLE/PREFIX-stdin and so on and opens this side. With a terminal there is no errors stream. */
struct error *fifos_open(
    const char *bundle, const char *prefix, bool input, bool terminal, struct fifos **ret_fifos);
/* For the shim; borrowed from the fifos. */
struct task_io fifos_io(const struct fifos *fifos);
struct error *fifos_started(struct fifos *fifos);
/* Closes and unlinks. Takes NULL. */
void fifos_free(struct fifos *fifos);
DEFINE_CLEANUP(struct fifos *, fifos_free);
#define _cleanup_fifos_ _cleanup_(fifos_free)
