/* SPDX-License-Identifier: Apache-2.0 */
#include "container_world.h"

#include <signal.h>

static int set_up(void **state)
{
    *state = world_new();
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static void test_output_and_code(void **state)
{
    NEEDS_ROOT_AND_CGROUP((struct world *)*state);
    _cleanup_free_ char *output = NULL;
    assert_int_equal(world_run(*state, "echo out; echo err >&2; exit 7", &output), 7);
    assert_string_equal(output, "out\nerr\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_code),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
