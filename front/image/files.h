/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that make up an image before it is converted: of an OCI layout directory, or of an archive.
 */
#pragma once

#include "image/progress.h"

#include <stddef.h>

struct files;

/* An OCI layout directory. */
struct error *files_open_directory(const char *path, struct files **ret_files);
/* An archive, compressed or not; "-" is standard input. What cannot be read again in place, a pipe or a
   compressed archive, is copied to a file in `temporary`, a directory of the caller's. */
struct error *files_open_archive(
    const char *path, const char *temporary, struct progress *progress, struct files **ret_files);
void files_free(struct files *files);
DEFINE_CLEANUP(struct files *, files_free);
#define _cleanup_files_ _cleanup_(files_free)

/* Opens a file by its name in the layout or archive; links inside of it are followed. NOT_FOUND where there
   is none. The descriptor is the caller's, stands at the file's first byte and may go on behind its last. One
   at a time: those of an archive share their position. */
struct error *files_open(const struct files *files, const char *name, int *ret_fd, uint64_t *ret_size);
/* The whole of a small file. */
struct error *files_read(
    const struct files *files, const char *name, size_t limit, char **ret_text, size_t *ret_length);
bool files_has(const struct files *files, const char *name);
