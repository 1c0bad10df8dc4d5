/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of an OCI mount, sorted by what they are for. Names and meanings are those of mount(8) and of
 * the OCI runtime specification's table of Linux mount options; a word that is in neither is data for the
 * file system.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOUNT_PROPAGATIONS_MAX 8

struct mount_options {
    unsigned long flags;   /* MS_* for mount(2), MS_BIND, MS_REC and MS_REMOUNT included */
    unsigned long cleared; /* MS_* that were asked to be off ("rw", "exec") */
    unsigned long propagation[MOUNT_PROPAGATIONS_MAX]; /* MS_PRIVATE and so on, each with or without MS_REC */
    size_t propagation_count;
    uint64_t recursive_set; /* MOUNT_ATTR_* for the whole subtree ("rro") */
    uint64_t recursive_clear;
    bool copy_up; /* tmpcopyup: a tmpfs starts with what it covers */
    char *data;   /* "size=64k,mode=0755"; NULL for none */
};

struct error *mount_options_parse(
    const char *const *options, size_t count, struct mount_options *ret_options);
void mount_options_clear(struct mount_options *options);
#define _cleanup_mount_options_ __attribute__((cleanup(mount_options_clear)))

/* What mount_setattr(2) sets and clears for the MS_* flags of one mount. */
void mount_options_attributes(const struct mount_options *options, uint64_t *ret_set, uint64_t *ret_clear);
