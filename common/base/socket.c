/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Fills the address. A path that does not fit goes through /proc/self/fd of its directory, which the caller
   keeps open in *ret_directory until the address was used. */
static struct error *make_address(const char *path, struct sockaddr_un *address, int *ret_directory)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) < sizeof(address->sun_path)) {
        memcpy(address->sun_path, path, strlen(path) + 1);
        return NULL;
    }
    const char *slash = strrchr(path, '/');
    if (!slash || strlen(slash) > 70)
        return error_new(ERROR_INVALID_ARGUMENT, "%s: the name of the socket is too long", path);
    _cleanup_free_ char *parent = must_copy_length(path, (size_t)(slash - path));
    int directory = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_errno(errno, "%s", parent);
    snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d%.72s", directory, slash);
    *ret_directory = directory;
    return NULL;
}

struct error *unix_listen(const char *path, int *ret_fd)
{
    struct sockaddr_un address;
    _cleanup_fd_ int directory = -1;
    TRY(make_address(path, &address, &directory));
    _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(errno, "making a socket");
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(errno, "%s", path);
    if (listen(fd, SOMAXCONN) < 0)
        return error_errno(errno, "%s", path);
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

struct error *unix_connect(const char *path, int *ret_fd)
{
    struct sockaddr_un address;
    _cleanup_fd_ int directory = -1;
    TRY(make_address(path, &address, &directory));
    _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(errno, "making a socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(errno, "%s", path);
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

struct error *unix_pair(int *ret_one, int *ret_other)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_errno(errno, "making a pair of sockets");
    *ret_one = pair[0];
    *ret_other = pair[1];
    return NULL;
}

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

struct error *fd_send(int socket, int fd)
{
    char byte = 0;
    union control control = {0};
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    control.header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    if (sendmsg(socket, &message, MSG_NOSIGNAL) != 1)
        return error_errno(errno, "passing a descriptor");
    return NULL;
}

struct error *fd_receive(int socket, int *ret_fd)
{
    char byte;
    union control control = {0};
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (received < 0)
        return error_errno(errno, "receiving a descriptor");
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (received == 0 || !header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len != CMSG_LEN(sizeof(int)))
        return error_new(ERROR_DATA_LOSS, "no descriptor came with the message");
    memcpy(ret_fd, CMSG_DATA(header), sizeof(int));
    return NULL;
}
