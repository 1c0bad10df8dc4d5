/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk consists of three things in QEMU, made in this order and taken away in the opposite one: a
 * descriptor set, a block node that is opened from it, and the device that the guest sees. Each is one
 * command to the monitor; the next follows the answer. What fails on the way up is followed by the way down
 * from there, and the way down goes on whatever it meets. A device is gone not with the answer but with an
 * event: only then does it let go of its node.
 */
#include "hv/qemu_disks.h"

#include "base/fd.h"

#include <fcntl.h>
#include <string.h>

/* Above the sets of the disks that are there from the start. */
#define FIRST_SET 1000

/* The guest's kernel takes an announced unit 0 for a whole target to be scanned, which costs more, and which
   it does not do where the bus is not scanned at boot. */
#define FIRST_UNIT 1

enum stage {
    NOTHING,
    ADDING_SET,
    ADDING_NODE,
    ADDING_DEVICE,
    ATTACHED,
    REMOVING_DEVICE,
    REMOVING_NODE,
    REMOVING_SET,
};

struct hot_disk {
    enum stage stage;
    struct qemu_disks *disks;
    unsigned unit;    /* of SCSI target 0, and what all its names are made of */
    char address[16]; /* "0:7" */
    char name[16];    /* of the device, and of the node: "hot7" */
    bool read_only;
    bool durable;
    struct error *failure; /* of an attachment that is being taken back */
    hv_attached *attached; /* one of these two while it comes or goes */
    hv_done *detached;
    void *context;
};

struct qemu_disks {
    struct qmp *qmp; /* of the running machine */
    struct hot_disk slots[HV_HOT_DISKS_MAX];
};

struct qemu_disks *qemu_disks_new(void)
{
    struct qemu_disks *disks = must_new(struct qemu_disks);
    for (unsigned i = 0; i < HV_HOT_DISKS_MAX; i++) {
        struct hot_disk *disk = &disks->slots[i];
        disk->disks = disks;
        disk->unit = i + FIRST_UNIT;
        snprintf(disk->address, sizeof(disk->address), "0:%u", disk->unit);
        snprintf(disk->name, sizeof(disk->name), "hot%u", disk->unit);
    }
    return disks;
}

void qemu_disks_free(struct qemu_disks *disks)
{
    if (!disks)
        return;
    for (size_t i = 0; i < HV_HOT_DISKS_MAX; i++)
        error_free(disks->slots[i].failure);
    free(disks);
}

static int set_number(const struct hot_disk *disk)
{
    return FIRST_SET + (int)disk->unit;
}

/* ---- the end of an attachment or detachment; the owner may free the machine in these calls ---- */

static void tell_attached(struct hot_disk *disk)
{
    disk->stage = ATTACHED;
    hv_attached *done = TAKE_PTR(disk->attached);
    done(disk->context, NULL, disk->address);
}

static void tell_gone(struct hot_disk *disk)
{
    disk->stage = NOTHING;
    struct error *failure = TAKE_PTR(disk->failure);
    hv_attached *attached = TAKE_PTR(disk->attached);
    hv_done *detached = TAKE_PTR(disk->detached);
    if (attached)
        attached(disk->context, failure, NULL);
    else if (detached)
        detached(disk->context, failure);
}

/* ---- down ---- */

static void take_down(struct hot_disk *disk, enum stage stage);

/* An error leaves a remainder in QEMU, where it harms nobody: the slot's names are given up by then. */
static void on_removed(void *context, struct error *error)
{
    struct hot_disk *disk = context;
    /* The device is gone with its event, unless it was not even there. */
    if (disk->stage == REMOVING_DEVICE && !error)
        return;
    error_free(error);
    if (disk->stage == REMOVING_SET)
        tell_gone(disk);
    else
        take_down(disk, disk->stage + 1);
}

static void take_down(struct hot_disk *disk, enum stage stage)
{
    struct qmp *qmp = disk->disks->qmp;
    disk->stage = stage;
    if (stage == REMOVING_DEVICE)
        qmp_call_with(qmp, "device_del", json_pack("{s:s}", "id", disk->name), -1, on_removed, disk);
    else if (stage == REMOVING_NODE)
        qmp_call_with(qmp, "blockdev-del", json_pack("{s:s}", "node-name", disk->name), -1, on_removed, disk);
    else
        qmp_call_with(
            qmp, "remove-fd", json_pack("{s:i}", "fdset-id", set_number(disk)), -1, on_removed, disk);
}

