/* SPDX-License-Identifier: Apache-2.0 */
/* Where templates are kept: what makes another one of them, and what is refused. No machine is started. */
#include "base/fd.h"
#include "base/path.h"
#include "hv/template.h"
#include "hv/template_store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MEMORY (UINT64_C(1) << 20)

static const char *program = "qemu 1";

static struct error *identity(char **ret_text)
{
    *ret_text = must_copy(program);
    return NULL;
}

static const struct hv_ops saving = {.name = "saving", .capabilities = HV_SNAPSHOT, .identity = identity};

struct world {
    char directory[64];
    char *store;
    char *guest; /* stands for kernel and initrd */
    struct hv_config config;
};

static void write_file(const char *path, const char *text)
{
    assert_null(file_write_text(AT_FDCWD, path, text));
}

static int set_up(void **state)
{
    struct world *world = must_new(struct world);
    strcpy(world->directory, "/tmp/template-store-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    world->store = must_printf("%s/templates", world->directory);
    world->guest = must_printf("%s/guest", world->directory);
    write_file(world->guest, "kernel");
    world->config =
        (struct hv_config){.kernel = world->guest, .initrd = world->guest, .vcpus = 1, .memory = MEMORY};
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    assert_null(tree_remove(world->directory));
    free(world->store);
    free(world->guest);
    free(world);
    return 0;
}

static struct template_place find(struct world *world)
{
    struct template_place place;
    assert_null(template_place_find(world->store, &saving, &world->config, &place));
    return place;
}

static void make(const struct template_place *place)
{
    assert_null(template_place_begin(place, MEMORY));
    _cleanup_free_ char *state = template_place_file(place, true, "state");
    write_file(state, "the state of its devices");
    assert_null(template_place_publish(place));
}

static void expect_refused(const struct template_place *place)
{
    int state = -1;
    struct error *error = template_place_open(place, &state);
    assert_non_null(error);
    assert_int_equal(state, -1);
    error_free(error);
}

static void expect_good(const struct template_place *place)
{
    int state = -1;
    char text[4];
    assert_null(template_place_open(place, &state));
    assert_int_equal(read(state, text, 3), 3);
    assert_memory_equal(text, "the", 3);
    close(state);
}

static void test_made_and_found_again(void **state)
{
    struct template_place place = find(*state), again = find(*state);
    assert_string_equal(place.directory, again.directory);
    expect_refused(&place);
    make(&place);
    expect_good(&again);
    template_place_remove(&again);
    expect_refused(&place);
    template_place_clear(&place);
    template_place_clear(&again);
}

static void expect_another(struct world *world, const char *directory)
{
    struct template_place place = find(world);
    assert_string_not_equal(place.directory, directory);
    template_place_clear(&place);
}

static void test_each_input_makes_another(void **state)
{
    struct world *world = *state;
    const struct hv_config config = world->config;
    struct template_place place = find(world);
    world->config.memory *= 2;
    expect_another(world, place.directory);
    world->config = config;
    world->config.vcpus = 2;
    expect_another(world, place.directory);
    world->config = config;
    world->config.append = "quiet";
    expect_another(world, place.directory);
    world->config = config;
    program = "qemu 2";
    expect_another(world, place.directory);
    program = "qemu 1";
    write_file(world->guest, "another kernel");
    expect_another(world, place.directory);
    template_place_clear(&place);
}

static void change(const struct template_place *place, const char *name, off_t offset)
{
    _cleanup_free_ char *path = template_place_file(place, false, name);
    _cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "X", 1, offset), 1);
}

static void test_changed_files_are_refused(void **state)
{
    struct template_place place = find(*state);
    static const char *const names[] = {"memory", "state", "template.json"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        make(&place);
        expect_good(&place);
        change(&place, names[i], 1);
        expect_refused(&place);
    }
    /* The same name, by whatever accident, for other inputs. */
    make(&place);
    free(place.inputs);
    place.inputs = must_copy("something else");
    expect_refused(&place);
    template_place_clear(&place);
}

