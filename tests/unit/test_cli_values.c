/* SPDX-License-Identifier: Apache-2.0 */
/* What stands on the command line: options, mounts, ports, environments, capabilities, templates; and that
   help and manual know every verb and flag. */
#include "assertions.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/strv.h"
#include "cli/capability.h"
#include "cli/environment.h"
#include "cli/listing.h"
#include "cli/mount.h"
#include "cli/port.h"
#include "cli/resolver.h"
#include "cli/verb.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The error's sentence has this text in it. */
static void assert_joined(char *const *vector, const char *expected)
{
    _cleanup_free_ char *text = vector ? strv_join(vector, "|") : must_copy("");
    assert_string_equal(text, expected);
}

/* ---- options ---- */

struct sample {
    bool flag;
    bool other;
    const char *text;
    char **list;
    int64_t number;
    uint64_t size;
    uint64_t thousandths;
};

static const struct option options[] = {
    OPTION(sample, "flag", 'f', OPTION_FLAG, flag, NULL, "a flag"),
    OPTION(sample, "other", 'o', OPTION_FLAG, other, NULL, "another"),
    OPTION(sample, "text", 't', OPTION_TEXT, text, "TEXT", "a text"),
    OPTION(sample, "words", 0, OPTION_TEXT, text, "TEXT", NULL),
    OPTION(sample, "list", 'l', OPTION_LIST, list, "ITEM", "a list"),
    OPTION(sample, "number", 'n', OPTION_NUMBER, number, "N", "a number"),
    OPTION(sample, "size", 's', OPTION_SIZE, size, "SIZE", "a size"),
    OPTION(sample, "cpus", 'c', OPTION_THOUSANDTHS, thousandths, "N", "a fraction"),
    {"device", 0, OPTION_REFUSED, 0, "PATH", "there are none"},
    OPTIONS_END,
};

/* Parses words separated by one blank. */
static struct error *parse(const char *line, bool stop_early, struct sample *sample, char **ret_rest)
{
    _cleanup_strv_ char **words = strv_split(line, ' '), **copy = NULL;
    char **rest = NULL;
    bool help;

    *sample = (struct sample){0};
    for (char **word = words; *word; word++)
        strv_append(&copy, *word);
    /* The parser reorders the vector: freeing goes by a second one. */
    _cleanup_free_ char **view = must_alloc_array(strv_length(copy) + 1, sizeof(char *));
    memcpy(view, copy, strv_length(copy) * sizeof(char *));
    struct error *error = options_parse(options, view, stop_early, sample, &rest, &help);
    if (!error)
        *ret_rest = help ? must_copy("help") : strv_join(rest, " ");
    sample->text = sample->text ? must_copy(sample->text) : NULL;
    return error;
}

static void release(struct sample *sample, char *rest)
{
    free((char *)(uintptr_t)sample->text);
    options_release(options, sample);
    free(rest);
}

static void test_options_in_every_spelling(void **state)
{
    struct sample sample;
    char *rest;

    assert_ok(
        parse("-fo -t x -l a -lb --list=c --list d -n5 --size 2k --cpus=1.5 one two", false, &sample, &rest));
    assert_true(sample.flag && sample.other);
    assert_string_equal(sample.text, "x");
    assert_joined(sample.list, "a|b|c|d");
    assert_int_equal(sample.number, 5);
    assert_int_equal(sample.size, 2048);
    assert_int_equal(sample.thousandths, 1500);
    assert_string_equal(rest, "one two");
    release(&sample, rest);

    assert_ok(parse("one -f --words=y two -- -o", false, &sample, &rest));
    assert_true(sample.flag && !sample.other);
    assert_string_equal(sample.text, "y");
    assert_string_equal(rest, "one two -o");
    release(&sample, rest);

    assert_ok(parse("--flag=false -ftx one -o --nonsense", true, &sample, &rest));
    assert_true(sample.flag);
    assert_string_equal(rest, "one -o --nonsense");
    release(&sample, rest);

    assert_ok(parse("one -h", false, &sample, &rest));
    assert_string_equal(rest, "help");
    release(&sample, rest);
}

static void refuse_options(const char *line, const char *sentence)
{
    struct sample sample;
    char *rest = NULL;
    struct error *error = parse(line, true, &sample, &rest);

    assert_says(error, sentence);
    release(&sample, rest);
}

static void test_options_that_are_wrong(void **state)
{
    refuse_options("--flga", "did you mean --flag?");
    refuse_options("--nmber 3", "did you mean --number?");
    refuse_options("--zzzzzzzz", "there is no option --zzzzzzzz");
    refuse_options("-x", "there is no option -x");
    refuse_options("--text", "--text needs a value");
    refuse_options("-n", "--number needs a value");
    refuse_options("--number -3", "-3");
    refuse_options("--size much", "much");
    refuse_options("--flag=perhaps", "perhaps");
    refuse_options("--device /dev/x", "there are none");
}

