/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "oci/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_state_of_a_running_container(void **unused)
{
    Grpc__StringEntry first = {.base.descriptor = &grpc__string_entry__descriptor, .key = "a", .value = "b"};
    Grpc__StringEntry second = {.base.descriptor = &grpc__string_entry__descriptor, .key = "c", .value = ""};
    Grpc__StringEntry *annotations[] = {&first, &second};
    struct oci_state state = {.version = "1.2.0",
        .id = "web",
        .status = "running",
        .pid = 42,
        .bundle = "/bundles/web",
        .annotations = annotations,
        .annotation_count = 2};
    _cleanup_free_ char *text = oci_state_json(&state);

    assert_string_equal(text, "{\"ociVersion\":\"1.2.0\",\"id\":\"web\",\"status\":\"running\",\"pid\":42,"
                              "\"bundle\":\"/bundles/web\",\"annotations\":{\"a\":\"b\",\"c\":\"\"}}");
}

static void test_state_without_a_process(void **unused)
{
    struct oci_state state = {.version = "1.0.0", .id = "x", .status = "stopped", .bundle = "/b"};
    _cleanup_free_ char *text = oci_state_json(&state);

    assert_string_equal(text, "{\"ociVersion\":\"1.0.0\",\"id\":\"x\",\"status\":\"stopped\",\"bundle\":\"/"
                              "b\",\"annotations\":{}}");
}

/* Whatever byte an annotation holds, a parser reads it back. */
static void test_every_character_survives(void **unused)
{
    char value[128] = "";
    for (int i = 1; i < 128; i++)
        value[i - 1] = (char)i;
    Grpc__StringEntry entry = {
        .base.descriptor = &grpc__string_entry__descriptor, .key = "\"\\\xc3\xa4", .value = value};
    Grpc__StringEntry *annotations[] = {&entry};
    struct oci_state state = {.version = "1.0.0",
        .id = "x",
        .status = "stopped",
        .bundle = "/b",
        .annotations = annotations,
        .annotation_count = 1};
    _cleanup_free_ char *text = oci_state_json(&state);
    _cleanup_json_ json_t *json = NULL;

    assert_null(json_read("state", text, strlen(text), &json));
    const json_t *read = json_object_get(json_object_get(json, "annotations"), entry.key);
    assert_string_equal(json_string_value(read), value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_of_a_running_container),
        cmocka_unit_test(test_state_without_a_process),
        cmocka_unit_test(test_every_character_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
