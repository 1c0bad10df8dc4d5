/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as config.json, as the process of an exec and as the resources of an update. What is accepted
   must survive the wire unchanged. */
#include "oci/config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_wire(const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *once = must_alloc(length);
    uint8_t *twice = must_alloc(length);

    protobuf_c_message_pack(message, once);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, length, once);
    if (!copy || protobuf_c_message_get_packed_size(copy) != length)
        abort();
    protobuf_c_message_pack(copy, twice);
    if (memcmp(once, twice, length) != 0)
        abort();
    protobuf_c_message_free_unpacked(copy, NULL);
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    _cleanup_oci_spec_ Grpc__Spec *spec = NULL;
    _cleanup_oci_process_ Grpc__Process *process = NULL;
    _cleanup_oci_resources_ Grpc__LinuxResources *resources = NULL;
    _cleanup_error_ struct error *spec_error = oci_config_parse(text, size, &spec);
    _cleanup_error_ struct error *process_error = oci_process_parse(text, size, &process);
    _cleanup_error_ struct error *resources_error = oci_resources_parse(text, size, &resources);

    if (!spec_error)
        check_wire(&spec->base);
    if (!process_error)
        check_wire(&process->base);
    if (!resources_error)
        check_wire(&resources->base);
    return 0;
}
