/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a process is: the Spec's numbers, or what the image's USER said, looked up in the container's own
 * /etc/passwd and /etc/group. Those files are a stranger's: what is not a well-formed line is skipped, and
 * files beyond IDENTITY_FILE_MAX are refused.
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stddef.h>
#include <sys/types.h>

#define IDENTITY_FILE_MAX (4u << 20)
#define IDENTITY_GROUPS_MAX 4096

struct identity {
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* supplementary */
    size_t group_count;
    char *home; /* NULL: /etc/passwd says nothing of the user */
};

void identity_clear(struct identity *identity);
#define _cleanup_identity_ __attribute__((cleanup(identity_clear)))

/* The texts are those of the two files; NULL where there is none. username has one of the forms "name", "id",
   "name:group", "id:id"; without a group the user's own and all that list the user are taken. Empty:
   the numbers of `user` count. additional_gids are added in each case. */
struct error *identity_resolve(
    const Grpc__User *user, const char *passwd, const char *group, struct identity *ret_identity);

/* From the files of the process' own root. */
struct error *identity_look_up(const Grpc__User *user, struct identity *ret_identity);
