/* SPDX-License-Identifier: Apache-2.0 */
/* Records, names, locks, pumps and keys: the parts of the client that need no shim. */
#include "assertions.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/strv.h"
#include "client/pump.h"
#include "client/record.h"
#include "client/signals.h"
#include "client/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_code(struct error *error, enum error_code code)
{
    assert_int_equal(error_code(error), code);
    error_free(error);
}

/* ---- records ---- */

struct place {
    char path[32];
    struct directories *directories;
};

static int make_place(void **state)
{
    static struct place place;

    strcpy(place.path, "/tmp/caisson-client-XXXXXX");
    assert_non_null(mkdtemp(place.path));
    _cleanup_free_ char *data = must_printf("%s/data", place.path), *run = must_printf("%s/run", place.path);
    setenv("CAISSON_DATA", data, 1);
    setenv("CAISSON_STATE", run, 1);
    assert_ok(directories_open(&place.directories));
    *state = &place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;

    directories_free(place->directories);
    error_free(tree_remove(place->path));
    return 0;
}

static struct record *new_record(const char *id, const char *name)
{
    struct record *record = must_new(struct record);

    record->id = must_copy(id);
    record->name = must_copy(name);
    return record;
}

static void test_a_record_is_read_as_it_was_written(void **state)
{
    const struct place *place = *state;
    _cleanup_record_ struct record *record = new_record("aa11", "one"), *again = NULL;
    _cleanup_fd_ int lock = -1;

    strv_append(&record->command, "echo");
    strv_append(&record->command, "two \"words\"");
    record->status = CONTAINER_EXITED;
    record->exit_code = 137;
    record->created = 1234567890123;
    record->oom = true;
    record->reason = must_copy("why");
    assert_ok(record_reserve(place->directories, record, &lock));
    assert_ok(record_save(place->directories, record));
    assert_ok(record_load(place->directories, "aa11", &again));
    assert_string_equal(again->name, "one");
    assert_string_equal(again->command[1], "two \"words\"");
    assert_int_equal(again->status, CONTAINER_EXITED);
    assert_int_equal(again->exit_code, 137);
    assert_true(again->created == record->created && again->oom && !again->terminal);
    assert_string_equal(again->reason, "why");
    assert_null(again->ports);
}

static void test_damaged_records_are_told_apart(void **state)
{
    static const char *const texts[] = {"", "{", "[]", "{\"id\":\"x\"}",
        "{\"id\":\"aa11\",\"name\":\"n\",\"status\":\"odd\"}",
        "{\"id\":\"aa11\",\"name\":3,\"status\":\"exited\"}"};
    const struct place *place = *state;
    _cleanup_record_ struct record *record = new_record("aa11", "one");
    _cleanup_free_ char *path = directories_record_file(place->directories, "aa11", "container.json");
    struct record *again = NULL;
    _cleanup_fd_ int lock = -1;

    assert_ok(record_reserve(place->directories, record, &lock));
    assert_code(record_load(place->directories, "aa11", &again), ERROR_NOT_FOUND);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_ok(file_write_text(AT_FDCWD, path, texts[i]));
        assert_code(record_load(place->directories, "aa11", &again), ERROR_DATA_LOSS);
    }
}

static void test_names_and_beginnings_of_ids(void **state)
{
    const struct place *place = *state;
    _cleanup_record_ struct record *one = new_record("aa11", "one"), *two = new_record("aa22", "two"),
                                   *thief = new_record("bb33", "one");
    _cleanup_fd_ int lock = -1, other = -1, third = -1;
    char *id = NULL;

    assert_ok(record_reserve(place->directories, one, &lock));
    assert_ok(record_reserve(place->directories, two, &other));
    assert_code(record_reserve(place->directories, thief, &third), ERROR_ALREADY_EXISTS);
    assert_ok(record_resolve(place->directories, "two", &id));
    assert_string_equal(id, "aa22");
    free(TAKE_PTR(id));
    assert_ok(record_resolve(place->directories, "aa1", &id));
    assert_string_equal(id, "aa11");
    free(TAKE_PTR(id));
    assert_code(record_resolve(place->directories, "aa", &id), ERROR_INVALID_ARGUMENT);
    assert_code(record_resolve(place->directories, "cc", &id), ERROR_NOT_FOUND);
    assert_code(record_resolve(place->directories, "../x", &id), ERROR_INVALID_ARGUMENT);
    /* A name whose container is gone, by whatever way, is free. */
    _cleanup_free_ char *directory = directories_record(place->directories, "aa11");
    assert_ok(tree_remove(directory));
    assert_ok(record_reserve(place->directories, thief, &third));
    assert_ok(record_remove(place->directories, thief));
    assert_code(record_resolve(place->directories, "one", &id), ERROR_NOT_FOUND);
}

