/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in the sandbox, in containerd's words. */
#pragma once

#include "sandbox/sandbox.h"
#include "shim/publisher.h"

/* Publishes the event of this kind. */
void events_publish(
    struct publisher *publisher, enum sandbox_event event, const struct process_status *status);
