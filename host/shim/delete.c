/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `delete`: containerd lost its shim and wants what is left of a container gone. The hypervisor, the file
 * server and stand-ins die with the shim (PR_SET_PDEATHSIG), so what is left is the shim itself, should it
 * hang, its files and its cgroup, what its network and its hooks set up, and what somebody mounted at the
 * bundle's rootfs. containerd calls it after every orderly end as well, when nothing of this is left.
 */
#include "shim/instance.h"
#include "shim/shim.h"

#include "base/fd.h"
#include "base/path.h"
#include "cgroup/cgroup.h"
#include "oci/config.h"
#include "oci/state.h"
#include "proto/task.pb-c.h"
#include "sandbox/host_hooks.h"
#include "sandbox/network.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
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

static void complain(void *context, const struct error *error)
{
    fprintf(stderr, "%s\n", error_message(error));
}

static void complain_and_free(struct error *error)
{
    if (error)
        complain(NULL, error);
    error_free(error);
}

/* What the cgroup still holds ends with the shim that is dead by now. */
static void remove_cgroup(const Grpc__Spec *spec)
{
    if (spec && spec->linux_config)
        complain_and_free(cgroup_remove(spec->linux_config->cgroups_path));
}

/* Where the shim died between the hooks that set up and those that take down. */
static void run_due_hooks(const struct shim_options *options, const char *bundle, const Grpc__Spec *spec)
{
    _cleanup_free_ char *note = must_printf("%s/" HOST_HOOKS_NOTE, bundle);
    if (!spec || !spec->hooks || unlink(note) < 0)
        return;
    struct oci_state state = {.version = spec->version,
        .id = options->id,
        .status = "stopped",
        .bundle = bundle,
        .annotations = spec->annotations,
        .annotation_count = spec->n_annotations};
    _cleanup_free_ char *text = oci_state_json(&state);
    struct host_hooks_config config = {.kind = "poststop",
        .hooks = spec->hooks->poststop,
        .count = spec->hooks->n_poststop,
        .state = text,
        .directory = bundle};
    host_hooks_run_and_wait(&config, complain, NULL);
}

/* A container that shares another one's sandbox leaves that alone. */
static struct error *remove_sandbox(
    const struct shim_options *options, const char *bundle, const Grpc__Spec *spec)
{
    _cleanup_free_ char *sandbox_id = places_sandbox_of(bundle, options->id);
    _cleanup_places_ struct places *places = NULL;
    if (strcmp(sandbox_id, options->id) != 0)
        return NULL;
    TRY(places_find(options->address, options->namespace, sandbox_id, &places));
    TRY(instance_kill(places));
    sweep_network(places);
    remove_cgroup(spec);
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

/* NULL where it cannot be read: then nothing was made from it either. */
static void read_spec(const char *bundle, Grpc__Spec **spec)
{
    _cleanup_fd_ int directory = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0)
        error_free(oci_config_load(directory, spec));
}

struct error *shim_delete(const struct shim_options *options)
{
    _cleanup_free_ char *bundle = NULL;
    _cleanup_oci_spec_ Grpc__Spec *spec = NULL;
    const char *given = *options->bundle ? options->bundle : ".";
    error_free(path_resolve(given, &bundle));
    if (!bundle)
        bundle = must_copy(given);
    read_spec(bundle, &spec);
    TRY(remove_sandbox(options, bundle, spec));
    run_due_hooks(options, bundle, spec);
    TRY(unmount_rootfs(bundle));
    return print_response();
}
