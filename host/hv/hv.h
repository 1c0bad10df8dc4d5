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
    HV_SNAPSHOT = 1u << 1,     /* hv_config.snapshot and hv_save */
    HV_ATTACH_DISK = 1u << 2,  /* disks while running, where hv_config.hot_disks asked for it */
    HV_SHARE = 1u << 3,        /* virtio-fs */
    HV_USER_NETWORK = 1u << 4, /* outgoing connections and published ports without privileges */
    HV_TAP = 1u << 5,          /* network cards on tap devices */
    HV_GROW = 1u << 6,         /* memory_max and vcpus_max */
    HV_IDLE_VCPUS = 1u << 7,   /* vcpus_max costs next to nothing until they come */
};

/* The guest sees disks as /dev/vda, /dev/vdb, ... in this order. A read-only image may be used by any number
   of machines at once. */
struct hv_disk {
    const char *path; /* the image, or NULL: fd is it */
    int fd; /* used where path is NULL: open for what read_only says; duplicated, stays the caller's */
    bool read_only;
    bool durable; /* outlives the machine: its flushes reach the host's disk */
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

/* A network card on a tap device, which the guest knows by its hardware address. */
struct hv_nic {
    int fd; /* of the tap, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR; duplicated, stays the caller's */
    uint8_t mac[6];
};

/* With HV_NETWORK_USER the guest has 10.0.2.15/24, the gateway 10.0.2.2 and a name server at 10.0.2.3. */
struct hv_network {
    enum hv_network_kind kind;
    const struct hv_port *ports;
    size_t port_count;
    uint8_t mac[6];
    const struct hv_nic *nics; /* beside it */
    size_t nic_count;
};

/*
 * A machine that was saved before any container came to it, and that others start from (HV_SNAPSHOT). What it
 * has is its memory, its processors and the link; disks and network cards are those of the one that starts,
 * whose agent looks for them when the host greets it anew. Machines with shares or room to grow have none.
 */
struct hv_snapshot {
    const char *memory; /* a file of hv_config.memory bytes */
    int state; /* of the devices, read from its beginning; duplicated. The machine starts from it, and what it
                  writes into its memory stays its own. -1: it boots and has the file itself as its memory,
                  for hv_save. */
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
    /*
     * What the machine can grow to while it runs (HV_GROW); 0, or no more than the above: it stays as it is.
     * Until it has grown, the rest costs the host next to nothing. The growth itself is the guest's doing:
     *   memory  MemHotplugByProbe with hv_memory_address of each further block. Where memory_max is the
     *           larger one, both are rounded up to whole blocks of HV_MEMORY_BLOCK bytes, and the guest
     *           starts with the first `memory` bytes.
     *   vCPUs   OnlineCPUMem with nb_cpus, the number of further ones, and cpu_only. Emulated processors
     *           share one thread of the host, so ask for more only where the guest is to see them.
     */
    unsigned vcpus_max;
    uint64_t memory_max;
    bool hot_disks; /* disks can come and go while it runs (HV_ATTACH_DISK); costs a controller */
    const struct hv_disk *disks;
    size_t disk_count;
    const struct hv_share *shares;
    size_t share_count;
    struct hv_network network;
    bool debug;                         /* keep the guest's console verbose */
    const struct hv_snapshot *snapshot; /* NULL: the machine boots and is never saved */
};

struct hv;

/* A connection through the machine's link is over, or was refused (`reset`); its socket is closed. Not called
   when the machine ends or is freed: that ends all of them. */
typedef void hv_joined_over(void *context, bool reset);

/* A socket for one connection of the guest's. */
struct hv_joined {
    int socket; /* connected stream socket; the machine's from then on */
    hv_joined_over *over;
    void *context;
};

struct hv_events {
    /* A machine that had started has ended, by itself or by hv_stop. NULL: orderly power-off or hv_stop. The
       reason is borrowed and is a sentence for users, with the last lines of the guest's console where the
       guest panicked. A machine that ends while it starts says so through hv_start's `done` instead. */
    void (*stopped)(void *context, const struct error *reason);
    /* The guest opened a connection to `port` of the host, a number that it is free to make up. True: it is
       joined to the socket; false, or NULL here: it is refused. */
    bool (*incoming)(void *context, uint32_t port, struct hv_joined *ret_joined);
};

/* error NULL on success; otherwise owned by the callee. */
typedef void hv_done(void *context, struct error *error);

/* The unit in which a guest's memory grows: a section of Linux's memory map on x86-64. */
#define HV_MEMORY_BLOCK (UINT64_C(128) << 20)

/* Disks that one machine can have attached at a time. */
#define HV_HOT_DISKS_MAX 64

/* error NULL: the machine has the disk, and its guest is being told. The address ("0:7": SCSI target and
   unit) is borrowed: it is the `source` of the agent's storage driver "scsi", which waits for the device, and
   names the disk to hv_detach_disk. Otherwise the error is owned by the callee and the address is NULL. */
typedef void hv_attached(void *context, struct error *error, const char *address);

/* When the phases of a start were reached, in microseconds since hv_start; 0: not yet. */
struct hv_timings {
    uint64_t spawned;  /* the hypervisor's process runs */
    uint64_t monitor;  /* it answers commands */
    uint64_t console;  /* first output of the guest's kernel */
    uint64_t restored; /* it has the state of the snapshot that it starts from */
    uint64_t ready;    /* the agent answered */
};

struct hv_ops {
    const char *name; /* "caisson-vmm", "qemu-kvm", "qemu-tcg" */
    unsigned capabilities;
    struct error *(*identity)(char **ret_text);
    size_t (*room)(const struct hv_config *config);
    struct error *(*create)(struct event_base *base, const struct hv_config *config,
        const struct hv_events *events, void *context, struct hv **ret_hv);
    void (*start)(struct hv *hv, hv_done *done, void *context);
    void (*pause)(struct hv *hv, hv_done *done, void *context);
    void (*resume)(struct hv *hv, hv_done *done, void *context);
    void (*attach_disk)(struct hv *hv, const struct hv_disk *disk, hv_attached *done, void *context);
    void (*detach_disk)(struct hv *hv, const char *address, hv_done *done, void *context);
    void (*save)(struct hv *hv, int fd, hv_done *done, void *context);
    uint64_t (*memory_address)(const struct hv *hv, uint64_t offset);
    struct error *(*connect)(struct hv *hv, uint32_t port, int *ret_fd, uint32_t *ret_host_port);
    struct error *(*join)(struct hv *hv, uint32_t port, const struct hv_joined *joined);
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

/* What a snapshot depends on of the hypervisor: its program, as it is now, and the processor that the guest
   sees. One line, owned by the caller. UNIMPLEMENTED without HV_SNAPSHOT. */
struct error *hv_identity(const struct hv_ops *ops, char **ret_text);
/* How many more devices such a machine could have than the configuration asks for. */
size_t hv_room(const struct hv_ops *ops, const struct hv_config *config);
/* Checks the configuration and prepares; nothing runs yet. */
struct error *hv_new(const struct hv_ops *ops, struct event_base *base, const struct hv_config *config,
    const struct hv_events *events, void *context, struct hv **ret_hv);
/* Starts the machine; done when the guest's agent answers on its link, which is its first act. Once only. */
void hv_start(struct hv *hv, hv_done *done, void *context);
void hv_pause(struct hv *hv, hv_done *done, void *context);
void hv_resume(struct hv *hv, hv_done *done, void *context);
/* Gives the running or paused machine another disk; the descriptor or path is used before this returns.
   UNIMPLEMENTED without HV_ATTACH_DISK, FAILED_PRECONDITION without hot_disks or when it does not run,
   RESOURCE_EXHAUSTED beyond HV_HOT_DISKS_MAX. `done` may be called before this returns; it is called once,
   with ABORTED when the machine ends first, and not at all after hv_free. */
void hv_attach_disk(struct hv *hv, const struct hv_disk *disk, hv_attached *done, void *context);
/* Takes it away, whether the guest still uses it or not: have the agent unmount it first. When `done` is
   called, the image is closed, also because the machine has ended. NOT_FOUND for an address that is none.
   Otherwise as hv_attach_disk. */
void hv_detach_disk(struct hv *hv, const char *address, hv_done *done, void *context);
/* For a running machine with hv_config.snapshot: stops it once its agent waits for requests, and writes the
   state of its devices to fd, which is used before this returns. Afterwards it can only be freed. ABORTED
   when it ends first; not called after hv_free. */
void hv_save(struct hv *hv, int fd, hv_done *done, void *context);
/* The guest's physical address of the byte at this offset of its memory: what MemHotplugByProbe wants for
   offsets from the guest's current size on, one for each HV_MEMORY_BLOCK. */
uint64_t hv_memory_address(const struct hv *hv, uint64_t offset);
/* A connected stream socket to a port of the guest, after a successful start. ret_host_port (may be NULL) is
   the number by which the guest knows this connection. A port nobody listens on shows as end of file. */
struct error *hv_connect(struct hv *hv, uint32_t port, int *ret_fd, uint32_t *ret_host_port);
/* The same for a connected stream socket of the caller's, which is closed when both directions are over, or
   where this fails (then `over` is not called). */
struct error *hv_join(struct hv *hv, uint32_t port, const struct hv_joined *joined);
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
