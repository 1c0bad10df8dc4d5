/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of settings.
 */
#pragma once

#include "sandbox/settings.h"

#define SETTINGS_PREFIX "io.caisson."

/* The value of io.caisson.KEY; NULL where there is none or an empty one. */
const char *settings_annotation(const Grpc__Spec *spec, const char *key);
struct error *settings_refuse(const char *key, const char *value, const char *reason);
void settings_remark(struct settings *settings, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Which sizes annotations have set, and how firmly. */
struct settings_wishes {
    bool vcpus_exact; /* io.caisson.vcpus: this many, whatever the limits */
    bool memory_exact;
    bool vcpus_least; /* Kata's default_vcpus: at least this many */
    bool memory_least;
};

/* ---- settings_annotations.c ---- */

/* Puts the annotations that count into settings->class. */
struct error *settings_annotate(
    struct settings *settings, const Grpc__Spec *spec, bool trusted, struct settings_wishes *ret_wishes);

/* ---- settings_size.c ---- */

/* vcpus and memory of settings->class, the wishes and the limits. */
struct error *settings_size(
    struct settings *settings, const Grpc__Spec *spec, const struct settings_wishes *wishes);

/* ---- settings_network.c ---- */

/* network, ports and dns. */
struct error *settings_network(struct settings *settings, const Grpc__Spec *spec);
