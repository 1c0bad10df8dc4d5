/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox: one machine, its agent, and the containers in it: a pod, or a single container. This is what
 * containerd's Task service commands; it knows nothing of ttrpc servers or of events' wire forms.
 *
 * Calls that take a `done` answer exactly once, now or later; the error is then the callee's. What a call may
 * do in which state is in states.h and docs/states.md. A sandbox serves containers of one front end, in one
 * event loop, and is not reentrant from `happened`.
 */
#pragma once

#include "base/error.h"
#include "hv/hv.h"
#include "proto/agent.pb-c.h"
#include "sandbox/states.h"
#include "sandbox/stdio.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* How a process ends whose machine was lost, as if by SIGKILL. */
#define SANDBOX_LOST_STATUS 137

struct sandbox;
struct process; /* the first one of a container stands for the container */

enum sandbox_event {
    SANDBOX_EVENT_CREATED,
    SANDBOX_EVENT_STARTED,
    SANDBOX_EVENT_EXITED,
    SANDBOX_EVENT_DELETED,
    SANDBOX_EVENT_EXEC_ADDED,
    SANDBOX_EVENT_EXEC_STARTED,
    SANDBOX_EVENT_PAUSED,
    SANDBOX_EVENT_RESUMED,
    SANDBOX_EVENT_OUT_OF_MEMORY,
};

struct sandbox_observer {
    /* In containerd's order: created, started, exited, deleted; the exit of a container's first process after
       those of its execs. Told before the call that caused it is answered. */
    void (*happened)(void *context, enum sandbox_event event, const struct process *process);
    /* The machine of a sandbox that ran is gone; the exits of its processes may be told later. */
    void (*stopped)(void *context);
    /* A sentence for the log: of something that went wrong and that no call can answer for, or just of what
       was done. */
    void (*remarked)(void *context, bool wrong, const char *sentence);
};

/* Finds the hypervisor for a name or "auto". ret_reason (owned by the caller) says why this one. */
typedef struct error *sandbox_choose(const char *name, const struct hv_ops **ret_ops, char **ret_reason);

/* Strings are borrowed for the sandbox's life. */
struct sandbox_options {
    const char *id;
    const char *directory;         /* existing, private: sockets and files of the machine */
    const char *scratch_directory; /* existing, on a disk: for writable layers that are not kept in memory */
    const char *kernel;
    const char *initrd;
    const char *templates; /* directory, which is made where it is missing: machines start from a saved one
                              of their class where they can; NULL: where the class says so */
    sandbox_choose *choose;
    enum stdio_style stdio_style;
    struct loggers *loggers; /* of the front end; NULL: no output to programs */
    /* Caisson's own command line is the front end (namespace "caisson"): a container without a network
       namespace is no mistake, and files of the bundle are copied, since nobody changes them later. */
    bool standalone;
    bool apart; /* this process is in the sandbox's cgroup only while it starts what belongs there */
    bool debug;
};

/* A block of the root file system as containerd hands it over. Borrowed during sandbox_create. */
struct sandbox_mount {
    const char *type;
    const char *source;
    const char *target; /* below the root file system; NULL or "": the root itself */
    const char *const *options;
    size_t option_count;
};

/* Borrowed during sandbox_create. */
struct sandbox_container {
    const char *id;
    const char *bundle; /* directory with config.json */
    const struct sandbox_mount *rootfs;
    size_t rootfs_count;
    const char *in; /* endpoints, see stdio.h */
    const char *out;
    const char *error;
    bool terminal;
    const char *config_path; /* ConfigPath of the runtime's options; NULL or "": none */
};

/* A pod whose machine is wanted before its containers. Borrowed during sandbox_start. */
struct sandbox_pod {
    const char *hostname;          /* "" or NULL: the guest's own */
    char *const *dns;              /* lines of resolv.conf; or NULL */
    const char *network_namespace; /* path; "" or NULL: none */
    const struct sandbox_annotation {
        const char *key;
        const char *value;
    } * annotations; /* as config.json would have them: sizes and settings */
    size_t annotation_count;
    const char *config_path; /* ConfigPath of the runtime's options; NULL or "": none */
};

