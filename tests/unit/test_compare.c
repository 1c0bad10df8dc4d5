/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "base/strv.h"
#include "compare/app.h"
#include "compare/call_name.h"
#include "compare/compare.h"
#include "compare/http.h"
#include "compare/lab.h"
#include "compare/leftovers.h"
#include "compare/machine.h"
#include "compare/report.h"
#include "compare/rules.h"
#include "compare/session.h"
#include "compare/tools.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void assert_success(struct error *error)
{
    if (error)
        fail_msg("%s", error_message(error));
}

/* ---- statistics ---- */

static void test_median_and_ranks(void **state)
{
    const double odd[] = {5, 1, 3}, even[] = {4, 1, 3, 2};
    struct summary summary = summarize(odd, 3);
    assert_true(summary.median == 3 && summary.minimum == 1 && summary.maximum == 5);
    assert_true(summary.p95 == 5 && summary.p99 == 5);
    assert_true(summarize(even, 4).median == 2.5);
    assert_int_equal(summarize(NULL, 0).count, 0);
    assert_true(summarize(odd, 1).median == 5);
}

/* The tables of the binomial distribution: the interval is the k-th from each end, k = 1 for 6 to 8 samples,
   6 for 20, 40 for 100. */
static void test_interval_of_the_median(void **state)
{
    static const struct {
        size_t count, rank;
    } known[] = {{5, 1}, {6, 1}, {8, 1}, {9, 2}, {20, 6}, {100, 40}};
    double values[100];
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        values[i] = (double)i + 1;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        struct summary summary = summarize(values, known[i].count);
        assert_true(summary.low == (double)known[i].rank);
        assert_true(summary.high == (double)(known[i].count + 1 - known[i].rank));
    }
}

static void test_differences_are_beyond_noise(void **state)
{
    const double low[] = {1, 2, 3, 3}, high[] = {4, 5, 6, 6}, middle[] = {2, 3, 5, 5};
    struct summary a = summarize(low, 4), b = summarize(high, 4), c = summarize(middle, 4), none = {0};
    struct summary few = summarize(high, 3);
    assert_true(summaries_differ(&a, &b) && summaries_differ(&b, &a));
    assert_false(summaries_differ(&a, &c) || summaries_differ(&c, &b));
    assert_false(summaries_differ(&a, &none) || summaries_differ(&none, &a));
    assert_false(summaries_differ(&a, &few) || summaries_differ(&few, &a));
}

/* ---- results ---- */

static struct subject_result *add_subject(
    struct results *results, const char *name, const char *kernel, bool own)
{
    struct subject_result *subject = results_add(results, name);
    subject->evidence = json_pack("{s:s, s:[s, s], s:{s:s}}", "kernel_release", kernel, "dmesg", "one | two",
        "<b>", "reach", "AF_ALG", own ? "yes" : "EPERM");
    json_object_set_new(subject->evidence, "proc_version", json_pack("[s]", kernel));
    json_object_set_new(subject->evidence, "kernel_name", json_string("Linux"));
    subject->calls = must_copy(own ? "aaanpk" : "aapnpk");
    subject->own_kernel = own;
    subject->version = must_printf("%s 1.0", name);
    return subject;
}

static void add_samples(struct subject_result *subject, enum metric metric, double first, double step)
{
    for (int i = 0; i < 9; i++)
        series_add(&subject->series[metric], first + step * i);
}

/* A host, one that shares its kernel and one that is slower and does not. */
static struct results *sample_results(void)
{
    struct results *results = results_new();
    struct subject_result *host = add_subject(results, "host", "6.1", false);
    struct subject_result *shared = add_subject(results, "runc", "6.1", false);
    struct subject_result *walled = add_subject(results, "caisson-qemu-kvm", "6.12-guest", true);
    walled->hardware = true;
    results->started = must_copy("2026-01-02T03:04:05Z");
    results->machine = json_pack("{s:s, s:s}", "processor", "A & B", "kernel", "6.1");
    results->rounds = 9;
    add_samples(host, METRIC_RUN, 1, 0.01);
    add_samples(shared, METRIC_RUN, 40, 1);
    add_samples(walled, METRIC_RUN, 600, 10);
    add_samples(shared, METRIC_GETPPID, 200, 1);
    add_samples(walled, METRIC_GETPPID, 300, 1);
    series_fail(&walled->series[METRIC_EXEC], error_new(ERROR_UNKNOWN, "no exec today"));
    results_add(results, "crun")->unusable = must_copy("refuses hybrid cgroups");
    return results;
}

