/* SPDX-License-Identifier: Apache-2.0 */
/* linux.resources: what the container may use. Also the document of an Update call. */
#include "oci/shape.h"
#include "proto/oci.pb-c.h"

#include <string.h>

/* ---- which devices may be opened ---- */

static const char *const device_rule_types[] = {"a", "c", "b", NULL};
static const struct oci_rule device_rule_type_rule = {
    .reason = "is not a type of device", .words = device_rule_types};

static bool is_access(const char *text)
{
    return strspn(text, "rwm") == strlen(text) && strlen(text) <= 3;
}

static const struct oci_rule access_rule = {.reason = "is not made of r, w and m", .accept = is_access};

static const struct oci_member device_members[] = {
    {"allow", "allow", .required = true},
    {"type", "type", .rule = &device_rule_type_rule},
    {"major", "major", .minimum = -1, .maximum = UINT32_MAX, .missing = -1},
    {"minor", "minor", .minimum = -1, .maximum = UINT32_MAX, .missing = -1},
    {"access", "access", .rule = &access_rule},
};
static const struct oci_shape device_shape = {
    &grpc__linux_device_cgroup__descriptor, OCI_MEMBERS(device_members)};

/* ---- memory, processors, tasks ---- */

/* Bytes; -1 is no limit. */
#define LIMIT .minimum = -1, .maximum = INT64_MAX

static const struct oci_member memory_members[] = {
    {"limit", "limit", LIMIT},
    {"reservation", "reservation", LIMIT},
    {"swap", "swap", LIMIT},
    {"kernel", "kernel", LIMIT},
    {"kernelTCP", "kernel_tcp", LIMIT},
    {"swappiness", "swappiness", .maximum = 100},
    {"disableOOMKiller", "disable_oom_killer"},
};
static const struct oci_shape memory_shape = {&grpc__linux_memory__descriptor, OCI_MEMBERS(memory_members)};

static bool is_list(const char *text)
{
    return strspn(text, "0123456789,- \n") == strlen(text);
}

static const struct oci_rule list_rule = {
    .reason = "is not a list like 0-3,7", .accept = is_list, .longest = 4096};

static const struct oci_member cpu_members[] = {
    {"shares", "shares"},
    {"quota", "quota", LIMIT},
    {"burst", "burst"},
    {"period", "period"},
    {"realtimeRuntime", "realtime_runtime", LIMIT},
    {"realtimePeriod", "realtime_period"},
    {"cpus", "cpus", .rule = &list_rule},
    {"mems", "mems", .rule = &list_rule},
    {"idle", "idle", .minimum = 0, .maximum = 1},
};
static const struct oci_shape cpu_shape = {&grpc__linux_cpu__descriptor, OCI_MEMBERS(cpu_members)};

static const struct oci_member pids_members[] = {{"limit", "limit", LIMIT}};
static const struct oci_shape pids_shape = {&grpc__linux_pids__descriptor, OCI_MEMBERS(pids_members)};

/* ---- block devices ---- */

/* cgroup v1, blkio: 10 to 1000; 0 leaves the weight alone. */
#define WEIGHT_MAX 1000
#define DEVICE_NUMBER .required = true, .minimum = 0, .maximum = UINT32_MAX

static const struct oci_member weight_members[] = {
    {"major", "major", DEVICE_NUMBER},
    {"minor", "minor", DEVICE_NUMBER},
    {"weight", "weight", .maximum = WEIGHT_MAX},
    {"leafWeight", "leaf_weight", .maximum = WEIGHT_MAX},
};
static const struct oci_shape weight_shape = {
    &grpc__linux_weight_device__descriptor, OCI_MEMBERS(weight_members)};

static const struct oci_member throttle_members[] = {
    {"major", "major", DEVICE_NUMBER},
    {"minor", "minor", DEVICE_NUMBER},
    {"rate", "rate", .required = true},
};
static const struct oci_shape throttle_shape = {
    &grpc__linux_throttle_device__descriptor, OCI_MEMBERS(throttle_members)};

static const struct oci_member block_io_members[] = {
    {"weight", "weight", .maximum = WEIGHT_MAX},
    {"leafWeight", "leaf_weight", .maximum = WEIGHT_MAX},
    {"weightDevice", "weight_device", &weight_shape},
    {"throttleReadBpsDevice", "throttle_read_bps_device", &throttle_shape},
    {"throttleWriteBpsDevice", "throttle_write_bps_device", &throttle_shape},
    {"throttleReadIOPSDevice", "throttle_read_iops_device", &throttle_shape},
    {"throttleWriteIOPSDevice", "throttle_write_iops_device", &throttle_shape},
};
static const struct oci_shape block_io_shape = {
    &grpc__linux_block_io__descriptor, OCI_MEMBERS(block_io_members)};

/* ---- huge pages, network, cgroup v2 files ---- */

static bool is_page_size(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && text[0] != '0' && digits < 8 && strchr("KMG", text[digits]) &&
           strcmp(text + digits + 1, "B") == 0;
}

static const struct oci_rule page_size_rule = {
    .reason = "is not a page size like 2MB", .accept = is_page_size, .longest = 16};

static const struct oci_member hugepage_members[] = {
    {"pageSize", "pagesize", .rule = &page_size_rule, .required = true},
    {"limit", "limit", .required = true},
};
static const struct oci_shape hugepage_shape = {
    &grpc__linux_hugepage_limit__descriptor, OCI_MEMBERS(hugepage_members)};

static const struct oci_member priority_members[] = {
    {"name", "name", .required = true},
    {"priority", "priority", .required = true},
};
static const struct oci_shape priority_shape = {
    &grpc__linux_interface_priority__descriptor, OCI_MEMBERS(priority_members)};

static const struct oci_member network_members[] = {
    {"classID", "class_id"},
    {"priorities", "priorities", &priority_shape},
};
static const struct oci_shape network_shape = {
    &grpc__linux_network__descriptor, OCI_MEMBERS(network_members)};

/* A file of the container's own cgroup directory: "memory.high", "hugetlb.1GB.max". */
static bool is_cgroup_file(const char *text)
{
    const char *dot = strchr(text, '.');
    return dot && dot != text && strcmp(text, "..") != 0 && !strchr(text, '/');
}

static const struct oci_rule cgroup_file_rule = {
    .reason = "is not a file of cgroup v2", .accept = is_cgroup_file, .longest = 255};

/* ---- resources ---- */

static const struct oci_member resources_members[] = {
    {"devices", "devices", &device_shape},
    {"memory", "memory", &memory_shape},
    {"cpu", "cpu", &cpu_shape},
    {"pids", "pids", &pids_shape},
    {"blockIO", "block_io", &block_io_shape},
    {"hugepageLimits", "hugepage_limits", &hugepage_shape},
    {"network", "network", &network_shape},
    {"unified", "unified", .rule = &cgroup_file_rule},
};
const struct oci_shape oci_resources_shape = {
    &grpc__linux_resources__descriptor, OCI_MEMBERS(resources_members)};
