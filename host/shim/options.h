/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shim's command line as containerd writes it (Go's flag package: -name value, -name=value, or with two
 * dashes), facts/oci.md of containerd's runtime v2 contract:
 *
 *   shim -namespace NS -address ADDR -publish-binary BIN -id ID [-bundle DIR] [-debug] start|delete
 *   shim -v | --version | -info | check
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>

enum shim_action {
    SHIM_START,
    SHIM_DELETE,
    SHIM_CHECK,
    SHIM_VERSION,
    SHIM_INFO,
};

/* Strings are borrowed from the arguments. */
struct shim_options {
    enum shim_action action;
    const char *namespace;
    const char *id;
    const char *address;        /* of containerd's gRPC socket, or whatever the front end chose; may be "" */
    const char *publish_binary; /* "" for none */
    const char *bundle;         /* "": the working directory */
    bool debug;
};

/* INVALID_ARGUMENT names what is wrong. */
struct error *shim_options_parse(int count, char *const *arguments, struct shim_options *ret_options);
