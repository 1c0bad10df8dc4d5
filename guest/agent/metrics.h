/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of the guest as Prometheus reads it, under the names that Kata's agent uses (kata_guest_*,
 * kata_agent_*), so that its dashboards work.
 */
#pragma once

/* Text format 0.0.4, owned by the caller. What cannot be read is left out. */
char *metrics_text(void);
