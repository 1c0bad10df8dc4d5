/* SPDX-License-Identifier: Apache-2.0 */
/* The probe's web server, asked one request after the other */
#include "compare/session.h"

#include "base/fd.h"

#include <string.h>

#define REQUESTS 50
#define RATE_NANOSECONDS 500000000
#define READY_MILLISECONDS 10000

static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

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

static struct error *ask_once(const struct endpoint *endpoint, double *ret_milliseconds)
{
    _cleanup_fd_ int fd = -1;
    double begin = milliseconds_now();
    TRY(http_connect(endpoint, &fd));
    TRY(ask(fd));
    *ret_milliseconds = milliseconds_now() - begin;
    return NULL;
}

static struct error *ask_on(const struct endpoint *endpoint, double *ret_rate)
{
    _cleanup_fd_ int fd = -1;
    unsigned count = 0;
    TRY(http_connect(endpoint, &fd));
    double begin = milliseconds_now(), end = begin;
    for (; end - begin < RATE_NANOSECONDS / 1e6; count++) {
        TRY(ask(fd));
        end = milliseconds_now();
    }
    *ret_rate = count * 1e3 / (end - begin);
    return NULL;
}

static struct error *ask_all(
    struct session *session, struct subject *subject, const struct endpoint *endpoint, bool counts)
{
    double value;
    int status;
    TRY(http_first_answer(session->launcher, endpoint, READY_MILLISECONDS, &status));
    if (!subject->workplace->app)
        subject->result->http_status = status;
    for (int i = 0; i < REQUESTS; i++) {
        TRY(ask_once(endpoint, &value));
        if (counts)
            series_add(&subject->result->series[METRIC_HTTP_LATENCY], value);
    }
    TRY(ask_on(endpoint, &value));
    if (counts)
        series_add(&subject->result->series[METRIC_HTTP_RATE], value);
    return NULL;
}

const char *network_path(const struct subject *subject)
{
    if (subject->ops == &subject_caisson)
        return "through the hypervisor's user-mode network";
    if (subject->ops == &subject_containerd)
        return "through a pair of veth interfaces, one of them in the container's network namespace";
    if (subject->ops == &subject_oci)
        return subject->result->own_kernel ? "through the sandbox's own use of the host's network"
                                           : "on the host's own network: there is nothing in between";
    return "on the host itself";
}

static struct error *serve_and_ask(struct session *session, struct subject *subject,
    const struct network_space *space, struct endpoint *endpoint, bool counts)
{
    struct kept kept = {0};
    _cleanup_free_ char *id = NULL, *number = must_printf("%u", endpoint->port);
    char *const command[] = {(char[]){"serve"}, number, NULL};
    const struct purpose purpose = {.command = command, .port = endpoint->port, .space = space};
    TRY(keep_probe(session, subject, &purpose, &kept, &id));
    struct error *error = ask_all(session, subject, endpoint, counts);
    if (!error)
        measure_load(session, subject, endpoint, METRIC_HTTP_LOAD, counts);
    end_probe(subject, &kept, id);
    return error;
}

struct error *find_place(struct session *session, const struct subject *subject,
    struct network_space *ret_space, struct endpoint *ret_endpoint)
{
    struct endpoint endpoint = {.address = LOOPBACK};
    TRY(http_free_port(&endpoint.port));
    if (subject->ops == &subject_containerd) {
        TRY(network_space_open(session->launcher, subject->workplace->probe, ret_space));
        memcpy(endpoint.address, ret_space->address, sizeof(endpoint.address));
    }
    *ret_endpoint = endpoint;
    return NULL;
}

void measure_network(struct session *session, struct subject *subject, bool counts)
{
    struct network_space space = {0};
    struct endpoint endpoint;
    subject_note(subject, METRIC_HTTP_LATENCY, METRIC_HTTP_RATE, network_path(subject));
    struct error *error = find_place(session, subject, &space, &endpoint);
    if (!error)
        error = serve_and_ask(session, subject, space.path ? &space : NULL, &endpoint, counts);
    network_space_close(&space);
    if (error)
        take_failure(subject, error, METRIC_HTTP_LATENCY, METRIC_HTTP_RATE);
}
