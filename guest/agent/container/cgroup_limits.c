/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resources of a Spec are named after cgroup v1; here they become the files of v2 in the way that
 * https://github.com/opencontainers/runc/blob/main/docs/cgroup-v2.md and crun's manual describe.
 */
#include "agent/container/cgroup.h"
#include "agent/container/cgroup_file.h"

#include <inttypes.h>
#include <string.h>

#define CPU_PERIOD_DEFAULT_US 100000
#define CPU_SHARES_MIN 2u
#define CPU_SHARES_MAX 262144u
#define IO_WEIGHT_MIN 10u
#define IO_WEIGHT_MAX 1000u

/* A file that is missing belongs to a controller that this kernel or the parent group does not have. */
static struct error *explain(struct error *error, const char *controller)
{
    if (error_number(error) != ENOENT)
        return error;
    return error_recode(
        error_wrap(error, "the guest's cgroup has no %s controller", controller), ERROR_FAILED_PRECONDITION);
}

static struct error *write_number(int fd, const char *controller, const char *file, int64_t value)
{
    struct error *error =
        value < 0 ? cgroup_file_write(fd, file, "max") : cgroup_file_printf(fd, file, "%" PRId64, value);
    return explain(error, controller);
}

/* In the Spec swap counts memory too. Swap that is unset stays the kernel's affair, except that no limit on
   memory is none on swap. */
static struct error *limit_swap(int fd, const Grpc__LinuxMemory *memory)
{
    if (memory->swap == 0)
        return memory->limit == -1 ? write_number(fd, "memory", "memory.swap.max", -1) : NULL;
    if (memory->swap == -1)
        return write_number(fd, "memory", "memory.swap.max", -1);
    if (memory->limit <= 0)
        return error_new(ERROR_INVALID_ARGUMENT, "a swap limit needs a memory limit");
    if (memory->swap < memory->limit)
        return error_new(ERROR_INVALID_ARGUMENT, "the limit of memory and swap is lower than that of memory");
    struct error *error = write_number(fd, "memory", "memory.swap.max", memory->swap - memory->limit);
    /* A kernel without swap has nothing to limit. */
    if (error_number(error) != ENOENT)
        return error;
    error_free(error);
    return NULL;
}

static struct error *limit_memory(int fd, const Grpc__LinuxMemory *memory)
{
    if (!memory)
        return NULL;
    TRY(limit_swap(fd, memory));
    if (memory->limit != 0)
        TRY(write_number(fd, "memory", "memory.max", memory->limit));
    if (memory->reservation != 0)
        TRY(write_number(fd, "memory", "memory.low", memory->reservation));
    return NULL;
}

static uint64_t clamp(uint64_t value, uint64_t minimum, uint64_t maximum)
{
    return value < minimum ? minimum : value > maximum ? maximum : value;
}

/* [2, 262144] linearly to [1, 10000]. */
static uint64_t weight_of_shares(uint64_t shares)
{
    shares = clamp(shares, CPU_SHARES_MIN, CPU_SHARES_MAX);
    return 1 + (shares - CPU_SHARES_MIN) * 9999 / (CPU_SHARES_MAX - CPU_SHARES_MIN);
}

static struct error *limit_cpu_bandwidth(int fd, const Grpc__LinuxCPU *cpu)
{
    if (cpu->quota == 0 && cpu->period == 0)
        return NULL;
    uint64_t period = cpu->period ? cpu->period : CPU_PERIOD_DEFAULT_US;
    struct error *error = cpu->quota > 0
                              ? cgroup_file_printf(fd, "cpu.max", "%" PRId64 " %" PRIu64, cpu->quota, period)
                              : cgroup_file_printf(fd, "cpu.max", "max %" PRIu64, period);
    return explain(error, "cpu");
}

static struct error *limit_cpu(int fd, const Grpc__LinuxCPU *cpu)
{
    if (!cpu)
        return NULL;
    if (cpu->shares)
        TRY(write_number(fd, "cpu", "cpu.weight", (int64_t)weight_of_shares(cpu->shares)));
    if (cpu->idle)
        TRY(write_number(fd, "cpu", "cpu.idle", cpu->idle));
    TRY(limit_cpu_bandwidth(fd, cpu));
    if (cpu->burst)
        TRY(write_number(fd, "cpu", "cpu.max.burst", (int64_t)clamp(cpu->burst, 0, INT64_MAX)));
    if (*cpu->cpus)
        TRY(explain(cgroup_file_write(fd, "cpuset.cpus", cpu->cpus), "cpuset"));
    if (*cpu->mems)
        TRY(explain(cgroup_file_write(fd, "cpuset.mems", cpu->mems), "cpuset"));
    return NULL;
}

