/* SPDX-License-Identifier: Apache-2.0 */
/* What QEMU's end means, in sentences for users. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* From what QEMU printed before it gave up ("" where nothing). */
struct error *qemu_failure_from_errors(int exit_code, const char *errors);

struct qemu_end {
    int status;                /* as wait(2) gives it */
    const char *errors;        /* last lines of standard error */
    const char *panic;         /* what the guest's kernel said when it panicked, or NULL */
    const char *console;       /* last lines of the guest's console */
    bool started;              /* the agent had answered */
    const struct error *fault; /* why we ended it, or NULL */
};

/* NULL where a started machine powered off in good order. */
struct error *qemu_failure(const struct qemu_end *end);
