/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what containerd writes to `start`, as options and addresses of a client, and as the statistics
   of a guest, which become metrics that can be decoded again. */
#include "sandbox/address.h"
#include "shim/handshake.h"
#include "shim/metrics.h"
#include "shim/runtime_options.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_metrics(const Grpc__StatsContainerResponse *stats, enum metrics_version version)
{
    size_t length = 0;
    uint8_t *bytes = metrics_pack(stats, version, &length);
    ProtobufCMessage *metrics = protobuf_c_message_unpack(
        version == METRICS_V1 ? &cgroup1__metrics__descriptor : &cgroup2__metrics__descriptor, NULL, length,
        bytes);
    if (!metrics)
        abort();
    protobuf_c_message_free_unpacked(metrics, NULL);
    free(bytes);
}

static void check_options(const uint8_t *data, size_t size)
{
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = "runtimeoptions.v1.Options";
    any.value = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = size};
    char *path = NULL;
    error_free(runtime_options_config_path(&any, &path));
    free(path);
}

/* An address that is understood has an absolute path. */
static void check_address(const uint8_t *data, size_t size)
{
    char *text = must_copy_length((const char *)data, size);
    struct address address = {0};
    struct error *error = address_parse(text, &address);
    if (!error && address.path[0] != '/')
        abort();
    error_free(error);
    address_clear(&address);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct shim_options options = {.namespace = "ns", .id = "id"};
    struct handshake handshake = handshake_parse(data, size, &options);
    handshake_clear(&handshake);
    check_options(data, size);
    check_address(data, size);
    Grpc__StatsContainerResponse *stats = grpc__stats_container_response__unpack(NULL, size, data);
    if (!stats)
        return 0;
    check_metrics(stats, METRICS_V1);
    check_metrics(stats, METRICS_V2);
    grpc__stats_container_response__free_unpacked(stats, NULL);
    return 0;
}
