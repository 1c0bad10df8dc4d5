/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers into a merged tree and an EROFS image: what must come out, and what must be refused, with which
 * words.
 */
#include "assertions.h"
#include "image/builder.h"
#include "image/erofs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "image_listing.h"
#include "image_tar.h"

/* Each layer is a tar; they become an image in a memory file. */
static struct error *build(struct tar_buffer *layers, size_t count, int *ret_fd)
{
    static const struct blob_expectation nothing;
    _cleanup_progress_ struct progress progress = {0};
    _cleanup_builder_ struct builder *builder = NULL;
    static const uint8_t identity[16] = {1, 2, 3};
    _cleanup_fd_ int fd = memfd_create("image", MFD_CLOEXEC);
    TRY(builder_new(fd, &builder));
    for (size_t i = 0; i < count; i++) {
        _cleanup_fd_ int layer = memfd_create("layer", MFD_CLOEXEC);
        TRY(fd_write_all(layer, layers[i].bytes, layers[i].length));
        lseek(layer, 0, SEEK_SET);
        TRY(builder_add_layer(builder, layer, &nothing, &progress, NULL));
    }
    TRY(builder_finish(builder, identity));
    *ret_fd = TAKE_FD(fd);
    return NULL;
}

static void clear(struct tar_buffer *layers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tar_clear(&layers[i]);
}

/* The names and what is behind them, one a line: a short form of the listing. */
static char *names_of(int fd)
{
    _cleanup_free_ char *path = must_printf("/proc/self/fd/%d", fd);
    _cleanup_free_ char *listing = listing_of_image(path);
    _cleanup_strv_ char **lines = strv_split(listing, '\n');
    _cleanup_strv_ char **names = NULL;
    STRV_FOREACH (line, lines) {
        char *name = must_copy_length(*line, strcspn(*line, " "));
        strv_take(&names, name);
    }
    return strv_join(names, " ");
}

static void assert_names(struct tar_buffer *layers, size_t count, const char *expected)
{
    _cleanup_fd_ int fd = -1;
    assert_ok(build(layers, count, &fd));
    _cleanup_free_ char *names = names_of(fd);
    assert_string_equal(names, expected);
    clear(layers, count);
}

static char *listing(struct tar_buffer *layers, size_t count)
{
    _cleanup_fd_ int fd = -1;
    assert_ok(build(layers, count, &fd));
    clear(layers, count);
    _cleanup_free_ char *path = must_printf("/proc/self/fd/%d", fd);
    return listing_of_image(path);
}

static void whiteouts_hide_lower_names_only(void **state)
{
    struct tar_buffer layers[2] = {0};
    TAR(&layers[0], .name = "a", .data = "lower");
    TAR(&layers[0], .name = "b/", .type = '5', .mode = 0755);
    TAR(&layers[0], .name = "b/old", .data = "x");
    TAR(&layers[0], .name = "c/", .type = '5', .mode = 0755);
    TAR(&layers[0], .name = "c/deep/er", .data = "x");
    TAR(&layers[1], .name = "a", .data = "upper");
    TAR(&layers[1], .name = ".wh.a");
    TAR(&layers[1], .name = "b/new", .data = "y");
    TAR(&layers[1], .name = "b/.wh..wh..opq");
    TAR(&layers[1], .name = ".wh.c");
    TAR(&layers[1], .name = ".wh.never-there");
    TAR(&layers[1], .name = "nowhere/.wh.x");
    TAR(&layers[1], .name = ".wh..wh.plnk");
    assert_names(layers, 2, " /a /b /b/new");
}

static void a_directory_stays_when_it_comes_again(void **state)
{
    struct tar_buffer layers[2] = {0};
    TAR(&layers[0], .name = "d/", .type = '5', .mode = 0755);
    TAR(&layers[0], .name = "d/kept", .data = "x");
    TAR(&layers[1], .name = "d/", .type = '5', .mode = 0700, .uid = 7);
    _cleanup_free_ char *text = listing(layers, 2);
    assert_non_null(strstr(text, "\n/d 40700 7:0 "));
    assert_non_null(strstr(text, "\n/d/kept "));
}

