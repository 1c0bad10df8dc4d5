/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/http.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_SECONDS 10
#define ANSWER_MAX (64u << 20)
#define TRY_MILLISECONDS 20

struct error *http_connect(const struct endpoint *endpoint, int *ret_fd)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_port = htons(endpoint->port),
        .sin_addr.s_addr = inet_addr(endpoint->address)};
    const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    int one = 1;
    _cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(errno, "connecting to %s port %u", endpoint->address, endpoint->port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

bool http_is_open(const struct endpoint *endpoint)
{
    _cleanup_fd_ int fd = -1;
    _cleanup_error_ struct error *error = http_connect(endpoint, &fd);
    return !error;
}

struct error *http_free_port(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    _cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return error_errno(errno, "finding a free port");
    *ret_port = ntohs(address.sin_port);
    return NULL;
}

/* HTTP/1.0, so that the end of the connection is the end of the answer whatever server it is. */
struct error *http_page(const struct endpoint *endpoint, double *ret_milliseconds, int *ret_status)
{
    static const char request[] = "GET / HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    _cleanup_fd_ int fd = -1;
    _cleanup_free_ char *answer = NULL;
    size_t length = 0;
    int status = 0;
    double begin = milliseconds_now();
    TRY(http_connect(endpoint, &fd));
    TRY(fd_write_all(fd, request, sizeof(request) - 1));
    TRY(fd_read_all(fd, ANSWER_MAX, &answer, &length));
    double took = milliseconds_now() - begin;
    if (length == 0)
        return error_new(ERROR_UNAVAILABLE, "port %u hung up without an answer", endpoint->port);
    if (sscanf(answer, "HTTP/1.%*1d %d", &status) != 1 || status < 100)
        return error_new(ERROR_DATA_LOSS, "what answers at port %u is no web server", endpoint->port);
    if (status >= 500)
        return error_new(
            ERROR_UNAVAILABLE, "the web server at port %u answers with status %d", endpoint->port, status);
    *ret_milliseconds = took;
    *ret_status = status;
    return NULL;
}

struct error *http_first_answer(
    struct launcher *launcher, const struct endpoint *endpoint, int limit_milliseconds, int *ret_status)
{
    struct error *error = NULL;
    double end = milliseconds_now() + limit_milliseconds, unused;
    while (!launcher_interrupted(launcher)) {
        error = http_page(endpoint, &unused, ret_status);
        if (!error)
            return NULL;
        if (milliseconds_now() >= end)
            return error_wrap(error, "no answer within %d s", limit_milliseconds / 1000);
        error_free(error);
        launcher_wait(launcher, TRY_MILLISECONDS);
    }
    return error_new(ERROR_CANCELLED, "interrupted");
}
