/* SPDX-License-Identifier: Apache-2.0 */
/* caisson.conf: what it says, what it refuses and with which line. */
#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "config/config.h"
#include "config/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct class *class_of(const char *text, const char *name)
{
    _cleanup_config_ struct config *config = NULL;
    struct class *class = NULL;
    assert_ok(config_parse("test.conf", text, strlen(text), &config));
    assert_ok(config_class(config, name, &class));
    return class;
}

/* ---- what it says ---- */

static void test_defaults(void **state)
{
    _cleanup_class_ struct class *class = class_of("", "default");
    assert_string_equal(class->hypervisor, "auto");
    assert_null(class->kernel);
    assert_string_equal(class->kernel_params, "");
    assert_int_equal(class->vcpus, 1);
    assert_int_equal(class->vcpus_max, CLASS_AUTO);
    assert_int_equal(class->memory_max, CLASS_AUTO);
    assert_int_equal(class->memory, 512ull << 20);
    assert_int_equal(class->memory_overhead, 64ull << 20);
    assert_true(class->guest_seccomp);
    assert_false(class->debug);
    assert_null(class->enable_annotations);
}

static void test_every_key(void **state)
{
    _cleanup_class_ struct class *class = class_of("[class all]\n"
                                                   "hypervisor = qemu-tcg\n"
                                                   "kernel = /k\n"
                                                   "initrd = /i\n"
                                                   "templates = /run/t\n"
                                                   "kernel_params = a=1 b\n"
                                                   "vcpus = 2\n"
                                                   "vcpus_max = 4\n"
                                                   "memory = 256m\n"
                                                   "memory_max = 2g\n"
                                                   "memory_overhead = 32m\n"
                                                   "scratch_size = 1g\n"
                                                   "guest_seccomp = false\n"
                                                   "debug = true\n"
                                                   "enable_annotations = vcpus, default_* kernel_params\n",
        "all");
    assert_string_equal(class->name, "all");
    assert_string_equal(class->hypervisor, "qemu-tcg");
    assert_string_equal(class->kernel, "/k");
    assert_string_equal(class->initrd, "/i");
    assert_string_equal(class->templates, "/run/t");
    assert_string_equal(class->kernel_params, "a=1 b");
    assert_int_equal(class->vcpus, 2);
    assert_int_equal(class->vcpus_max, 4);
    assert_int_equal(class->memory, 256u << 20);
    assert_int_equal(class->memory_max, 2ull << 30);
    assert_int_equal(class->memory_overhead, 32u << 20);
    assert_int_equal(class->scratch_size, 1u << 30);
    assert_false(class->guest_seccomp);
    assert_true(class->debug);
    assert_int_equal(strv_length(class->enable_annotations), 3);
    assert_true(class_allows(class, "memory", "default_memory"));
    assert_true(class_allows(class, "kernel-params", NULL));
    assert_false(class_allows(class, "memory", NULL));
}

/* [default] holds for all, wherever it stands; a class goes over it; later lines over earlier ones. */
static void test_order(void **state)
{
    static const char text[] = "[class big]\n"
                               "vcpus = 4\n"
                               "[default]\n"
                               "vcpus = 2\n"
                               "memory = 1g\n"
                               "[class big]\n"
                               "vcpus = 8\n"
                               "[class same]\n";
    _cleanup_class_ struct class *big = class_of(text, "big"), *same = class_of(text, "same");
    assert_int_equal(big->vcpus, 8);
    assert_int_equal(big->memory, 1u << 30);
    assert_int_equal(same->vcpus, 2);
}

static void test_layout(void **state)
{
    _cleanup_class_ struct class *class = class_of("# comment\r\n"
                                                   "; comment\n"
                                                   "\n"
                                                   "  [class x]  \r\n"
                                                   "  vcpus = 2 ; two\r\n"
                                                   "\tmemory: 1g\n"
                                                   "debug=true",
        "x");
    assert_int_equal(class->vcpus, 2);
    assert_int_equal(class->memory, 1u << 30);
    assert_true(class->debug);
}

/* ---- what it refuses ---- */