static void test_one_makes_while_nobody_starts(void **state)
{
    struct template_place one = find(*state), other = find(*state);
    assert_null(template_place_lock(&one, false));
    assert_null(template_place_lock(&other, false));
    struct error *error = template_place_lock(&one, true);
    assert_int_equal(error_code(error), ERROR_ALREADY_EXISTS);
    error_free(error);
    template_place_clear(&other);
    assert_null(template_place_lock(&one, true));
    template_place_clear(&one);
}

static bool is_kept(const struct template_place *place)
{
    _cleanup_free_ char *lock = must_printf("%s.lock", place->directory);
    bool kept = access(place->directory, F_OK) == 0;
    assert_int_equal(access(lock, F_OK) == 0, kept);
    return kept;
}

/* Made at a time that its number of processors tells, and let go. */
static struct template_place make_one(struct world *world, unsigned vcpus)
{
    const struct timespec then[2] = {{.tv_sec = 1000000 + vcpus}, {.tv_sec = 1000000 + vcpus}};
    world->config.vcpus = vcpus;
    struct template_place place = find(world);
    assert_null(template_place_lock(&place, true));
    make(&place);
    assert_int_equal(futimens(place.lock, then), 0);
    close_fd(TAKE_FD(place.lock));
    return place;
}

static void test_the_longest_unused_go(void **state)
{
    struct template_place places[TEMPLATES_MAX + 2];
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
        places[i] = make_one(*state, i + 1);
    assert_null(template_place_lock(&places[1], false)); /* in use */
    struct template_place again = places[0];
    assert_null(template_place_lock(&again, false)); /* used just now */
    close_fd(again.lock);
    struct template_place *newest = &places[TEMPLATES_MAX + 1];
    assert_null(template_place_lock(newest, true));
    template_sweep(newest);
    assert_true(is_kept(newest));
    assert_true(is_kept(&places[0]));
    assert_true(is_kept(&places[1]));
    assert_false(is_kept(&places[2]));
    for (size_t i = 3; i < ARRAY_SIZE(places); i++)
        assert_true(is_kept(&places[i]));
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        template_place_clear(&places[i]);
}

static void test_useless_ones_go(void **state)
{
    struct template_place old = make_one(*state, 1), half = make_one(*state, 2), own = make_one(*state, 3);
    _cleanup_free_ char *description = template_place_file(&old, false, "template.json");
    _cleanup_free_ char *made = must_printf("%s.new", half.directory);
    write_file(description, "{\"version\":1,\"inputs\":\"x\\nhost earlier\\n\"}");
    assert_int_equal(rename(half.directory, made), 0);
    assert_null(template_place_lock(&own, true));
    template_sweep(&own);
    assert_false(is_kept(&old));
    assert_false(is_kept(&half));
    assert_int_equal(access(made, F_OK), -1);
    assert_true(is_kept(&own));
    template_place_clear(&old);
    template_place_clear(&half);
    template_place_clear(&own);
}

static void test_directories_of_others_are_refused(void **state)
{
    struct world *world = *state;
    struct template_place place;
    assert_int_equal(mkdir(world->store, 0755), 0);
    struct error *error = template_place_find(world->store, &saving, &world->config, &place);
    assert_int_equal(error_code(error), ERROR_PERMISSION_DENIED);
    error_free(error);
}

static void test_which_machines_can_have_one(void **state)
{
    struct world *world = *state;
    static const struct hv_ops plain = {.name = "plain"};
    assert_true(template_fits(&saving, &world->config));
    assert_false(template_fits(&plain, &world->config));
    world->config.hot_disks = true;
    assert_false(template_fits(&saving, &world->config));
    world->config.hot_disks = false;
    world->config.share_count = 1;
    assert_false(template_fits(&saving, &world->config));
    world->config.share_count = 0;
    world->config.memory_max = 2 * MEMORY;
    assert_false(template_fits(&saving, &world->config));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_and_found_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_input_makes_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_makes_while_nobody_starts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_longest_unused_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_useless_ones_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_directories_of_others_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_which_machines_can_have_one, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
