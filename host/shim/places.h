/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the shim's files are.
 *
 *   state      $CAISSON_STATE, else /run/caisson (root), else $XDG_RUNTIME_DIR/caisson, else /tmp/caisson-UID
 *   data       $CAISSON_DATA, else /var/lib/caisson (root), else $XDG_DATA_HOME/caisson,
 *              else ~/.local/share/caisson
 *   sandbox    STATE/sandboxes/HASH, of who started it (the address of containerd: there may be several with
 *              the same names), namespace and sandbox id. A hash, because a unix socket's path must be short.
 *   shim.sock  there, the Task service
 *   lock       there, held (flock) while the shim lives, with its pid as the text
 *   kernel     $CAISSON_KERNEL, else lib/caisson/vmlinux beside the program's bin
 *   initrd     $CAISSON_INITRD, else lib/caisson/initrd there
 *   templates  $CAISSON_TEMPLATES, else as the class has it
 */
#pragma once

#include "base/error.h"

struct places {
    char *data;
    char *sandbox;
    char *socket;
    char *lock;
    char *kernel;
    char *initrd;
    char *templates; /* or NULL */
};

/* Names them; makes nothing. FAILED_PRECONDITION where an environment names no place. */
struct error *places_find(
    const char *address, const char *namespace, const char *sandbox_id, struct places **ret_places);
/* Makes the sandbox's directory, private, and the data directory. */
struct error *places_make(const struct places *places);
/* Takes NULL. */
void places_free(struct places *places);

DEFINE_CLEANUP(struct places *, places_free);
#define _cleanup_places_ _cleanup_(places_free)

/* The sandbox that a container of this bundle belongs to: what containerd's CRI and CRI-O say in the
   annotations of config.json, else the container's own id. Owned by the caller. */
char *places_sandbox_of(const char *bundle, const char *container_id);
