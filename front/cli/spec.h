/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json of a container: what docker would write for the same options, with the io.caisson.* annotations
 * that the shim honours. Pure functions: files of the host are read before.
 */
#pragma once

#include "cli/mount.h"
#include "cli/run_settings.h"
#include "image/image.h"

#include <jansson.h>

/* All borrowed. */
/* Begins the name of a network that is a namespace of the host's. */
#define SPEC_NAMESPACE "ns:"

struct spec_input {
    const struct run_settings *settings;
    const struct image_config *image;
    const struct mount_list *mounts;
    char *const *arguments;    /* what the user wrote after the image */
    char *const *environment;  /* of the user: options and files */
    char *const *ports;        /* as ports_parse gives them */
    char *const *capabilities; /* "CAP_..." */
    const json_t *seccomp;     /* linux.seccomp; NULL: unconfined */
    const char *network;       /* none, user, or SPEC_NAMESPACE and a path */
    const char *hostname;
    const char *bundle; /* holds hosts, hostname and perhaps resolv.conf */
    bool has_resolver;  /* there is a resolv.conf in the bundle */
    bool no_new_privileges;
};

/* Entry point and command; INVALID_ARGUMENT where there is neither. */
struct error *spec_command(const struct spec_input *input, char ***ret_command);
/* INVALID_ARGUMENT names the option. */
struct error *spec_build(const struct spec_input *input, json_t **ret_spec);

/* Stands for "no limit" in a resource limit: jansson's integers are signed, and the specification's infinite
   limit has 64 bits. spec_write and spec_read translate. */
#define SPEC_UNLIMITED INT64_MAX

/* The text of config.json, owned by the caller. */
char *spec_write(const json_t *spec);
/* Reads what spec_write wrote. */
struct error *spec_read(const char *bundle, json_t **ret_spec);

/* ---- parts, one file each ---- */

struct error *spec_process(const struct spec_input *input, json_t **ret_process);
json_t *spec_mounts(const struct spec_input *input);
struct error *spec_linux(const struct spec_input *input, json_t **ret_linux);
/* A JSON array of the vector, which may be NULL. INVALID_ARGUMENT where a string is not UTF-8. */
struct error *spec_strings(const char *what, char *const *vector, json_t **ret_array);
