/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confinement of helper processes (the virtual machine monitor, the file server).
 *
 * A helper that is started through a jail has namespaces of its own (mount, pid, ipc, uts, and net unless it
 * needs the host's), a read-only root that holds the system's programs and libraries and what it was given
 * by name, no privileges (no_new_privs, no capabilities but the listed ones), resource limits, and dies with
 * its parent. For root that is done with root's rights and then the helper gets a user id of its own; for an
 * ordinary user the same is done inside a user namespace.
 *
 * Where the kernel allows ordinary users no user namespace, a helper runs with no_new_privs and the limits
 * only; jail_complete says so.
 */
#pragma once

#include "base/error.h"
#include "base/process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define JAIL_BINDS_MAX 128

/* A file or directory of the host inside the jail, with all mounts below it. */
struct jail_bind {
    const char *source;
    const char *target; /* absolute; NULL: as source. Missing parents are made. */
    bool writable;
};

struct jail_config {
    const char *name;              /* for errors: "the file server" */
    const char *program;           /* resolved path; its installation is made visible */
    const struct jail_bind *binds; /* in order: later ones may lie inside earlier ones */
    size_t bind_count;
    const char *const *devices; /* device nodes: "/dev/kvm" */
    size_t device_count;
    const char
        *empty; /* a small tmpfs that the helper cannot write to, for mounts that come later; or NULL */
    bool host_network;
    bool proc;       /* has /proc, of its own processes only */
    unsigned seed;   /* root only: chooses the user id among 65,536 that belong to nobody */
    bool serve_root; /* stays root of its world, with the capabilities below: serves files of any owner */
    uint64_t capabilities; /* bits of CAP_*, with serve_root */
    unsigned files;        /* RLIMIT_NOFILE */
};

struct jail;

struct error *jail_new(const struct jail_config *config, struct jail **ret_jail);
/* Takes NULL. */
void jail_free(struct jail *jail);
/* False: this user can only have a part of it; *ret_reason (may be NULL) is borrowed and static. */
bool jail_complete(const char **ret_reason);

/* Starts the program: as process_spawn, with its prepare and namespaces decided here. */
struct error *jail_spawn(struct jail *jail, const struct process_options *options, pid_t *ret_pid);

DEFINE_CLEANUP(struct jail *, jail_free);