static void test_a_lock_is_waited_for(void **state)
{
    const struct place *place = *state;
    _cleanup_record_ struct record *record = new_record("aa11", "one");
    _cleanup_fd_ int mine = -1;
    int lock = -1;

    assert_ok(record_reserve(place->directories, record, &lock));
    assert_ok(record_try_lock(place->directories, "aa11", &mine));
    assert_int_equal(mine, -1);
    assert_code(record_lock(place->directories, "aa11", 10, &mine), ERROR_DEADLINE_EXCEEDED);
    pid_t holder = fork();
    if (holder == 0) {
        struct timespec moment = {.tv_nsec = 50000000};
        nanosleep(&moment, NULL);
        _exit(0);
    }
    close(lock); /* the child's copy holds it on */
    assert_ok(record_lock(place->directories, "aa11", 20000, &mine));
    assert_true(mine >= 0);
    waitpid(holder, NULL, 0);
    assert_code(record_try_lock(place->directories, "none", &lock), ERROR_NOT_FOUND);
}

/* ---- pumps ---- */

struct flow {
    struct event_base *base;
    int ends;
    int errnum;
};

static void flow_ended(void *context, struct error *error)
{
    struct flow *flow = context;
    flow->ends++;
    flow->errnum = error_number(error);
    error_free(error);
}

/* 3 MB of a pattern, through a child that writes them to `sink`. */
#define PATTERN_SIZE 3000000u

static unsigned char pattern(size_t index)
{
    return (unsigned char)(index * 31 + index / 255);
}

static pid_t write_pattern(int sink, int other)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    close(other);
    unsigned char *bytes = must_alloc(PATTERN_SIZE);
    for (size_t i = 0; i < PATTERN_SIZE; i++)
        bytes[i] = pattern(i);
    _exit(fd_write_all(sink, bytes, PATTERN_SIZE) ? 1 : 0);
}

static void check_pattern(const char *bytes, size_t length)
{
    assert_int_equal(length, PATTERN_SIZE);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)bytes[i] != pattern(i))
            fail_msg("byte %zu is wrong", i);
}

static void drop_nothing(void *context, char *data, size_t *length)
{
}

/* Pumps from a pipe or socket into a file that is opened with these flags. */
static void pump_into_file(const int ends[2], int flags, pump_filter *filter)
{
    char path[] = "/tmp/caisson-pump-XXXXXX";
    struct flow flow = {.base = event_base_new()};
    _cleanup_free_ char *text = NULL;
    size_t length;

    close(mkstemp(path));
    int file = open(path, O_WRONLY | O_CLOEXEC | flags);
    pid_t writer = write_pattern(ends[1], ends[0]);
    close(ends[1]);
    struct pump *pump = pump_new(flow.base, ends[0], file, filter, flow_ended, &flow);
    while (!flow.ends)
        event_base_loop(flow.base, EVLOOP_ONCE);
    assert_int_equal(flow.errnum, 0);
    pump_free(pump);
    close(file);
    close(ends[0]);
    waitpid(writer, NULL, 0);
    assert_ok(file_read(AT_FDCWD, path, 2 * PATTERN_SIZE, &text, &length));
    check_pattern(text, length);
    unlink(path);
    event_base_free(flow.base);
}

static void test_a_pump_moves_everything(void **state)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    pump_into_file(ends, 0, NULL);
    assert_int_equal(pipe(ends), 0);
    pump_into_file(ends, O_APPEND, NULL); /* splice refuses such a sink */
    assert_int_equal(pipe(ends), 0);
    pump_into_file(ends, 0, drop_nothing);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pump_into_file(ends, 0, NULL);
}

