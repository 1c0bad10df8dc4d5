/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One running supervisor: a sandbox, the Task service that commands it, and the publisher that tells of it.
 */
#pragma once

#include "sandbox/sandbox.h"
#include "shim/metrics.h"
#include "shim/options.h"
#include "shim/places.h"
#include "shim/pod.h"
#include "shim/publisher.h"
#include "ttrpc/ttrpc.h"

#define SHIM_END_CALLS_MAX 8
/* A shim that nobody is connected to and that has no container ends itself after this time. */
#define SHIM_IDLE_SECONDS 60
/* How long the end waits for events to be delivered, and then for loggers: with the end of the machine, which
   takes at most 1500, they fit into the 3 seconds that containerd gives. */
#define SHIM_FLUSH_MILLISECONDS 1000
#define SHIM_LOGGERS_MILLISECONDS 400

struct shim {
    struct event_base *base;
    const struct shim_options *options;
    struct loggers *loggers;
    struct sandbox *sandbox;
    struct pod *pod; /* asked for through the Sandbox API; or NULL */
    struct publisher *publisher;
    struct ttrpc_server *server;
    struct event *idle;
    struct event *signals[2];
    enum metrics_version metrics;
    struct event *end_late;                           /* loggers do not end */
    struct ttrpc_call *end_calls[SHIM_END_CALLS_MAX]; /* Shutdown calls to be answered at the end */
    size_t end_call_count;
    bool ending;
};

/* The namespace of Caisson's own command line. */
#define SHIM_OWN_NAMESPACE "caisson"

struct shim_config {
    const struct shim_options *options;
    const struct places *places;
    const char *ttrpc_address;  /* of containerd's events; NULL or "": none */
    const char *publish_binary; /* for events where there is no such service; NULL or "": none */
    sandbox_choose *choose;
    bool apart;                   /* the shim stays in a cgroup of its own: sandbox_options.apart */
    enum metrics_version metrics; /* what clients of this host expect */
};

/* Serves the Task service at the listening socket, which is taken. */
struct error *shim_new(
    struct event_base *base, const struct shim_config *config, int listener, struct shim **ret_shim);
/* Takes the sandbox down in order, delivers what is still to be told, answers the call (NULL: nobody asked),
   removes the socket and leaves the loop. */
void shim_end(struct shim *shim, struct ttrpc_call *call);
/* Takes NULL. */
void shim_free(struct shim *shim);

/* containerd.task.v2.Task and v3; the server's context is the struct shim. */
extern const struct ttrpc_service shim_task_v2;
extern const struct ttrpc_service shim_task_v3;

/* containerd.runtime.sandbox.v1.Sandbox; as above. */
extern const struct ttrpc_service shim_sandbox;

/* The verbs of main. Each prints what it has to and returns the exit code's cause. */
struct error *shim_start(const struct shim_options *options);
struct error *shim_delete(const struct shim_options *options);
struct error *shim_check(void);
struct error *shim_version(const char *program);
struct error *shim_info(const char *program);