static void types_replace_each_other(void **state)
{
    struct tar_buffer layers[2] = {0};
    TAR(&layers[0], .name = "dir/", .type = '5', .mode = 0755);
    TAR(&layers[0], .name = "dir/below", .data = "x");
    TAR(&layers[0], .name = "file", .data = "x");
    TAR(&layers[0], .name = "link", .type = '2', .link = "dir");
    TAR(&layers[1], .name = "dir", .data = "now a file");
    TAR(&layers[1], .name = "file/", .type = '5', .mode = 0755);
    TAR(&layers[1], .name = "file/inside", .data = "x");
    TAR(&layers[1], .name = "link/", .type = '5', .mode = 0755);
    assert_names(layers, 2, " /dir /file /file/inside /link");
}

static void links_in_parents_are_followed_inside(void **state)
{
    struct tar_buffer layers[2] = {0};
    TAR(&layers[0], .name = "usr/bin/", .type = '5', .mode = 0755);
    TAR(&layers[0], .name = "bin", .type = '2', .link = "/usr/bin");
    TAR(&layers[0], .name = "usr/sbin", .type = '2', .link = "../usr/./bin");
    TAR(&layers[0], .name = "gone", .type = '2', .link = "made/later");
    TAR(&layers[1], .name = "bin/sh", .data = "x");
    TAR(&layers[1], .name = "usr/sbin/init", .data = "x");
    TAR(&layers[1], .name = "/gone/file", .data = "x");
    assert_names(layers, 2,
        " /bin /gone /made /made/later /made/later/file /usr /usr/bin /usr/bin/init /usr/bin/sh /usr/sbin");
}

static void hard_links_share_one_inode(void **state)
{
    struct tar_buffer layers[2] = {0};
    TAR(&layers[0], .name = "one", .data = "same", .mode = 04755);
    TAR(&layers[0], .name = "two", .type = '1', .link = "one");
    TAR(&layers[0], .name = "three", .type = '1', .link = "./two", .size = 4);
    TAR(&layers[1], .name = "four", .type = '1', .link = "/one");
    TAR(&layers[1], .name = ".wh.two");
    TAR(&layers[1], .name = "three", .type = '1', .link = "three");
    _cleanup_free_ char *text = listing(layers, 2);
    assert_non_null(strstr(text, "\n/four 104755 0:0 1700000000.000000000 links=3 "));
    assert_non_null(strstr(text, "\n/one 104755 0:0 1700000000.000000000 links=3 "));
    assert_non_null(strstr(text, "\n/three 104755 "));
    assert_null(strstr(text, "\n/two "));
}

static void everything_of_an_inode_arrives(void **state)
{
    struct tar_buffer layers[1] = {0};
    static const char capability[] = "\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0";
    tar_pax(layers, "mtime", "1234567890.123456789", 20);
    TAR(layers, .name = "f", .data = "hello", .mode = 06711, .uid = 0777777, .gid = 33);
    tar_pax(layers, "SCHILY.xattr.security.capability", capability, sizeof(capability));
    TAR(layers, .name = "ping", .data = "x", .mode = 0755);
    tar_pax(layers, "SCHILY.xattr.trusted.overlay.opaque", "y", 1);
    TAR(layers, .name = "marked", .data = "x");
    tar_pax(layers, "uid", "4294967294", 10);
    TAR(layers, .name = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3);
    TAR(layers, .name = "disk", .type = '4', .mode = 0660, .major = 259, .minor = 70000);
    TAR(layers, .name = "fifo", .type = '6', .mode = 0600);
    _cleanup_free_ char *text = listing(layers, 1);
    assert_non_null(
        strstr(text, "/f 106711 262143:33 1234567890.123456789 links=1 dev=0:0 [] {} sha256:2cf24dba"));
    assert_non_null(strstr(text, "{security.capability=0100000200200000000000000000000000000000}"));
    assert_non_null(strstr(text, "/marked 100644 0:0 1700000000.000000000 links=1 dev=0:0 [] {} "));
    assert_non_null(strstr(text, "/null 20666 4294967294:0 1700000000.000000000 links=1 dev=1:3 "));
    assert_non_null(strstr(text, "/disk 60660 0:0 1700000000.000000000 links=1 dev=259:70000 "));
    assert_non_null(strstr(text, "/fifo 10600 "));
}

