/* SPDX-License-Identifier: Apache-2.0 */
/* What unit tests of the most different things assert alike. */
#pragma once

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static inline void assert_ok(struct error *error)
{
    if (error)
        fail_msg("%s", error_message(error));
}

/* An error that has these words in its sentence; frees it. */
static inline void assert_says(struct error *error, const char *words)
{
    if (!error)
        fail_msg("not refused; expected \"%s\"", words);
    if (!strstr(error_message(error), words))
        fail_msg("\"%s\" should say \"%s\"", error_message(error), words);
    error_free(error);
}

/* The same with its code. */
static inline void assert_refused(struct error *error, enum error_code code, const char *words)
{
    if (error && error_code(error) != code)
        fail_msg("\"%s\" is %s, not %s", error_message(error), error_code_name(error_code(error)),
            error_code_name(code));
    assert_says(error, words);
}

/* Runs the loop of the fixture until the condition holds. */
#define AWAIT(fixture, condition)                                               \
    do {                                                                        \
        while (!(condition))                                                    \
            assert_int_equal(event_base_loop((fixture)->base, EVLOOP_ONCE), 0); \
    } while (0)
