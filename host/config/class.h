/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A class: what sandboxes of one kind are like. Its members are the keys of the configuration file, described
 * by one table, through which the file, the annotations of a pod and the tests set them.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define CLASS_VCPUS_MAX 64
#define CLASS_MEMORY_MIN (64ull << 20)
#define CLASS_MEMORY_MAX (1ull << 42)
/* x86's COMMAND_LINE_SIZE is 2048; the rest is the runtime's own. */
#define CLASS_KERNEL_PARAMS_MAX 1024
/* Of a number that the file calls "auto": no bound of the class's own. */
#define CLASS_AUTO 0

struct class
{
    char *name;
    char *hypervisor;          /* "auto" or a name that hv_by_name knows */
    char *kernel;              /* absolute; NULL: the installed one */
    char *initrd;              /* absolute; NULL: the installed one */
    char *templates;           /* absolute; NULL: every machine boots */
    char *kernel_params;       /* "" for none */
    unsigned vcpus;            /* of a sandbox whose processors nothing limits */
    unsigned vcpus_max;        /* never more, whatever is asked for; CLASS_AUTO: settings.h */
    uint64_t memory;           /* bytes, of a sandbox whose memory nothing limits */
    uint64_t memory_max;       /* never more; CLASS_AUTO: settings.h */
    uint64_t memory_overhead;  /* added to a limit: kernel and agent beside the containers */
    uint64_t scratch_size;     /* bytes of a disk for what a container writes; 0: guest memory */
    bool guest_seccomp;        /* false: no seccomp filter inside the guest */
    bool debug;                /* verbose guest console */
    char **enable_annotations; /* patterns of key names that annotations may set */
};

/* A key of the table; name() for listings. */
struct class_key;
/* NULL for an unknown name. Dashes count as underscores. */
const struct class_key *class_key_find(const char *name);
const char *class_key_name(const struct class_key *key);
/* The known name nearest to a wrong one, or NULL. */
const char *class_key_nearest(const char *name);
/* The index-th key's name, NULL after the last. */
const char *class_key_at(size_t index);

/* The built-in defaults. */
struct class *class_new(const char *name);
struct class *class_copy(const struct class *class);
/* INVALID_ARGUMENT or OUT_OF_RANGE with a sentence that begins with the key's name. */
struct error *class_set(struct class *class, const struct class_key *key, const char *value);
/* What only several keys together can get wrong; ret_key is the later key of the pair, untouched on success.
 */
struct error *class_check(const struct class *class, const struct class_key **ret_key);
/* Whether enable_annotations lets annotations set the key, by its own name or by `alias` (Kata's name; may be
   NULL). */
bool class_allows(const struct class *class, const char *name, const char *alias);
/* Takes NULL. */
void class_free(struct class *class);

DEFINE_CLEANUP(struct class *, class_free);
#define _cleanup_class_ _cleanup_(class_free)