/* Borrowed during the call. */
struct sandbox_exec {
    const char *id;
    const char *process; /* JSON, runtime-spec's Process */
    size_t process_length;
    const char *in;
    const char *out;
    const char *error;
    bool terminal;
};

typedef void sandbox_done(void *context, struct error *error);

struct sandbox *sandbox_new(struct event_base *base, const struct sandbox_options *options,
    const struct sandbox_observer *observer, void *context);
/* Starts the machine without a container; it lives until sandbox_shutdown. */
void sandbox_start(struct sandbox *sandbox, const struct sandbox_pod *pod, sandbox_done *done, void *context);
/* Starts the machine where none runs yet; a failure, or an interruption by process_kill, process_delete or
   sandbox_shutdown, undoes all of it. Creations are done one after the other, in the order of the calls. */
void sandbox_create(
    struct sandbox *sandbox, const struct sandbox_container *container, sandbox_done *done, void *context);
/* Takes everything down; done when no process, socket or file of the sandbox is left. Containers that still
   live end first, with their exits reported. Never fails. */
void sandbox_shutdown(struct sandbox *sandbox, sandbox_done *done, void *context);
/* Frees at once; whatever still runs is killed, without a word. Takes NULL. */
void sandbox_free(struct sandbox *sandbox);

enum sandbox_state sandbox_state(const struct sandbox *sandbox);
/* Whether it has containers, or was started for some that may come. */
bool sandbox_is_wanted(const struct sandbox *sandbox);
/* Whether all that the sandbox is there for is this container, whose creation is under way. */
bool sandbox_is_for_creation_of(const struct sandbox *sandbox, const char *container_id);
/* The hypervisor's process, 0 where there is none. */
pid_t sandbox_process_id(const struct sandbox *sandbox);

/* exec_id "" or NULL: the container's first process. NOT_FOUND with containerd's words. */
struct error *sandbox_find(
    struct sandbox *sandbox, const char *container_id, const char *exec_id, struct process **ret_process);

/* ---- a process ---- */

struct process_status {
    const char *container_id;
    const char *exec_id; /* "" for the container's first process */
    const char *bundle;
    const char *in;
    const char *out;
    const char *error;
    bool terminal;
    enum process_state state;
    pid_t pid; /* on the host: of the container's stand-in, or the hypervisor's where there is none */
    uint32_t exit_status;
    struct timespec exited_at; /* zero while it lives */
};

/* Borrowed strings. */
struct process_status process_status(const struct process *process);

void process_start(struct process *process, sandbox_done *done, void *context);
/* In state creating it interrupts the creation, whatever the signal. */
void process_kill(struct process *process, uint32_t signal, bool all, sandbox_done *done, void *context);
/* Removes the process; `done` gets its last status (borrowed) where error is NULL. */
typedef void process_deleted(void *context, struct error *error, const struct process_status *status);
void process_delete(struct process *process, process_deleted *done, void *context);
/* Answers when the exit has been reported, at once where it was before. */
typedef void process_waited(void *context, const struct process_status *status);
void process_wait(struct process *process, process_waited *done, void *context);
void process_resize(
    struct process *process, uint32_t rows, uint32_t columns, sandbox_done *done, void *context);
struct error *process_close_input(struct process *process);

/* ---- a container, named by its first process; for an exec they answer UNIMPLEMENTED ---- */

struct error *process_add_exec(struct process *process, const struct sandbox_exec *exec);
void process_pause(struct process *process, sandbox_done *done, void *context);
void process_resume(struct process *process, sandbox_done *done, void *context);
/* JSON of runtime-spec's LinuxResources. */
void process_update(
    struct process *process, const char *resources, size_t length, sandbox_done *done, void *context);
typedef void process_stats_done(
    void *context, struct error *error, const Grpc__StatsContainerResponse *response);
void process_stats(struct process *process, process_stats_done *done, void *context);
/* Calls `each` for the first process and for every exec that lives. */
void process_list(
    struct process *process, void (*each)(void *context, const struct process_status *status), void *context);