static void test_results_survive_their_file(void **state)
{
    _cleanup_results_ struct results *results = sample_results(), *again = NULL;
    _cleanup_free_ char *text = results_write(results);
    assert_success(results_read("x.json", text, strlen(text), &again));
    _cleanup_free_ char *second = results_write(again);
    assert_string_equal(text, second);
    assert_int_equal(results_find(again, "runc")->series[METRIC_RUN].count, 9);
    assert_string_equal(results_find(again, "crun")->unusable, "refuses hybrid cgroups");
    assert_int_equal(results_find(again, "caisson-qemu-kvm")->series[METRIC_EXEC].failures, 1);
}

static void test_foreign_files_are_refused(void **state)
{
#define RUNTIME(text) "{\"schema\": 1, \"runtimes\": [{\"name\": \"x\", " text "}]}"
    static const char *const bad[] = {"", "[]", "{}", "{\"schema\": 99}", "{\"schema\": 1, \"runtimes\": 3}",
        "{\"schema\": 1, \"runtimes\": [{}]}", RUNTIME("\"measures\": {\"startup.run\": 1}"),
        RUNTIME("\"measures\": {\"startup.run\": {\"samples\": [\"1\"]}}")};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct results *results = NULL;
        _cleanup_error_ struct error *error = results_read("x.json", bad[i], strlen(bad[i]), &results);
        assert_non_null(error);
        assert_null(results);
        assert_non_null(strstr(error_message(error), "x.json"));
    }
}

static void test_every_metric_has_a_place(void **state)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        assert_non_null(metrics[metric].title);
        assert_int_equal(metric_by_id(metrics[metric].id), metric);
        const char *group = groups[metrics[metric].group].id;
        assert_int_equal(strncmp(metrics[metric].id, group, strlen(group)), 0);
    }
    assert_int_equal(metric_by_id("startup"), METRIC_COUNT);
    assert_int_equal(group_by_id("everything"), GROUP_COUNT);
}

/* ---- rules ---- */

static void test_walls_decide_before_speed(void **state)
{
    _cleanup_results_ struct results *results = sample_results();
    for (size_t i = 0; i < WORKLOADS; i++) {
        struct verdict verdict = workload_verdict(results, &workloads[i]);
        if (workloads[i].metric != METRIC_RUN && workloads[i].metric != METRIC_GETPPID) {
            assert_null(verdict.choice); /* not measured: no advice */
            continue;
        }
        assert_string_equal(
            verdict.choice->name, workloads[i].least > WALL_SHARED ? "caisson-qemu-kvm" : "runc");
        assert_true(workloads[i].least == WALL_SHARED ? verdict.ratio == 1 : verdict.ratio > 10);
    }
}

/* QEMU's makers promise nothing for it, so neither do we. */
static void test_emulation_is_no_wall_for_hostile_code(void **state)
{
    _cleanup_results_ struct results *results = sample_results();
    results_find(results, "caisson-qemu-kvm")->hardware = false;
    for (size_t i = 0; i < WORKLOADS; i++)
        if (workloads[i].least >= WALL_USER)
            assert_null(workload_verdict(results, &workloads[i]).choice);
}

static void test_the_answer_names_what_each_is_good_for(void **state)
{
    _cleanup_results_ struct results *results = sample_results();
    _cleanup_free_ char *shared = subject_answer(results, results_find(results, "runc"));
    _cleanup_free_ char *walled = subject_answer(results, results_find(results, "caisson-qemu-kvm"));
    assert_non_null(strstr(shared, "first choice for a service that you trust; "));
    assert_non_null(strstr(walled, "first choice for code that an agent wrote; "));
}

