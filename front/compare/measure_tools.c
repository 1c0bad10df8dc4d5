/* SPDX-License-Identifier: Apache-2.0 */
/* The well-known benchmarks: sysbench and fio in the container, wrk from the host against it. */
#include "compare/session.h"
#include "compare/tools.h"

#include "base/strv.h"

#include <stdio.h>
#include <string.h>

#define WRK_GRACE_MILLISECONDS 20000

/* "LABEL 12.34", the label anywhere in the output. */
static struct error *read_number(
    const char *program, const char *output, const char *label, double *ret_value)
{
    const char *found = strstr(output, label);
    char *end = NULL;
    double value = found ? strtod(found + strlen(label), &end) : 0;
    if (!found || end == found + strlen(label))
        return error_new(ERROR_DATA_LOSS, "%s does not say \"%s\"", program, label);
    *ret_value = value;
    return NULL;
}

/* False where the tool cannot be used, which is noted. */
static bool has_tool(struct subject *subject, enum tool tool, enum metric first, enum metric last)
{
    const char *missing = subject->workplace->toolbox->missing[tool];
    if (missing)
        subject_note(subject, first, last, missing);
    return !missing;
}

/* ---- sysbench ---- */

static struct error *run_sysbench(struct session *session, struct subject *subject, double *ret_rate)
{
    _cleanup_strv_ char **arguments = NULL;
    _cleanup_free_ char *output = NULL;
    struct purpose purpose = {
        .program = toolbox_command(subject->workplace->toolbox, TOOL_SYSBENCH, &arguments)};
    strv_append(&arguments, "cpu");
    strv_append(&arguments, "--cpu-max-prime=10000");
    strv_append(&arguments, "--threads=1");
    strv_append_printf(&arguments, "--time=%u", session->options->seconds);
    strv_append(&arguments, "run");
    purpose.command = arguments;
    TRY(run_inside(session, subject, &purpose, &output));
    return read_number("sysbench", output, "events per second:", ret_rate);
}

void measure_sysbench(struct session *session, struct subject *subject, bool counts)
{
    double rate;
    if (!has_tool(subject, TOOL_SYSBENCH, METRIC_SYSBENCH, METRIC_SYSBENCH))
        return;
    struct error *error = run_sysbench(session, subject, &rate);
    if (error)
        take_failure(subject, error, METRIC_SYSBENCH, METRIC_SYSBENCH);
    else if (counts)
        series_add(&subject->result->series[METRIC_SYSBENCH], rate);
}

/* ---- fio ---- */

/* The same four things as the probe does, one after the other on one file. */
static const struct {
    const char *name; /* the member of the answer that a metric is taken from */
    const char *kind;
    bool random;
    bool writes;
} jobs[] = {
    {"write", "write", false, true},
    {"read", "read", false, false},
    {"random_read", "randread", true, false},
    {"random_write", "randwrite", true, true},
};

/* psync is plain pread and pwrite: io_uring and libaio, which fio is known for, are refused by docker's
   filter and unknown to gVisor, so that each runtime would take another path. */
static char **fio_arguments(const struct session *session, const char *directory, char **arguments)
{
    const char *const common[] = {"--output-format=json", "--thread", "--disk_util=0", "--fallocate=none",
        "--ioengine=psync", "--filename=fio", "--directory", directory};
    for (size_t i = 0; i < ARRAY_SIZE(common); i++)
        strv_append(&arguments, common[i]);
    strv_append_printf(&arguments, "--size=%llu", (unsigned long long)session->options->file_bytes);
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
        strv_append_printf(&arguments, "--name=%s", jobs[i].name);
        strv_append_printf(&arguments, "--rw=%s", jobs[i].kind);
        strv_append(&arguments, "--stonewall");
        strv_append(&arguments, jobs[i].random ? "--bs=4k" : "--bs=1m");
        if (jobs[i].random) {
            strv_append(&arguments, "--time_based");
            strv_append_printf(&arguments, "--runtime=%ums", 300 * session->options->seconds);
        } else if (jobs[i].writes) {
            strv_append(&arguments, "--end_fsync=1");
        }
    }
    strv_append(&arguments, "--unlink=1"); /* of the last job, when all are done */
    return arguments;
}

