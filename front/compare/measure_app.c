/* SPDX-License-Identifier: Apache-2.0 */
/* A real application: how long from its start to its first answer, and how long requests take then. */
#include "compare/app.h"
#include "compare/http.h"
#include "compare/session.h"

#include "base/strv.h"

#include <string.h>

#define REQUESTS 50
#define READY_MILLISECONDS 60000

/* Containers on the host's network take the port itself. */
static struct error *check_port(uint16_t port, uint16_t listened)
{
    if (port == listened && http_is_open(port))
        return error_new(ERROR_FAILED_PRECONDITION,
            "port %u of the host is in use, where the application would listen", port);
    return NULL;
}

static struct error *ask_all(struct session *session, struct subject *subject, uint16_t port, bool counts)
{
    struct series *series = subject->result->series;
    double begun = http_now(), value;
    TRY(http_first_answer(session->launcher, port, READY_MILLISECONDS));
    if (counts)
        series_add(&series[METRIC_APP_READY], http_now() - begun);
    for (int i = 0; i < REQUESTS && !launcher_interrupted(session->launcher); i++) {
        TRY(http_page(port, &value));
        if (counts)
            series_add(&series[METRIC_APP_LATENCY], value);
    }
    return NULL;
}

static struct error *run_and_ask(struct session *session, struct subject *subject, bool counts)
{
    const struct app *app = subject->workplace->app;
    _cleanup_free_ char *id = must_printf("compare-%d-%s-app", (int)getpid(), subject->result->name);
    _cleanup_strv_ char **arguments = NULL;
    struct kept kept = {0};
    uint16_t port;
    TRY(http_free_port(&port));
    TRY(subject->ops->run_app(subject, id, &port, &arguments));
    TRY(check_port(port, app->port));
    /* It says nothing that could be waited for: its answers tell. */
    TRY(keep(session->launcher, arguments, "", READY_MILLISECONDS, &kept));
    struct error *error = ask_all(session, subject, port, counts);
    end_probe(subject, &kept, id);
    return error;
}

static void note(struct subject *subject, const char *text)
{
    struct series *series = subject->result->series;
    for (enum metric metric = METRIC_APP_READY; metric <= METRIC_APP_LATENCY; metric++)
        if (!series[metric].note)
            series[metric].note = must_copy(text);
}

void measure_application(struct session *session, struct subject *subject, bool counts)
{
    const char *path = network_path(subject);
    note(
        subject, !subject->ops->run_app ? "images are run by runtimes that are started directly only" : path);
    if (!subject->ops->run_app)
        return;
    struct error *error = run_and_ask(session, subject, counts);
    if (error)
        take_failure(subject, error, METRIC_APP_READY, METRIC_APP_LATENCY);
}