static void test_our_own_yields_in_a_tie(void **state)
{
    _cleanup_results_ struct results *results = sample_results();
    struct subject_result *shared = results_find(results, "runc"),
                          *own = results_find(results, "caisson-qemu-kvm");
    for (size_t i = 0; i < own->series[METRIC_GETPPID].count; i++)
        own->series[METRIC_GETPPID].values[i] = shared->series[METRIC_GETPPID].values[i] - 0.5;
    assert_ptr_equal(workload_verdict(results, &workloads[0]).choice, shared);
    assert_ptr_equal(workload_verdict(results, &workloads[0]).next, own);
    for (size_t i = 0; i < own->series[METRIC_GETPPID].count; i++)
        own->series[METRIC_GETPPID].values[i] = 100;
    assert_ptr_equal(workload_verdict(results, &workloads[0]).choice, own);
}

static void test_a_runtime_that_lies_is_not_chosen(void **state)
{
    _cleanup_results_ struct results *results = sample_results();
    struct subject_result *liar = results_find(results, "caisson-qemu-kvm");
    json_object_set_new(liar->evidence, "kernel_release", json_string("6.1"));
    _cleanup_free_ char *contradiction = subject_contradiction(results, liar);
    assert_non_null(strstr(contradiction, "6.1"));
    for (size_t i = 0; i < WORKLOADS; i++)
        assert_ptr_not_equal(workload_verdict(results, &workloads[i]).choice, liar);
}

static void test_calls_are_counted_and_named(void **state)
{
    _cleanup_results_ struct results *results = sample_results();
    assert_int_equal(calls_count(results_find(results, "runc"), 'p'), 2);
    assert_int_equal(calls_count(results_find(results, "crun"), 'a'), 0);
    assert_string_equal(call_name(452), "fchmodat2");
    assert_null(call_name(100000));
}

/* ---- the report ---- */

static void test_both_forms_say_the_same(void **state)
{
    _cleanup_results_ struct results *results = sample_results();
    _cleanup_page_ struct page page = {0};
    report_write(results, &page);
    _cleanup_free_ char *markdown = page_markdown(&page), *html = page_html(&page);
    static const char *const headings[] = {"Container runtimes side by side", "The answer",
        "What is traded for what", "Which one for what", "What separates them", "The hardening drill",
        "What it costs", "Start-up", "How it was measured"};
    const char *place = markdown, *html_place = html;
    for (size_t i = 0; i < ARRAY_SIZE(headings); i++) {
        place = strstr(place, headings[i]);
        html_place = strstr(html_place, headings[i]);
        assert_non_null(place);
        assert_non_null(html_place);
    }
    assert_non_null(strstr(markdown, "cannot run here: refuses hybrid cgroups"));
    assert_non_null(strstr(markdown, "no exec today"));
    assert_non_null(strstr(markdown, "one \\| two"));
    assert_non_null(strstr(markdown, "open and close was not measured"));
}

static void test_html_is_whole_and_escaped(void **state)
{
    _cleanup_results_ struct results *results = sample_results();
    _cleanup_page_ struct page page = {0};
    free(results_find(results, "runc")->version);
    results_find(results, "runc")->version = must_copy("<script>x</script>");
    report_write(results, &page);
    _cleanup_free_ char *html = page_html(&page);
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "http"));
    assert_non_null(strstr(html, "A &amp; B"));
    assert_non_null(strstr(html, "prefers-color-scheme"));
    assert_non_null(strstr(html, "<svg"));
    assert_string_equal(html + strlen(html) - strlen("</body></html>\n"), "</body></html>\n");
}

static void test_difference_names_what_changed(void **state)
{
    _cleanup_results_ struct results *before = sample_results(), *after = sample_results();
    _cleanup_page_ struct page page = {0};
    struct series *series = &results_find(after, "runc")->series[METRIC_RUN];
    for (size_t i = 0; i < series->count; i++)
        series->values[i] *= 2;
    report_difference(before, after, &page);
    _cleanup_free_ char *text = page_markdown(&page);
    assert_non_null(strstr(text, "| runc | start to exit, ms | 44.0 | 88.0 | +100 % | worse |"));
    assert_non_null(strstr(text, "1 changes in 4 runtimes"));
}

