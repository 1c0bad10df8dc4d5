/* SPDX-License-Identifier: Apache-2.0 */
/* A web client that measures: one request after the other, over loopback only. */
#include "compare/session.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define REQUESTS 50
#define RATE_NANOSECONDS 500000000
#define ANSWER_SECONDS 10
/* How often a first connection is tried while the way to a server that listens is not open yet. */
#define TRIES 100
#define TRY_MILLISECONDS 50

static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

static double milliseconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static struct error *connect_to(uint16_t port, int *ret_fd)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    int one = 1;
    _cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(errno, "connecting to port %u", port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

/* The page is the probe's, whose length and end are known. */
static struct error *ask(int fd)
{
    char answer[1024];
    size_t length = 0;
    TRY(fd_write_all(fd, request, sizeof(request) - 1));
    while (length < 6 || memcmp(answer + length - 6, "probe\n", 6) != 0) {
        ssize_t count = read(fd, answer + length, sizeof(answer) - length);
        if (count <= 0)
            return count == 0 ? error_new(ERROR_UNAVAILABLE, "the web server hung up")
                              : error_errno(errno, "reading an answer");
        length += (size_t)count;
        if (length == sizeof(answer))
            return error_new(ERROR_DATA_LOSS, "the web server answers something else");
    }
    return NULL;
}

static struct error *ask_once(uint16_t port, double *ret_milliseconds)
{
    _cleanup_fd_ int fd = -1;
    double begin = milliseconds_now();
    TRY(connect_to(port, &fd));
    TRY(ask(fd));
    *ret_milliseconds = milliseconds_now() - begin;
    return NULL;
}

/* A published port accepts before the way into the container is open. */
static struct error *first_answer(struct launcher *launcher, uint16_t port)
{
    struct error *error = NULL;
    double unused;
    for (int i = 0; i < TRIES && !launcher_interrupted(launcher); i++) {
        error_free(error);
        error = ask_once(port, &unused);
        if (!error)
            return NULL;
        launcher_wait(launcher, TRY_MILLISECONDS);
    }
    return error ?: error_new(ERROR_CANCELLED, "interrupted");
}

static struct error *ask_on(uint16_t port, double *ret_rate)
{
    _cleanup_fd_ int fd = -1;
    unsigned count = 0;
    TRY(connect_to(port, &fd));
    double begin = milliseconds_now(), end = begin;
    for (; end - begin < RATE_NANOSECONDS / 1e6; count++) {
        TRY(ask(fd));
        end = milliseconds_now();
    }
    *ret_rate = count * 1e3 / (end - begin);
    return NULL;
}

static struct error *ask_all(struct session *session, struct subject *subject, uint16_t port, bool counts)
{
    double value;
    TRY(first_answer(session->launcher, port));
    for (int i = 0; i < REQUESTS; i++) {
        TRY(ask_once(port, &value));
        if (counts)
            series_add(&subject->result->series[METRIC_HTTP_LATENCY], value);
    }
    TRY(ask_on(port, &value));
    if (counts)
        series_add(&subject->result->series[METRIC_HTTP_RATE], value);
    return NULL;
}

/* One that nobody listens at now. */
static struct error *free_port(uint16_t *ret_port)
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

/* What carries the packets is not the same everywhere, and the report has to say it. */
static void note_path(struct subject *subject)
{
    const char *path = subject->ops == &subject_caisson ? "through the hypervisor's user-mode network"
                       : subject->ops == &subject_oci
                           ? subject->variant ? "through the sandbox's own use of the host's network"
                                              : "on the host's own network: there is nothing in between"
                           : NULL;
    for (enum metric metric = METRIC_HTTP_LATENCY; metric <= METRIC_HTTP_RATE; metric++) {
        struct series *series = &subject->result->series[metric];
        if (path && !series->note)
            series->note = must_copy(path);
    }
}

static struct error *serve_and_ask(struct session *session, struct subject *subject, bool counts)
{
    uint16_t port;
    struct kept kept = {0};
    _cleanup_free_ char *id = NULL;
    TRY(free_port(&port));
    _cleanup_free_ char *number = must_printf("%u", port);
    char *const command[] = {(char[]){"serve"}, number, NULL};
    TRY(keep_probe(session, subject, &(struct purpose){.command = command, .port = port}, &kept, &id));
    struct error *error = ask_all(session, subject, port, counts);
    end_probe(subject, &kept, id);
    return error;
}

void measure_network(struct session *session, struct subject *subject, bool counts)
{
    note_path(subject);
    struct error *error = serve_and_ask(session, subject, counts);
    if (error)
        take_failure(subject, error, METRIC_HTTP_LATENCY, METRIC_HTTP_RATE);
}
