/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ends of a process's pipes or terminal, read and written by calls: a call waits until the descriptor is
 * ready, and nothing is read before a call asks for it.
 */
#pragma once

#include "ttrpc/ttrpc.h"

#include <stdbool.h>

/* The most that one read gives: what a pipe holds. */
#define PULL_READ_MAX (64u << 10)

struct pull_reader;
/* Takes the descriptor. */
struct pull_reader *pull_reader_new(struct event_base *base, int fd);
/* Answers with ReadStreamResponse, at the end with OUT_OF_RANGE; FAILED_PRECONDITION while another call
 * waits. */
void pull_reader_read(struct pull_reader *reader, uint32_t length, struct ttrpc_call *call);
/* The process has exited: what is still there can be read, and nothing more is waited for. */
void pull_reader_finish(struct pull_reader *reader);
/* A waiting call fails. Takes NULL. */
void pull_reader_free(struct pull_reader *reader);

struct pull_writer;
/* Takes the descriptor. */
struct pull_writer *pull_writer_new(struct event_base *base, int fd);
/* Answers with WriteStreamResponse when all of it is written. The data is borrowed until then.
   FAILED_PRECONDITION while another call waits, and after pull_writer_close. */
void pull_writer_write(struct pull_writer *writer, const void *data, size_t length, struct ttrpc_call *call);
/* Closes the descriptor once a waiting call is answered. */
void pull_writer_close(struct pull_writer *writer);
/* A waiting call fails. Takes NULL. */
void pull_writer_free(struct pull_writer *writer);
