/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `caisson setup containerd` does to containerd's configuration.
 *
 * Where a CRI plugin's section stands in several files, containerd 1.6 and 1.7 take the one that they read
 * last as a whole, so a drop-in of ours would take the place of the administrator's section. Therefore the
 * runtimes are added to the end of the file that has the section already, between two marking comments, and
 * nothing else in it is touched. docs/configuration.md tells more.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* A file that is to be another one. */
struct setup_change {
    char *path;
    char *before; /* NULL: there is no such file */
    char *after;  /* NULL: remove it */
    bool main;    /* the file that containerd is told of */
};

struct setup_plan {
    struct setup_change *changes;
    size_t change_count;
    char **notes; /* sentences for the user */
};

/* ---- setup_plan.c ---- */

/* What has to change in the configuration that begins with this file, so that it has the handlers (names end
   with NULL), or, with `undo`, nothing of ours. No change: all is well. */
struct error *setup_plan_make(
    const char *file, const char *const *handlers, bool undo, struct setup_plan **ret_plan);
/* Takes NULL. */
void setup_plan_free(struct setup_plan *plan);

DEFINE_CLEANUP(struct setup_plan *, setup_plan_free);
#define _cleanup_setup_plan_ _cleanup_(setup_plan_free)

/* ---- setup_block.c ---- */

/* A file's text around what we added to it. */
struct setup_parts {
    char *head; /* as it was before us */
    char *tail;
    bool found;     /* there is a block of ours */
    bool made_file; /* the file is ours altogether */
};

/* INVALID_ARGUMENT with "NAME:LINE: " where the marks do not match. */
struct error *setup_parts_read(const char *name, const char *text, struct setup_parts *ret_parts);
void setup_parts_clear(struct setup_parts *parts);

/* How a version of containerd's configuration calls the plugin that has the runtimes; NULL for an unknown
   version. */
const char *setup_plugin(int version);

struct setup_block {
    int version;
    bool say_version; /* the file has nothing yet, not even its version */
    bool with_runc;   /* containerd 1.x knows no runtime but those that are listed */
    const char *const *handlers;
};
/* The text with the block in its place. */
char *setup_block_insert(const struct setup_parts *parts, bool file_exists, const struct setup_block *block);

/* ---- setup_diff.c ---- */

/* As diff -u would show it; "" for equal texts. Texts may be NULL. */
char *setup_diff(const char *path, const char *before, const char *after);

/* ---- setup_links.c ---- */

/* Where the shims have to be for containerd to find them: in the directories that services search. What is
   missing is linked in the directory, and with `undo` what was linked there is removed. */
struct setup_links {
    const char *shim;      /* path of containerd-shim-caisson-v2 */
    const char *directory; /* for links */
    bool undo;
    bool dry_run;
};

struct setup_links_result {
    char **notes;     /* sentences for the user, owned by the caller */
    unsigned actions; /* links made or removed, or to be */
    bool kata;        /* containerd-shim-kata-v2 is, or is to be, this program */
};
struct error *setup_links_make(const struct setup_links *links, struct setup_links_result *result);
