/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capabilities by name, as --cap-add and --cap-drop take them.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* docker's default set less what is dropped plus what is added, as "CAP_..." names in the kernel's order.
   Names may lack CAP_ and be lower case; ALL is all. privileged: all of them to begin with. */
struct error *capabilities_choose(
    char *const *added, char *const *dropped, bool privileged, char ***ret_capabilities);
