/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verb.h"

#include <stdio.h>

void complain(const struct error *error)
{
    fprintf(stderr, "caisson: %s\n", error_message(error));
}
