/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hypervisors behind one table.
 *
 * A machine is described by a struct hv_config, made by hv_new, and from then on the caller does not know
 * which hypervisor it has; what one cannot do is a missing capability bit, and calling it answers
 * UNIMPLEMENTED. All calls return at once; what takes time is told by a callback from the event loop.
 *
 * State: created -> starting -> running <-> paused -> stopped. docs/states.md has the table of what each
 * allows.
 */
#pragma once

#include "base/error.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum hv_capability {
    HV_PAUSE = 1u << 0,
    HV_SNAPSHOT = 1u << 1,     /* save and restore */
    HV_ATTACH_DISK = 1u << 2,  /* disks while running */
    HV_SHARE = 1u << 3,        /* virtio-fs */
    HV_USER_NETWORK = 1u << 4, /* outgoing connections and published ports without privileges */
    HV_TAP = 1u << 5,
};

/* The guest sees disks as /dev/vda, /dev/vdb, ... in this order. A read-only image may be used by any number
   of machines at once. */
struct hv_disk {
    const char *path; /* the image, or NULL: fd is it */
    int fd; /* used where path is NULL: open for what read_only says; duplicated, stays the caller's */
    bool read_only;
};

/* A virtio-fs device. */
struct hv_share {
    const char *tag; /* mount -t virtiofs TAG */
    int socket;      /* connected to the file server (vhost-user); duplicated, stays the caller's */
};

enum hv_network_kind { HV_NETWORK_NONE, HV_NETWORK_USER };

struct hv_port {
    bool udp;
    const char *host_address; /* NULL: all */
    uint16_t host_port;
    uint16_t guest_port;
};

/* With HV_NETWORK_USER the guest has 10.0.2.15/24, the gateway 10.0.2.2 and a name server at 10.0.2.3. */
struct hv_network {
    enum hv_network_kind kind;
    const struct hv_port *ports;
    size_t port_count;
    uint8_t mac[6];
};

/* Borrowed during hv_new only. */
struct hv_config {
    const char *name;      /* sandbox id; shows in process titles and errors */
    const char *directory; /* existing and private to this machine; hv_free removes what it made there */
    const char *kernel;    /* vmlinux with a PVH note */
    const char *initrd;
    const char *append; /* more kernel parameters, or NULL */
    unsigned vcpus;
    uint64_t memory; /* bytes */
    const struct hv_disk *disks;
    size_t disk_count;
    const struct hv_share *shares;
    size_t share_count;
    struct hv_network network;
    bool debug; /* keep the guest's console verbose */
};

struct hv;

struct hv_events {
    /* A machine that had started has ended, by itself or by hv_stop. NULL: orderly power-off or hv_stop. The
       reason is borrowed and is a sentence for users, with the last lines of the guest's console where the
       guest panicked. A machine that ends while it starts says so through hv_start's `done` instead. */
    void (*stopped)(void *context, const struct error *reason);
};

/* error NULL on success; otherwise owned by the callee. */
typedef void hv_done(void *context, struct error *error);

/* When the phases of a start were reached, in microseconds since hv_start; 0: not yet. */
struct hv_timings {
    uint64_t spawned; /* the hypervisor's process runs */
    uint64_t monitor; /* it answers commands */
    uint64_t console; /* first output of the guest's kernel */
    uint64_t ready;   /* the agent answered */
};

struct hv_ops {
    const char *name; /* "qemu-tcg", "qemu-kvm" */
    unsigned capabilities;
    struct error *(*create)(struct event_base *base, const struct hv_config *config,
        const struct hv_events *events, void *context, struct hv **ret_hv);
    void (*start)(struct hv *hv, hv_done *done, void *context);
    void (*pause)(struct hv *hv, hv_done *done, void *context);
    void (*resume)(struct hv *hv, hv_done *done, void *context);
    struct error *(*connect)(struct hv *hv, uint32_t port, int *ret_fd, uint32_t *ret_host_port);
    void (*stop)(struct hv *hv);
    pid_t (*process)(const struct hv *hv);
    void (*timings)(const struct hv *hv, struct hv_timings *ret_timings);
    char *(*console)(const struct hv *hv);
    void (*destroy)(struct hv *hv);
};

/* First member of each hypervisor's own struct. */
struct hv {
    const struct hv_ops *ops;
};

/* The known hypervisors by name; NULL where there is none. */
const struct hv_ops *hv_by_name(const char *name);

/* Checks the configuration and prepares; nothing runs yet. */
struct error *hv_new(const struct hv_ops *ops, struct event_base *base, const struct hv_config *config,
    const struct hv_events *events, void *context, struct hv **ret_hv);
/* Starts the machine; done when the guest's agent answers on its link, which is its first act. Once only. */
void hv_start(struct hv *hv, hv_done *done, void *context);
void hv_pause(struct hv *hv, hv_done *done, void *context);
void hv_resume(struct hv *hv, hv_done *done, void *context);
/* A connected stream socket to a port of the guest, after a successful start. ret_host_port (may be NULL) is
   the number by which the guest knows this connection. A port nobody listens on shows as end of file. */
struct error *hv_connect(struct hv *hv, uint32_t port, int *ret_fd, uint32_t *ret_host_port);
/* Ends the machine at once; `stopped` follows. */
void hv_stop(struct hv *hv);
/* The hypervisor's process, for cgroups and measurements; 0 when there is none. */
pid_t hv_process(const struct hv *hv);
void hv_timings(const struct hv *hv, struct hv_timings *ret_timings);
/* The last output of the guest's console (at most 16 KiB, printable), owned by the caller. */
char *hv_console(const struct hv *hv);
/* Kills and reaps what is left, without calling back, and removes the files it made. Takes NULL. */
void hv_free(struct hv *hv);

DEFINE_CLEANUP(struct hv *, hv_free);