static void test_a_pump_from_a_file_waits_for_its_reader(void **state)
{
    char path[] = "/tmp/caisson-pump-XXXXXX";
    int file = mkstemp(path), ends[2];
    struct flow flow = {.base = event_base_new()};
    size_t got = 0;
    char block[1000];

    pid_t writer = write_pattern(file, -1);
    waitpid(writer, NULL, 0);
    lseek(file, 0, SEEK_SET);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    struct pump *pump = pump_new(flow.base, file, ends[1], NULL, flow_ended, &flow);
    _cleanup_free_ char *bytes = must_alloc(PATTERN_SIZE + sizeof(block));
    while (!flow.ends || got < PATTERN_SIZE) {
        if (!flow.ends)
            event_base_loop(flow.base, EVLOOP_NONBLOCK);
        ssize_t count = read(ends[0], block, sizeof(block));
        if (count > 0) {
            memcpy(bytes + got, block, (size_t)count);
            got += (size_t)count;
        }
    }
    check_pattern(bytes, got);
    pump_free(pump);
    close(file);
    close(ends[0]);
    close(ends[1]);
    unlink(path);
    event_base_free(flow.base);
}

static void test_a_pump_tells_that_its_reader_is_gone(void **state)
{
    struct flow flow = {.base = event_base_new()};
    int in[2], out[2];

    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    close(out[0]);
    assert_ok(fd_write_all(in[1], "x", 1));
    struct pump *pump = pump_new(flow.base, in[0], out[1], NULL, flow_ended, &flow);
    while (!flow.ends)
        event_base_loop(flow.base, EVLOOP_ONCE);
    assert_int_equal(flow.errnum, EPIPE);
    pump_free(pump);
    close(in[0]);
    close(in[1]);
    close(out[1]);
    event_base_free(flow.base);
}

/* ---- keys and signals ---- */

static void type(struct detach_keys *keys, const char *typed, const char *passed, bool complete)
{
    char data[64] = "";
    size_t length = strlen(typed);

    memcpy(data, typed, length);
    assert_int_equal(detach_keys_filter(keys, data, &length), complete);
    data[length] = '\0';
    assert_string_equal(data, passed);
}

static void test_detach_keys(void **state)
{
    struct detach_keys keys;

    assert_ok(detach_keys_parse(DETACH_KEYS_DEFAULT, &keys));
    type(&keys, "abc", "abc", false);
    type(&keys, "a\020", "a", false);
    type(&keys, "b", "\020b", false);
    type(&keys, "\020\020", "\020", false);
    type(&keys, "\021x", "", true);
    assert_ok(detach_keys_parse("a,a,b", &keys));
    type(&keys, "aaac", "aaac", false);
    type(&keys, "xaaab", "xa", true);
    assert_ok(detach_keys_parse("", &keys));
    type(&keys, "\020\021", "\020\021", false);
    char bytes[2 + DETACH_KEYS_MAX] = {0, 'x'}; /* ctrl-@ is a key as well */
    size_t length = 2;
    assert_false(detach_keys_filter(&keys, bytes, &length));
    assert_int_equal(length, 2);
    assert_int_equal(bytes[1], 'x');
    assert_code(detach_keys_parse("ctrl-", &keys), ERROR_INVALID_ARGUMENT);
    assert_code(detach_keys_parse("ctrl-1", &keys), ERROR_INVALID_ARGUMENT);
    assert_code(detach_keys_parse("a,b,c,d,e,f,g,h,i", &keys), ERROR_INVALID_ARGUMENT);
}

static void test_signals_by_name_and_number(void **state)
{
    int number;

    assert_ok(signal_parse("TERM", &number));
    assert_int_equal(number, SIGTERM);
    assert_ok(signal_parse("sigusr1", &number));
    assert_int_equal(number, SIGUSR1);
    assert_ok(signal_parse("9", &number));
    assert_int_equal(number, 9);
    assert_code(signal_parse("0", &number), ERROR_INVALID_ARGUMENT);
    assert_code(signal_parse("65", &number), ERROR_INVALID_ARGUMENT);
    assert_code(signal_parse("SIGNONSENSE", &number), ERROR_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_record_is_read_as_it_was_written, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_damaged_records_are_told_apart, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_names_and_beginnings_of_ids, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_a_lock_is_waited_for, make_place, remove_place),
        cmocka_unit_test(test_a_pump_moves_everything),
        cmocka_unit_test(test_a_pump_from_a_file_waits_for_its_reader),
        cmocka_unit_test(test_a_pump_tells_that_its_reader_is_gone),
        cmocka_unit_test(test_detach_keys),
        cmocka_unit_test(test_signals_by_name_and_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
