/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/hv.h"

#include "hv/qemu.h"
#include "hv/vmm.h"

#include <string.h>

const struct hv_ops *hv_by_name(const char *name)
{
    static const struct hv_ops *const known[] = {&vmm_ops, &qemu_kvm_ops, &qemu_tcg_ops};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(known[i]->name, name) == 0)
            return known[i];
    }
    return NULL;
}

struct error *hv_identity(const struct hv_ops *ops, char **ret_text)
{
    if (ops->capabilities & HV_SNAPSHOT)
        return ops->identity(ret_text);
    return error_new(ERROR_UNIMPLEMENTED, "%s saves no machines", ops->name);
}

size_t hv_room(const struct hv_ops *ops, const struct hv_config *config)
{
    return ops->room ? ops->room(config) : 0;
}

struct error *hv_new(const struct hv_ops *ops, struct event_base *base, const struct hv_config *config,
    const struct hv_events *events, void *context, struct hv **ret_hv)
{
    return ops->create(base, config, events, context, ret_hv);
}

void hv_start(struct hv *hv, hv_done *done, void *context)
{
    hv->ops->start(hv, done, context);
}

void hv_pause(struct hv *hv, hv_done *done, void *context)
{
    hv->ops->pause(hv, done, context);
}

void hv_resume(struct hv *hv, hv_done *done, void *context)
{
    hv->ops->resume(hv, done, context);
}

void hv_attach_disk(struct hv *hv, const struct hv_disk *disk, hv_attached *done, void *context)
{
    if (hv->ops->capabilities & HV_ATTACH_DISK)
        hv->ops->attach_disk(hv, disk, done, context);
    else
        done(context, error_new(ERROR_UNIMPLEMENTED, "%s takes no disks while it runs", hv->ops->name), NULL);
}

void hv_detach_disk(struct hv *hv, const char *address, hv_done *done, void *context)
{
    if (hv->ops->capabilities & HV_ATTACH_DISK)
        hv->ops->detach_disk(hv, address, done, context);
    else
        done(context, error_new(ERROR_UNIMPLEMENTED, "%s takes no disks while it runs", hv->ops->name));
}

void hv_save(struct hv *hv, int fd, hv_done *done, void *context)
{
    if (hv->ops->capabilities & HV_SNAPSHOT)
        hv->ops->save(hv, fd, done, context);
    else
        done(context, error_new(ERROR_UNIMPLEMENTED, "%s saves no machines", hv->ops->name));
}

uint64_t hv_memory_address(const struct hv *hv, uint64_t offset)
{
    return hv->ops->memory_address(hv, offset);
}

struct error *hv_connect(struct hv *hv, uint32_t port, int *ret_fd, uint32_t *ret_host_port)
{
    return hv->ops->connect(hv, port, ret_fd, ret_host_port);
}

struct error *hv_join(struct hv *hv, uint32_t port, const struct hv_joined *joined)
{
    return hv->ops->join(hv, port, joined);
}

void hv_stop(struct hv *hv)
{
    hv->ops->stop(hv);
}

pid_t hv_process(const struct hv *hv)
{
    return hv->ops->process(hv);
}

void hv_timings(const struct hv *hv, struct hv_timings *ret_timings)
{
    hv->ops->timings(hv, ret_timings);
}

char *hv_console(const struct hv *hv)
{
    return hv->ops->console(hv);
}

void hv_free(struct hv *hv)
{
    if (hv)
        hv->ops->destroy(hv);
}
