/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a machine and a container come to be: one list of steps, each done asynchronously, each undone, last
 * first, when a later one fails or the creation is interrupted.
 *
 * A step is the machine's or the container's. The first container's creation walks all of them, because what
 * it needs (disks, shares, its network) has to be known before the machine starts; a later container's walks
 * its own only; sandbox_start walks the machine's only, and its creation has no container. One creation is
 * under way at a time; the others wait their turn in sandbox->creations.
 */
#pragma once

#include "hv/template.h"
#include "sandbox/model.h"

/* Locally administered; the guest's only one. */
#define GUEST_MAC                          \
    {                                      \
        0x02, 0xca, 0x15, 0x50, 0x00, 0x01 \
    }

struct creation {
    struct sandbox *sandbox;
    struct container *container; /* NULL: a machine without one (sandbox_start) */
    struct process *process;     /* the container's first */
    bool with_machine;           /* decided when its turn comes */
    bool begun;                  /* its turn has come */
    size_t step;                 /* index of the one under way */
    bool waiting;                /* the step's answer has not come */
    bool undone;                 /* what comes now comes too late */
    bool orphaned;               /* only kept until the agent's late answer */
    struct error *result;        /* of the step, between its answer and the next turn of the loop */
    struct event *step_soon;
    TAILQ_ENTRY(creation) entry; /* of sandbox->creations, until it is decided */
    sandbox_done *done;
    void *context;
    struct sandbox_mount *rootfs; /* owned copies */
    size_t rootfs_count;
    Grpc__Spec *spec;     /* of the container; of sandbox_start: a pod's, without a process */
    char *config_path;    /* ConfigPath of the runtime's options; or NULL */
    char **dns;           /* lines of resolv.conf that sandbox_start was given */
    char **shared_memory; /* mount options of the pod\'s /dev/shm */
    struct guest_mounts *mounts;
    struct stdio_ports ports;
    uint64_t machine_began;          /* as timeline_now */
    const struct hv_ops *hypervisor; /* chosen for the machine, and why */
    char *hypervisor_reason;
    struct template_request *template_request; /* until it is answered */
    struct template *template;                 /* that the machine starts from; NULL: it boots */
    bool restore_failed;                       /* it did not start from it, and boots instead */
    size_t copy_mount;                         /* index of the mount whose file is being copied */
};

enum creation_part {
    CREATION_CONTAINER, /* for every container */
    CREATION_MACHINE,   /* for the first one, and for sandbox_start */
    CREATION_ATTACH,    /* for a container whose machine runs already */
};

struct creation_step {
    const char *name; /* what it is doing, for errors: "starting the virtual machine" */
    const char *mark; /* for the timeline, when done; or NULL */
    enum creation_part part;
    bool asks_agent;
    /* Ends in creation_step_done, now or later. */
    void (*start)(struct creation *creation);
    void (*undo)(struct creation *creation); /* also when `start` has failed half-way; or NULL */
};

extern const struct creation_step creation_steps[];
extern const size_t creation_step_count;

/* The agent's messages for them: an array that ends with NULL and borrows its strings. */
Grpc__Storage **creation_storages(const struct storage_mount *mounts, size_t count);
void creation_storages_free(Grpc__Storage **storages);
DEFINE_CLEANUP(Grpc__Storage **, creation_storages_free);

/* Whether a pod's machine is being made. */
bool creation_is_of_pod(const struct creation *creation);
/* What a pod's containers share in memory, appended to such an array: its /dev/shm for the sandbox, its
   volumes in memory for a container. */
void creation_add_shared_memory(struct creation *creation, Grpc__Storage ***storages, size_t *count);
void creation_add_volumes(struct creation *creation, Grpc__Storage ***storages, size_t *count);

/* Of a container of a pod without a pause container: what the pod has for it, into its configuration as the
   guest gets it. */
void creation_add_pod_files(struct creation *creation);

/* The unix sockets of the host that the container mounts: their ports, and what the agent is told of them,
   appended to such an array. */
struct error *creation_open_host_sockets(struct creation *creation);
void creation_add_host_sockets(const struct creation *creation, Grpc__Storage ***storages, size_t *count);

/* Takes the error. */
void creation_step_done(struct creation *creation, struct error *error);
/* The same as a ttrpc_done. */
void creation_call_done(void *creation, struct error *error, const ProtobufCMessage *response);

/* The steps that live in files of their own. */
void creation_make_storage(struct creation *creation);
void creation_release_storage(struct creation *creation);
void creation_add_storage(struct creation *creation);
void creation_remove_storage(struct creation *creation);
void creation_scan_network(struct creation *creation);
void creation_leave_network(struct creation *creation);
void creation_set_up_network(struct creation *creation);

/* The machine's configuration without what make_machine adds: disks, cards and growth as they are known. */
struct hv_config creation_machine_config(struct creation *creation);
void creation_choose_hypervisor(struct creation *creation);
void creation_find_template(struct creation *creation);
void creation_release_template(struct creation *creation);
/* The machine did not start from it: nobody else is to try. Takes the error. */
void creation_give_up_template(struct creation *creation, struct error *error);
/* A machine that starts from a template: gives the guest random numbers and a clock of its own. */
void creation_renew_guest(struct creation *creation);

/* Puts the cards of the sandbox's network namespace into the machine's configuration, as far as there is
   room for the ones in reserve. */
void creation_add_nics(struct sandbox *sandbox, const struct hv_ops *ops, struct hv_config *config);
void creation_copy_files(struct creation *creation);
void creation_enter_cgroup(struct creation *creation);
void creation_leave_cgroup(struct creation *creation);
/* For a later container. */
void creation_adapt_cgroup(struct creation *creation);
/* Nothing is left to be started in there. */
void creation_step_out_of_cgroup(struct creation *creation);
void creation_make_stand_in(struct creation *creation);
void creation_remove_stand_in(struct creation *creation);
void creation_run_host_hooks(struct creation *creation);
void creation_undo_host_hooks(struct creation *creation);
void creation_show_root(struct creation *creation);
/* Where the network namespace of the container's stand-in is found; NULL where it has none of its own. Owned
   by the caller. */
char *creation_stand_in_network(const struct creation *creation);
