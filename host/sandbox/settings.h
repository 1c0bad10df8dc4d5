/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sandbox is to be like: the io.caisson.* annotations of config.json, with defaults that follow from
 * the container's own limits.
 *
 *   io.caisson.hypervisor    auto, qemu-kvm, qemu-tcg
 *   io.caisson.vcpus         1 to SETTINGS_VCPUS_MAX; default: the CPU quota rounded up, else 1
 *   io.caisson.memory        bytes of the machine, or with a unit (512m); default: the memory limit plus
 *                            SETTINGS_MEMORY_OVERHEAD, else SETTINGS_MEMORY_DEFAULT
 *   io.caisson.scratch-size  bytes: writable layer on a sparse disk of this size; default: in guest memory
 *   io.caisson.network       none, user
 *   io.caisson.ports         [IP:]HOST:GUEST[/tcp|udp], comma-separated; an IPv6 address stands in brackets
 *   io.caisson.dns           name servers, comma-separated
 *   io.caisson.debug         true: verbose guest console
 */
#pragma once

#include "base/error.h"
#include "hv/hv.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

#define SETTINGS_VCPUS_MAX 64
#define SETTINGS_MEMORY_DEFAULT (512ull << 20)
/* What kernel and agent need beside the container. */
#define SETTINGS_MEMORY_OVERHEAD (64ull << 20)
#define SETTINGS_MEMORY_MIN (128ull << 20)
#define SETTINGS_MEMORY_MAX (1ull << 42)
#define SETTINGS_PORTS_MAX 256

struct settings {
    char *hypervisor; /* "auto" or a name */
    unsigned vcpus;
    uint64_t memory;       /* bytes, a multiple of 1 MiB */
    uint64_t scratch_size; /* bytes; 0: scratch in memory */
    enum hv_network_kind network;
    struct hv_port *ports; /* host_address owned */
    size_t port_count;
    char **dns;
    bool debug;
};

/* INVALID_ARGUMENT or OUT_OF_RANGE names the annotation and quotes its value. */
struct error *settings_read(const Grpc__Spec *spec, struct settings **ret_settings);
/* Takes NULL. */
void settings_free(struct settings *settings);

DEFINE_CLEANUP(struct settings *, settings_free);
#define _cleanup_settings_ _cleanup_(settings_free)
