/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/process_failure.h"

#include "cli/verb.h"

#include <string.h>

int process_failure_code(const struct error *error)
{
    /* Only what is said of executing the command; a missing volume is another matter. */
    if (!strstr(error_message(error), "exec: \""))
        return EXIT_RUNTIME_FAILED;
    switch (error_code(error)) {
    case ERROR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ERROR_PERMISSION_DENIED:
        return EXIT_CANNOT_EXECUTE;
    default:
        return EXIT_RUNTIME_FAILED;
    }
}
