/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of a standard stream: a fifo, a file, a program that takes output, or nowhere.
 */
#pragma once

#include "sandbox/stdio.h"

enum stream_index { STREAM_IN, STREAM_OUT, STREAM_ERROR, STREAM_COUNT };

struct endpoint {
    int fd;   /* to be read or written; -1: the stream has no end here */
    int kept; /* a second end that is held open, or -1 */
    char
        *to_hold; /* an input fifo whose second end is to be held open later, see stdio_hold_input; or NULL */
    bool watch_reader; /* when the reader goes away, the stream is over */
    bool await_reader; /* the stream is over only when the reader has taken everything */
};

/* "standard input" and so on. */
const char *stream_name(enum stream_index index);
/* Opens all three; an error names its stream. What was opened before it is the caller's to close. The logger,
   where there is one, is the caller's, too. */
struct error *endpoints_open(const struct stdio_options *options, struct endpoint ret_endpoints[STREAM_COUNT],
    struct logger **ret_logger);