static void test_unlike_reports_are_named(void **state)
{
    static const struct {
        const char *key, *value, *said;
    } changes[] = {{"processor", "another", "processor"}, {"kernel", "7.0", "kernel"}};
    _cleanup_results_ struct results *before = sample_results(), *after = sample_results();
    assert_null(report_unlike(before, after));
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        _cleanup_json_ json_t *old = json_incref(json_object_get(after->machine, changes[i].key));
        json_object_set_new(after->machine, changes[i].key, json_string(changes[i].value));
        _cleanup_free_ char *phrase = report_unlike(before, after);
        assert_non_null(strstr(phrase, changes[i].said));
        json_object_set(after->machine, changes[i].key, old);
    }
    after->via = must_copy("containerd 1.6.20");
    _cleanup_free_ char *way = report_unlike(before, after);
    assert_non_null(strstr(way, "by the runtimes and by containerd 1.6.20"));
    before->via = must_copy(after->via);
    after->version = must_copy("2");
    _cleanup_free_ char *version = report_unlike(before, after);
    assert_non_null(strstr(version, "version"));
    before->version = must_copy("2");
    after->file_bytes = 1;
    _cleanup_free_ char *files = report_unlike(before, after);
    assert_non_null(strstr(files, "of 0 and of 1 bytes"));
}

static void test_another_runtime_of_the_same_name_is_said(void **state)
{
    _cleanup_results_ struct results *before = sample_results(), *after = sample_results();
    _cleanup_page_ struct page page = {0};
    free(results_find(after, "runc")->version);
    results_find(after, "runc")->version = must_copy("runc 2.0");
    report_difference(before, after, &page);
    _cleanup_free_ char *text = page_markdown(&page);
    assert_non_null(strstr(text, "runc is another one: runc 1.0, then runc 2.0"));
}

static void test_who_hangs_is_said_and_survives_the_file(void **state)
{
    _cleanup_results_ struct results *results = sample_results(), *again = NULL;
    results_find(results, "runc")->stopped = must_copy("left out from exec on: it hung");
    _cleanup_free_ char *text = results_write(results);
    assert_success(results_read("x.json", text, strlen(text), &again));
    _cleanup_free_ char *answer = subject_answer(again, results_find(again, "runc"));
    assert_non_null(strstr(answer, "left out from exec on"));
}

static void test_conditions_are_warned_of(void **state)
{
    _cleanup_results_ struct results *results = sample_results();
    _cleanup_page_ struct page calm = {0}, busy = {0};
    json_object_set_new(results->machine, "processors", json_integer(2));
    json_object_set_new(results->machine, "load", json_real(0.5));
    report_method(results, &calm);
    json_object_set_new(results->machine, "load", json_real(5));
    json_object_set_new(results->machine, "steal", json_real(0.1));
    report_method(results, &busy);
    _cleanup_free_ char *quiet = page_markdown(&calm), *loud = page_markdown(&busy);
    assert_null(strstr(quiet, "Beware"));
    assert_non_null(strstr(loud, "10.00 %"));
    assert_non_null(strstr(loud, "host took so much"));
    assert_non_null(strstr(loud, "busy with other things"));
}

static void test_steal_is_that_between_two_moments(void **state)
{
    const struct steal before = {.stolen = 100, .all = 1000}, after = {.stolen = 110, .all = 1100};
    assert_true(steal_share(before, after) == 0.1);
    assert_true(steal_share(before, before) == 0);
}

static void test_numbers_for_people(void **state)
{
    static const struct {
        double value;
        const char *text;
    } known[] = {{0, "0"}, {0.214, "0.21"}, {18.24, "18.2"}, {626.4, "626"}, {9999, "9999"},
        {119000, "119 k"}, {1.23e6, "1.23 M"}, {-50, "-50.0"}};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        _cleanup_free_ char *text = number_text(known[i].value);
        assert_string_equal(text, known[i].text);
    }
}