/* ---- verbs, help and manual ---- */

static char *manual_of(const char *name)
{
    _cleanup_free_ char *path = must_printf(
        "%s/docs/man/caisson%s%s.1", getenv("CAISSON_TEST_SOURCES") ?: ".", *name ? "-" : "", name);
    char *text = NULL;

    assert_ok(file_read(AT_FDCWD, path, 1u << 20, &text, NULL));
    return text;
}

static void check_flags(const struct verb *verb, const char *manual, const char *help)
{
    for (const struct option *option = verb->options; option->name; option++) {
        _cleanup_free_ char *entry = must_printf("Fl -%s", option->name);
        _cleanup_free_ char *flag = must_printf("--%s", option->name);
        if (option->help && !strstr(manual, entry))
            fail_msg("the manual of %s says nothing of --%s", verb->name, option->name);
        if (option->help && !strstr(help, flag))
            fail_msg("the help of %s says nothing of --%s", verb->name, option->name);
    }
}

static void test_every_verb_is_explained(void **state)
{
    _cleanup_free_ char *overview = help_overview(), *main_page = manual_of("");

    for (const struct verb *const *verb = verbs; *verb; verb++) {
        _cleanup_free_ char *help = help_of_verb(*verb);
        _cleanup_free_ char *reference = must_printf("caisson-%s 1", (*verb)->name);
        assert_non_null(strstr(help, "Example:\n  caisson "));
        if ((*verb)->hidden)
            continue;
        _cleanup_free_ char *page = manual_of((*verb)->name);
        assert_non_null(strstr(overview, (*verb)->summary));
        assert_non_null(strstr(main_page, reference));
        check_flags(*verb, page, help);
    }
}

static void test_option_tables_are_sound(void **state)
{
    for (const struct verb *const *verb = verbs; *verb; verb++)
        for (const struct option *one = (*verb)->options; one->name; one++) {
            assert_true(one->help || one > (*verb)->options);
            assert_true(one->kind == OPTION_REFUSED || (one->kind == OPTION_FLAG) == (one->value == NULL));
            for (const struct option *other = one + 1; other->name; other++)
                if (!strcmp(one->name, other->name) || (one->letter && one->letter == other->letter))
                    fail_msg("%s: --%s and --%s collide", (*verb)->name, one->name, other->name);
        }
}

/* ---- mounts ---- */

/* The mounts as compact JSON, or the error. */
static struct error *mounts(const struct run_settings *settings, char *const *image, char **ret_text)
{
    _cleanup_mount_list_ struct mount_list list = {0};
    _cleanup_json_ json_t *array = json_array();

    TRY(mount_list_parse(settings, image, &list));
    mount_list_to_json(&list, array);
    *ret_text = json_dumps(array, JSON_COMPACT | JSON_SORT_KEYS);
    return NULL;
}

#define LIST(...) ((char *[]){__VA_ARGS__, NULL})
#define TEXT(text) ((char[]){text})

static void test_mounts(void **state)
{
    const struct run_settings settings = {.volumes = LIST(TEXT("/b:/srv/deep:ro"), TEXT("/a:/srv"))};
    const struct run_settings others = {.mounts = LIST(TEXT("type=bind,src=/a,dst=/x,readonly")),
        .temporary = LIST(TEXT("/tmp:size=1m")),
        .scratch = 1u << 30};
    const struct run_settings read_only = {.read_only = true, .volumes = LIST(TEXT("/a:/one"))};
    char *text;

    assert_ok(mounts(&settings, NULL, &text));
    assert_string_equal(text,
        "[{\"destination\":\"/srv\",\"options\":[\"rbind\",\"rprivate\"],\"source\":\"/"
        "a\",\"type\":\"bind\"},"
        "{\"destination\":\"/srv/deep\",\"options\":[\"rbind\",\"rprivate\",\"ro\"],\"source\":\"/b\","
        "\"type\":\"bind\"}]");
    free(text);
    assert_ok(mounts(&others, LIST(TEXT("/data")), &text));
    assert_string_equal(text,
        "[{\"destination\":\"/"
        "tmp\",\"options\":[\"nosuid\",\"nodev\",\"noexec\",\"size=1m\"],\"source\":\"tmpfs\","
        "\"type\":\"tmpfs\"},{\"destination\":\"/"
        "x\",\"options\":[\"rbind\",\"rprivate\",\"ro\"],\"source\":\"/a\","
        "\"type\":\"bind\"}]");
    free(text);
    assert_ok(mounts(&read_only, LIST(TEXT("/one"), TEXT("/two")), &text));
    assert_non_null(strstr(text, "{\"destination\":\"/two\",\"options\":[\"tmpcopyup\"]"));
    assert_null(strstr(text, "\"/one\",\"options\":[\"tmpcopyup\"]"));
    free(text);
}