static void names_come_through_byte_for_byte(void **state)
{
    struct tar_buffer layers[1] = {0};
    char long_name[301];
    memset(long_name, 'n', sizeof(long_name) - 1);
    memcpy(long_name + 150, "/", 1);
    long_name[300] = '\0';
    tar_pax(layers, "path", "e\xcc\x81 decomposed", 14);
    TAR(layers, .name = "short");
    TAR(layers, .name = "\xff\xfe not utf-8");
    TAR(layers, .name = "././@LongLink", .type = 'L', .data = long_name);
    TAR(layers, .name = "short", .data = "x");
    TAR(layers, .name = "!before the dot");
    _cleanup_free_ char *text = listing(layers, 1);
    assert_non_null(strstr(text, "/e\xcc\x81 decomposed "));
    assert_non_null(strstr(text, "/\xff\xfe not utf-8 "));
    assert_non_null(strstr(text, long_name));
    assert_non_null(strstr(text, "/!before the dot "));
}

/* Directories of every size around the bounds of a block, and link targets too. */
static void large_directories_and_long_links(void **state)
{
    struct tar_buffer layers[1] = {0};
    char name[64];
    char target[4001];
    for (int size = 1; size < 1200; size = size * 3 + 1)
        for (int i = 0; i < size; i++) {
            sprintf(name, "d%d/name-number-%d", size, i);
            TAR(layers, .name = name);
        }
    memset(target, 't', 4000);
    target[4000] = '\0';
    TAR(layers, .name = "x", .type = 'K', .data = target);
    tar_pax(layers, "SCHILY.xattr.user.big", target, 200);
    TAR(layers, .name = "link", .type = '2');
    _cleanup_free_ char *text = listing(layers, 1);
    assert_non_null(strstr(text, "/d1093/name-number-1092 "));
    assert_non_null(strstr(text, target));
}

static void the_same_layers_give_the_same_bytes(void **state)
{
    struct digest digests[2];
    for (int i = 0; i < 2; i++) {
        struct tar_buffer layers[2] = {0};
        TAR(&layers[0], .name = "b", .data = "b");
        TAR(&layers[0], .name = "a", .data = "a");
        TAR(&layers[1], .name = "a", .data = "longer than before");
        _cleanup_fd_ int fd = -1;
        assert_ok(build(layers, 2, &fd));
        clear(layers, 2);
        _cleanup_free_ char *bytes = NULL;
        size_t length = 0;
        lseek(fd, 0, SEEK_SET);
        assert_ok(fd_read_all(fd, 1 << 20, &bytes, &length));
        digests[i] = digest_of(bytes, length);
    }
    assert_true(digest_equal(&digests[0], &digests[1]));
}

/* An independent reader agrees that the image is sound. */
static void fsck_finds_nothing(void **state)
{
    struct tar_buffer layers[2] = {0};
    char name[64];
    for (int i = 0; i < 1000; i++) {
        sprintf(name, "many/file with a name %d", i);
        TAR(&layers[0], .name = name, .data = name);
    }
    TAR(&layers[1], .name = "many/link", .type = '1', .link = "many/file with a name 7");
    TAR(&layers[1], .name = ".wh.nothing");
    _cleanup_fd_ int fd = -1;
    assert_ok(build(layers, 2, &fd));
    clear(layers, 2);
    _cleanup_free_ char *command = must_printf("fsck.erofs -d0 /proc/%d/fd/%d", getpid(), fd);
    int status = system(command);
    if (WEXITSTATUS(status) == 127)
        skip();
    assert_int_equal(status, 0);
}