static void test_evidence_becomes_files(void **state)
{
    static const char *const files[] = {"setup/kata-built-version.txt", "runc/health.txt", "kata/test1.txt",
        "kata/kernel.txt", "kata/cpu.txt", "analysis/kernel-comparison.txt", "analysis/cpu-comparison.txt",
        "isolation/dmesg.txt", "isolation/proc.txt", "isolation/network.txt", "isolation/modules.txt",
        "bench/startup.txt", "bench/http-latency.txt", "bench/curl-3012.txt", "summary.md"};
    _cleanup_results_ struct results *results = sample_results();
    char directory[] = "/tmp/caisson-lab-XXXXXX";
    assert_non_null(mkdtemp(directory));
    results_find(results, "runc")->http_status = 200;
    assert_success(lab_prepare(directory));
    assert_success(lab_write(results, directory));
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *path = must_printf("%s/%s", directory, files[i]), *text = NULL;
        assert_success(file_read(AT_FDCWD, path, 1 << 20, &text, NULL));
        if (!strcmp(files[i], "kata/kernel.txt"))
            assert_string_equal(text, "6.12-guest\n");
        if (!strcmp(files[i], "analysis/kernel-comparison.txt"))
            assert_non_null(strstr(text, "=== runc ===\n6.1\n"));
        if (!strcmp(files[i], "kata/test1.txt"))
            assert_string_equal(text, "Linux 6.12-guest\n");
        if (!strcmp(files[i], "setup/kata-built-version.txt"))
            assert_non_null(strstr(text, "caisson-qemu-kvm 1.0\n# This is not Kata"));
        if (!strcmp(files[i], "runc/health.txt"))
            assert_string_equal(text, "runc, probe's web server: HTTP 200\n");
        if (!strcmp(files[i], "bench/startup.txt"))
            assert_non_null(strstr(
                text, "runc: avg=0.044000s min=0.040000s max=0.048000s n=9 median=0.044000s failed=0"));
        if (!strcmp(files[i], "summary.md"))
            assert_non_null(strstr(text, "Isolation boundary and what follows"));
        unlink(path);
    }
    static const char *const below[] = {"/setup", "/runc", "/kata", "/analysis", "/isolation", "/bench", ""};
    for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
        _cleanup_free_ char *path = must_printf("%s%s", directory, below[i]);
        assert_int_equal(rmdir(path), 0);
    }
}

static void test_evidence_wants_a_directory(void **state)
{
    char file[] = "/tmp/caisson-lab-XXXXXX";
    close_fd(mkstemp(file));
    _cleanup_error_ struct error *error = lab_prepare(file);
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    unlink(file);
}

/* ---- the well-known benchmarks ---- */

static void test_libraries_are_found_in_what_ldd_says(void **state)
{
    _cleanup_strv_ char **libraries = libraries_of("\tlinux-vdso.so.1 (0x7ffd)\n"
                                                   "\tlibz.so.1 => /lib/x/libz.so.1 (0x7f01)\n"
                                                   "\tlibgone.so => not found\n"
                                                   "\t/lib64/ld-linux-x86-64.so.2 (0x7f02)\n");
    assert_int_equal(strv_length(libraries), 2);
    assert_string_equal(libraries[0], "/lib64/ld-linux-x86-64.so.2");
    assert_string_equal(libraries[1], "/lib/x/libz.so.1");
    assert_null(libraries_of("\tstatically linked\n"));
}

#define JOB(part, key, value) "{\"error\": 0, \"" part "\": {\"" key "\": " value "}}"

