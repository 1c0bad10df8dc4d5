/* SPDX-License-Identifier: Apache-2.0 */
/* The file server of a machine: one virtiofsd, confined, with all shared trees. */
#pragma once

#include "base/error.h"
#include "hv/programs.h"

#include <event2/event.h>
#include <stddef.h>
#include <sys/types.h>

/* Where the server has what it shares. */
#define SHARE_TREE "/shared"

/* One shared tree: `source` appears as `target` below the root of the share ("/3", "/4/name"). */
struct share_entry {
    char *source;
    char *target;
    bool read_only;
};

struct share;

/* The reason is borrowed. The share may be freed from here. */
typedef void share_failed(void *context, const struct error *reason);

/* Starts it. *ret_socket is connected for vhost-user and the caller's; when it closes, the server ends.
   `directory` holds a socket until this returns. Without entries, the tree is an empty directory that the
   server cannot write to, and mounts come and go below it (mounter.h). */
struct error *share_new(struct event_base *base, const char *directory, const struct share_entry *entries,
    size_t count, share_failed *failed, void *context, struct share **ret_share, int *ret_socket);
pid_t share_process(const struct share *share);
/* Ends and reaps the server. Takes NULL. */
void share_free(struct share *share);

/* Pure: its command line, given where it is. */
char **share_arguments(const struct virtiofsd_program *program);
