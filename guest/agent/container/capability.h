/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The five capability sets of a process. A name that libcap or the kernel does not know is left out, since
 * nobody can hold it.
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capability_sets {
    uint64_t bounding;
    uint64_t effective;
    uint64_t inheritable;
    uint64_t permitted;
    uint64_t ambient;
};

/* NULL is no capabilities at all. */
struct capability_sets capability_sets_of(const Grpc__LinuxCapabilities *capabilities);

/* Bits of the set of names ("CAP_NET_RAW"). */
uint64_t capability_mask(const char *const *names, size_t count);

/* Needs CAP_SETPCAP; before the change of user. */
struct error *capability_drop_bounding(uint64_t keep);
/* Keeps the permitted set across the next change of user. */
struct error *capability_keep(bool keep);
/* The other four sets. */
struct error *capability_apply(const struct capability_sets *sets);