static void test_figures_of_fio(void **state)
{
    static const char good[] = "fio: a remark\n{\"jobs\": [" JOB("write", "bw_bytes", "2000000") "," JOB(
        "read", "bw_bytes", "3000000") "," JOB("read", "iops", "12.5") "," JOB("write", "iops", "7") "]}";
    static const char *const bad[] = {"", "no JSON", "{}", "{\"jobs\": []}", "{\"jobs\": [1, 2, 3, 4]}",
        "{\"jobs\": [{\"error\": 5, \"write\": {\"bw_bytes\": 1}}, {}, {}, {}]}"};
    _cleanup_json_ json_t *answer = NULL;
    assert_success(fio_read(good, &answer));
    assert_true(json_number_value(json_object_get(answer, "write")) == 2);
    assert_true(json_number_value(json_object_get(answer, "read")) == 3);
    assert_true(json_number_value(json_object_get(answer, "random_read")) == 12.5);
    assert_true(json_number_value(json_object_get(answer, "random_write")) == 7);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        json_t *none = NULL;
        _cleanup_error_ struct error *error = fio_read(bad[i], &none);
        assert_non_null(error);
        assert_null(none);
    }
}

static void test_a_missing_program_is_a_row_with_the_reason(void **state)
{
    _cleanup_results_ struct results *results = sample_results();
    _cleanup_page_ struct page page = {0};
    static const char *const names[] = {"host", "runc", "caisson-qemu-kvm"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        results_find(results, names[i])->series[METRIC_SYSBENCH].note =
            must_copy("sysbench is not installed");
    report_write(results, &page);
    _cleanup_free_ char *text = page_markdown(&page);
    assert_non_null(strstr(text, "| sysbench cpu, primes up to 10,000, /s | - | - | - | 0 |"));
    assert_non_null(strstr(text, "host, runc, caisson-qemu-kvm: sysbench is not installed"));
}

/* ---- the order of things ---- */

static struct error *run_true(
    struct subject *subject, const char *id, const struct purpose *purpose, char ***ret_arguments)
{
    strv_append(ret_arguments, "/bin/true");
    return NULL;
}

static void end_nothing(struct subject *subject, const char *id)
{
}

static void run_session(double budget, double begun, struct results *results)
{
    static const struct subject_ops ops = {.is_plain = true, .run = run_true, .end = end_nothing};
    const struct workplace workplace = {0};
    const struct session_options options = {.rounds = 3,
        .budget_milliseconds = budget,
        .limit_milliseconds = 60000,
        .groups = {[GROUP_STARTUP] = true}};
    struct launcher launcher;
    struct subject subject = {.ops = &ops, .workplace = &workplace, .result = results_add(results, "plain")};
    struct subject *subjects[] = {&subject};
    struct session session = {.options = &options,
        .results = results,
        .subjects = subjects,
        .count = 1,
        .launcher = &launcher,
        .begun = begun};
    assert_success(launcher_open(&launcher));
    session_run(&session);
    launcher_close(&launcher);
}

static void test_rounds_are_what_was_asked_for(void **state)
{
    _cleanup_results_ struct results *results = results_new();
    run_session(0, milliseconds_now(), results);
    const struct series *series = results_find(results, "plain")->series;
    assert_int_equal(series[METRIC_RUN].count, 3);
    assert_int_equal(series[METRIC_RUN].failures, 0);
    assert_int_equal(series[METRIC_GETPPID].count, 0);
}

static void test_what_time_does_not_allow_is_said(void **state)
{
    _cleanup_results_ struct results *results = results_new();
    run_session(1000, milliseconds_now() - 2000, results);
    const struct series *series = results_find(results, "plain")->series;
    assert_int_equal(series[METRIC_RUN].count, 0);
    assert_non_null(strstr(series[METRIC_RUN].note, "time of a quick report was over"));
    assert_null(series[METRIC_GETPPID].note); /* nobody asked for it */
}

/* ---- what dead runs leave ---- */

static void test_owners_are_read_from_names(void **state)
{
    static const char *const foreign[] = {"caisson-compare.XXXXXX", "caisson-compare.12",
        "caisson-compare-x-1", "caisson-compare.0-5.ab", "caisson-compare.12-5x", "something"};
    struct owner owner = {0}, self = owner_self();
    _cleanup_free_ char *directory = owner_directory(self, "/above"), *namespace = owner_namespace(self);
    assert_true(owner_parse(strrchr(directory, '/') + 1, &owner));
    assert_true(owner.pid == self.pid && owner.start == self.start && self.start > 0);
    assert_true(owner_parse(namespace, &owner));
    assert_true(owner.pid == self.pid && owner.start == self.start);
    assert_true(owner_lives(owner));
    owner.start++;
    assert_false(owner_lives(owner));
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
        assert_false(owner_parse(foreign[i], &owner));
}

/* A process that is gone, and one that is not. */
static void test_dead_runs_are_cleared_up_after(void **state)
{
    char above[] = "/tmp/caisson-above-XXXXXX";
    struct owner dead = owner_self();
    struct launcher launcher;
    dead.start--;
    assert_non_null(mkdtemp(above));
    _cleanup_free_ char *left = owner_directory(dead, above), *own = owner_directory(owner_self(), above),
                        *foreign = must_printf("%s/" WORK_PREFIX "AbCdEf", above);
    assert_non_null(mkdtemp(left));
    assert_non_null(mkdtemp(own));
    assert_int_equal(mkdir(foreign, 0700), 0);
    _cleanup_free_ char *inside = must_printf("%s/rootfs", left);
    assert_int_equal(mkdir(inside, 0700), 0);
    assert_success(launcher_open(&launcher));
    assert_int_equal(leftovers_sweep(&launcher, above, NULL), 1);
    assert_int_equal(leftovers_sweep(&launcher, above, NULL), 0);
    launcher_close(&launcher);
    assert_int_not_equal(access(left, F_OK), 0);
    assert_int_equal(rmdir(own), 0);
    assert_int_equal(rmdir(foreign), 0);
    assert_int_equal(rmdir(above), 0);
}

/* ---- what runtimes are given ---- */

static void test_bundles_are_ordinary(void **state)
{
    char *const command[] = {(char[]){"true"}, NULL}, *const capabilities[] = {(char[]){"CAP_KILL"}, NULL};
    _cleanup_json_ json_t *seccomp = json_pack("{s:s}", "defaultAction", "SCMP_ACT_ERRNO");
    const struct workplace workplace = {
        .rootfs = "/r", .volume = "/v", .seccomp = seccomp, .capabilities = capabilities};
    const struct purpose plain = {.command = command},
                         open = {.command = command, .volume = true, .port = 80};
    _cleanup_json_ json_t *config = bundle_config(&workplace, &plain),
                          *served = bundle_config(&workplace, &open);
    json_t *linux_part = json_object_get(config, "linux");
    assert_int_equal(json_array_size(json_object_get(linux_part, "namespaces")), 5);
    assert_int_equal(json_array_size(json_object_get(json_object_get(served, "linux"), "namespaces")), 4);
    assert_int_equal(json_array_size(json_object_get(config, "mounts")) + 1,
        json_array_size(json_object_get(served, "mounts")));
    assert_true(json_equal(json_object_get(linux_part, "seccomp"), seccomp));
}

/* ---- applications ---- */

static void test_the_port_of_an_application(void **state)
{
    char *const udp_first[] = {(char[]){"53/udp"}, (char[]){"3000/tcp"}, NULL}, *const bare[] = {
                                                                                    (char[]){"80"}, NULL};
    char *const bad[] = {(char[]){"0/tcp"}, (char[]){"65536"}, (char[]){"x"}, (char[]){"80x"}, NULL};
    uint16_t port = 0;
    assert_success(app_port(udp_first, &port));
    assert_int_equal(port, 3000);
    assert_success(app_port(bare, &port));
    assert_int_equal(port, 80);
    char *const *const none[] = {bad, NULL};
    for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
        _cleanup_error_ struct error *error = app_port(none[i], &port);
        assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    }
}

