/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/process.h"
#include "base/strv.h"
#include "base/tail.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static void assert_fails(struct error *error, enum error_code code, const char *part)
{
    assert_non_null(error);
    assert_int_equal(error_code(error), code);
    assert_non_null(strstr(error_message(error), part));
    error_free(error);
}

static void test_error_is_wrapped_and_keeps_its_code(void **state)
{
    struct error *error = error_wrap(error_errno(ENOENT, "opening %s", "a"), "starting %d", 7);
    assert_string_equal(error_message(error), "starting 7: opening a: No such file or directory");
    assert_int_equal(error_number(error), ENOENT);
    assert_fails(error, ERROR_NOT_FOUND, "opening a");
    assert_null(error_wrap(NULL, "nothing"));
    assert_string_equal(error_code_name(ERROR_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(error_code_name(99), "UNKNOWN");
}

static void test_strv(void **state)
{
    _cleanup_strv_ char **vector = strv_split("a,,b", ',');
    assert_int_equal(strv_length(vector), 3);
    strv_append_printf(&vector, "%d", 5);
    assert_true(strv_contains(vector, "5"));
    assert_false(strv_contains(vector, "6"));
    _cleanup_free_ char *joined = strv_join(vector, "-");
    assert_string_equal(joined, "a--b-5");
    _cleanup_strv_ char **copy = strv_copy(vector);
    strv_extend(&copy, vector);
    assert_int_equal(strv_length(copy), 8);
    assert_int_equal(strv_length(NULL), 0);
}

static void test_parse(void **state)
{
    uint64_t value = 0;
    assert_null(parse_size("memory", "512m", &value));
    assert_int_equal(value, 512ull << 20);
    assert_null(parse_size("memory", "2GiB", &value));
    assert_int_equal(value, 2ull << 30);
    assert_fails(parse_size("memory", "12x", &value), ERROR_INVALID_ARGUMENT, "\"12x\" is not a size");
    assert_fails(parse_size("memory", "", &value), ERROR_INVALID_ARGUMENT, "size");
    assert_fails(parse_size("memory", "99999999999t", &value), ERROR_OUT_OF_RANGE, "too large");
    assert_int_equal(value, 2ull << 30);
    assert_null(parse_thousandths("cpus", "1.5", &value));
    assert_int_equal(value, 1500);
    assert_null(parse_thousandths("cpus", "0.025", &value));
    assert_int_equal(value, 25);
    assert_fails(parse_thousandths("cpus", "1.2345", &value), ERROR_INVALID_ARGUMENT, "decimals");
    assert_null(parse_duration("timeout", "1m30s", &value));
    assert_int_equal(value, 90000);
    assert_null(parse_duration("timeout", "10", &value));
    assert_int_equal(value, 10000);
    assert_fails(parse_duration("timeout", "10y", &value), ERROR_INVALID_ARGUMENT, "duration");
    assert_fails(parse_unsigned("port", "70000", 1, 65535, &value), ERROR_OUT_OF_RANGE, "65535");
    assert_fails(parse_unsigned("port", "-1", 1, 65535, &value), ERROR_INVALID_ARGUMENT, "number");
    int64_t number = 0;
    assert_null(parse_signed("score", "-1000", -1000, 1000, &number));
    assert_int_equal(number, -1000);
}

static void test_identifiers(void **state)
{
    assert_null(identifier_check("container", "a-b_c.1"));
    assert_fails(identifier_check("container", ""), ERROR_INVALID_ARGUMENT, "1 to 76");
    assert_fails(identifier_check("container", "../x"), ERROR_INVALID_ARGUMENT, "letters");
    assert_fails(identifier_check("container", "a/b"), ERROR_INVALID_ARGUMENT, "letters");
    char long_name[100];
    memset(long_name, 'a', sizeof(long_name));
    long_name[77] = '\0';
    assert_fails(identifier_check("container", long_name), ERROR_INVALID_ARGUMENT, "1 to 76");
}

static char *temporary_directory(void)
{
    char *path = must_copy("/tmp/caisson-test-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

static void test_files(void **state)
{
    _cleanup_free_ char *top = temporary_directory();
    _cleanup_free_ char *deep = must_printf("%s/a/b/c", top);
    assert_null(directory_create_all(deep, 0755));
    assert_null(directory_create_all(deep, 0755));
    _cleanup_fd_ int directory = open(deep, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_null(file_replace(directory, "f", "hello", 5, 0600));
    assert_null(file_replace(directory, "f", "other", 5, 0600));
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    assert_null(file_read(directory, "f", 5, &text, &length));
    assert_int_equal(length, 5);
    assert_string_equal(text, "other");
    char *none = NULL;
    assert_fails(file_read(directory, "f", 4, &none, NULL), ERROR_OUT_OF_RANGE, "more than 4");
    assert_null(none);
    assert_int_equal(symlinkat("/etc", directory, "link"), 0);
    int fd = -1;
    assert_fails(open_in_root(directory, "link/passwd", O_RDONLY, 0, &fd), ERROR_NOT_FOUND, "link/passwd");
    assert_fails(open_in_root(directory, "../../../etc/passwd", O_RDONLY, 0, &fd), ERROR_NOT_FOUND, "passwd");
    assert_null(tree_remove(top));
    assert_int_equal(access(top, F_OK), -1);
    assert_int_equal(access("/etc/passwd", F_OK), 0);
    assert_null(tree_remove(top));
}

static void test_unix_sockets_with_long_paths(void **state)
{
    _cleanup_free_ char *top = temporary_directory();
    _cleanup_free_ char *deep = must_printf("%s/%060d/%060d", top, 1, 2);
    assert_null(directory_create_all(deep, 0755));
    _cleanup_free_ char *path = must_printf("%s/socket", deep);
    _cleanup_fd_ int listener = -1;
    assert_null(unix_listen(path, &listener));
    _cleanup_fd_ int client = -1;
    assert_null(unix_connect(path, &client));
    _cleanup_fd_ int served = accept(listener, NULL, NULL);
    assert_true(served >= 0);
    assert_null(fd_send(client, listener));
    _cleanup_fd_ int passed = -1;
    assert_null(fd_receive(served, &passed));
    struct stat one, other;
    assert_int_equal(fstat(passed, &one), 0);
    assert_int_equal(fstat(listener, &other), 0);
    assert_int_equal(one.st_ino, other.st_ino);
    assert_null(tree_remove(top));
}

static void test_tail(void **state)
{
    char text[6] = "";
    size_t length = 0;
    tail_add(text, 5, &length, "abc", 3);
    assert_string_equal(text, "abc");
    tail_add(text, 5, &length, "def", 3);
    assert_string_equal(text, "bcdef");
    tail_add(text, 5, &length, "0123456789", 10);
    assert_string_equal(text, "56789");
    tail_add(text, 5, &length, "", 0);
    assert_int_equal(length, 5);
}

static void test_run_collects_output_and_errors(void **state)
{
    char *arguments[] = {"sh", "-c", "echo out; echo first >&2; echo second >&2; exit 3", NULL};
    struct process_options options = {.arguments = arguments};
    struct process_result result = {0};
    assert_null(process_run(&options, 100, &result));
    assert_int_equal(process_exit_code(result.status), 3);
    assert_string_equal(result.output, "out\n");
    assert_string_equal(result.errors, "first\nsecond\n");
    process_result_clear(&result);
    assert_fails(process_run_checked(&options, 100, NULL), ERROR_UNKNOWN, "exit code 3): second");
    char *flood[] = {"sh", "-c", "while :; do echo flood; done", NULL};
    options.arguments = flood;
    assert_fails(process_run(&options, 1000, &result), ERROR_OUT_OF_RANGE, "more than 1000");
    char *missing[] = {"caisson-no-such-program", NULL};
    options.arguments = missing;
    assert_fails(process_run(&options, 1000, &result), ERROR_NOT_FOUND, "caisson-no-such-program");
}

/* Descriptors that trade places, and nothing else open in the child. */
static void test_spawn_places_descriptors(void **state)
{
    int first[2], second[2];
    assert_int_equal(pipe2(first, O_CLOEXEC), 0);
    assert_int_equal(pipe2(second, O_CLOEXEC), 0);
    struct process_fd fds[] = {{first[1], second[1]}, {second[1], first[1]}};
    _cleanup_free_ char *script = must_printf(
        "echo one >&%d; echo two >&%d; ls /proc/self/fd | wc -l >&%d", second[1], first[1], second[1]);
    char *arguments[] = {"bash", "-c", script, NULL};
    struct process_options options = {.arguments = arguments, .fds = fds, .fd_count = 2};
    pid_t pid;
    assert_null(process_spawn(&options, &pid));
    close(first[1]);
    close(second[1]);
    _cleanup_free_ char *one = NULL, *two = NULL;
    assert_null(fd_read_all(first[0], 100, &one, NULL));
    assert_null(fd_read_all(second[0], 100, &two, NULL));
    close(first[0]);
    close(second[0]);
    /* 0, 1, 2, the two pipes, and the directory that ls reads. */
    assert_string_equal(one, "one\n6\n");
    assert_string_equal(two, "two\n");
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void note_exit(void *context, int status)
{
    *(int *)context = process_exit_code(status);
}

static void test_watch_reports_the_exit(void **state)
{
    struct event_base *base = event_base_new();
    char *arguments[] = {"sh", "-c", "kill -9 $$", NULL};
    struct process_options options = {.arguments = arguments};
    pid_t pid;
    assert_null(process_spawn(&options, &pid));
    int code = -1;
    struct process_watch *watch = NULL;
    assert_null(process_watch_new(base, pid, note_exit, &code, &watch));
    assert_int_equal(event_base_dispatch(base), 1);
    assert_int_equal(code, 137);
    process_watch_free(watch);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_wrapped_and_keeps_its_code),
        cmocka_unit_test(test_strv),
        cmocka_unit_test(test_tail),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_identifiers),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_unix_sockets_with_long_paths),
        cmocka_unit_test(test_run_collects_output_and_errors),
        cmocka_unit_test(test_spawn_places_descriptors),
        cmocka_unit_test(test_watch_reports_the_exit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
