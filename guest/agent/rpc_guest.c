/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rpc.h"

#include "agent/metrics.h"
#include "base/fd.h"
#include "base/parse.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <time.h>

#define MEMORY_DEVICES "/sys/devices/system/memory"
#define CPU_DEVICES "/sys/devices/system/cpu"

/* The pool of the kernel takes no more than 32 bytes of credit; hosts send up to 512. */
#define ENTROPY_MAX 4096

/* Reaches into the machine, which is only the agent's own inside a VM. */
static struct error *check_guest(const struct agent *agent)
{
    if (agent->options.is_guest)
        return NULL;
    return error_new(ERROR_FAILED_PRECONDITION, "this agent does not own the machine that it runs on");
}

/* ---- details ---- */

/* 0 where the guest cannot take more memory. */
static uint64_t memory_block_size(void)
{
    _cleanup_free_ char *text = NULL;
    error_free(file_read(AT_FDCWD, MEMORY_DEVICES "/block_size_bytes", 64, &text, NULL));
    return text ? strtoull(text, NULL, 16) : 0;
}

void rpc_get_guest_details(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    const struct agent *agent = context;
    const Grpc__GuestDetailsRequest *request = (const void *)message;
    Grpc__AgentDetails details = GRPC__AGENT_DETAILS__INIT;
    details.version = RPC_AGENT_VERSION;
    details.init_daemon = agent->options.is_guest;
    details.supports_seccomp = true;
    const char *drivers[STORAGE_DRIVER_COUNT];
    storage_driver_names(drivers);
    details.n_storage_handlers = STORAGE_DRIVER_COUNT;
    details.storage_handlers = drivers;
    const char *kinds[DEVICE_KIND_COUNT];
    memcpy(kinds, device_kinds, sizeof(kinds));
    details.n_device_handlers = DEVICE_KIND_COUNT;
    details.device_handlers = kinds;

    Grpc__GuestDetailsResponse reply = GRPC__GUEST_DETAILS_RESPONSE__INIT;
    reply.agent_details = &details;
    if (request->mem_block_size)
        reply.mem_block_size_bytes = memory_block_size();
    if (request->mem_hotplug_probe)
        reply.support_mem_hotplug_probe = access(MEMORY_DEVICES "/probe", W_OK) == 0;
    ttrpc_reply(call, &reply.base);
}

void rpc_check(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    Grpc__HealthCheckResponse reply = GRPC__HEALTH_CHECK_RESPONSE__INIT;
    reply.status = GRPC__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    ttrpc_reply(call, &reply.base);
}

void rpc_version(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    Grpc__VersionCheckResponse reply = GRPC__VERSION_CHECK_RESPONSE__INIT;
    reply.grpc_version = "0.0.1"; /* what Kata's agent says: the version of its protocol */
    reply.agent_version = RPC_AGENT_VERSION;
    ttrpc_reply(call, &reply.base);
}

void rpc_get_metrics(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    _cleanup_free_ char *text = metrics_text();
    Grpc__Metrics reply = GRPC__METRICS__INIT;
    reply.metrics = text;
    ttrpc_reply(call, &reply.base);
}

/* ---- clock and entropy ---- */

static struct error *set_date_time(struct agent *agent, const Grpc__SetGuestDateTimeRequest *request)
{
    TRY(check_guest(agent));
    if (request->usec < 0 || request->usec > 999999)
        return error_new(
            ERROR_INVALID_ARGUMENT, "%lld microseconds are not part of a second", (long long)request->usec);
    struct timespec now = {.tv_sec = request->sec, .tv_nsec = request->usec * 1000};
    if (clock_settime(CLOCK_REALTIME, &now) < 0)
        return error_errno(errno, "setting the clock to %lld", (long long)request->sec);
    return NULL;
}
RPC_HANDLER(rpc_set_guest_date_time, set_date_time, Grpc__SetGuestDateTimeRequest);

