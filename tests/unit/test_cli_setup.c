/* SPDX-License-Identifier: Apache-2.0 */
/* What setup reads of TOML, the marks around what it adds, and the patch that it shows. */
#include "assertions.h"
#include "base/strv.h"
#include "cli/setup.h"
#include "cli/setup_toml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct toml *parse(const char *text)
{
    struct toml *toml = NULL;
    assert_ok(toml_parse("f", text, strlen(text), &toml));
    return toml;
}

static void expect_statement(
    const struct toml *toml, size_t index, unsigned line, const char *path, const char *value)
{
    assert_true(index < toml->count);
    const struct toml_statement *statement = &toml->statements[index];
    _cleanup_free_ char *joined = strv_join(statement->path, "|");
    assert_string_equal(joined, path);
    assert_int_equal(statement->line, line);
    if (value)
        assert_string_equal(statement->value, value);
    else
        assert_true(statement->table);
}

static void test_statements(void **state)
{
    _cleanup_toml_ struct toml *toml = parse("# c\n"
                                             "version = 2 # two\r\n"
                                             "imports = [ \"a\", # x ]\n"
                                             "  'b' ]\n"
                                             "[plugins.\"io.x\".'y z']\n"
                                             "  a.b = \"\"\"one \"\"\n"
                                             "# no comment\n"
                                             "\"\"\"\n"
                                             "t = { u = [1, \"}\"] }\n"
                                             "[[ l . m ]]\n"
                                             "d = 1979-05-27");
    assert_int_equal(toml->count, 7);
    expect_statement(toml, 0, 2, "version", "2");
    expect_statement(toml, 1, 3, "imports", "[ \"a\", # x ]\n  'b' ]");
    expect_statement(toml, 2, 5, "plugins|io.x|y z", NULL);
    expect_statement(toml, 3, 6, "plugins|io.x|y z|a|b", "\"\"\"one \"\"\n# no comment\n\"\"\"");
    assert_int_equal(toml->statements[3].own, 2);
    expect_statement(toml, 4, 9, "plugins|io.x|y z|t", "{ u = [1, \"}\"] }");
    expect_statement(toml, 5, 10, "l|m", NULL);
    assert_true(toml->statements[5].array);
    expect_statement(toml, 6, 11, "l|m|d", "1979-05-27");
}

static void test_values(void **state)
{
    _cleanup_toml_ struct toml *toml = parse("n = -3\ns = \"a\\t\\\"b\"\nl = ['x', \"y\",\n]\n");
    int64_t number = 0;
    _cleanup_free_ char *text = NULL;
    _cleanup_strv_ char **list = NULL;
    assert_ok(toml_integer(toml, &toml->statements[0], &number));
    assert_int_equal(number, -3);
    assert_ok(toml_string(toml, &toml->statements[1], &text));
    assert_string_equal(text, "a\t\"b");
    assert_ok(toml_strings(toml, &toml->statements[2], &list));
    assert_int_equal(strv_length(list), 2);
    assert_string_equal(list[1], "y");
    _cleanup_error_ struct error *error = toml_strings(toml, &toml->statements[1], &list);
    assert_non_null(strstr(error_message(error), "f:2: "));
}

static void test_refused_toml(void **state)
{
    static const struct {
        const char *text, *place;
    } cases[] = {{"a = \"x\ny\"\n", "f:1: "}, {"a = \"x\\\ny\"\n", "f:1: "}, {"\na = [1\n\n", "f:4: "},
        {"a = }\n", "f:1: "}, {"[a\n", "f:1: "}, {"[a]]\n", "f:1: "}, {"= 1\n", "f:1: "}, {"a\n", "f:1: "},
        {"a =\n", "f:1: "}, {"a = '''\n", "f:2: "}, {"a = \"\\u0041\"\n", "f:1: "}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct toml *toml = NULL;
        _cleanup_error_ struct error *error = toml_parse("f", cases[i].text, strlen(cases[i].text), &toml);
        if (!error || strncmp(error_message(error), cases[i].place, strlen(cases[i].place)) != 0)
            fail_msg("%s: %s", cases[i].text, error ? error_message(error) : "not refused");
        assert_null(toml);
    }
}

/* What was added comes out again, whatever stood there. */
static void test_marks(void **state)
{
    static const char *const texts[] = {"", "a = 1", "a = 1\n", "\n\n", "a = 1\r\n"};
    static const char *const handlers[] = {"caisson", NULL};
    const struct setup_block block = {.version = 3, .handlers = handlers};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct setup_parts before = {0}, after = {0};
        assert_ok(setup_parts_read("f", texts[i], &before));
        assert_false(before.found);
        _cleanup_free_ char *added = setup_block_insert(&before, true, &block);
        assert_non_null(strstr(added, "io.containerd.cri.v1.runtime"));
        assert_ok(setup_parts_read("f", added, &after));
        assert_true(after.found && !after.made_file);
        assert_string_equal(after.head, texts[i]);
        assert_string_equal(after.tail, "");
        setup_parts_clear(&before);
        setup_parts_clear(&after);
    }
}

static void test_patch(void **state)
{
    static const struct {
        const char *before, *after, *patch;
    } cases[] = {
        {"a\nb\nc\nd\n", "a\nb\nc\nd\ne\n", "--- f\n+++ f\n@@ -2,3 +2,4 @@\n b\n c\n d\n+e\n"},
        {"a\nx\nb\n", "a\nb\n", "--- f\n+++ f\n@@ -1,3 +1,2 @@\n a\n-x\n b\n"},
        {NULL, "a\n", "--- /dev/null\n+++ f\n@@ -0,0 +1,1 @@\n+a\n"},
        {"a\n", NULL, "--- f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n"},
        {"a", "a\nb\n", "--- f\n+++ f\n@@ -1,1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n"},
        {"a\n", "a\n", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *patch = setup_diff("f", cases[i].before, cases[i].after);
        assert_string_equal(patch, cases[i].patch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused_toml),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_patch),
    };
    return cmocka_run_group_tests_name("setup", tests, NULL, NULL);
}
