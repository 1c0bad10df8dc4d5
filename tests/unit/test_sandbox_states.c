/* SPDX-License-Identifier: Apache-2.0 */
/* docs/states.md and the tables of host/sandbox/states.c say the same. */
#include "base/fd.h"
#include "base/strv.h"
#include "sandbox/creation.h"
#include "sandbox/states.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char *document;

static int read_document(void **state)
{
    const char *path = getenv("CAISSON_STATES_DOCUMENT");
    struct error *error = file_read(AT_FDCWD, path ? path : "docs/states.md", 1 << 20, &document, NULL);
    if (error)
        print_error("%s\n", error_message(error));
    return error ? -1 : 0;
}

static int free_document(void **state)
{
    free(document);
    return 0;
}

static const char *cell(const struct refusal *refusal)
{
    return refusal ? error_code_name(refusal->code) : "yes";
}

/* The row must stand between its heading and the next one. */
static void assert_row(const char *heading, const char *row)
{
    const char *section = strstr(document, heading);
    assert_non_null(section);
    const char *end = strstr(section + 1, "\n## ");
    const char *found = strstr(section, row);
    if (!found || (end && found > end))
        fail_msg("docs/states.md has no row \"%s\" under %s", row + 1, heading + 1);
}

static void test_sandbox_table(void **state)
{
    for (unsigned from = 0; from < SANDBOX_STATE_COUNT; from++) {
        _cleanup_strv_ char **successors = NULL;
        for (unsigned to = 0; to < SANDBOX_STATE_COUNT; to++)
            if (sandbox_may_become(from, to))
                strv_append(&successors, sandbox_state_name(to));
        _cleanup_free_ char *next = strv_join(successors, ", ");
        _cleanup_free_ char *row = must_printf("\n| %s | %s | %s | %s | %s | %s |\n",
            sandbox_state_name(from), cell(sandbox_refusal(from, SANDBOX_START)),
            cell(sandbox_refusal(from, SANDBOX_CREATE)), cell(sandbox_refusal(from, SANDBOX_USE)),
            cell(sandbox_refusal(from, SANDBOX_SHUTDOWN)), next);
        assert_row("\n## Sandbox\n", row);
    }
}

static char *process_row(enum process_kind kind, enum process_state from)
{
    _cleanup_strv_ char **cells = NULL;
    _cleanup_strv_ char **successors = NULL;
    strv_append(&cells, process_state_name(from));
    for (unsigned call = 0; call < PROCESS_CALL_COUNT; call++)
        strv_append(&cells, cell(process_refusal(kind, from, call)));
    for (unsigned to = 0; to < PROCESS_STATE_COUNT; to++)
        if (process_may_become(from, to))
            strv_append(&successors, process_state_name(to));
    if (kind == PROCESS_INIT)
        strv_take(&cells, strv_join(successors, ", "));
    _cleanup_free_ char *row = strv_join(cells, " | ");
    return must_printf("\n| %s |\n", row);
}

static void test_process_tables(void **state)
{
    for (unsigned from = 0; from < PROCESS_STATE_COUNT; from++) {
        _cleanup_free_ char *init = process_row(PROCESS_INIT, from);
        _cleanup_free_ char *exec = process_row(PROCESS_EXECED, from);
        assert_row("\n## Container\n", init);
        assert_row("\n## Exec process\n", exec);
    }
}

static void test_words(void **state)
{
    for (unsigned kind = 0; kind < PROCESS_KIND_COUNT; kind++)
        for (unsigned from = 0; from < PROCESS_STATE_COUNT; from++)
            for (unsigned call = 0; call < PROCESS_CALL_COUNT; call++) {
                const struct refusal *refusal = process_refusal(kind, from, call);
                if (!refusal)
                    continue;
                _cleanup_free_ char *row =
                    must_printf("\n| %s | `%s` | ", error_code_name(refusal->code), refusal->words);
                assert_row("\n## The words\n", row);
            }
}

/* What a step does stands first in its line; more may follow. */
static void test_steps(void **state)
{
    static const char *const parts[] = {
        [CREATION_CONTAINER] = "", [CREATION_MACHINE] = "machine: ", [CREATION_ATTACH] = "later container: "};
    for (size_t i = 0; i < creation_step_count; i++) {
        const struct creation_step *step = &creation_steps[i];
        _cleanup_free_ char *row = must_printf("\n%zu. %s%s", i + 1, parts[step->part], step->name);
        assert_row("\n### The steps of a creation\n", row);
    }
    _cleanup_free_ char *next = must_printf("\n%zu. ", creation_step_count + 1);
    assert_null(strstr(document, next));
}

/* No state is a dead end but the last, and each can be reached. */
static void test_transitions(void **state)
{
    for (unsigned to = PROCESS_CREATED; to < PROCESS_STATE_COUNT; to++) {
        unsigned from = 0;
        while (from < PROCESS_STATE_COUNT && !process_may_become(from, to))
            from++;
        assert_true(from < PROCESS_STATE_COUNT);
    }
    assert_false(process_may_become(PROCESS_STOPPED, PROCESS_RUNNING));
    assert_false(sandbox_may_become(SANDBOX_STOPPED, SANDBOX_RUNNING));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sandbox_table),
        cmocka_unit_test(test_process_tables),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_transitions),
    };
    return cmocka_run_group_tests(tests, read_document, free_document);
}