static struct error *reseed(struct agent *agent, const Grpc__ReseedRandomDevRequest *request)
{
    TRY(check_guest(agent));
    if (request->data.len == 0 || request->data.len > ENTROPY_MAX)
        return error_new(
            ERROR_INVALID_ARGUMENT, "between 1 and %u bytes of entropy are taken at once", ENTROPY_MAX);
    _cleanup_fd_ int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(errno, "/dev/urandom");
    _cleanup_free_ struct rand_pool_info *pool = must_alloc(sizeof(*pool) + request->data.len);
    pool->buf_size = (int)request->data.len;
    pool->entropy_count = (int)request->data.len * 8;
    memcpy(pool->buf, request->data.data, request->data.len);
    if (ioctl(fd, RNDADDENTROPY, pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
        return error_errno(errno, "adding entropy");
    return NULL;
}
RPC_HANDLER(rpc_reseed_random_dev, reseed, Grpc__ReseedRandomDevRequest);

/* ---- processors and memory that the host has added ---- */

/* "cpu12" of "cpu", "memory3" of "memory". */
static bool is_numbered(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) != 0 || name[length] == '\0')
        return false;
    for (name += length; *name; name++) {
        if (!isdigit((unsigned char)*name))
            return false;
    }
    return true;
}

static int compare_numbers(const struct dirent **one, const struct dirent **other)
{
    return strverscmp((*one)->d_name, (*other)->d_name);
}

/* Sets one device online. False where it was already, or cannot be offline: the first processor has no such
   file. */
static struct error *online_device(const char *directory, const char *name, bool *ret_changed)
{
    _cleanup_free_ char *path = must_printf("%s/%s/online", directory, name);
    _cleanup_free_ char *state = NULL;
    *ret_changed = false;
    error_free(file_read(AT_FDCWD, path, 16, &state, NULL));
    if (!state || state[0] != '0')
        return NULL;
    TRY(error_wrap(file_write_text(AT_FDCWD, path, "1"), "bringing %s of the guest online", name));
    *ret_changed = true;
    return NULL;
}

/* Up to `limit` of those that are offline, lowest number first; tells how many it were. */
static struct error *online_devices(
    const char *directory, const char *prefix, unsigned limit, unsigned *ret_count)
{
    struct dirent **entries;
    int entry_count = scandir(directory, &entries, NULL, compare_numbers);
    if (entry_count < 0)
        return errno == ENOENT ? NULL : error_errno(errno, "%s", directory);
    struct error *error = NULL;
    unsigned count = 0;
    for (int i = 0; i < entry_count; i++) {
        bool changed = false;
        if (!error && count < limit && is_numbered(entries[i]->d_name, prefix))
            error = online_device(directory, entries[i]->d_name, &changed);
        count += changed;
        free(entries[i]);
    }
    free(entries);
    *ret_count = count;
    return error;
}

/* As Kata's agent: nb_cpus is how many come in addition. */
static struct error *online_cpu_mem(struct agent *agent, const Grpc__OnlineCPUMemRequest *request)
{
    TRY(check_guest(agent));
    unsigned cpus = 0, blocks = 0;
    if (request->nb_cpus > 0)
        TRY(online_devices(CPU_DEVICES, "cpu", request->nb_cpus, &cpus));
    if (!request->cpu_only)
        TRY(online_devices(MEMORY_DEVICES, "memory", UINT_MAX, &blocks));
    if (cpus < request->nb_cpus)
        return error_new(ERROR_UNAVAILABLE,
            "the guest has only %u further processors of %u that were asked for", cpus, request->nb_cpus);
    return NULL;
}
RPC_HANDLER(rpc_online_cpu_mem, online_cpu_mem, Grpc__OnlineCPUMemRequest);

/* Half of the memory, as at the boot: what containers write into memory is below /run. */
static struct error *grow_run(void)
{
    if (mount(NULL, "/run", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, "size=50%") < 0)
        return error_errno(errno, "giving /run its half of the added memory");
    return NULL;
}

static struct error *probe_memory(struct agent *agent, const Grpc__MemHotplugByProbeRequest *request)
{
    TRY(check_guest(agent));
    for (size_t i = 0; i < request->n_mem_hotplug_probe_addr; i++) {
        char address[32];
        snprintf(address, sizeof(address), "0x%llx", (unsigned long long)request->mem_hotplug_probe_addr[i]);
        struct error *error = file_write_text(AT_FDCWD, MEMORY_DEVICES "/probe", address);
        /* Asked for twice: it is there, which is what was wanted. */
        if (error_number(error) == EEXIST)
            error_free(error);
        else
            TRY(error_wrap(error, "adding the memory at %s", address));
    }
    return grow_run();
}
RPC_HANDLER(rpc_mem_hotplug_by_probe, probe_memory, Grpc__MemHotplugByProbeRequest);