void qemu_disks_event(struct qemu_disks *disks, const char *name, const json_t *data)
{
    const char *device = json_string_value(json_object_get(data, "device"));
    if (strcmp(name, "DEVICE_DELETED") != 0 || !device)
        return;
    for (size_t i = 0; i < HV_HOT_DISKS_MAX; i++) {
        struct hot_disk *disk = &disks->slots[i];
        if (disk->stage == REMOVING_DEVICE && strcmp(disk->name, device) == 0) {
            take_down(disk, REMOVING_NODE);
            return;
        }
    }
}

/* ---- up ---- */

static json_t *node_arguments(const struct hot_disk *disk)
{
    char file[32];
    snprintf(file, sizeof(file), "/dev/fdset/%d", set_number(disk));
    json_t *node = json_pack("{s:s, s:s, s:s, s:s, s:b}", "driver", "file", "node-name", disk->name,
        "filename", file, "locking", "off", "read-only", disk->read_only);
    if (!disk->read_only) {
        json_object_set_new(node, "discard", json_string("unmap"));
        json_object_set_new(node, "cache", json_pack("{s:b}", "no-flush", !disk->durable));
    }
    return node;
}

static json_t *device_arguments(const struct hot_disk *disk)
{
    /* Without a rate of rotation the guest would sort its requests as for a disk that spins. */
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:s}", "driver", "scsi-hd", "id", disk->name,
        "drive", disk->name, "bus", QEMU_DISKS_CONTROLLER ".0", "scsi-id", 0, "lun", (int)disk->unit,
        "rotation_rate", 1, "werror", "report", "rerror", "report");
}

static void on_added(void *context, struct error *error)
{
    struct hot_disk *disk = context;
    struct qmp *qmp = disk->disks->qmp;
    if (error) {
        disk->failure = error_wrap(error, "attaching a disk to the machine");
        /* The opposite of the stage before the one that failed. */
        take_down(disk, disk->stage == ADDING_DEVICE ? REMOVING_NODE : REMOVING_SET);
        return;
    }
    switch (disk->stage) {
    case ADDING_SET:
        disk->stage = ADDING_NODE;
        qmp_call_with(qmp, "blockdev-add", node_arguments(disk), -1, on_added, disk);
        break;
    case ADDING_NODE:
        disk->stage = ADDING_DEVICE;
        qmp_call_with(qmp, "device_add", device_arguments(disk), -1, on_added, disk);
        break;
    default:
        tell_attached(disk);
    }
}

static struct hot_disk *free_slot(struct qemu_disks *disks)
{
    for (size_t i = 0; i < HV_HOT_DISKS_MAX; i++) {
        if (disks->slots[i].stage == NOTHING)
            return &disks->slots[i];
    }
    return NULL;
}

static struct error *open_image(const struct hv_disk *image, int *ret_fd)
{
    int fd = image->path ? open(image->path, (image->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC)
                         : fcntl(image->fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return error_errno(errno, "disk image%s%s", image->path ? " " : "", image->path ? image->path : "");
    *ret_fd = fd;
    return NULL;
}

void qemu_disks_attach(
    struct qemu_disks *disks, struct qmp *qmp, const struct hv_disk *image, hv_attached *done, void *context)
{
    struct hot_disk *disk = free_slot(disks);
    _cleanup_fd_ int fd = -1;
    struct error *error = disk
                              ? open_image(image, &fd)
                              : error_new(ERROR_RESOURCE_EXHAUSTED,
                                    "the machine has %d attached disks, which is the most", HV_HOT_DISKS_MAX);
    if (error) {
        done(context, error, NULL);
        return;
    }
    disks->qmp = qmp;
    disk->stage = ADDING_SET;
    disk->read_only = image->read_only;
    disk->durable = image->durable;
    disk->attached = done;
    disk->context = context;
    qmp_call_with(qmp, "add-fd", json_pack("{s:i}", "fdset-id", set_number(disk)), fd, on_added, disk);
}

void qemu_disks_detach(
    struct qemu_disks *disks, struct qmp *qmp, const char *address, hv_done *done, void *context)
{
    for (size_t i = 0; i < HV_HOT_DISKS_MAX; i++) {
        struct hot_disk *disk = &disks->slots[i];
        if (disk->stage != ATTACHED || strcmp(disk->address, address) != 0)
            continue;
        disks->qmp = qmp;
        disk->detached = done;
        disk->context = context;
        take_down(disk, REMOVING_DEVICE);
        return;
    }
    done(context, error_new(ERROR_NOT_FOUND, "the machine has no disk at %s", address));
}

void qemu_disks_machine_ended(struct qemu_disks *disks, const bool *freed)
{
    for (size_t i = 0; i < HV_HOT_DISKS_MAX && !*freed; i++) {
        struct hot_disk *disk = &disks->slots[i];
        if (disk->attached && !disk->failure)
            disk->failure = error_new(ERROR_ABORTED, "the machine has ended");
        tell_gone(disk);
    }
}
