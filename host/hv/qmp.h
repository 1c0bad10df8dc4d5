/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's monitor protocol: one JSON object a line, both ways
 * (https://www.qemu.org/docs/master/interop/qmp-spec.html).
 *
 * QEMU runs what a guest could have broken into, so what it says is bounded and checked like any stranger's.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <jansson.h>
#include <stdint.h>

#define QMP_LINE_MAX (64u << 10)
#define QMP_CALLS_MAX 80 /* one for each disk that comes or goes, and some */

enum qmp_kind { QMP_GREETING, QMP_REPLY, QMP_ERROR, QMP_EVENT };

struct qmp_message {
    enum qmp_kind kind;
    int64_t id;       /* of a reply or an error; -1 where it carries none */
    const char *text; /* the event's name, or the error's description */
    const json_t *data;
    json_t *root; /* owns text and data */
};

/* One line, without its end. */
struct error *qmp_parse(const char *line, size_t length, struct qmp_message *ret_message);
void qmp_message_clear(struct qmp_message *message);

struct qmp;

struct qmp_events {
    /* The monitor takes commands. */
    void (*ready)(void *context);
    /* data may be NULL. */
    void (*event)(void *context, const char *name, const json_t *data);
    /* The connection is gone (reason NULL) or the peer broke the protocol; nothing follows. */
    void (*failed)(void *context, const struct error *reason);
};

/* error NULL on success; otherwise owned by the callee. */
typedef void qmp_done(void *context, struct error *error);

/* Takes the descriptor of the monitor and negotiates. */
struct error *qmp_new(
    struct event_base *base, int fd, const struct qmp_events *events, void *context, struct qmp **ret_qmp);
/* Calls that wait are dropped without an answer. Takes NULL. */
void qmp_free(struct qmp *qmp);

/* A command without arguments; done may be NULL. It may be called before this returns. */
void qmp_call(struct qmp *qmp, const char *command, qmp_done *done, void *context);
/* The same with arguments, which are consumed, and a descriptor that goes along and stays the caller's (-1:
   none). */
void qmp_call_with(
    struct qmp *qmp, const char *command, json_t *arguments, int fd, qmp_done *done, void *context);
/* Handles at once what has arrived and was not read yet. */
void qmp_flush(struct qmp *qmp);