static void test_applications_run_as_their_image_says(void **state)
{
    struct image image = {.config = {.entrypoint = (char *[]){(char[]){"/bin/node"}, NULL},
                              .command = (char *[]){(char[]){"app.js"}, NULL},
                              .environment = (char *[]){(char[]){"PORT=3000"}, NULL},
                              .user = (char[]){"65532:7"},
                              .working_directory = (char[]){"/app"}}};
    const struct app app = {.image = &image, .port = 3000, .rootfs = (char[]){"/mounted"}};
    const struct workplace workplace = {.rootfs = "/r", .volume = "/v", .app = &app};
    _cleanup_json_ json_t *config = NULL;
    assert_success(app_config(&workplace, &config));
    const json_t *process = json_object_get(config, "process"), *user = json_object_get(process, "user");
    _cleanup_free_ char *arguments = json_dumps(json_object_get(process, "args"), JSON_COMPACT);
    assert_string_equal(arguments, "[\"/bin/node\",\"app.js\"]");
    assert_int_equal(json_integer_value(json_object_get(user, "uid")), 65532);
    assert_int_equal(json_integer_value(json_object_get(user, "gid")), 7);
    assert_string_equal(json_string_value(json_object_get(process, "cwd")), "/app");
    assert_true(json_is_true(json_object_get(json_object_get(config, "root"), "readonly")));
    assert_non_null(json_object_get(process, "capabilities"));
    image.config.user = (char[]){"node"};
    json_t *refused = NULL;
    _cleanup_error_ struct error *error = app_config(&workplace, &refused);
    assert_non_null(strstr(error_message(error), "\"node\""));
}

