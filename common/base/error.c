/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <string.h>

struct error {
    enum error_code code;
    int number;
    char *message;
};

static struct error *make(enum error_code code, int number, char *message)
{
    struct error *error = must_new(struct error);
    *error = (struct error){.code = code, .number = number, .message = message};
    return error;
}

struct error *error_new(enum error_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *message = must_vprintf(format, arguments);
    va_end(arguments);
    return make(code, 0, message);
}

struct error *error_errno(int errnum, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    _cleanup_free_ char *doing = must_vprintf(format, arguments);
    va_end(arguments);
    char reason[128];
    return make(error_code_of_errno(errnum), errnum,
        must_printf("%s: %s", doing, strerror_r(errnum, reason, sizeof(reason))));
}

struct error *error_wrap(struct error *cause, const char *format, ...)
{
    if (!cause)
        return NULL;
    va_list arguments;
    va_start(arguments, format);
    _cleanup_free_ char *doing = must_vprintf(format, arguments);
    va_end(arguments);
    char *message = must_printf("%s: %s", doing, cause->message);
    free(cause->message);
    cause->message = message;
    return cause;
}

struct error *error_recode(struct error *error, enum error_code code)
{
    if (error)
        error->code = code;
    return error;
}

enum error_code error_code(const struct error *error)
{
    return error ? error->code : ERROR_OK;
}

int error_number(const struct error *error)
{
    return error ? error->number : 0;
}

const char *error_message(const struct error *error)
{
    return error ? error->message : "success";
}

enum error_code error_code_of_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return ERROR_OK;
    case ENOENT:
    case ESRCH:
    case ENXIO:
    case ENODEV:
        return ERROR_NOT_FOUND;
    case EEXIST:
        return ERROR_ALREADY_EXISTS;
    case EPERM:
    case EACCES:
    case EROFS:
        return ERROR_PERMISSION_DENIED;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
        return ERROR_INVALID_ARGUMENT;
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return ERROR_RESOURCE_EXHAUSTED;
    case ETIMEDOUT:
        return ERROR_DEADLINE_EXCEEDED;
    case ENOSYS:
    case EOPNOTSUPP:
        return ERROR_UNIMPLEMENTED;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
        return ERROR_UNAVAILABLE;
    case EBUSY:
    case ENOTEMPTY:
        return ERROR_FAILED_PRECONDITION;
    case ECANCELED:
        return ERROR_CANCELLED;
    default:
        return ERROR_UNKNOWN;
    }
}

const char *error_code_name(enum error_code code)
{
    static const char *const names[] = {
        [ERROR_OK] = "OK",
        [ERROR_CANCELLED] = "CANCELLED",
        [ERROR_UNKNOWN] = "UNKNOWN",
        [ERROR_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [ERROR_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [ERROR_NOT_FOUND] = "NOT_FOUND",
        [ERROR_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [ERROR_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [ERROR_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [ERROR_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [ERROR_ABORTED] = "ABORTED",
        [ERROR_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [ERROR_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [ERROR_INTERNAL] = "INTERNAL",
        [ERROR_UNAVAILABLE] = "UNAVAILABLE",
        [ERROR_DATA_LOSS] = "DATA_LOSS",
        [ERROR_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };
    return (unsigned)code < ARRAY_SIZE(names) ? names[code] : "UNKNOWN";
}

void error_free(struct error *error)
{
    if (!error)
        return;
    free(error->message);
    free(error);
}
