/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox's own view of its objects, shared by the files of this folder and by nobody else.
 *
 * Ownership: the sandbox has containers, a container has processes (the first is init). A process is counted:
 * by its list and by every call to the agent that will come back to it.
 *
 * Nothing is torn down from inside a callback of the agent, the machine or the storage: such callbacks note
 * what happened and wake an event of the sandbox (lost_soon, creation's step_soon), which acts from the loop.
 */
#pragma once

#include "base/path.h"
#include "cgroup/cgroup.h"
#include "net/forward.h"
#include "net/net.h"
#include "oci/config.h"
#include "sandbox/agent.h"
#include "sandbox/guest_mounts.h"
#include "sandbox/guest_spec.h"
#include "sandbox/host_sockets.h"
#include "sandbox/pod.h"
#include "sandbox/sandbox.h"
#include "sandbox/settings.h"
#include "sandbox/timeline.h"
#include "storage/storage.h"

#include <sys/queue.h>

/* How long an exit waits for a reader that does not read, in milliseconds; and when the machine is lost. */
#define DRAIN_PATIENCE 10000
#define DRAIN_PATIENCE_LOST 500
/* How long execs may take to be reported ended after their container's init has ended. */
#define EXEC_PATIENCE_SECONDS 5
/* How long a machine may take to say why it ended after its agent fell silent. */
#define LAST_WORDS_MILLISECONDS 700
/* How long a guest may take to write back and power off before its machine is killed. */
#define POWER_OFF_MILLISECONDS 1500

struct container_host;
struct creation;
struct deletion;
struct start;

struct waiter {
    process_waited *done;
    void *context;
    TAILQ_ENTRY(waiter) entry;
};

/* What a container asks of processors. */
struct container_cpu {
    uint64_t limit;  /* thousandths of a processor, which hold in the guest; 0: none */
    uint64_t shares; /* cgroup v1's; 0: it does not say */
    char *cpus;      /* lists as in "0-3,7"; or NULL */
    char *mems;
};

struct container {
    struct sandbox *sandbox;
    char *id;
    char *bundle;
    struct container_storage *storage;
    struct container_host *host; /* its stand-in and hooks; NULL where it has none */
    enum container_kind kind;    /* known when its configuration has been read */
    struct creation *creation;   /* until Create is answered */
    struct deletion *deletion;   /* until Delete is answered */
    uint64_t memory_limit;       /* bytes; 0: none */
    struct container_cpu cpu;
    TAILQ_HEAD(process_list, process) processes; /* init first */
    struct event *exec_patience;                 /* armed when init has ended before its execs */
    bool exec_patience_over;                     /* what the guest never answered holds nothing back */
    bool out_of_memory;
    TAILQ_ENTRY(container) entry;
};

TAILQ_HEAD(creation_queue, creation);
TAILQ_HEAD(farewell_list, container_host);

struct process {
    unsigned references;
    struct container *container; /* NULL once deleted */
    enum process_kind kind;
    enum process_state state;
    char *exec_id; /* "" for init */
    char *in;
    char *out;
    char *error;
    bool terminal;
    pid_t pid;
    Grpc__Process *spec; /* of an exec, until it is started */
    struct stdio *stdio;
    bool ended;           /* the guest said so, or the machine is lost */
    bool drained;         /* and its output is with its readers */
    struct start *parked; /* a Start that waits: for its streams, or for why the connection was lost */
    uint32_t exit_status;
    struct timespec exited_at;
    TAILQ_HEAD(, waiter) waiters;
    TAILQ_ENTRY(process) entry;
};

struct sandbox {
    struct event_base *base;
    struct sandbox_options options;
    const struct sandbox_observer *observer;
    void *context;
    enum sandbox_state state;
    struct settings *settings;
    struct storage *storage;
    struct net *net; /* NULL without a network namespace of the container's */
    struct forward
        *forward; /* of ports, from inside that namespace; NULL where the kernel does not allow it */
    struct host_sockets *host_sockets; /* that containers have mounted; NULL where none has */
    bool holds_data; /* the guest writes to directories of the host: it has to power off in order */
    struct hv *hv;
    uint64_t memory;         /* bytes that the machine has */
    uint64_t memory_max;     /* that it may grow to: see growth.h */
    uint64_t memory_promise; /* that it has or is about to have */
    unsigned vcpus;          /* that it has or is about to have */
    unsigned vcpus_max;
    struct agent *agent;
    struct creation_queue creations; /* the first one is under way, unless next_creation is pending */
    struct event *next_creation;
    bool held;                      /* by sandbox_start: lives until it is shut down */
    bool has_resolver;              /* its guest has a resolv.conf for containers */
    struct cgroup *cgroup;          /* of the sandbox's processes; NULL: where they were started */
    struct farewell_list farewells; /* hooks of containers that came to nothing still run */
    struct timeline timeline;
    TAILQ_HEAD(, container) containers;
    bool machine_ended; /* hv said so */
    char *lost_reason;  /* why the machine is lost; NULL where it is not, or was ended on purpose */
    struct event *lost_soon;
    struct event *last_words; /* the agent fell silent: wait a moment for the machine's own reason */
    struct event *stop_late;  /* the machine does not power off */
    sandbox_done *shutdown_done;
    void *shutdown_context;
    struct event *shutdown_soon;
};

/* ---- sandbox.c ---- */

void sandbox_set_state(struct sandbox *sandbox, enum sandbox_state state);
void sandbox_tell(struct sandbox *sandbox, enum sandbox_event event, const struct process *process);
/* For the log: what went wrong, and what was done. */
void sandbox_remark(struct sandbox *sandbox, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sandbox_note(struct sandbox *sandbox, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* NULL, or why the agent cannot be asked. */
struct error *sandbox_check_usable(const struct sandbox *sandbox);
/* NULL, or why no container can be created. */
struct error *sandbox_check_creatable(const struct sandbox *sandbox);
struct error *sandbox_connect_stream(void *sandbox, int *ret_fd, uint32_t *ret_port);
/* An event that cannot fail to be made; callback gets the context. */
struct event *sandbox_event_new(struct sandbox *sandbox, event_callback_fn callback, void *context);
struct container *sandbox_container(const struct sandbox *sandbox, const char *container_id);

/* ---- loss.c: the machine ends, wanted or not ---- */

extern const struct hv_events sandbox_hv_events;
void sandbox_agent_closed(void *sandbox, const struct error *reason);
void sandbox_storage_failed(void *sandbox, const struct error *reason);
void sandbox_loss_events(struct sandbox *sandbox);
/* Whether the machine has a use left, apart from one container (or NULL). */
bool sandbox_is_kept(const struct sandbox *sandbox, const struct container *except);
/* A container's first process was reported or deleted: a machine without any use left is ended. */
void sandbox_container_ended(struct sandbox *sandbox);
/* Something ended that a shutdown may have waited for. */
void sandbox_check_shutdown(struct sandbox *sandbox);
/* Frees agent, machine and storage, and what they left in the directory. */
void sandbox_release_machine(struct sandbox *sandbox);

/* ---- memory.c ---- */

/* Asks the agent for out-of-memory events, again after each. */
void sandbox_watch_memory(struct sandbox *sandbox);

/* ---- container.c ---- */

struct container *container_new(struct sandbox *sandbox, const char *id, const char *bundle);
struct process *container_init(const struct container *container);
/* What clients are told: a process of the host that stands for the container. */
pid_t container_pid(const struct container *container);
/* With its processes; waiters are answered. */
void container_free(struct container *container);
/* A small file of the bundle for front ends: `reason`, `oom`, `timings.json`. */
void container_write_file(struct container *container, const char *name, const char *text);

/* ---- process.c ---- */

struct process *process_new(struct container *container, const char *exec_id, const char *in, const char *out,
    const char *error, bool terminal);
void process_set_state(struct process *process, enum process_state state);
void process_hold(struct process *process);
void process_release(struct process *process);
struct error *process_check(const struct process *process, enum process_call call);
struct error *process_open_stdio(struct process *process);
const char *process_agent_id(const struct process *process);
void process_answer_waiters(struct process *process);
/* Takes it off its container's list, with its waiters answered. */
void process_unlist(struct process *process);
/* The machine is lost: fails a Start that is parked or under way. */
void process_fail_start(struct process *process);

/* ---- exit.c ---- */

/* The process has ended in the guest (or with it): drains its output, then reports. */
void process_end(struct process *process, uint32_t exit_status, uint32_t patience);
/* The second half of process_end, for an exit that overtook the answer to Start. */
void process_drain(struct process *process, uint32_t patience);
/* Reports the exits of a container that nothing holds back any more, its first process last. */
void container_report_what_is_ready(struct container *container);
/* Asks the agent for the exit status. */
void process_watch_exit(struct process *process);

/* ---- delete.c ---- */

/* The machine that a deletion waited for has ended: it may free the container. */
void deletion_machine_gone(struct deletion *deletion);
/* The container goes as a whole: the call is answered. */
void deletion_abandon(struct deletion *deletion);

/* ---- creation.c ---- */

/* Interrupts it, or takes it out of the queue: everything is undone when this returns, and its `done` has got
   the reason, which is taken. Not from a callback of the machine, the agent or the storage. */
void creation_cancel(struct creation *creation, struct error *reason);
/* The same for all that are under way or waiting. */
void creation_cancel_all(struct sandbox *sandbox, enum error_code code, const char *reason);
/* The callback of sandbox->next_creation. */
void creation_begin_next(evutil_socket_t fd, short what, void *sandbox);