static struct error *throttle(
    int fd, const char *key, Grpc__LinuxThrottleDevice *const *devices, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Grpc__LinuxThrottleDevice *device = devices[i];
        struct error *error = device->rate == 0
                                  ? cgroup_file_printf(fd, "io.max", "%" PRId64 ":%" PRId64 " %s=max",
                                        device->major, device->minor, key)
                                  : cgroup_file_printf(fd, "io.max", "%" PRId64 ":%" PRId64 " %s=%" PRIu64,
                                        device->major, device->minor, key, device->rate);
        TRY(explain(error, "io"));
    }
    return NULL;
}

/* BFQ has the Spec's own range; io.weight has [1, 10000]. */
static struct error *set_io_weight(int fd, const char *device, uint32_t weight)
{
    struct error *error = cgroup_file_printf(fd, "io.bfq.weight", "%s%u", device, weight);
    if (error_number(error) != ENOENT)
        return error;
    error_free(error);
    uint64_t scaled = 1 + (clamp(weight, IO_WEIGHT_MIN, IO_WEIGHT_MAX) - IO_WEIGHT_MIN) * 9999 /
                              (IO_WEIGHT_MAX - IO_WEIGHT_MIN);
    const char *name = *device ? device : "default ";
    error = cgroup_file_printf(fd, "io.weight", "%s%" PRIu64, name, scaled);
    if (error_number(error) != ENOENT)
        return error;
    return error_recode(
        error_wrap(error, "the guest's kernel has no weights for I/O"), ERROR_FAILED_PRECONDITION);
}

static struct error *limit_io(int fd, const Grpc__LinuxBlockIO *io)
{
    if (!io)
        return NULL;
    if (io->weight)
        TRY(set_io_weight(fd, "", io->weight));
    for (size_t i = 0; i < io->n_weight_device; i++) {
        char device[64];
        snprintf(device, sizeof(device), "%" PRId64 ":%" PRId64 " ", io->weight_device[i]->major,
            io->weight_device[i]->minor);
        TRY(set_io_weight(fd, device, io->weight_device[i]->weight));
    }
    TRY(throttle(fd, "rbps", io->throttle_read_bps_device, io->n_throttle_read_bps_device));
    TRY(throttle(fd, "wbps", io->throttle_write_bps_device, io->n_throttle_write_bps_device));
    TRY(throttle(fd, "riops", io->throttle_read_iops_device, io->n_throttle_read_iops_device));
    return throttle(fd, "wiops", io->throttle_write_iops_device, io->n_throttle_write_iops_device);
}

static struct error *limit_hugetlb(int fd, Grpc__LinuxHugepageLimit *const *limits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strchr(limits[i]->pagesize, '/'))
            return error_new(ERROR_INVALID_ARGUMENT, "\"%.40s\" is no page size", limits[i]->pagesize);
        char file[64];
        snprintf(file, sizeof(file), "hugetlb.%.20s.max", limits[i]->pagesize);
        TRY(explain(cgroup_file_printf(fd, file, "%" PRIu64, limits[i]->limit), "hugetlb"));
        /* Older kernels count reservations with the pages. */
        snprintf(file, sizeof(file), "hugetlb.%.20s.rsvd.max", limits[i]->pagesize);
        struct error *error = cgroup_file_printf(fd, file, "%" PRIu64, limits[i]->limit);
        if (error && error_number(error) != ENOENT)
            return error;
        error_free(error);
    }
    return NULL;
}

static struct error *write_unified(int fd, Grpc__StringEntry *const *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *file = entries[i]->key;
        const char *dot = strchr(file, '.');
        if (!dot || dot == file || strchr(file, '/'))
            return error_new(ERROR_INVALID_ARGUMENT, "\"%.60s\" is no file of a cgroup", file);
        _cleanup_free_ char *controller = must_copy_length(file, (size_t)(dot - file));
        TRY(explain(cgroup_file_write(fd, file, entries[i]->value), controller));
    }
    return NULL;
}

struct error *cgroup_limit(const struct cgroup *cgroup, const Grpc__LinuxResources *resources)
{
    int fd = cgroup_fd(cgroup);
    TRY(limit_memory(fd, resources->memory));
    TRY(limit_cpu(fd, resources->cpu));
    if (resources->pids && resources->pids->limit)
        TRY(write_number(fd, "pids", "pids.max", resources->pids->limit));
    TRY(limit_io(fd, resources->block_io));
    TRY(limit_hugetlb(fd, resources->hugepage_limits, resources->n_hugepage_limits));
    return write_unified(fd, resources->unified, resources->n_unified);
}
