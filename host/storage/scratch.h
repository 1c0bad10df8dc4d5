/* SPDX-License-Identifier: Apache-2.0 */
/* A sparse disk with an empty ext4 file system, for what a container writes. */
#pragma once

#include "base/process.h"

#include <stdint.h>

struct scratch;

/* error NULL on success; otherwise owned by the callee. fd is the callee's. */
typedef void scratch_done(void *context, struct error *error, int fd);

/* Makes the disk in the directory; the file has no name there. `done` is called from the event loop. */
struct error *scratch_new(struct event_base *base, const char *directory, uint64_t size, scratch_done *done,
    void *context, struct scratch **ret_scratch);
/* The same file system, with a journal, on a file that is to stay: for a snapshotter that has it made when it
   is first used. Takes the descriptor, and gives it to `done`. */
struct error *scratch_format(
    struct event_base *base, int fd, scratch_done *done, void *context, struct scratch **ret_scratch);
/* Ends what is still going on. Takes NULL. */
void scratch_free(struct scratch *scratch);