static void bad_layers_are_refused(void **state)
{
    static const struct {
        struct tar_item items[3];
        const char *words;
    } cases[] = {
        {{{.name = "../escape"}}, "\"../escape\": the name contains \"..\""},
        {{{.name = "a/../../escape"}}, "the name contains \"..\""},
        {{{.name = "out", .type = '2', .link = "../.."}, {.name = "out/escape"}},
            "\"out/escape\": a symbolic link on its way leads out of the image"},
        {{{.name = "loop", .type = '2', .link = "loop/x"}, {.name = "loop/y"}},
            "\"loop/y\": its directory is reached through more than 40 symbolic links"},
        {{{.name = "f"}, {.name = "f/below"}}, "\"f\" on its way is not a directory"},
        {{{.name = "l", .type = '1', .link = "../../etc/passwd"}},
            "\"l\": hard link to \"../../etc/passwd\": the name contains \"..\""},
        {{{.name = "l", .type = '1', .link = "/etc/passwd"}},
            "\"l\": hard link to \"/etc/passwd\", which is not in the image"},
        {{{.name = "d/", .type = '5'}, {.name = "l", .type = '1', .link = "d"}},
            "hard link to the directory \"d\""},
        {{{.name = "out", .type = '2', .link = "../.."}, {.name = "l", .type = '1', .link = "out/shadow"}},
            "a symbolic link on its way leads out of the image"},
        {{{.name = "huge", .size = UINT64_C(7) << 32}}, "the tar stream ends in the middle of an entry"},
        {{{.name = "s", .type = 'S'}}, "\"s\": it is a GNU sparse file"},
        {{{.name = "v", .type = 'V'}}, "\"v\": its type 0x56 is unknown"},
        {{{.name = "./"}}, NULL},
        {{{.name = "."}}, "the root of the image is not a directory"},
        {{{.name = ".wh."}}, "a whiteout that names nothing"},
        {{{.name = ".wh..."}}, "a whiteout that names nothing"},
        {{{.name = "e", .type = '2', .link = ""}}, "a symbolic link to nothing"},
        {{{.name = "x", .type = 'x', .data = "999999 path=x\n"}}, "a pax header is malformed"},
        {{{.name = "x", .type = 'x', .data = "9 path=x\n"}, {.name = "y"}}, NULL},
        {{{.name = "x", .type = 'x', .data = "8 size=-1\n"}, {.name = "y"}}, "a pax header is malformed"},
        {{{.name = "x", .type = 'x', .data = "11 size=-1\n"}, {.name = "y"}}, "its size"},
        {{{.name = "n", .type = '3', .major = 070000}}, "\"n\": its device number is out of range"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct tar_buffer layer = {0};
        _cleanup_fd_ int fd = -1;
        for (size_t j = 0; j < ARRAY_SIZE(cases[i].items) && cases[i].items[j].name; j++)
            tar_item(&layer, &cases[i].items[j]);
        struct error *error = build(&layer, 1, &fd);
        tar_clear(&layer);
        if (!cases[i].words) {
            assert_ok(error);
            continue;
        }
        assert_refused(error,
            strstr(cases[i].words, "ends in the middle") ? ERROR_DATA_LOSS : ERROR_INVALID_ARGUMENT,
            cases[i].words);
    }
}

static void absurd_sizes_are_refused(void **state)
{
    struct tar_buffer layer = {0};
    _cleanup_fd_ int fd = -1;
    tar_pax(&layer, "size", "9000000000000000000", 19);
    TAR(&layer, .name = "huge");
    assert_refused(build(&layer, 1, &fd), ERROR_INVALID_ARGUMENT, "more than 256 GiB");
    tar_clear(&layer);

    char component[300] = {0};
    memset(component, 'c', 299);
    TAR(&layer, .name = "x", .type = 'L', .data = component);
    TAR(&layer, .name = "x");
    assert_refused(build(&layer, 1, &fd), ERROR_INVALID_ARGUMENT, "longer than 255 bytes");
    tar_clear(&layer);

    char deep[4001] = {0};
    for (int i = 0; i < 2000; i++)
        memcpy(deep + 2 * i, "d/", 2);
    TAR(&layer, .name = "x", .type = 'L', .data = deep);
    TAR(&layer, .name = "x");
    assert_refused(build(&layer, 1, &fd), ERROR_INVALID_ARGUMENT, "more than 1024 deep");
    tar_clear(&layer);
}

static void garbage_is_no_tar(void **state)
{
    struct tar_buffer layer = {.bytes = must_alloc(2000), .length = 2000};
    _cleanup_fd_ int fd = -1;
    memset(layer.bytes, 'g', layer.length);
    assert_refused(build(&layer, 1, &fd), ERROR_INVALID_ARGUMENT, "not a tar stream");
    tar_clear(&layer);
}

static void an_empty_layer_is_fine(void **state)
{
    struct tar_buffer layers[2] = {0};
    tar_end(&layers[0]);
    layers[1].bytes = must_alloc(1);
    assert_names(layers, 2, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whiteouts_hide_lower_names_only),
        cmocka_unit_test(a_directory_stays_when_it_comes_again),
        cmocka_unit_test(types_replace_each_other),
        cmocka_unit_test(links_in_parents_are_followed_inside),
        cmocka_unit_test(hard_links_share_one_inode),
        cmocka_unit_test(everything_of_an_inode_arrives),
        cmocka_unit_test(names_come_through_byte_for_byte),
        cmocka_unit_test(large_directories_and_long_links),
        cmocka_unit_test(the_same_layers_give_the_same_bytes),
        cmocka_unit_test(fsck_finds_nothing),
        cmocka_unit_test(bad_layers_are_refused),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(garbage_is_no_tar),
        cmocka_unit_test(an_empty_layer_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
