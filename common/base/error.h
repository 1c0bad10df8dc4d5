/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error idiom.
 *
 * A call that can fail returns `struct error *`: NULL is success, anything else is owned by the caller. An
 * error is a code of the gRPC set and a sentence a user can act on. On the way up each caller that knows
 * more puts what it was doing in front:
 *
 *     _cleanup_error_ struct error *error = image_open(store, name, &image);
 *     if (error)
 *         return error_wrap(TAKE_PTR(error), "starting container %s", id);
 *
 * or, where there is nothing to add, TRY(image_open(store, name, &image)).
 */
#pragma once

#include "base/cleanup.h"
#include "base/memory.h"

/* https://github.com/grpc/grpc/blob/master/doc/statuscodes.md */
enum error_code {
    ERROR_OK = 0,
    ERROR_CANCELLED = 1,
    ERROR_UNKNOWN = 2,
    ERROR_INVALID_ARGUMENT = 3,
    ERROR_DEADLINE_EXCEEDED = 4,
    ERROR_NOT_FOUND = 5,
    ERROR_ALREADY_EXISTS = 6,
    ERROR_PERMISSION_DENIED = 7,
    ERROR_RESOURCE_EXHAUSTED = 8,
    ERROR_FAILED_PRECONDITION = 9,
    ERROR_ABORTED = 10,
    ERROR_OUT_OF_RANGE = 11,
    ERROR_UNIMPLEMENTED = 12,
    ERROR_INTERNAL = 13,
    ERROR_UNAVAILABLE = 14,
    ERROR_DATA_LOSS = 15,
    ERROR_UNAUTHENTICATED = 16,
};

struct error;

struct error *error_new(enum error_code code, const char *format, ...)
    __attribute__((returns_nonnull, format(printf, 2, 3)));

/* "FORMAT: what errnum means", with the code that fits errnum (ENOENT is NOT_FOUND, and so on). */
struct error *error_errno(int errnum, const char *format, ...)
    __attribute__((returns_nonnull, format(printf, 2, 3)));

/* "FORMAT: CAUSE" with the code and errno of the cause, which is consumed. NULL stays NULL. */
struct error *error_wrap(struct error *cause, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Gives the error another code; returns it. NULL stays NULL. */
struct error *error_recode(struct error *error, enum error_code code);

/* ERROR_OK for NULL. */
enum error_code error_code(const struct error *error);
/* The errno that the error came from, or 0. */
int error_number(const struct error *error);
/* Borrowed; lives as long as the error. */
const char *error_message(const struct error *error) __attribute__((returns_nonnull));
/* "NOT_FOUND" and so on; "UNKNOWN" for a number outside the set. */
const char *error_code_name(enum error_code code) __attribute__((returns_nonnull));
/* The code of the gRPC set that an errno belongs to. */
enum error_code error_code_of_errno(int errnum);

/* Takes NULL. */
void error_free(struct error *error);

DEFINE_CLEANUP(struct error *, error_free);
#define _cleanup_error_ _cleanup_(error_free)

/* Returns from the calling function when the expression failed. */
#define TRY(expression)                          \
    do {                                         \
        struct error *try_error_ = (expression); \
        if (try_error_)                          \
            return try_error_;                   \
    } while (0)
