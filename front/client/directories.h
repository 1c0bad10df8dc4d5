/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are kept, and where our other programs are.
 *
 * data   survives a reboot: images, container records, logs, volumes.
 *        $CAISSON_DATA, else /var/lib/caisson (root), else $XDG_DATA_HOME/caisson (~/.local/share/caisson).
 * state  does not: bundles and sockets.
 *        $CAISSON_STATE, else /run/caisson (root), else $XDG_RUNTIME_DIR/caisson, else /tmp/caisson-UID,
 *        which must then be a directory of ours that nobody else may enter.
 *
 *     DATA/containers/ID/   container.json, log, lock           DATA/names/NAME     link to the id
 *     DATA/volumes/NAME/    named and anonymous volumes         STATE/containers/ID the bundle
 */
#pragma once

#include "base/error.h"

struct directories {
    char *data;
    char *state;
};

/* Finds both and creates what is missing. */
struct error *directories_open(struct directories **ret_directories);
/* Takes NULL. */
void directories_free(struct directories *directories);

DEFINE_CLEANUP(struct directories *, directories_free);
#define _cleanup_directories_ _cleanup_(directories_free)

/* STATE/containers/ID */
char *directories_bundle(const struct directories *directories, const char *id);
/* DATA/containers/ID */
char *directories_record(const struct directories *directories, const char *id);
/* DATA/containers/ID/FILE */
char *directories_record_file(const struct directories *directories, const char *id, const char *file);

/* The absolute path of this program. */
struct error *program_self(char **ret_path);
/* $CAISSON_SHIM, else containerd-shim-caisson-v2 beside this program, in ../bin or in PATH. */
struct error *program_shim(char **ret_path);
