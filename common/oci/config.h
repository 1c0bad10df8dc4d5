/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCI runtime configuration (runtime-spec 1.0 to 1.3), read from JSON and checked once, into the message
 * that the guest protocol carries. What comes out of here is typed, bounded and in range; nobody downstream
 * checks a name or a number again.
 *
 * Errors are INVALID_ARGUMENT and name the place: `config.json: process.rlimits[2].type: "RLIMIT_FOO" is not
 * a resource limit`. Unknown members are ignored, as the specification demands. README.md lists what is
 * refused and what is left out. Messages belong to the caller: oci_spec_free and its like, or
 * protobuf_c_message_free_unpacked(message, NULL).
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <stddef.h>

/* A configuration travels to the guest in one ttrpc message, which may have 4 MiB. */
#define OCI_DOCUMENT_MAX (4u << 20)

/* What containerd writes in the type_url of an Any that holds the JSON of these types. */
#define OCI_SPEC_TYPE_URL "types.containerd.io/opencontainers/runtime-spec/1/Spec"
#define OCI_PROCESS_TYPE_URL "types.containerd.io/opencontainers/runtime-spec/1/Process"
#define OCI_RESOURCES_TYPE_URL "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"

/* Reads config.json of a bundle. A bundle without one is NOT_FOUND. */
struct error *oci_config_load(int bundle_dir_fd, Grpc__Spec **ret_spec);
struct error *oci_config_parse(const char *text, size_t length, Grpc__Spec **ret_spec);
/* What Exec carries. Places in errors begin with "process: ". */
struct error *oci_process_parse(const char *text, size_t length, Grpc__Process **ret_process);
/* What Update carries. Places in errors begin with "resources: ". */
struct error *oci_resources_parse(const char *text, size_t length, Grpc__LinuxResources **ret_resources);

/* The value of an annotation, borrowed; NULL where there is none. */
const char *oci_annotation(const Grpc__Spec *spec, const char *key);

/* Take NULL. */
void oci_spec_free(Grpc__Spec *spec);
void oci_process_free(Grpc__Process *process);
void oci_resources_free(Grpc__LinuxResources *resources);

DEFINE_CLEANUP(Grpc__Spec *, oci_spec_free);
DEFINE_CLEANUP(Grpc__Process *, oci_process_free);
DEFINE_CLEANUP(Grpc__LinuxResources *, oci_resources_free);
#define _cleanup_oci_spec_ _cleanup_(oci_spec_free)
#define _cleanup_oci_process_ _cleanup_(oci_process_free)
#define _cleanup_oci_resources_ _cleanup_(oci_resources_free)
