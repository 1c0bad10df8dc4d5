/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard streams of one process: endpoints on the host joined to connections into the guest.
 *
 * An endpoint is a fifo's path (also fifo:///path), file:///path (appended to), for output a program
 * (binary:///path, see logger.h), or nothing. How long an output fifo stays open is a choice between two
 * kinds of front ends:
 *
 *   STDIO_KEEP_OPEN   containerd's contract: the supervisor holds a second end of every fifo, so a front end
 *                     may go and come back; a process never sees EPIPE for it, it waits. Standard input ends
 *                     with CloseIO; but clients cannot call that before Create is answered, so a fifo whose
 *                     last writer has gone by the time of Start has ended, too.
 *   STDIO_LIKE_PIPES  Caisson's own command line: fifos behave as pipes between two processes. Once the front
 *                     end has closed its read end, the process gets EPIPE; once it has closed its write end,
 *                     end of file. The front end opens its ends before Create (Exec) is called; an end that
 * is not open by then falls back to KEEP_OPEN.
 */
#pragma once

#include "base/error.h"
#include "sandbox/logger.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

enum stdio_style { STDIO_KEEP_OPEN, STDIO_LIKE_PIPES };

struct stdio_options {
    const char *in; /* empty or NULL: none */
    const char *out;
    const char *error;
    bool terminal; /* standard error is the terminal's, too: `error` is not used */
    enum stdio_style style;
    struct loggers *loggers;  /* NULL: programs are refused */
    const char *container_id; /* whose streams they are; for programs */
    const char *exec_id;      /* NULL or "": of the container's first process */
};

/* How the guest knows the connections; 0: none. */
struct stdio_ports {
    uint32_t in;
    uint32_t out;
    uint32_t error;
};

/* Makes one more connection to the guest's stream port. */
typedef struct error *stdio_connect_guest(void *context, int *ret_fd, uint32_t *ret_port);

struct stdio;
/* After stdio_process_ended: all output is with its reader (in its fifo, in its file, or taken by its
   program), or (not complete) the reader stood still. */
typedef void stdio_drained(void *context, bool complete);

/* Opens the endpoints, starts the program; NOT_FOUND and so on name the stream. The options are copied. */
struct error *stdio_new(
    struct event_base *base, const struct stdio_options *options, struct stdio **ret_stdio);
/* Tells once, from the event loop, when whoever takes the output is ready for it, or why it will not be (the
   callee's). Not after stdio_free. */
typedef void stdio_ready(void *context, struct error *error);
void stdio_await_ready(struct stdio *stdio, stdio_ready *done, void *context);
/* Connects each endpoint and starts to move bytes. Without an output endpoint the output is discarded. */
struct error *stdio_connect(
    struct stdio *stdio, stdio_connect_guest *connect, void *context, struct stdio_ports *ret_ports);
/* From the start of the process on, a writer of standard input may go and come back. */
void stdio_hold_input(struct stdio *stdio);
/* Standard input ends after what is in the fifo now. */
void stdio_close_input(struct stdio *stdio);
/* The process is gone: `drained` is called once, from the event loop, when both outputs have ended, or when
   no byte moved for `patience` milliseconds. */
void stdio_process_ended(struct stdio *stdio, uint32_t patience, stdio_drained *drained, void *context);
/* It has less patience from now on. */
void stdio_hurry(struct stdio *stdio, uint32_t patience);
/* A sentence for the log when a stream had to be given up (a full disk), else NULL. Borrowed. */
const char *stdio_complaint(const struct stdio *stdio);
/* Takes NULL. */
void stdio_free(struct stdio *stdio);

DEFINE_CLEANUP(struct stdio *, stdio_free);
#define _cleanup_stdio_ _cleanup_(stdio_free)
