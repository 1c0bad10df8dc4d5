/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/results.h"

#include <string.h>

struct results *results_new(void)
{
    return must_new(struct results);
}

struct subject_result *results_add(struct results *results, const char *name)
{
    if (results->count == SUBJECTS_MAX)
        return NULL;
    struct subject_result *subject = must_new(struct subject_result);
    subject->name = must_copy(name);
    results->subjects[results->count++] = subject;
    return subject;
}

struct subject_result *results_find(const struct results *results, const char *name)
{
    for (size_t i = 0; i < results->count; i++)
        if (!strcmp(results->subjects[i]->name, name))
            return results->subjects[i];
    return NULL;
}

static void subject_result_free(struct subject_result *subject)
{
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        free(subject->series[i].values);
        free(subject->series[i].failure);
        free(subject->series[i].note);
    }
    json_decref(subject->evidence);
    free(subject->name);
    free(subject->version);
    free(subject->description);
    free(subject->unusable);
    free(subject->stopped);
    free(subject->calls);
    free(subject);
}

void results_free(struct results *results)
{
    if (!results)
        return;
    for (size_t i = 0; i < results->count; i++)
        subject_result_free(results->subjects[i]);
    json_decref(results->machine);
    free(results->started);
    free(results->command);
    free(results->version);
    free(results->via);
    free(results);
}

/* ---- series ---- */

void series_add(struct series *series, double value)
{
    if (series->count == SAMPLES_MAX)
        return;
    series->values = must_resize(series->values, series->count + 1, sizeof(*series->values));
    series->values[series->count++] = value;
}

void series_fail(struct series *series, struct error *error)
{
    series->failures++;
    free(series->failure);
    series->failure = must_copy(error_message(error));
    error_free(error);
}

struct summary series_summary(const struct series *series)
{
    return summarize(series->values, series->count);
}

bool results_have(const struct results *results, enum metric metric)
{
    for (size_t i = 0; i < results->count; i++) {
        const struct series *series = &results->subjects[i]->series[metric];
        if (series->count > 0 || series->failures > 0)
            return true;
    }
    return false;
}

bool results_mention(const struct results *results, enum metric metric)
{
    for (size_t i = 0; i < results->count; i++)
        if (!results->subjects[i]->unusable && results->subjects[i]->series[metric].note)
            return true;
    return results_have(results, metric);
}

/* ---- writing ---- */

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, json_string(text) ?: json_string("(not UTF-8)"));
}

static json_t *series_to_json(const struct series *series, const struct metric_description *metric)
{
    struct summary summary = series_summary(series);
    json_t *object = json_pack("{s:s, s:s}", "unit", metric->unit, "title", metric->title);
    json_t *values = json_array();
    for (size_t i = 0; i < series->count; i++)
        json_array_append_new(values, json_real(series->values[i]));
    json_object_set_new(object, "samples", values);
    json_object_set_new(object, "failures", json_integer(series->failures));
    set_text(object, "failure", series->failure);
    set_text(object, "note", series->note);
    if (summary.count > 0)
        json_object_set_new(object, "summary",
            json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "n", (json_int_t)summary.count, "min",
                summary.minimum, "median", summary.median, "low", summary.low, "high", summary.high, "p95",
                summary.p95, "p99", summary.p99, "max", summary.maximum));
    return object;
}

static bool is_silent(const struct series *series)
{
    return series->count == 0 && series->failures == 0 && !series->note;
}

static json_t *subject_to_json(const struct subject_result *subject)
{
    json_t *object = json_object(), *measures = json_object();
    set_text(object, "name", subject->name);
    set_text(object, "version", subject->version);
    set_text(object, "description", subject->description);
    set_text(object, "unusable", subject->unusable);
    set_text(object, "stopped", subject->stopped);
    json_object_set_new(object, "own_kernel", json_boolean(subject->own_kernel));
    json_object_set_new(object, "hardware", json_boolean(subject->hardware));
    if (subject->evidence)
        json_object_set(object, "evidence", subject->evidence);
    set_text(object, "calls", subject->calls);
    if (subject->http_status)
        json_object_set_new(object, "http_status", json_integer(subject->http_status));
    for (size_t i = 0; i < METRIC_COUNT; i++)
        if (!is_silent(&subject->series[i]))
            json_object_set_new(measures, metrics[i].id, series_to_json(&subject->series[i], &metrics[i]));
    json_object_set_new(object, "measures", measures);
    return object;
}

char *results_write(const struct results *results)
{
    _cleanup_json_ json_t *document = json_pack("{s:i}", "schema", RESULTS_SCHEMA);
    json_t *subjects = json_array();
    set_text(document, "started", results->started);
    set_text(document, "command", results->command);
    set_text(document, "version", results->version);
    set_text(document, "via", results->via);
    json_object_set_new(document, "file_bytes", json_integer(results->file_bytes));
    json_object_set_new(document, "rounds", json_integer(results->rounds));
    json_object_set_new(document, "interrupted", json_boolean(results->interrupted));
    if (results->machine)
        json_object_set(document, "machine", results->machine);
    for (size_t i = 0; i < results->count; i++)
        json_array_append_new(subjects, subject_to_json(results->subjects[i]));
    json_object_set_new(document, "runtimes", subjects);
    return json_dumps(document, JSON_INDENT(1) | JSON_REAL_PRECISION(7));
}

