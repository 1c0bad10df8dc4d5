/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox that was asked for through the Sandbox API, without a container: what it is to be like, and who
 * waits for its end.
 */
#pragma once

#include "proto/sandbox.pb-c.h"
#include "sandbox/sandbox.h"
#include "ttrpc/ttrpc.h"

struct pod_waiter;

struct pod {
    char *id;
    char *hostname;
    char **dns; /* lines of resolv.conf */
    char *network_namespace;
    char *config_path;
    struct sandbox_annotation *annotations; /* owned strings */
    size_t annotation_count;
    bool started;
    bool stop_wanted;
    bool ended;
    struct timespec created_at;
    struct timespec exited_at;
    struct pod_waiter *waiting;  /* calls of WaitSandbox */
    struct pod_waiter *stopping; /* and of StopSandbox */
};

/* From what CreateSandbox says; its options are a PodSandboxConfig of CRI, runtime options, or none. Where
   both name an annotation, the request's own counts. INVALID_ARGUMENT when they cannot be read. */
struct error *pod_new(const Sandbox__CreateSandboxRequest *request, struct pod **ret_pod);
/* Borrowed, for sandbox_start. */
struct sandbox_pod pod_wish(const struct pod *pod);
/* Answered by pod_has_ended, at once where it has. */
void pod_wait(struct pod *pod, struct ttrpc_call *call);
/* Answered by pod_has_stopped. */
void pod_await_stop(struct pod *pod, struct ttrpc_call *call);
/* The machine is gone. */
void pod_has_ended(struct pod *pod);
/* And so is all else of the sandbox. */
void pod_has_stopped(struct pod *pod);
/* Calls that still wait are failed. Takes NULL. */
void pod_free(struct pod *pod);

DEFINE_CLEANUP(struct pod *, pod_free);
#define _cleanup_pod_ _cleanup_(pod_free)
