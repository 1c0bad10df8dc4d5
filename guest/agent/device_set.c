/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/device_set.h"

#include "agent/device_path.h"
#include "agent/storage.h"
#include "agent/uevent.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

const char *const device_kinds[DEVICE_KIND_COUNT] = {"mmioblk", "blk", "scsi"};

struct device_set {
    struct event_base *base;
    Grpc__Device *const *devices;
    size_t count;
    size_t found;
    struct uevent_wait *wait;
    device_set_done *done;
    void *context;
};

/* What one device is called on the host and in the guest. */
struct renumbering {
    char type;
    int64_t old_major, old_minor;
    int64_t new_major, new_minor;
};

struct device_set *device_set_new(
    struct event_base *base, Grpc__Device *const *devices, size_t count, device_set_done *done, void *context)
{
    struct device_set *set = must_new(struct device_set);
    *set = (struct device_set){
        .base = base, .devices = devices, .count = count, .done = done, .context = context};
    return set;
}

void device_set_free(struct device_set *set)
{
    if (!set)
        return;
    uevent_wait_free(set->wait);
    free(set);
}

/* ---- waiting ---- */

static const char *source_of(const Grpc__Device *device)
{
    return strcmp(device->type, "scsi") == 0 ? device->id : device->vm_path;
}

static struct error *check_kind(const Grpc__Device *device)
{
    for (size_t i = 0; i < DEVICE_KIND_COUNT; i++) {
        if (strcmp(device->type, device_kinds[i]) == 0)
            return device_path_check(device->type, source_of(device));
    }
    return error_new(ERROR_UNIMPLEMENTED, "this agent has no devices of the kind \"%.40s\"", device->type);
}

static void on_device(void *context, struct error *error)
{
    struct device_set *set = context;
    uevent_wait_free(TAKE_PTR(set->wait));
    if (error)
        set->done(set->context, error);
    else
        device_set_wait(set);
}

/* Until one has to be waited for, or all are there. */
static struct error *find_next(struct device_set *set)
{
    if (set->count > DEVICES_MAX)
        return error_new(ERROR_INVALID_ARGUMENT, "%zu devices are more than the %d of one request",
            set->count, DEVICES_MAX);
    for (; set->found < set->count; set->found++) {
        const Grpc__Device *device = set->devices[set->found];
        TRY(check_kind(device));
        _cleanup_free_ char *path = device_path(device->type, source_of(device));
        if (!path)
            return uevent_wait_new(
                set->base, device->type, source_of(device), STORAGE_DEVICE_MS, on_device, set, &set->wait);
    }
    return NULL;
}

void device_set_wait(struct device_set *set)
{
    struct error *error = find_next(set);
    if (error || !set->wait)
        set->done(set->context, error);
}

/* ---- numbers ---- */

static Grpc__LinuxDevice *find_in_spec(const Grpc__Linux *linux_config, const char *path)
{
    for (size_t i = 0; i < linux_config->n_devices; i++) {
        if (strcmp(linux_config->devices[i]->path, path) == 0)
            return linux_config->devices[i];
    }
    return NULL;
}

static struct error *renumber(
    const Grpc__Device *device, const Grpc__Linux *linux_config, struct renumbering *ret_renumbering)
{
    Grpc__LinuxDevice *entry = find_in_spec(linux_config, device->container_path);
    if (!entry)
        return error_new(
            ERROR_INVALID_ARGUMENT, "the OCI configuration has no device \"%.256s\"", device->container_path);
    _cleanup_free_ char *path = device_path(device->type, source_of(device));
    struct stat status;
    if (!path || stat(path, &status) < 0)
        return error_new(ERROR_NOT_FOUND, "the device %s has gone again", source_of(device));
    if (!S_ISBLK(status.st_mode))
        return error_new(ERROR_INVALID_ARGUMENT, "%s is no block device", path);
    *ret_renumbering = (struct renumbering){.type = entry->type[0],
        .old_major = entry->major,
        .old_minor = entry->minor,
        .new_major = major(status.st_rdev),
        .new_minor = minor(status.st_rdev)};
    entry->major = ret_renumbering->new_major;
    entry->minor = ret_renumbering->new_minor;
    return NULL;
}

/* Each rule once: one device's number in the guest may be another one's on the host. */
static void renumber_rule(Grpc__LinuxDeviceCgroup *rule, const struct renumbering *renumberings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct renumbering *r = &renumberings[i];
        if (rule->type[0] != r->type || rule->major != r->old_major || rule->minor != r->old_minor)
            continue;
        rule->major = r->new_major;
        rule->minor = r->new_minor;
        return;
    }
}

struct error *device_set_rewrite(const struct device_set *set, Grpc__Spec *spec)
{
    if (set->count == 0)
        return NULL;
    const Grpc__Linux *linux_config = spec->linux_config;
    if (!linux_config)
        return error_new(ERROR_INVALID_ARGUMENT, "the OCI configuration has no linux section");
    struct renumbering renumberings[DEVICES_MAX];
    for (size_t i = 0; i < set->count; i++)
        TRY(renumber(set->devices[i], linux_config, &renumberings[i]));
    const Grpc__LinuxResources *resources = linux_config->resources;
    for (size_t i = 0; resources && i < resources->n_devices; i++)
        renumber_rule(resources->devices[i], renumberings, set->count);
    return NULL;
}