struct error *fio_read(const char *output, json_t **ret_answer)
{
    _cleanup_json_ json_t *document = NULL, *answer = json_object();
    const char *begin = strchr(output, '{'); /* remarks may stand before it */
    json_t *list = NULL;
    TRY(json_read("fio's output", begin ?: "", strlen(begin ?: ""), &document));
    TRY(json_get_array(document, "fio's output", "jobs", &list));
    if (json_array_size(list) != ARRAY_SIZE(jobs))
        return error_new(ERROR_DATA_LOSS, "fio did %zu of %zu jobs", json_array_size(list), ARRAY_SIZE(jobs));
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
        const json_t *job = json_array_get(list, i);
        const json_t *part = json_object_get(job, jobs[i].writes ? "write" : "read");
        const json_t *value = json_object_get(part, jobs[i].random ? "iops" : "bw_bytes");
        if (json_integer_value(json_object_get(job, "error")) != 0 || !json_is_number(value))
            return error_new(ERROR_DATA_LOSS, "fio's job %s failed", jobs[i].name);
        double figure = json_number_value(value);
        json_object_set_new(answer, jobs[i].name, json_real(jobs[i].random ? figure : figure / 1e6));
    }
    *ret_answer = TAKE_PTR(answer);
    return NULL;
}

static struct error *run_fio(
    struct session *session, struct subject *subject, bool volume, json_t **ret_answer)
{
    _cleanup_strv_ char **arguments = NULL;
    _cleanup_free_ char *output = NULL;
    struct purpose purpose = {
        .program = toolbox_command(subject->workplace->toolbox, TOOL_FIO, &arguments), .volume = volume};
    arguments = fio_arguments(session, volume ? "/volume" : "/tmp", arguments);
    purpose.command = arguments;
    TRY(run_inside(session, subject, &purpose, &output));
    return fio_read(output, ret_answer);
}

void measure_fio(struct session *session, struct subject *subject, bool counts)
{
    static const struct {
        enum metric first, last;
        bool volume;
    } places[] = {{METRIC_FIO_ROOT_WRITE, METRIC_FIO_ROOT_RANDOM_WRITE, false},
        {METRIC_FIO_VOLUME_WRITE, METRIC_FIO_VOLUME_RANDOM_WRITE, true}};
    if (!has_tool(subject, TOOL_FIO, METRIC_FIO_ROOT_WRITE, METRIC_FIO_VOLUME_RANDOM_WRITE))
        return;
    subject_note(subject, METRIC_FIO_ROOT_WRITE, METRIC_FIO_ROOT_RANDOM_WRITE, root_place(subject));
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        _cleanup_json_ json_t *answer = NULL;
        struct error *error = run_fio(session, subject, places[i].volume, &answer);
        if (error)
            take_failure(subject, error, places[i].first, places[i].last);
        else
            take_answer(subject, answer, places[i].first, places[i].last, counts);
    }
}

/* ---- wrk ---- */

static struct error *run_wrk(struct session *session, const struct endpoint *endpoint, double *ret_rate)
{
    _cleanup_free_ char *address = must_printf("http://%s:%u/", endpoint->address, endpoint->port);
    _cleanup_free_ char *duration = must_printf("-d%us", session->options->seconds);
    char *const arguments[] = {(char[]){"wrk"}, (char[]){"-t1"}, (char[]){"-c16"}, duration, address, NULL};
    struct launched launched = {0};
    int limit = (int)session->options->seconds * 1000 + WRK_GRACE_MILLISECONDS;
    session->launcher->prepare = NULL; /* it is no runtime */
    TRY(launch_checked(session->launcher, arguments, limit, &launched));
    struct error *error = read_number("wrk", launched.output, "Requests/sec:", ret_rate);
    if (!error && *ret_rate <= 0)
        error = error_new(ERROR_UNAVAILABLE, "none of wrk's requests was answered");
    launched_clear(&launched);
    return error;
}

void measure_load(struct session *session, struct subject *subject, const struct endpoint *endpoint,
    enum metric metric, bool counts)
{
    double rate;
    if (!has_tool(subject, TOOL_WRK, metric, metric))
        return;
    struct error *error = run_wrk(session, endpoint, &rate);
    session->launcher->prepare = subject->prepare;
    if (error)
        take_failure(subject, error, metric, metric);
    else if (counts)
        series_add(&subject->result->series[metric], rate);
}
