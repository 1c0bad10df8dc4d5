/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as a whole: the sandbox in this guest, its containers and their processes, and the loop that all
 * of it runs in. The handlers of rpc_*.c get a struct agent as their context; there is one in a program.
 */
#pragma once

#include "agent/container/container.h"
#include "agent/device_set.h"
#include "agent/kmsg.h"
#include "agent/link.h"
#include "agent/state.h"
#include "agent/stdio.h"
#include "agent/storage.h"

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

/* Bounds of what a host can make the agent hold. */
#define AGENT_CONTAINERS_MAX 256
#define AGENT_PROCESSES_MAX 256 /* of one container, with those that have exited */
#define AGENT_WAITERS_MAX 16    /* WaitProcess calls at one process, and GetOOMEvent calls */

/* Where Kata's runtime and its tools put things. A container's own are in a directory of its id. */
#define AGENT_RUN_DIRECTORY "/run/kata-containers"
#define AGENT_COPIES_DIRECTORY AGENT_RUN_DIRECTORY "/copies"
#define AGENT_SANDBOX_DIRECTORY STORAGE_POD_DIRECTORY

/* Calls that are answered later, by an event. */
struct agent_waiters {
    struct ttrpc_call *calls[AGENT_WAITERS_MAX];
    size_t count;
};

struct agent_container;

/* A process of a container. The record outlives the process, so that its exit code can still be asked for. */
struct agent_process {
    LIST_ENTRY(agent_process) entry;
    struct agent_container *container;
    char *id; /* exec id */
    pid_t pid;
    bool exited;
    bool waited; /* somebody has been told */
    int exit_code;
    struct stdio *stdio;
    struct agent_waiters waiters;
};

struct agent_container {
    LIST_ENTRY(agent_container) entry;
    struct agent *agent;
    char *id;
    enum container_state state;
    struct ttrpc_call *create_call; /* while creating */
    const Grpc__CreateContainerRequest *create_request;
    struct container *container; /* NULL while creating */
    struct agent_process *init;  /* NULL while creating */
    LIST_HEAD(, agent_process) processes;
    size_t process_count;
    struct storage_set *storages;
    struct device_set *devices; /* while creating */
    struct event *oom_event;
    bool owns_shared_pids; /* its init is the first process of the pod's pid namespace */
    uint64_t oom_kills;    /* those that were announced */
    bool oom_pending;      /* killed since GetOOMEvent last told of this container */
};

struct agent_options {
    bool is_guest;           /* PID 1 of a VM: may touch the clock, the entropy pool and devices */
    const char *cgroup_root; /* as in container_options */
    struct kmsg kmsg;
};

struct agent {
    struct event_base *base;
    struct agent_options options;
    enum sandbox_state state;
    struct storage_table *mounts;
    struct storage_set *storages;   /* the sandbox's own */
    struct ttrpc_call *create_call; /* while creating */
    LIST_HEAD(, agent_container) containers;
    size_t container_count;
    struct agent_waiters oom_waiters;
    bool share_pid_namespace;
    int pid_namespace; /* that containers share, from the first one on; -1 */
    struct ttrpc_server *server;
    struct link *link; /* NULL where connections come in over a socket; not owned */
    struct event *child_event;
    int child_signals; /* signalfd */
};

/* Blocks SIGCHLD in the calling thread, so that exits arrive in the loop; all children of this process are
   the agent's from then on. */
struct error *agent_new(
    struct event_base *base, const struct agent_options *options, struct agent **ret_agent);
/* Kills and removes everything. Takes NULL. */
void agent_free(struct agent *agent);
DEFINE_CLEANUP(struct agent *, agent_free);

/* Reaps every child that has exited and tells who waits for it. */
void agent_reap(struct agent *agent);
/* Ends all containers and leaves the event loop; what follows is main's. */
void agent_destroy_sandbox(struct agent *agent);

/* ---- the table of containers and processes (table.c) ---- */

/* NOT_FOUND with the id. */
struct error *agent_find_container(struct agent *agent, const char *id, struct agent_container **ret);
/* The same, and FAILED_PRECONDITION where a state does not allow the call. */
struct error *agent_find_container_for(
    struct agent *agent, const char *id, enum state_call call, struct agent_container **ret);
/* An empty exec id is the container's own process. */
struct error *agent_find_process_for(struct agent *agent, const char *id, const char *exec_id,
    enum state_call call, struct agent_process **ret);
/* A new record in state creating. ALREADY_EXISTS, RESOURCE_EXHAUSTED. */
struct error *agent_add_container(struct agent *agent, const char *id, struct agent_container **ret);
/* Whether a process with this exec id could be added; one that has exited and was waited for gives way. */
struct error *agent_reserve_process(struct agent_container *container, const char *exec_id);
/* Takes the stdio. */
struct agent_process *agent_add_process(
    struct agent_container *container, const char *exec_id, pid_t pid, struct stdio *stdio);
/* Kills what is left, runs the poststop hooks, unmounts the storages, and drops the records. The error is for
   the log: the container is gone in any case. */
struct error *agent_remove_container(struct agent_container *container);
/* Watches for out-of-memory kills. */
void agent_watch_oom(struct agent_container *container);
/* Tells a waiting GetOOMEvent call of kills that have not been told. */
void agent_check_oom(struct agent_container *container);

/* Keeps the call for later. Where too many wait, the oldest fails: it may be of a host that is gone. */
void agent_waiters_add(struct agent_waiters *waiters, struct ttrpc_call *call);
/* Answers all of them: one that still listens is among them. */
void agent_waiters_answer(struct agent_waiters *waiters, const ProtobufCMessage *reply);
