/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a process could not be started, as an exit code of docker's.
 */
#pragma once

#include "base/error.h"

/* EXIT_NOT_FOUND where the command does not exist, EXIT_CANNOT_EXECUTE where it is there but cannot be run,
   else EXIT_RUNTIME_FAILED. The guest's agent begins such sentences with `exec: "COMMAND"`, as runc does. */
int process_failure_code(const struct error *error);
