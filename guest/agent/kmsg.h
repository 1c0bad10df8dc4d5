/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's log: the kernel's own, which reaches the host over the console. Only what the host cannot learn
 * from an answer goes there: warnings and errors.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* Levels of syslog(2). With `quiet` on the kernel command line the console shows errors and worse. */
enum kmsg_level { KMSG_EMERGENCY = 0, KMSG_ERROR = 3, KMSG_WARNING = 4, KMSG_INFO = 6 };

struct kmsg {
    int fd;      /* /dev/kmsg, or standard error where the agent is an ordinary program */
    bool device; /* records carry their level */
};

/* One record of at most 512 bytes; the rest is cut off. Failures to write are ignored. */
void kmsg_write(const struct kmsg *kmsg, enum kmsg_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The message of the error, which is consumed. NULL writes nothing. */
void kmsg_error(const struct kmsg *kmsg, enum kmsg_level level, struct error *error);
