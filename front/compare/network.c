/* SPDX-License-Identifier: Apache-2.0 */
/* The probe's web server, asked one request after the other, and with --full by many connections at once. */
#include "compare/http.h"
#include "compare/session.h"

#include "base/fd.h"

#include <stdio.h>
#include <string.h>

#define REQUESTS 50
#define RATE_NANOSECONDS 500000000
#define READY_MILLISECONDS 10000
#define LOAD_LIMIT 30000

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

static struct error *ask_once(uint16_t port, double *ret_milliseconds)
{
    _cleanup_fd_ int fd = -1;
    double begin = http_now();
    TRY(http_connect(port, &fd));
    TRY(ask(fd));
    *ret_milliseconds = http_now() - begin;
    return NULL;
}

static struct error *ask_on(uint16_t port, double *ret_rate)
{
    _cleanup_fd_ int fd = -1;
    unsigned count = 0;
    TRY(http_connect(port, &fd));
    double begin = http_now(), end = begin;
    for (; end - begin < RATE_NANOSECONDS / 1e6; count++) {
        TRY(ask(fd));
        end = http_now();
    }
    *ret_rate = count * 1e3 / (end - begin);
    return NULL;
}

/* "Requests/sec:  12345.67" is the line of wrk that counts. */
static struct error *load(struct session *session, struct subject *subject, uint16_t port, bool counts)
{
    _cleanup_free_ char *address = must_printf("http://127.0.0.1:%u/", port);
    char *const arguments[] = {
        (char[]){"wrk"}, (char[]){"-t1"}, (char[]){"-c16"}, (char[]){"-d2s"}, address, NULL};
    struct launched launched = {0};
    double rate;
    TRY(launch_checked(session->launcher, arguments, LOAD_LIMIT, &launched));
    const char *line = strstr(launched.output, "Requests/sec:");
    bool is_read = line && sscanf(line, "Requests/sec: %lf", &rate) == 1;
    if (is_read && counts)
        series_add(&subject->result->series[METRIC_HTTP_LOAD], rate);
    launched_clear(&launched);
    return is_read ? NULL : error_new(ERROR_DATA_LOSS, "wrk does not say how many requests it made");
}

static struct error *ask_all(struct session *session, struct subject *subject, uint16_t port, bool counts)
{
    double value;
    TRY(http_first_answer(session->launcher, port, READY_MILLISECONDS));
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

static void note_all(struct subject *subject, const char *note)
{
    for (enum metric metric = METRIC_HTTP_LATENCY; metric <= METRIC_HTTP_LOAD; metric++)
        if (!subject->result->series[metric].note)
            subject->result->series[metric].note = must_copy(note);
}

const char *network_path(const struct subject *subject)
{
    if (subject->ops == &subject_caisson)
        return "through the hypervisor's user-mode network";
    if (subject->ops == &subject_oci)
        return subject->variant ? "through the sandbox's own use of the host's network"
                                : "on the host's own network: there is nothing in between";
    return "on the host itself";
}

static struct error *serve_and_ask(struct session *session, struct subject *subject, bool counts)
{
    uint16_t port;
    struct kept kept = {0};
    _cleanup_free_ char *id = NULL;
    TRY(http_free_port(&port));
    _cleanup_free_ char *number = must_printf("%u", port);
    char *const command[] = {(char[]){"serve"}, number, NULL};
    TRY(keep_probe(session, subject, &(struct purpose){.command = command, .port = port}, &kept, &id));
    struct error *error = ask_all(session, subject, port, counts);
    struct error *under_load = !error && session->options->load ? load(session, subject, port, counts) : NULL;
    if (under_load)
        take_failure(subject, under_load, METRIC_HTTP_LOAD, METRIC_HTTP_LOAD);
    end_probe(subject, &kept, id);
    return error;
}

void measure_network(struct session *session, struct subject *subject, bool counts)
{
    if (subject->ops == &subject_containerd) {
        note_all(subject, "not measured: ctr publishes no port");
        return;
    }
    note_all(subject, network_path(subject));
    struct error *error = serve_and_ask(session, subject, counts);
    if (error)
        take_failure(subject, error, METRIC_HTTP_LATENCY, METRIC_HTTP_RATE);
}
