/* SPDX-License-Identifier: Apache-2.0 */
/*
 * containerd's mounts, read: what mount(2) is to be called with. Pure.
 *
 * A mount's type is what is mounted, with the transformations that come first in front of it:
 * "format/mkdir/overlay" is an overlay, some of whose directories are made first, and whose options name
 * places of earlier mounts in a template (containerd's docs/mounts.md):
 *
 *     {{ mount 0 }}       where mount 0 is
 *     {{ source 0 }}      what was mounted there
 *     {{ overlay 1 3 }}   where mounts 1 to 3 are, joined by colons; {{ overlay 3 1 }} the other way round
 */
#pragma once

#include "base/error.h"
#include "storage/storage.h"

/* A directory that has to be there first; an owner of -1 is whoever makes it. */
struct mount_directory {
    char *path;
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

struct mount_call {
    char *type;
    char *source;
    char *target; /* below the root file system; NULL: the root itself */
    unsigned long flags;
    char *data;
    char *base; /* the working directory that paths in data are relative to, or NULL */
    bool loop;  /* the source is a file with a file system in it */
    struct mount_directory *directories;
    size_t directory_count;
};

/* `places` are those of all mounts; this one may speak of those before `index`. UNIMPLEMENTED names what
   cannot be done. */
struct error *mount_call_read(
    const struct storage_source *sources, size_t index, char *const *places, struct mount_call *ret_call);
void mount_call_clear(struct mount_call *call);

/* The part of a type behind its transformations; borrowed. */
const char *mount_type(const char *type);
/* Whether "format/mkdir/overlay" has this one in front. */
bool mount_type_has(const char *type, const char *transformation);
bool mount_has_option(const struct storage_source *source, const char *option);
/* What follows the prefix in the first option that begins so; NULL where none does. Borrowed. */
const char *mount_option_value(const struct storage_source *source, const char *prefix);
/* Fills in a template. */
struct error *mount_template(const char *text, const struct storage_source *sources, size_t index,
    char *const *places, char **ret_text);
