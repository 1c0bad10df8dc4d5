/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a containerd configuration in the order in which containerd reads them, each without what we
 * added to it before.
 */
#pragma once

#include "cli/setup.h"
#include "cli/setup_toml.h"

#define SETUP_FILES_MAX 64
/* plugins, PLUGIN, containerd, runtimes */
#define SETUP_RUNTIMES_DEPTH 4

struct setup_file {
    char *path; /* links resolved */
    char *text; /* as it is; "" where there is none */
    bool exists;
    struct setup_parts parts;
    struct toml *toml; /* of what is not ours */
    int version;       /* 0: it has nothing at all; 1 where it does not say */
    char **runtimes;   /* path of its table of runtimes; NULL for a version before 2 */
};

struct setup_files {
    struct setup_file *files;
    size_t count;
};

struct error *setup_files_read(const char *main_file, struct setup_files **ret_files);
/* The statement of that path, the last one, or NULL. */
const struct toml_statement *setup_file_find(const struct setup_file *file, char *const *path);
/* Takes NULL. */
void setup_files_free(struct setup_files *files);

DEFINE_CLEANUP(struct setup_files *, setup_files_free);
#define _cleanup_setup_files_ _cleanup_(setup_files_free)
