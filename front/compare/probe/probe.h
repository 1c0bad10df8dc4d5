/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe: one static program that `caisson compare` runs inside every runtime. What it finds goes to its
 * standard output as one JSON object, so that the same bytes are measured everywhere and nothing else has to
 * be installed in the container.
 *
 *     probe true | hold             ends at once; says "ready" and waits until it is ended
 *     probe evidence                what a process sees of its kernel, machine and confinement
 *     probe calls                   how each system call number answers
 *     probe measure KIND...         microbenchmarks, see measure.c
 *     probe files DIRECTORY BYTES   sequential and random file access
 *     probe walk DIRECTORY          counts the files below, with the time it took
 *     probe serve PORT              a web server with one small page
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each returns the exit code. Arguments begin after the subcommand and end with NULL. */
int probe_evidence(char **arguments);
int probe_calls(char **arguments);
int probe_measure(char **arguments);
int probe_files(char **arguments);
int probe_walk(char **arguments);
int probe_serve(char **arguments);

/* ---- json.c: writes to standard output; the caller keeps the nesting right ---- */

struct json {
    bool comma_due; /* before the next element: after any element, but not after a bracket or a key */
};

void json_open(struct json *json, char bracket);
void json_close(struct json *json, char bracket);
/* A member's name, with the comma that it needs. */
void json_key(struct json *json, const char *name);
/* Text of any bytes: what is no printable ASCII becomes an escape or "?". */
void json_text(struct json *json, const char *text);
void json_number(struct json *json, double number);
void json_whole(struct json *json, int64_t number);
void json_flag(struct json *json, bool flag);
/* The end of the document. */
void json_done(void);

/* ---- time ---- */

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t clock_now(void);
