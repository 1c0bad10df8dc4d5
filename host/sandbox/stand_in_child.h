/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a stand-in that runs in the child. */
#pragma once

#include "sandbox/stand_in.h"

#include <stdint.h>

enum stand_in_event {
    STAND_IN_READY = 1,
    STAND_IN_SIGNALLED,
    STAND_IN_ROOTED,
};

/* What the child says, one message a packet. */
struct stand_in_message {
    uint32_t event; /* enum stand_in_event */
    int32_t value;  /* an errno (0: it succeeded), or the signal's number */
    char doing[64]; /* what failed */
};

struct stand_in_child {
    const struct stand_in_config *config;
    pid_t parent;
    int socket;  /* SOCK_SEQPACKET */
    int network; /* a namespace to enter, or -1 */
};

/* All signals are blocked. */
void stand_in_run(const struct stand_in_child *child) __attribute__((noreturn));
