/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The talk between the agent and a child that is on its way to become a container's process. One packet is
 * one message. The child's end is close-on-exec: its closing tells the agent that the exec succeeded.
 */
#pragma once

#include "base/error.h"

enum channel_type {
    CHANNEL_CLOSED,   /* not a message: the other end is gone */
    CHANNEL_ERROR,    /* child: gave up; becomes the error of channel_receive */
    CHANNEL_MAPS,     /* child: in its user namespace, needs its id maps and limits */
    CHANNEL_HOOKS,    /* child: mounts are made, the runtime's hooks may run */
    CHANNEL_TERMINAL, /* child: here is the master of my terminal (with a descriptor) */
    CHANNEL_READY,    /* child: nothing is left but the command itself */
    CHANNEL_GO,       /* agent: what was asked for is done, go on */
};

/* Both ends are close-on-exec and blocking. */
struct error *channel_open(int *ret_agent, int *ret_child);

/* Plain write(2), so that few seccomp profiles can stop it. */
struct error *channel_send(int channel, enum channel_type type);
struct error *channel_send_fd(int channel, enum channel_type type, int fd);
/* Best effort: there is nobody else to tell. */
void channel_send_error(int channel, const struct error *error);

/* Waits up to the given time. An error of the child keeps its code. *ret_fd (may be NULL) is a
   descriptor that came along, or -1. */
struct error *channel_receive(int channel, int timeout_ms, enum channel_type *ret_type, int *ret_fd);
/* In the child: waits without end for CHANNEL_GO with plain read(2). CANCELLED when the agent is gone. */
struct error *channel_wait_go(int channel);
