/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Well-known benchmarks that the host may have: sysbench and fio go into the root file system of every
 * container, with the libraries that they load, so that the same machine code runs everywhere; wrk stays on
 * the host. One that is missing is told of where its figures would stand.
 */
#pragma once

#include "compare/launch.h"

#include <jansson.h>

enum tool { TOOL_SYSBENCH, TOOL_FIO, TOOL_WRK, TOOL_COUNT };

struct toolbox {
    char *loader; /* in the container: the dynamic loader that starts them; NULL: none was copied */
    char *missing[TOOL_COUNT]; /* why it cannot be used; NULL where it can */
    char *versions[TOOL_COUNT];
};

/* Finds them, and copies those that run inside to TOOLS_DIRECTORY below the root file system. A missing one
   is no error, nor is one that cannot be copied: the toolbox says so. CANCELLED after a signal. */
struct error *toolbox_fill(
    struct launcher *launcher, const char *rootfs, const bool wanted[TOOL_COUNT], struct toolbox *ret_box);
void toolbox_clear(struct toolbox *box);
/* {"fio": "fio-3.33", "wrk": "is not installed ..."}, owned by the caller. */
json_t *toolbox_describe(const struct toolbox *box);

/* The program of a container that runs it, borrowed from the box, and the arguments before its own. */
const char *toolbox_command(const struct toolbox *box, enum tool tool, char ***ret_arguments);

/* Pure: from what ldd prints, the paths of the libraries; the loader, which has no name before it, is the
   first. NULL where the program needs none. */
char **libraries_of(const char *ldd_output);

#define TOOLS_DIRECTORY "/tools"