static void test_nobody_listens_at_a_free_port(void **state)
{
    struct launcher launcher = {.signals = -1, .interrupted = false};
    struct endpoint endpoint = {.address = LOOPBACK};
    double took;
    int status;
    assert_success(http_free_port(&endpoint.port));
    assert_true(endpoint.port > 0 && !http_is_open(&endpoint));
    _cleanup_error_ struct error *error = http_page(&endpoint, &took, &status);
    assert_non_null(error);
    _cleanup_error_ struct error *late = http_first_answer(&launcher, &endpoint, 0, &status);
    assert_non_null(strstr(error_message(late), "no answer within 0 s"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median_and_ranks),
        cmocka_unit_test(test_interval_of_the_median),
        cmocka_unit_test(test_differences_are_beyond_noise),
        cmocka_unit_test(test_results_survive_their_file),
        cmocka_unit_test(test_foreign_files_are_refused),
        cmocka_unit_test(test_every_metric_has_a_place),
        cmocka_unit_test(test_walls_decide_before_speed),
        cmocka_unit_test(test_our_own_yields_in_a_tie),
        cmocka_unit_test(test_a_runtime_that_lies_is_not_chosen),
        cmocka_unit_test(test_calls_are_counted_and_named),
        cmocka_unit_test(test_both_forms_say_the_same),
        cmocka_unit_test(test_html_is_whole_and_escaped),
        cmocka_unit_test(test_difference_names_what_changed),
        cmocka_unit_test(test_unlike_reports_are_named),
        cmocka_unit_test(test_another_runtime_of_the_same_name_is_said),
        cmocka_unit_test(test_who_hangs_is_said_and_survives_the_file),
        cmocka_unit_test(test_conditions_are_warned_of),
        cmocka_unit_test(test_steal_is_that_between_two_moments),
        cmocka_unit_test(test_numbers_for_people),
        cmocka_unit_test(test_evidence_becomes_files),
        cmocka_unit_test(test_emulation_is_no_wall_for_hostile_code),
        cmocka_unit_test(test_the_answer_names_what_each_is_good_for),
        cmocka_unit_test(test_evidence_wants_a_directory),
        cmocka_unit_test(test_libraries_are_found_in_what_ldd_says),
        cmocka_unit_test(test_figures_of_fio),
        cmocka_unit_test(test_a_missing_program_is_a_row_with_the_reason),
        cmocka_unit_test(test_rounds_are_what_was_asked_for),
        cmocka_unit_test(test_what_time_does_not_allow_is_said),
        cmocka_unit_test(test_owners_are_read_from_names),
        cmocka_unit_test(test_dead_runs_are_cleared_up_after),
        cmocka_unit_test(test_bundles_are_ordinary),
        cmocka_unit_test(test_the_port_of_an_application),
        cmocka_unit_test(test_applications_run_as_their_image_says),
        cmocka_unit_test(test_nobody_listens_at_a_free_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
