/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sandbox is to be like. Four layers, each over the one before:
 *
 *   1. the built-in defaults and a class of the configuration file (config/config.h). The class is named by
 *      the annotation io.caisson.class, else by the runtime's ConfigPath (FILE#CLASS), else it is [default];
 *   2. annotations io.caisson.KEY, with the keys of a class (dashes count as underscores);
 *   3. annotations of Kata's that have a counterpart (settings_annotations.c has the table);
 *   4. the limits that the pod or the container has: a machine is made for them.
 *
 * Annotations come from whoever writes the pod. They count where the class's enable_annotations lists them;
 * others are left aside with a remark. From Caisson's own command line, whose annotations are its user's
 * options, all count, and these besides:
 *
 *   io.caisson.network       none, user
 *   io.caisson.ports         [IP:]HOST:GUEST[/tcp|udp], comma-separated; an IPv6 address stands in brackets
 *   io.caisson.dns           name servers, comma-separated
 */
#pragma once

#include "base/error.h"
#include "config/class.h"
#include "hv/hv.h"
#include "proto/oci.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

/* What a machine of QEMU's can have (qemu_arguments.c). */
#define SETTINGS_VCPUS_MAX 32
/* A limit below this still gets a machine of this size. */
#define SETTINGS_MEMORY_MIN (128ull << 20)
#define SETTINGS_MEMORY_MAX CLASS_MEMORY_MAX
/* What a machine may grow to where its class says nothing: this much, or twice what it starts with where that
   is more. Memory that a guest may come to have costs before it has it: of 24 GiB 2 MiB in QEMU's bitmaps and
   page tables for each machine. */
#define SETTINGS_MEMORY_GROWTH (4ull << 30)
/* The same of processors: the guest's kernel has some 200 KiB for each that may come. */
#define SETTINGS_VCPUS_GROWTH 8
#define SETTINGS_PORTS_MAX 256

struct settings {
    struct class *class;       /* after the annotations; what follows is borrowed from it */
    const char *hypervisor;    /* "auto" or a name */
    const char *kernel;        /* NULL: the installed one */
    const char *initrd;        /* NULL: the installed one */
    const char *kernel_params; /* NULL: none */
    uint64_t scratch_size;     /* bytes; 0: scratch in memory */
    bool guest_seccomp;
    bool debug;
    unsigned vcpus;      /* of the machine when it starts */
    unsigned vcpus_max;  /* what it may grow to; 0: what growth.h thinks right */
    bool limits_told;    /* the pod's limits are known: nobody expects that its containers ask for more */
    uint64_t memory;     /* bytes, a multiple of 1 MiB */
    uint64_t memory_max; /* what it may grow to; a multiple of 1 MiB */
    enum hv_network_kind network;
    struct hv_port *ports; /* host_address owned */
    size_t port_count;
    char **dns;
    char **remarks; /* sentences for the log: what was left aside, and why */
};

/* Borrowed during the call. */
struct settings_source {
    const Grpc__Spec *spec;  /* of the sandbox's first container */
    const char *config_path; /* the runtime's ConfigPath; NULL or "": none */
    bool trusted;            /* the annotations are those of Caisson's own command line */
};

/* Reads the configuration, finds the class and merges. INVALID_ARGUMENT or OUT_OF_RANGE names the annotation
   and quotes its value, or names the file and the line. */
struct error *settings_load(const struct settings_source *source, struct settings **ret_settings);
/* The same with a class at hand, which stays the caller's. */
struct error *settings_read(
    const Grpc__Spec *spec, const struct class *class, bool trusted, struct settings **ret_settings);
/* Takes NULL. */
void settings_free(struct settings *settings);

DEFINE_CLEANUP(struct settings *, settings_free);
#define _cleanup_settings_ _cleanup_(settings_free)