static void expect_refusal(const char *text, const char *place, const char *words)
{
    struct config *config = NULL;
    _cleanup_error_ struct error *error = config_parse("test.conf", text, strlen(text), &config);
    if (!error)
        fail_msg("not refused: %s", text);
    assert_null(config);
    if (!strstr(error_message(error), place) || !strstr(error_message(error), words))
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", error_message(error), place, words);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *place, *words;
    } cases[] = {
        {"[default]\nvcpu = 2\n", "test.conf:2: ", "did you mean \"vcpus\"?"},
        {"[default]\nhypervizor = auto\n", "test.conf:2: ", "did you mean \"hypervisor\"?"},
        {"[default]\nzzzzzzzzzzzzzz = 1\n", "test.conf:2: ", "there is no key"},
        {"[default]\n\n# c\nvcpus = two\n", "test.conf:4: ", "\"two\" is not a number"},
        {"[default]\nvcpus = 0\n", "test.conf:2: ", "not between 1 and 64"},
        {"[default]\nvcpus = 2 # two\n", "test.conf:2: ", "\"2 # two\" is not a number"},
        {"[default]\nmemory = 1m\n", "test.conf:2: ", "64m is the least"},
        {"[default]\nmemory = 8t\n", "test.conf:2: ", "more than a machine can have"},
        {"[default]\nmemory =\n", "test.conf:2: ", "is not a size"},
        {"[default]\nkernel = vmlinux\n", "test.conf:2: ", "not an absolute path"},
        {"[default]\nhypervisor = abacus\n", "test.conf:2: ", "abacus"},
        {"[default]\ndebug = maybe\n", "test.conf:2: ", "neither true nor false"},
        {"[default]\nkernel_params = quiet init=/bin/sh\n", "test.conf:2: ", "\"init=/bin/sh\""},
        {"[default]\nkernel_params = a -- b\n", "test.conf:2: ", "runtime's own"},
        {"[default]\nkernel_params = \xc3\xa4\n", "test.conf:2: ", "not printable ASCII"},
        {"[default]\nenable_annotations = [\"vcpus\"]\n", "test.conf:2: ", "is no pattern"},
        {"[default]\nvcpus = 4\nvcpus_max = 2\n", "test.conf:3: ", "class default: vcpus is 4"},
        {"[default]\nmemory_max = 256m\n[class a]\n",
            "test.conf:2: ", "memory is 512m, memory_max only 256m"},
        {"vcpus = 2\n", "test.conf:1: ", "before the first"},
        {"[klass a]\nvcpus = 2\n", "test.conf:1: ", "neither [default] nor [class NAME]"},
        {"[class a/b]\n", "test.conf:1: ", "name of a class"},
        {"[class]\n", "test.conf:1: ", "neither"},
        {"[default]\nvcpus\nvcpus = many\n", "test.conf:2: ", "neither a [heading], nor KEY = VALUE"},
        {"[default\nvcpus = 2\n", "test.conf:1: ", "lacks its \"]\""},
        {"[default]\nvcpus = 2\n\x01\n", "test.conf:3: ", "control character"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_refusal(cases[i].text, cases[i].place, cases[i].words);
}

/* A line that inih would cut in two is refused, whatever its end says. */
static void test_long_line(void **state)
{
    _cleanup_free_ char *text = must_printf("[default]\nkernel_params = %0300d\n", 0);
    expect_refusal(text, "test.conf:2: ", "longer than");
    _cleanup_free_ char *comment = must_printf("[default]\n# %0300d\n", 0);
    expect_refusal(comment, "test.conf:2: ", "longer than");
}

static void test_no_such_class(void **state)
{
    static const char text[] = "[class kata-qemu]\n[class small]\n";
    static const struct {
        const char *name, *words;
    } cases[] = {
        {"kata-quemu", "did you mean \"kata-qemu\"?"}, {"zz", "there are: default, kata-qemu, small"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_config_ struct config *config = NULL;
        struct class *class = NULL;
        assert_ok(config_parse("test.conf", text, strlen(text), &config));
        _cleanup_error_ struct error *error = config_class(config, cases[i].name, &class);
        assert_int_equal(error_code(error), ERROR_NOT_FOUND);
        assert_non_null(strstr(error_message(error), cases[i].words));
    }
}

/* ---- files ---- */

struct place {
    char *directory;
    char *file;
};

static void write_file(const char *directory, const char *name, const char *text)
{
    _cleanup_free_ char *path = must_printf("%s/%s", directory, name);
    assert_ok(file_write_text(AT_FDCWD, path, text));
}

static int set_up(void **state)
{
    struct place *place = must_new(struct place);
    place->directory = must_copy("/tmp/test-config-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    place->file = must_printf("%s/caisson.conf", place->directory);
    _cleanup_free_ char *dropins = must_printf("%s/conf.d", place->directory);
    assert_int_equal(mkdir(dropins, 0700), 0);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    error_free(tree_remove(place->directory));
    free(place->directory);
    free(place->file);
    free(place);
    unsetenv("CAISSON_CONFIG");
    return 0;
}

static void test_drop_ins(void **state)
{
    struct place *place = *state;
    write_file(place->directory, "caisson.conf", "[default]\nvcpus = 2\nmemory = 1g\n");
    write_file(place->directory, "conf.d/20-b.conf", "[default]\nvcpus = 4\n");
    write_file(place->directory, "conf.d/10-a.conf", "[default]\nvcpus = 3\n[class small]\nmemory = 128m\n");
    write_file(place->directory, "conf.d/README", "no configuration\n");
    _cleanup_config_ struct config *config = NULL;
    _cleanup_class_ struct class *small = NULL;
    assert_ok(config_load(place->file, false, &config));
    assert_ok(config_class(config, "small", &small));
    assert_int_equal(small->vcpus, 4);
    assert_int_equal(small->memory, 128u << 20);

    write_file(place->directory, "conf.d/30-c.conf", "[default]\nvcpus = many\n");
    struct config *none = NULL;
    _cleanup_error_ struct error *error = config_load(place->file, false, &none);
    assert_non_null(error);
    assert_non_null(strstr(error_message(error), "/conf.d/30-c.conf:2: "));
}

static void test_missing_file(void **state)
{
    struct place *place = *state;
    struct config *none = NULL;
    _cleanup_config_ struct config *config = NULL;
    _cleanup_class_ struct class *class = NULL;
    write_file(place->directory, "conf.d/x.conf", "[default]\nvcpus = 3\n");
    _cleanup_error_ struct error *error = config_load(place->file, false, &none);
    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error_message(error), place->file));
    assert_ok(config_load(place->file, true, &config));
    assert_ok(config_class(config, "default", &class));
    assert_int_equal(class->vcpus, 3);
}

static void expect_place(const char *given, const char *file, const char *name, bool optional, bool foreign)
{
    struct config_place place;
    config_place_find(given, &place);
    assert_string_equal(place.file, file);
    if (name)
        assert_string_equal(place.class_name, name);
    else
        assert_null(place.class_name);
    assert_int_equal(place.optional, optional);
    assert_int_equal(place.foreign, foreign);
    config_place_clear(&place);
}

static void test_places(void **state)
{
    unsetenv("CAISSON_CONFIG");
    expect_place(NULL, CONFIG_FILE, NULL, true, false);
    expect_place("", CONFIG_FILE, NULL, true, false);
    expect_place("/a/b.conf", "/a/b.conf", NULL, false, false);
    expect_place("/a/b.conf#big", "/a/b.conf", "big", false, false);
    expect_place("/opt/kata/share/configuration-qemu.toml", CONFIG_FILE, NULL, true, true);
    setenv("CAISSON_CONFIG", "/e.conf#c", 1);
    expect_place(NULL, "/e.conf", "c", false, false);
    expect_place("/a/b.conf", "/a/b.conf", NULL, false, false);
    expect_place("/k.toml", "/e.conf", "c", false, true);
    unsetenv("CAISSON_CONFIG");
}

/* ---- the file that is installed ---- */

/* "#KEY = VALUE" with the key's name at its beginning; what follows [class ...] is examples. */
static struct error *set_shown(struct class *class, char *line, const char *key)
{
    size_t length = strlen(key);
    if (strncmp(line, key, length) != 0 || strncmp(line + length, " =", 2) != 0)
        return NULL;
    char *value = line + length + 2;
    return class_set(class, class_key_find(key), value + strspn(value, " "));
}

static char *read_example(void)
{
    const char *sources = getenv("CAISSON_TEST_SOURCES");
    if (!sources)
        skip();
    char *text = NULL;
    _cleanup_free_ char *path = must_printf("%s/share/caisson.conf", sources);
    assert_ok(file_read(AT_FDCWD, path, CONFIG_FILE_MAX, &text, NULL));
    return text;
}

/* Every key stands in it, with the value that it has without the file. */
static void test_example(void **state)
{
    _cleanup_free_ char *text = read_example();
    *strstr(text, "# A class for") = '\0';
    _cleanup_class_ struct class *shown = class_new("x"), *builtin = class_new("x");
    _cleanup_strv_ char **lines = strv_split(text, '\n');
    for (size_t i = 0; class_key_at(i); i++) {
        _cleanup_free_ char *start = must_printf("\n#%s =", class_key_at(i));
        if (!strstr(text, start))
            fail_msg("%s is not explained", class_key_at(i));
        STRV_FOREACH (line, lines)
            if (**line == '#')
                assert_ok(set_shown(shown, *line + 1, class_key_at(i)));
    }
    assert_string_equal(shown->hypervisor, builtin->hypervisor);
    assert_string_equal(shown->kernel_params, builtin->kernel_params);
    assert_int_equal(shown->vcpus, builtin->vcpus);
    assert_int_equal(shown->vcpus_max, builtin->vcpus_max);
    assert_int_equal(shown->memory, builtin->memory);
    assert_int_equal(shown->memory_max, builtin->memory_max);
    assert_int_equal(shown->memory_overhead, builtin->memory_overhead);
    assert_int_equal(shown->scratch_size, builtin->scratch_size);
    assert_int_equal(shown->guest_seccomp, builtin->guest_seccomp);
    assert_int_equal(shown->debug, builtin->debug);
    assert_int_equal(strv_length(shown->enable_annotations), 0);
}

static void test_example_is_read(void **state)
{
    _cleanup_free_ char *text = read_example();
    _cleanup_class_ struct class *class = class_of(text, "default");
    assert_int_equal(class->vcpus, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_no_such_class),
        cmocka_unit_test_setup_teardown(test_drop_ins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing_file, set_up, tear_down),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_example_is_read),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
