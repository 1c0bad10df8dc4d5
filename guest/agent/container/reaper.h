/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small init for containers whose command does not care for orphans.
 */
#pragma once

#include "base/error.h"

/* Forks. The child returns, to become the command. The parent stays: it reaps whatever ends, passes the
   signals that it gets on to the command, and exits as the command does (128 + signal for a killed one). It
   closes all descriptors. */
struct error *reaper_fork(void);