static void refuse_volume(const char *text, const char *sentence)
{
    _cleanup_free_ char *copy = must_copy(text);
    const struct run_settings settings = {.volumes = LIST(copy)};
    char *json = NULL;

    assert_says(mounts(&settings, NULL, &json), sentence);
}

static void refuse_mount(const char *text, const char *sentence)
{
    _cleanup_free_ char *copy = must_copy(text);
    const struct run_settings settings = {.mounts = LIST(copy)};
    char *json = NULL;

    assert_says(mounts(&settings, NULL, &json), sentence);
}

static void test_mounts_that_are_wrong(void **state)
{
    const struct run_settings twice = {.volumes = LIST(TEXT("/a:/x"), TEXT("/b://x/"))};
    char *json = NULL;

    refuse_volume("/a:relative", "not an absolute path");
    refuse_volume("/a:/x/../y", "\"..\"");
    refuse_volume("/a:/", "nothing can be mounted on /");
    refuse_volume("/a:/x:ro:more", "SOURCE:PATH");
    refuse_volume("/a:/x:odd", "no option \"odd\"");
    refuse_mount("type=odd,target=/x", "bind, volume or tmpfs");
    refuse_mount("type=bind,target=/x", "source= is missing");
    refuse_mount("type=bind,source=/x", "target= is missing");
    refuse_mount("type=tmpfs,source=/a,target=/x", "no source");
    refuse_mount("odd=1,target=/x", "no key \"odd\"");
    assert_says(mounts(&twice, NULL, &json), "two mounts on /x");
}

/* ---- ports ---- */

static void expect_ports(const char *option, const char *expected)
{
    _cleanup_free_ char *copy = must_copy(option);
    _cleanup_strv_ char **ports = NULL;

    assert_ok(ports_parse(LIST(copy), &ports));
    assert_joined(ports, expected);
}

static void refuse_port(const char *option)
{
    _cleanup_free_ char *copy = must_copy(option);
    _cleanup_strv_ char **ports = NULL;

    assert_says(ports_parse(LIST(copy), &ports), option);
}

static void test_ports(void **state)
{
    _cleanup_strv_ char **ports = NULL;

    expect_ports("8080:80", "8080:80/tcp");
    expect_ports("127.0.0.1:53:53/udp", "127.0.0.1:53:53/udp");
    expect_ports("[::1]:8080:80", "[::1]:8080:80/tcp");
    expect_ports("8000-8002:80-82", "8000:80/tcp|8001:81/tcp|8002:82/tcp");
    assert_ok(ports_parse(LIST(TEXT("80")), &ports));
    assert_non_null(strstr(ports[0], ":80/tcp"));
    assert_true(atoi(ports[0]) > 0);
    refuse_port("0:80");
    refuse_port("70000:80");
    refuse_port("80:");
    refuse_port("x:80");
    refuse_port("8000-8001:80");
    refuse_port("1.2.3:80:80");
    refuse_port("::1:80:80");
    refuse_port("80:80/sctp");
}

/* ---- environment, capabilities, name servers ---- */

static void test_too_many_ports(void **state)
{
    _cleanup_strv_ char **ports = NULL;
    assert_says(ports_parse(LIST(TEXT("1-1000:1-1000")), &ports), "more than 256");
}

static void test_environment(void **state)
{
    _cleanup_strv_ char **environment = NULL;
    char path[] = "/tmp/caisson-env-XXXXXX";

    setenv("FROM_HERE", "yes", 1);
    unsetenv("NOT_HERE");
    assert_ok(environment_set(&environment, "A=1"));
    assert_ok(environment_set(&environment, "NOT_HERE=x"));
    assert_ok(environment_set(&environment, "B=a=b"));
    assert_ok(environment_set(&environment, "A=2"));
    assert_ok(environment_set(&environment, "FROM_HERE"));
    assert_ok(environment_set(&environment, "NOT_HERE"));
    environment_default(&environment, "A", "3");
    environment_default(&environment, "C", "3");
    assert_joined(environment, "A=2|B=a=b|FROM_HERE=yes|C=3");
    assert_says(environment_set(&environment, "=x"), "not a variable");
    assert_says(environment_set(&environment, ""), "not a variable");

    int fd = mkstemp(path);
    assert_ok(fd_write_all(fd, "# comment\n\nX=from file\r\n  Y=1\n", 30));
    close(fd);
    assert_ok(environment_read_file(&environment, path));
    assert_string_equal(environment_get(environment, "X"), "from file");
    assert_string_equal(environment_get(environment, "Y"), "1");
    unlink(path);
    assert_says(environment_read_file(&environment, path), "env-file");
}

