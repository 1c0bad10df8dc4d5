/* SPDX-License-Identifier: Apache-2.0 */
/* A real application: how long from its start to its first answer, and how long requests take then. */
#include "compare/app.h"
#include "compare/http.h"
#include "compare/session.h"

#include "base/strv.h"

#define REQUESTS 50
#define READY_MILLISECONDS 60000

/* Containers on the host's network take the port itself. */
static struct error *check_port(const struct endpoint *endpoint, uint16_t listened)
{
    if (endpoint->port == listened && http_is_open(endpoint))
        return error_new(ERROR_FAILED_PRECONDITION,
            "port %u of the host is in use, where the application would listen", endpoint->port);
    return NULL;
}

static struct error *ask_all(
    struct session *session, struct subject *subject, const struct endpoint *endpoint, bool counts)
{
    struct series *series = subject->result->series;
    double begun = milliseconds_now(), value;
    int status;
    TRY(http_first_answer(session->launcher, endpoint, READY_MILLISECONDS, &status));
    subject->result->http_status = status;
    if (counts)
        series_add(&series[METRIC_APP_READY], milliseconds_now() - begun);
    for (int i = 0; i < REQUESTS && !launcher_interrupted(session->launcher); i++) {
        TRY(http_page(endpoint, &value, &status));
        if (counts)
            series_add(&series[METRIC_APP_LATENCY], value);
    }
    return NULL;
}

static struct error *run_and_ask(struct session *session, struct subject *subject,
    const struct network_space *space, struct endpoint *endpoint, bool counts)
{
    _cleanup_free_ char *id = must_printf("compare-%d-%s-app", (int)getpid(), subject->result->name);
    _cleanup_strv_ char **arguments = NULL;
    struct kept kept = {0};
    TRY(subject->ops->run_app(subject, id, space, endpoint, &arguments));
    TRY(check_port(endpoint, subject->workplace->app->port));
    /* It says nothing that could be waited for: its answers tell. */
    TRY(keep(session->launcher, arguments, NULL, READY_MILLISECONDS, &kept));
    struct error *error = ask_all(session, subject, endpoint, counts);
    if (!error)
        measure_load(session, subject, endpoint, METRIC_APP_LOAD, counts);
    end_probe(subject, &kept, id);
    return error;
}

void measure_application(struct session *session, struct subject *subject, bool counts)
{
    struct network_space space = {0};
    struct endpoint endpoint;
    if (!subject->ops->run_app) {
        subject_note(subject, METRIC_APP_READY, METRIC_APP_LOAD, "the host itself runs no images");
        return;
    }
    subject_note(subject, METRIC_APP_READY, METRIC_APP_LATENCY, network_path(subject));
    struct error *error = find_place(session, subject, &space, &endpoint);
    if (!error)
        error = run_and_ask(session, subject, space.path ? &space : NULL, &endpoint, counts);
    network_space_close(&space);
    if (error)
        take_failure(subject, error, METRIC_APP_READY, METRIC_APP_LATENCY);
}
