/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `delete`: containerd lost its shim and wants what is left of a container gone. The hypervisor and the file
 * server die with the shim (PR_SET_PDEATHSIG), so what is left is the shim itself, should it hang, its files,
 * and what somebody mounted at the bundle's rootfs.
 */
#include "shim/instance.h"
#include "shim/shim.h"

#include "base/fd.h"
#include "base/path.h"
#include "proto/task.pb-c.h"
#include "sandbox/network.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

/* At most a few layers are ever there; the bound is against a mount that does not go away. */
#define ROOTFS_MOUNTS_MAX 64

static struct error *unmount_rootfs(const char *bundle)
{
    _cleanup_free_ char *path = must_printf("%s/rootfs", bundle);
    for (int i = 0; i < ROOTFS_MOUNTS_MAX; i++) {
        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
            continue;
        bool absent = errno == EINVAL || errno == ENOENT || errno == EPERM;
        return absent ? NULL : error_errno(errno, "unmounting %s", path);
    }
    return error_new(ERROR_INTERNAL, "%s stays mounted", path);
}

/* What the machine's network left in a namespace that may outlive it. */
static void sweep_network(const struct places *places)
{
    _cleanup_free_ char *path = must_printf("%s/" NETWORK_NOTE, places->sandbox), *note = NULL;
    error_free(file_read(AT_FDCWD, path, PATH_MAX + 64, &note, NULL));
    if (note)
        error_free(net_sweep(note));
}

/* A container that shares another one's sandbox leaves that alone. */
static struct error *remove_sandbox(const struct shim_options *options, const char *bundle)
{
    _cleanup_free_ char *sandbox_id = places_sandbox_of(bundle, options->id);
    _cleanup_places_ struct places *places = NULL;
    if (strcmp(sandbox_id, options->id) != 0)
        return NULL;
    TRY(places_find(options->address, options->namespace, sandbox_id, &places));
    TRY(instance_kill(places));
    sweep_network(places);
    return instance_remove(places);
}

static struct error *print_response(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    at.seconds = now.tv_sec;
    at.nanos = (int32_t)now.tv_nsec;
    Task__DeleteResponse response = TASK__DELETE_RESPONSE__INIT;
    response.exit_status = SANDBOX_LOST_STATUS;
    response.exited_at = &at;
    size_t length = 0;
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&response.base, &length);
    return fd_write_all(STDOUT_FILENO, bytes, length);
}

struct error *shim_delete(const struct shim_options *options)
{
    const char *bundle = *options->bundle ? options->bundle : ".";
    TRY(remove_sandbox(options, bundle));
    TRY(unmount_rootfs(bundle));
    return print_response();
}
