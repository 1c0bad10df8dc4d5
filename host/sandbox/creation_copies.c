/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/creation.h"

#include "base/fd.h"

#include <fcntl.h>
#include <sys/stat.h>

static void copy_next(struct creation *creation);

static void copied(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct creation *creation = context;
    if (error || creation->undone) {
        creation_call_done(creation, error, NULL);
        return;
    }
    creation->copy_mount++;
    copy_next(creation);
}

/* Files of an ordinary user who runs the supervisor are root's in the guest. */
static int32_t guest_owner(uint32_t owner, uint32_t own)
{
    return owner == own ? 0 : (int32_t)owner;
}

/* The file fits into one call: GUEST_COPY_MAX is under ttrpc's limit. */
static struct error *copy_file(struct creation *creation, struct guest_mount *mount)
{
    _cleanup_fd_ int fd = open(mount->host_source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat status;
    _cleanup_free_ char *data = NULL;
    size_t length = 0;
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_errno(errno, "%s", mount->host_source);
    TRY(fd_read_all(fd, GUEST_COPY_MAX, &data, &length));
    free(mount->guest_source);
    mount->guest_source = must_printf(GUEST_COPIES "/%s/%zu", creation->container->id, creation->copy_mount);
    Grpc__CopyFileRequest request = GRPC__COPY_FILE_REQUEST__INIT;
    request.path = mount->guest_source;
    request.file_size = (int64_t)length;
    request.file_mode = status.st_mode;
    request.dir_mode = 0755;
    request.uid = guest_owner(status.st_uid, geteuid());
    request.gid = guest_owner(status.st_gid, getegid());
    request.data = (ProtobufCBinaryData){.data = (uint8_t *)data, .len = length};
    agent_copy_file(creation->sandbox->agent, &request, copied, creation);
    return NULL;
}

static void copy_next(struct creation *creation)
{
    struct guest_mounts *mounts = creation->mounts;
    size_t index = creation->copy_mount;
    while (index < mounts->count && mounts->mounts[index].bind != GUEST_BIND_COPY)
        index++;
    creation->copy_mount = index;
    struct error *error = NULL;
    if (index < mounts->count)
        error = copy_file(creation, &mounts->mounts[index]);
    if (index == mounts->count || error)
        creation_step_done(creation, error);
}

void creation_copy_files(struct creation *creation)
{
    copy_next(creation);
}
