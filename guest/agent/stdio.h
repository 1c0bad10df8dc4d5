/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard streams of one process, in one of two ways that the request chooses: each stream on its own
 * connection of the link (ports), or pulled and pushed by ReadStdout, ReadStderr and WriteStdin calls where
 * no port is given. In the second, what the process writes stays in its pipe until a call takes it, so a
 * reader that does not come stops the writer, and nothing is held here.
 */
#pragma once

#include "agent/container/container.h"
#include "agent/link.h"

#include <stdbool.h>
#include <stdint.h>

/* Numbers of waiting streams; 0 is none. With a terminal only input and output count. */
struct stdio_ports {
    uint32_t input;
    uint32_t output;
    uint32_t errors;
};

enum stdio_output { STDIO_STDOUT, STDIO_STDERR };

struct stdio;

/* Before the process is made: finds the streams and makes pipes (none with a terminal). On success the
   streams in the link's table belong to this object. `link` may be NULL where no ports are given. */
struct error *stdio_new(struct event_base *base, struct link *link, const struct stdio_ports *ports,
    bool terminal, struct stdio **ret_stdio);
/* What the process gets; borrowed until stdio_process_started. */
struct container_streams stdio_child_streams(const struct stdio *stdio);
/* After: closes the process's ends here and lets the bytes flow. Takes the terminal, or -1. */
struct error *stdio_process_started(struct stdio *stdio, int terminal);
/* What the process has written is still delivered; then the streams end, even where a descendant holds them
   open. */
void stdio_process_exited(struct stdio *stdio);
/* Streams that are not at their end yet go on by themselves. Unanswered calls fail. Takes NULL. */
void stdio_free(struct stdio *stdio);
DEFINE_CLEANUP(struct stdio *, stdio_free);

/* These answer the call, perhaps later. One at a time for each stream; FAILED_PRECONDITION otherwise, and
   where the stream has its own connection. At the end of the stream a read fails with OUT_OF_RANGE and the
   text of Kata's agent, "read meet eof". */
void stdio_read(struct stdio *stdio, enum stdio_output which, uint32_t length, struct ttrpc_call *call);
void stdio_write(struct stdio *stdio, const void *data, size_t length, struct ttrpc_call *call);
/* After the writes that are under way. A terminal's input stays open, as the terminal itself does. */
struct error *stdio_close_input(struct stdio *stdio);
/* FAILED_PRECONDITION without a terminal. */
struct error *stdio_resize(struct stdio *stdio, uint32_t rows, uint32_t columns);
