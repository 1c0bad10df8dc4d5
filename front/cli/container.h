/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers as verbs see them: found by what the user wrote, their records brought up to what is true.
 */
#pragma once

#include "client/lifecycle.h"

struct container {
    struct directories *directories;
    struct event_base *base;
    struct record *record;
    struct task *task; /* connected by container_connect */
    const char *name;  /* as the user wrote it */
};

/* The two that all containers of a program share. */
struct workplace {
    struct directories *directories;
    struct event_base *base;
};

struct error *workplace_open(struct workplace *ret_workplace);
void workplace_close(struct workplace *workplace);
#define _cleanup_workplace_ __attribute__((cleanup(workplace_close)))

/* NOT_FOUND where there is no such container, or none any more. */
struct error *container_open(
    const struct workplace *workplace, const char *name, struct container *ret_container);
void container_close(struct container *container);
#define _cleanup_container_ __attribute__((cleanup(container_close)))

/* FAILED_PRECONDITION where it does not run. */
struct error *container_connect(struct container *container);
/* created, running, paused or exited. */
const char *container_state(struct container *container);

typedef struct error *container_action(struct container *container, const void *settings);

/* Does it to each of the names; a failure is printed and the others follow. *ret_code says whether all went
   well. */
struct error *for_each_container(
    char *const *names, container_action *action, const void *settings, int *ret_code);