/* ---- reading ---- */

static struct error *get_text(const json_t *object, const char *path, const char *key, char **ret_text)
{
    const char *text = NULL;
    TRY(json_get_string(object, path, key, &text));
    if (text)
        *ret_text = must_copy(text);
    return NULL;
}

static struct error *read_series(const json_t *object, const char *path, struct series *series)
{
    json_t *samples = NULL, *value;
    size_t index;
    int64_t failures = 0;
    TRY(json_get_array(object, path, "samples", &samples));
    TRY(json_get_integer(object, path, "failures", 0, UINT32_MAX, &failures));
    TRY(get_text(object, path, "failure", &series->failure));
    TRY(get_text(object, path, "note", &series->note));
    series->failures = (unsigned)failures;
    json_array_foreach (samples, index, value) {
        if (!json_is_number(value))
            return error_new(ERROR_INVALID_ARGUMENT, "%s: samples[%zu] is no number", path, index);
        series_add(series, json_number_value(value));
    }
    return NULL;
}

static struct error *read_measures(const json_t *measures, const char *path, struct subject_result *subject)
{
    const char *id;
    json_t *value;
    /* A cast, for jansson's iteration wants what it does not change. */
    json_object_foreach ((json_t *)(uintptr_t)measures, id, value) {
        enum metric metric = metric_by_id(id);
        _cleanup_free_ char *place = must_printf("%s.%s", path, id);
        if (metric == METRIC_COUNT)
            continue; /* of another version */
        if (!json_is_object(value))
            return error_new(ERROR_INVALID_ARGUMENT, "%s is no object", place);
        TRY(read_series(value, place, &subject->series[metric]));
    }
    return NULL;
}

static struct error *read_subject(
    const json_t *object, const char *name, size_t index, struct results *results)
{
    _cleanup_free_ char *path = must_printf("%s: runtimes[%zu]", name, index);
    const char *subject_name = NULL;
    json_t *evidence = NULL, *measures = NULL;
    TRY(json_get_string(object, path, "name", &subject_name));
    if (!subject_name)
        return error_new(ERROR_INVALID_ARGUMENT, "%s has no name", path);
    struct subject_result *subject = results_add(results, subject_name);
    if (!subject)
        return error_new(ERROR_OUT_OF_RANGE, "%s has more than %d runtimes", name, SUBJECTS_MAX);
    TRY(get_text(object, path, "version", &subject->version));
    TRY(get_text(object, path, "description", &subject->description));
    TRY(get_text(object, path, "unusable", &subject->unusable));
    TRY(get_text(object, path, "stopped", &subject->stopped));
    TRY(get_text(object, path, "calls", &subject->calls));
    TRY(json_get_integer(object, path, "http_status", 0, 999, &subject->http_status));
    TRY(json_get_bool(object, path, "own_kernel", &subject->own_kernel));
    TRY(json_get_bool(object, path, "hardware", &subject->hardware));
    TRY(json_get_object(object, path, "evidence", &evidence));
    subject->evidence = json_incref(evidence);
    TRY(json_get_object(object, path, "measures", &measures));
    return measures ? read_measures(measures, path, subject) : NULL;
}

static struct error *read_head(const json_t *document, const char *name, struct results *results)
{
    int64_t schema = 0;
    json_t *machine = NULL;
    TRY(json_get_integer(document, name, "schema", 0, INT32_MAX, &schema));
    if (schema != RESULTS_SCHEMA)
        return error_new(ERROR_INVALID_ARGUMENT,
            "%s is no report of this program's schema %d; make it again with `caisson compare`", name,
            RESULTS_SCHEMA);
    TRY(get_text(document, name, "started", &results->started));
    TRY(get_text(document, name, "command", &results->command));
    TRY(get_text(document, name, "version", &results->version));
    TRY(get_text(document, name, "via", &results->via));
    TRY(json_get_integer(document, name, "file_bytes", 0, INT64_MAX, &results->file_bytes));
    TRY(json_get_integer(document, name, "rounds", 0, INT32_MAX, &results->rounds));
    TRY(json_get_bool(document, name, "interrupted", &results->interrupted));
    TRY(json_get_object(document, name, "machine", &machine));
    results->machine = json_incref(machine);
    return NULL;
}

struct error *results_read(const char *name, const char *text, size_t length, struct results **ret_results)
{
    _cleanup_json_ json_t *document = NULL;
    _cleanup_results_ struct results *results = results_new();
    json_t *subjects = NULL, *value;
    size_t index;
    TRY(json_read(name, text, length, &document));
    if (!json_is_object(document))
        return error_new(ERROR_INVALID_ARGUMENT, "%s is no report: it is no JSON object", name);
    TRY(read_head(document, name, results));
    TRY(json_get_array(document, name, "runtimes", &subjects));
    json_array_foreach (subjects, index, value)
        TRY(read_subject(value, name, index, results));
    *ret_results = TAKE_PTR(results);
    return NULL;
}