static void expect_capabilities(char *const *add, char *const *drop, size_t count, const char *with)
{
    _cleanup_strv_ char **names = NULL;

    assert_ok(capabilities_choose(add, drop, false, &names));
    assert_int_equal(strv_length(names), count);
    if (with)
        assert_true(strv_contains(names, with));
}

static void test_capabilities(void **state)
{
    _cleanup_strv_ char **names = NULL;

    expect_capabilities(NULL, NULL, 14, "CAP_NET_RAW");
    expect_capabilities(LIST(TEXT("sys_admin")), NULL, 15, "CAP_SYS_ADMIN");
    expect_capabilities(LIST(TEXT("CAP_NET_ADMIN")), LIST(TEXT("all")), 1, "CAP_NET_ADMIN");
    expect_capabilities(LIST(TEXT("ALL")), LIST(TEXT("MKNOD")), 40, "CAP_BPF");
    expect_capabilities(NULL, LIST(TEXT("kill"), TEXT("CHOWN")), 12, NULL);
    assert_says(capabilities_choose(LIST(TEXT("NET_ADMN")), NULL, false, &names), "did you mean NET_ADMIN?");
    assert_says(capabilities_choose(NULL, LIST(TEXT("XYZZYXYZZY")), false, &names), "XYZZYXYZZY");
}

static void test_resolver(void **state)
{
    char *text = NULL;

    assert_ok(resolver_text("none", NULL, &text));
    assert_null(text);
    assert_ok(resolver_text("none", LIST(TEXT("9.9.9.9"), TEXT("::1")), &text));
    assert_string_equal(text, "nameserver 9.9.9.9\nnameserver ::1\n");
    free(text);
    assert_ok(resolver_text("user", NULL, &text));
    assert_non_null(strstr(text, "nameserver 10.0.2.3\n"));
    free(text);
    assert_says(resolver_text("none", LIST(TEXT("nine")), &text), "--dns nine");
}

/* ---- templates ---- */

static void expect_template(const json_t *object, const char *format, const char *expected)
{
    _cleanup_free_ char *text = NULL;

    assert_ok(template_expand(format, object, &text));
    assert_string_equal(text, expected);
}

static void test_templates(void **state)
{
    _cleanup_json_ json_t *object = json_pack(
        "{s:s, s:s, s:{s:i, s:b}}", "ID", "abc", "Name", "one", "State", "ExitCode", 3, "OOMKilled", 1);
    char *text = NULL;

    expect_template(object, "{{.ID}}\\t{{ .Names }} x", "abc\tone x");
    expect_template(object, "{{.State.ExitCode}} {{.State.OOMKilled}}", "3 true");
    expect_template(object, "{{json .Name}} {{json .State}}", "\"one\" {\"ExitCode\":3,\"OOMKilled\":true}");
    expect_template(object, "table {{.id}}", "abc");
    assert_says(template_expand("{{.Nothing}}", object, &text), "there is no .Nothing");
    assert_says(template_expand("{{.ID", object, &text), "}} is missing");
    assert_says(template_expand("{{range .}}", object, &text), "not understood");
    assert_says(template_expand("{{.ID.More}}", object, &text), ".ID.More");
}

static void test_sizes_and_spans(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {{0, "0B"}, {1023, "1023B"}, {1536, "1.5KiB"}, {3u << 20, "3.0MiB"}};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        _cleanup_free_ char *text = size_text(sizes[i].bytes);
        assert_string_equal(text, sizes[i].text);
    }
    _cleanup_free_ char *minute = time_span(61000), *days = time_span(3 * 86400000ll), *at = time_text(1500);
    assert_string_equal(minute, "1 minute");
    assert_string_equal(days, "3 days");
    assert_string_equal(at, "1970-01-01T00:00:01.500Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_in_every_spelling),
        cmocka_unit_test(test_options_that_are_wrong),
        cmocka_unit_test(test_every_verb_is_explained),
        cmocka_unit_test(test_option_tables_are_sound),
        cmocka_unit_test(test_mounts),
        cmocka_unit_test(test_mounts_that_are_wrong),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_too_many_ports),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_resolver),
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_sizes_and_spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
