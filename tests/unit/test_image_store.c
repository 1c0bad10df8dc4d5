/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store with real images: what comes out of a load, and what several processes, kills, full disks and
 * damage do to it.
 */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "image_listing.h"
#include "image_scratch.h"

/* A small image at "layout", whose layer makes a few files. */
static const char make_small[] = "mkdir -p root/etc\n"
                                 "echo hello >root/etc/motd\n"
                                 "head -c 3000000 /dev/zero | tr '\\0' 'x' >root/big\n"
                                 "tar -C root -czf small.tar.gz .\n"
                                 "layout layout $here small.tar.gz\n";

static char *read_file(const struct scratch *scratch, const char *name)
{
    _cleanup_free_ char *path = scratch_path(scratch, name);
    char *text = NULL;
    assert_ok(file_read(AT_FDCWD, path, 1 << 20, &text, NULL));
    return text;
}

static size_t image_count(const struct scratch *scratch)
{
    struct image **images = NULL;
    size_t count = 0;
    assert_ok(image_list(scratch->store, &images, &count));
    image_list_free(images, count);
    return count;
}

/* Loads. */

/* Two layers with all that a layer can do; the second undoes and replaces. */
static const char make_rich[] =
    "mkdir -p one/usr/bin one/etc/gone one/opaque/below one/turns one/dev 'one/a name with spaces'\n"
    "ln -s usr/bin one/bin\n"
    "echo one >one/etc/file; ln one/etc/file one/etc/linked; ln one/etc/file one/usr/linked\n"
    "echo x >one/etc/gone/x; echo y >one/opaque/y; echo z >one/opaque/below/z; echo dir >one/turns/inside\n"
    "echo setuid >one/usr/bin/su; chmod 4755 one/usr/bin/su; mkdir -m 1777 one/tmp\n"
    "if [ $(id -u) = 0 ]; then chown 33:44 one/etc/file; fi; touch -h -d '2001-02-03 04:05:06.789' one/bin "
    "one/etc/file\n"
    "touch one/$(printf 'n%.0s' $(seq 200)); mkdir -p one/$(printf 'deep/%.0s' $(seq 60)); mkfifo one/fifo\n"
    "if [ $(id -u) = 0 ]; then mknod one/dev/null c 1 3; mknod one/dev/disk b 259 70000; fi\n"
    "setfattr -n user.note -v text one/etc/file 2>/dev/null || true\n"
    "head -c 100000 /dev/urandom >one/usr/bin/blob\n"
    "setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 one/usr/bin/blob "
    "2>/dev/null || true\n"
    "mkdir -p two/etc two/opaque two/usr\n"
    "touch two/etc/.wh.gone two/opaque/.wh..wh..opq; echo new >two/opaque/new; echo file >two/turns\n"
    "echo upper >two/etc/file2; ln two/etc/file2 two/usr/file2; touch two/usr/.wh.linked\n"
    "for i in one two; do tar -C $i --format=pax --xattrs --xattrs-include='*' --numeric-owner "
    "-cf $i.tar .; done\n";

static void every_form_gives_what_umoci_unpacks(void **state)
{
    struct scratch *scratch = *state;
    if (geteuid() != 0 || scratch_try(scratch, "umoci --version && skopeo --version && zstd --version") != 0)
        skip();
    scratch_run(scratch, make_rich);
    scratch_run(scratch, "gzip -k one.tar; zstd -q -k two.tar\n"
                         "layout plain $here one.tar two.tar; layout mixed $here one.tar.gz two.tar.zst\n"
                         "umoci raw unpack --image plain:it unpacked 2>&1\n"
                         "skopeo copy -q oci:plain:it docker-archive:docker.tar:some/name:1\n"
                         "skopeo copy -q oci:plain:it oci-archive:oci.tar:it; gzip -k oci.tar\n");
    _cleanup_free_ char *unpacked = scratch_path(scratch, "unpacked");
    _cleanup_free_ char *expected = listing_of_directory(unpacked);
    static const struct {
        const char *prefix, *path, *name;
    } forms[] = {{"oci:", "plain", "plain:it"}, {"oci:", "mixed", "mixed:it"},
        {"oci-archive:", "oci.tar", "oci:it"}, {"", "oci.tar.gz", "oci:it"},
        {"docker-archive:", "docker.tar", "docker.io/some/name:1"},
        {"docker-archive:", "docker.tar", "some/name:1"}};
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        _cleanup_image_ struct image *image = NULL;
        assert_ok(scratch_load(scratch, forms[i].prefix, forms[i].path, NULL, NULL, &image));
        _cleanup_free_ char *listing = listing_of_image(image->rootfs_path);
        assert_string_equal(listing, expected);
        assert_string_equal(image->config.command[0], "sh");
        if (i < 4)
            assert_true(strv_contains(image->names, forms[i].name));
        assert_ok(image_remove(scratch->store, image->digest, true, NULL, NULL));
    }
    assert_no_traces(scratch);
}

static void the_kernel_sees_the_same(void **state)
{
    struct scratch *scratch = *state;
    _cleanup_image_ struct image *image = NULL;
    scratch_run(scratch, make_rich);
    scratch_run(scratch, "layout plain $here one.tar two.tar; mkdir mounted\n");
    assert_ok(scratch_load(scratch, "oci:", "plain", NULL, NULL, &image));
    _cleanup_free_ char *script =
        must_printf("mount -t erofs -o loop,ro %s mounted 2>/dev/null", image->rootfs_path);
    if (geteuid() != 0 || scratch_try(scratch, script) != 0)
        skip();
    _cleanup_free_ char *mounted = scratch_path(scratch, "mounted");
    _cleanup_free_ char *seen = listing_of_directory(mounted);
    scratch_run(scratch, "umount mounted");
    _cleanup_free_ char *listing = listing_of_image(image->rootfs_path);
    assert_string_equal(listing, seen);
}

static void a_nested_index_is_followed(void **state)
{
    struct scratch *scratch = *state;
    _cleanup_image_ struct image *image = NULL;
    scratch_run(scratch, make_small);
    scratch_run(scratch,
        "platform() { sed "
        "\"s/}$/,\\\"platform\\\":{\\\"os\\\":\\\"linux\\\",\\\"architecture\\\":\\\"$1\\\"}}/\"; }\n"
        "foreign=$(descriptor layout manifest.v1+json small.tar.gz | platform s390x)\n"
        "ours=$(descriptor layout manifest.v1+json layout/manifest | platform $here)\n"
        "printf '{\"schemaVersion\":2,\"manifests\":[%s,%s]}' \"$foreign\" \"$ours\" >inner\n"
        "printf '{\"schemaVersion\":2,\"manifests\":[%s]}' \"$(descriptor layout index.v1+json inner)\" "
        ">layout/index.json\n");
    assert_ok(scratch_load(scratch, "oci:", "layout", "nested", NULL, &image));
    assert_string_equal(image->names[0], "nested:latest");
}

static void a_directory_and_a_tar_become_images(void **state)
{
    struct scratch *scratch = *state;
    _cleanup_image_ struct image *directory = NULL;
    _cleanup_image_ struct image *again = NULL;
    _cleanup_image_ struct image *tar = NULL;
    scratch_run(scratch, make_rich);
    assert_ok(scratch_load(scratch, "dir:", "one", "from-dir", NULL, &directory));
    assert_ok(scratch_load(scratch, "dir:", "one", NULL, NULL, &again));
    assert_string_equal(directory->digest, again->digest);
    assert_int_equal(strv_length(again->names), 2);
    assert_int_equal(strncmp(again->names[0], "directory/", strlen("directory/")), 0);
    if (geteuid() == 0) {
        _cleanup_free_ char *one = scratch_path(scratch, "one");
        _cleanup_free_ char *expected = listing_of_directory(one);
        _cleanup_free_ char *listing = listing_of_image(directory->rootfs_path);
        assert_string_equal(listing, expected);
    }
    assert_ok(scratch_load(scratch, "tar:", "one.tar", "from-tar", NULL, &tar));
    assert_true(strcmp(tar->digest, directory->digest) != 0);
    assert_int_equal(image_count(scratch), 2);
    assert_no_traces(scratch);
}

/* In a child that gave up root for good. */
static void as_an_ordinary_user(struct scratch *scratch)
{
    if (setgid(1234) < 0 || setuid(1234) < 0)
        _exit(2);
    _cleanup_image_ struct image *image = NULL;
    assert_ok(scratch_load(scratch, "dir:", "one", "mine", NULL, &image));
    _cleanup_free_ char *listing = listing_of_image(image->rootfs_path);
    bool owned = strstr(listing, "/mine 100644 0:0 ") && strstr(listing, "/theirs 100644 55:66 ");
    _cleanup_image_ struct image *layered = NULL;
    assert_ok(scratch_load(scratch, "oci:", "layout", "layered", NULL, &layered));
    _cleanup_free_ char *layers = listing_of_image(layered->rootfs_path);
    bool device = strstr(layers, "/null 20666 7:8 ") && strstr(layers, "dev=1:3");
    _exit(owned && device ? 0 : 1);
}

static void an_ordinary_user_gets_owners_right(void **state)
{
    struct scratch *scratch = *state;
    int status = 0;
    if (geteuid() != 0)
        skip();
    scratch_run(scratch,
        "mkdir one dev; touch one/mine one/theirs; chown 1234:1234 one one/mine; chown 55:66 one/theirs\n"
        "mknod -m 0666 dev/null c 1 3; chown 7:8 dev/null; tar -C dev -cf dev.tar .; rm -r dev\n"
        "layout layout $here dev.tar; chown -R 1234:1234 data .; chown 55:66 one/theirs\n");
    pid_t child = fork();
    if (child == 0)
        as_an_ordinary_user(scratch);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void bad_images_are_refused(void **state)
{
    static const struct {
        const char *change;
        enum error_code code;
        const char *words;
    } cases[] = {
        {"printf x >>$blob", ERROR_DATA_LOSS, "bytes that its descriptor names"},
        {"printf x | dd of=$blob bs=1 seek=1000 conv=notrunc 2>/dev/null", ERROR_DATA_LOSS,
            "it was damaged or changed"},
        {"truncate -s -1 $blob", ERROR_DATA_LOSS, "that its descriptor names"},
        {"head -c 2000 small.tar.gz >cut.tar.gz; rm -r layout; gzip() { command gzip \"$@\" 2>/dev/null || "
         "true; }; "
         "layout layout $here cut.tar.gz",
            ERROR_DATA_LOSS, "layer 1 of 1"},
        {"rm $blob", ERROR_NOT_FOUND, "No such file"},
        {"rm -r layout; layout layout s390x small.tar.gz", ERROR_FAILED_PRECONDITION,
            "the image is made for linux/s390x"},
        {"sed -i 's/\"size\":/\"size\":9/' layout/index.json", ERROR_DATA_LOSS, "but its descriptor names"},
        {"sed -i 's/sha256:/sha256:..\\//' layout/index.json", ERROR_INVALID_ARGUMENT, "is no sha256 digest"},
        {"echo '{' >layout/index.json", ERROR_INVALID_ARGUMENT, "index.json: line"},
        {"rm layout/index.json", ERROR_INVALID_ARGUMENT, "it holds no image"},
        {"touch other; tar -cf other.tar other; gzip -k other.tar; size=$(stat -c %s $blob); "
         "sed \"s/$(basename $blob)/$(sha256sum <other.tar.gz | cut -d ' ' -f 1)/; "
         "s/\\\"size\\\":$size/\\\"size\\\":$(stat -c %s other.tar.gz)/\" layout/manifest >m2; "
         "descriptor layout x other.tar.gz >/dev/null; "
         "printf '{\"manifests\":[%s]}' \"$(descriptor layout manifest.v1+json m2)\" >layout/index.json",
            ERROR_DATA_LOSS, "but the image's configuration names"},
    };
    struct scratch *scratch = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct image *image = NULL;
        scratch_run(scratch, "rm -rf layout root other* m2");
        scratch_run(scratch, make_small);
        _cleanup_free_ char *script =
            must_printf("blob=$(ls -S layout/blobs/sha256/* | head -n 1)\n%s\n", cases[i].change);
        scratch_run(scratch, script);
        assert_refused(
            scratch_load(scratch, "oci:", "layout", NULL, NULL, &image), cases[i].code, cases[i].words);
        assert_int_equal(image_count(scratch), 0);
        assert_no_traces(scratch);
    }
}

/* Several processes. */

/* Tells when a step begins and waits for a byte before it goes on. */
struct gate {
    const char *step;
    int say; /* -1: nobody listens */
    int wait;
    bool passed;
    bool converted;
};

static bool pass_gate(void *context, const char *step, uint64_t done, uint64_t total)
{
    struct gate *gate = context;
    char byte = 0;
    gate->converted |= strncmp(step, "reading layer", strlen("reading layer")) == 0;
    if (gate->passed || strncmp(step, gate->step, strlen(gate->step)) != 0)
        return true;
    gate->passed = true;
    return (gate->say < 0 || write(gate->say, "x", 1) == 1) &&
           (gate->wait < 0 || read(gate->wait, &byte, 1) == 1);
}

/* Loads in a child; its exit status: 0 converted, 10 found it done, 1 failed. */
static pid_t load_in_child(struct scratch *scratch, const char *step, int say, int wait)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    struct gate gate = {.step = step, .say = say, .wait = wait};
    const struct image_observer observer = {pass_gate, &gate};
    struct image *image = NULL;
    struct error *error = scratch_load(scratch, "oci:", "layout", NULL, &observer, &image);
    bool whole = !error && image->size > 3000000;
    error_free(error);
    image_free(image);
    _exit(!whole ? 1 : gate.converted ? 0 : 10);
}

static void two_loads_share_the_work(void **state)
{
    struct scratch *scratch = *state;
    int begun[2], waits[2], status = 0;
    char byte;
    scratch_run(scratch, make_small);
    assert_int_equal(pipe2(begun, O_CLOEXEC) | pipe2(waits, O_CLOEXEC), 0);
    pid_t first = load_in_child(scratch, "reading layer", begun[1], waits[0]);
    assert_int_equal(read(begun[0], &byte, 1), 1);
    /* The second one's word that it waits is what lets the first one go on. */
    pid_t second = load_in_child(scratch, "waiting for another process", waits[1], -1);
    assert_int_equal(waitpid(first, &status, 0), first);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(waitpid(second, &status, 0), second);
    assert_int_equal(WEXITSTATUS(status), 10);
    for (int i = 0; i < 2; i++)
        close(begun[i]), close(waits[i]);
    assert_int_equal(image_count(scratch), 1);
    assert_no_traces(scratch);
}

static bool stop_waiting(void *context, const char *step, uint64_t done, uint64_t total)
{
    int *asked = context;
    return strncmp(step, "waiting", strlen("waiting")) != 0 || ++*asked < 3;
}

static void a_wait_can_be_stopped_and_survives_a_kill(void **state)
{
    struct scratch *scratch = *state;
    int begun[2], never[2], asked = 0, status = 0;
    char byte;
    struct image *image = NULL;
    const struct image_observer observer = {stop_waiting, &asked};
    scratch_run(scratch, make_small);
    assert_int_equal(pipe2(begun, O_CLOEXEC) | pipe2(never, O_CLOEXEC), 0);
    pid_t holder = load_in_child(scratch, "reading layer", begun[1], never[0]);
    assert_int_equal(read(begun[0], &byte, 1), 1);
    assert_refused(scratch_load(scratch, "oci:", "layout", NULL, &observer, &image), ERROR_CANCELLED,
        "stopped while waiting");
    /* Whoever waits goes on when the one who holds the lock is killed. */
    pid_t waiter = load_in_child(scratch, "waiting for another process", begun[1], -1);
    assert_int_equal(read(begun[0], &byte, 1), 1);
    kill(holder, SIGKILL);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    assert_int_equal(waitpid(waiter, &status, 0), waiter);
    assert_int_equal(status, 0);
    for (int i = 0; i < 2; i++)
        close(begun[i]), close(never[i]);
    assert_int_equal(image_count(scratch), 1);
}

static void a_killed_load_leaves_no_half_image(void **state)
{
    static const char *const steps[] = {"reading layer", "writing the image file", "recording the digest"};
    struct scratch *scratch = *state;
    scratch_run(scratch, make_small);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        int begun[2], never[2];
        char byte;
        assert_int_equal(pipe2(begun, O_CLOEXEC) | pipe2(never, O_CLOEXEC), 0);
        pid_t child = load_in_child(scratch, steps[i], begun[1], never[0]);
        assert_int_equal(read(begun[0], &byte, 1), 1);
        assert_int_equal(image_count(scratch), 0);
        assert_ok(image_sweep(scratch->store)); /* takes nothing away from a load that lives */
        scratch_run(scratch, "test -n \"$(ls data/images/temporary)\"");
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(image_count(scratch), 0);
        assert_ok(image_sweep(scratch->store));
        assert_no_traces(scratch);
        for (int j = 0; j < 2; j++)
            close(begun[j]), close(never[j]);
    }
    _cleanup_image_ struct image *image = NULL;
    assert_ok(scratch_load(scratch, "oci:", "layout", NULL, NULL, &image));
    assert_ok(image_verify(scratch->store, image, NULL));
}

static void the_sweep_takes_orphans_only(void **state)
{
    struct scratch *scratch = *state;
    _cleanup_image_ struct image *image = NULL;
    scratch_run(scratch, make_small);
    assert_ok(scratch_load(scratch, "oci:", "layout", NULL, NULL, &image));
    scratch_run(scratch,
        "touch data/images/rootfs/0123.erofs data/images/index.json.1.2.tmp data/images/locks/image-0123\n"
        "mkdir -p data/images/temporary/aaaaaa/x data/containers/alive\n");
    assert_ok(image_reference(scratch->store, image->digest, "alive"));
    assert_ok(image_reference(scratch->store, image->digest, "dead"));
    assert_ok(image_sweep(scratch->store));
    assert_no_traces(scratch);
    scratch_run(
        scratch, "test ! -e data/images/rootfs/0123.erofs; test $(ls data/images/references/*) = alive\n");
    assert_ok(image_verify(scratch->store, image, NULL));
}

static bool stop_at_layers(void *context, const char *step, uint64_t done, uint64_t total)
{
    return strncmp(step, "reading layer", strlen("reading layer")) != 0;
}

static void a_load_can_be_stopped(void **state)
{
    struct scratch *scratch = *state;
    const struct image_observer observer = {stop_at_layers, NULL};
    struct image *image = NULL;
    scratch_run(scratch, make_small);
    assert_refused(
        scratch_load(scratch, "oci:", "layout", NULL, &observer, &image), ERROR_CANCELLED, "stopped while");
    assert_int_equal(image_count(scratch), 0);
    assert_no_traces(scratch);
}

/* Disks. */

static void on_a_small_disk(struct scratch *scratch)
{
    _cleanup_free_ char *data = scratch_path(scratch, "data");
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("small", data, "tmpfs", 0, "size=1m") < 0)
        _exit(77);
    image_store_free(scratch->store);
    assert_ok(image_store_open(data, &scratch->store));
    struct image *image = NULL;
    assert_refused(scratch_load(scratch, "oci:", "layout", NULL, NULL, &image), ERROR_RESOURCE_EXHAUSTED,
        "No space left on device");
    assert_no_traces(scratch);
    _exit(image_count(scratch) == 0 ? 0 : 1);
}

static void a_full_disk_is_one_sentence(void **state)
{
    struct scratch *scratch = *state;
    int status = 0;
    scratch_run(scratch, make_small);
    pid_t child = fork();
    if (child == 0)
        on_a_small_disk(scratch);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WEXITSTATUS(status) == 77)
        skip(); /* no mounts without root */
    assert_int_equal(status, 0);
}

static void damage_is_found(void **state)
{
    struct scratch *scratch = *state;
    _cleanup_image_ struct image *image = NULL;
    scratch_run(scratch, make_small);
    assert_ok(scratch_load(scratch, "oci:", "layout", NULL, NULL, &image));
    assert_ok(image_verify(scratch->store, image, NULL));
    scratch_run(scratch,
        "printf X | dd of=$(ls data/images/rootfs/*.erofs) bs=1 seek=100000 conv=notrunc 2>/dev/null");
    assert_refused(image_verify(scratch->store, image, NULL), ERROR_DATA_LOSS, "is damaged");
    assert_refused(image_reference(scratch->store, image->digest, "c1"), ERROR_DATA_LOSS, "is damaged");
    scratch_run(scratch,
        "printf x | dd of=$(ls data/images/rootfs/*.erofs) bs=1 seek=100000 conv=notrunc 2>/dev/null");
    assert_ok(image_reference(scratch->store, image->digest, "c1"));
    scratch_run(scratch, "truncate -s -4096 data/images/rootfs/*.erofs");
    assert_refused(image_reference(scratch->store, image->digest, "c1"), ERROR_DATA_LOSS, "is damaged");
}

/* Names. */

static void names_and_removal(void **state)
{
    struct scratch *scratch = *state;
    _cleanup_image_ struct image *first = NULL;
    _cleanup_image_ struct image *second = NULL;
    struct image *found = NULL;
    bool deleted = true;
    scratch_run(scratch, make_small);
    scratch_run(scratch, "echo more >root/more; tar -C root -cf more.tar .; layout other $here more.tar\n");
    assert_ok(scratch_load(scratch, "oci:", "layout", "one", NULL, &first));
    image_free(TAKE_PTR(first));
    assert_ok(scratch_load(scratch, "oci:", "layout", "docker.io/library/two", NULL, &first));
    assert_int_equal(strv_length(first->names), 2);
    assert_ok(image_resolve(scratch->store, "two", &found));
    assert_string_equal(found->digest, first->digest);
    image_free(found);
    _cleanup_free_ char *prefix = must_copy_length(first->digest, strlen("sha256:") + 12);
    assert_ok(image_resolve(scratch->store, prefix + strlen("sha256:"), &found));
    image_free(found);
    assert_ok(image_resolve(scratch->store, first->manifest_digest, &found));
    image_free(found);
    _cleanup_free_ char *pinned = must_printf("registry.example/two@%s", first->manifest_digest);
    assert_ok(image_resolve(scratch->store, pinned, &found));
    image_free(found);
    assert_refused(
        image_resolve(scratch->store, "three", &found), ERROR_NOT_FOUND, "there is no image \"three\"");
    assert_refused(image_resolve(scratch->store, "012", &found), ERROR_NOT_FOUND, "there is no image");

    assert_refused(
        image_remove(scratch->store, prefix, false, NULL, NULL), ERROR_FAILED_PRECONDITION, "several names");
    assert_ok(image_remove(scratch->store, "one", false, NULL, &deleted));
    assert_false(deleted);
    /* The last name moves to another image: nothing is left of the first. */
    assert_ok(scratch_load(scratch, "oci:", "other", "docker.io/library/two", NULL, &second));
    assert_int_equal(image_count(scratch), 1);
    scratch_run(scratch, "test $(ls data/images/rootfs/*.erofs | wc -l) = 1");
    assert_ok(image_remove(scratch->store, "two", false, NULL, &deleted));
    assert_true(deleted);
    scratch_run(scratch, "test -z \"$(ls data/images/rootfs data/images/references | grep -v ':$')\"");
}

static void an_image_in_use_stays(void **state)
{
    struct scratch *scratch = *state;
    _cleanup_image_ struct image *image = NULL;
    bool deleted = true;
    scratch_run(scratch, make_small);
    scratch_run(scratch, "mkdir -p data/containers/c1");
    assert_ok(scratch_load(scratch, "oci:", "layout", "used", NULL, &image));
    assert_ok(image_reference(scratch->store, image->digest, "c1"));
    assert_refused(image_remove(scratch->store, "used", false, NULL, NULL), ERROR_FAILED_PRECONDITION,
        "in use by container c1");
    assert_ok(image_remove(scratch->store, "used", true, NULL, &deleted));
    assert_false(deleted);
    assert_ok(image_verify(scratch->store, image, NULL));
    assert_ok(image_unreference(scratch->store, image->digest, "c1"));
    assert_ok(image_unreference(scratch->store, image->digest, "c1"));
    assert_ok(image_remove(scratch->store, image->digest, false, NULL, &deleted));
    assert_true(deleted);
    assert_refused(
        image_reference(scratch->store, image->digest, "c1"), ERROR_NOT_FOUND, "there is no image");
    assert_refused(
        image_reference(scratch->store, image->digest, "../c1"), ERROR_INVALID_ARGUMENT, "container ID");
}

/* Pulls, with a skopeo of our own: no registry can be counted on where tests run. */

static void use_skopeo(const struct scratch *scratch, const char *script)
{
    _cleanup_free_ char *write =
        must_printf("mkdir -p bin; printf '%%s\\n' '#!/bin/sh' 'cd %s' '%s' >bin/skopeo; chmod +x bin/skopeo",
            scratch->path, script);
    scratch_run(scratch, write);
    _cleanup_free_ char *path = must_printf("%s/bin:/usr/bin:/bin", scratch->path);
    setenv("PATH", path, 1);
}

static void a_pull_goes_through_skopeo(void **state)
{
    struct scratch *scratch = *state;
    _cleanup_image_ struct image *image = NULL;
    const struct image_pull_options options = {.credentials = "me:secret", .tls_verify = "false"};
    const char *before = getenv("PATH");
    _cleanup_free_ char *saved = must_copy(before);
    scratch_run(scratch, make_small);
    use_skopeo(scratch,
        "for last; do :; done; last=${last#oci:}; echo \"$@\" >arguments; "
        "cat ${last%/layout:image}/auth.json >auth; echo Copying blob; cp -R layout ${last%:image}");
    struct error *error =
        image_pull(scratch->store, "registry.example:5000/team/app", &options, NULL, &image);
    setenv("PATH", saved, 1);
    assert_ok(error);
    assert_string_equal(image->names[0], "registry.example:5000/team/app:latest");
    _cleanup_free_ char *arguments = read_file(scratch, "arguments");
    assert_non_null(strstr(arguments, " docker://registry.example:5000/team/app:latest oci:"));
    assert_non_null(strstr(arguments, "--src-tls-verify=false"));
    assert_null(strstr(arguments, "secret"));
    _cleanup_free_ char *authentication = read_file(scratch, "auth");
    assert_string_equal(
        authentication, "{\"auths\":{\"registry.example:5000\":{\"auth\":\"bWU6c2VjcmV0\"}}}");
    assert_no_traces(scratch);
}

static void a_failed_pull_quotes_skopeo(void **state)
{
    struct scratch *scratch = *state;
    struct image *image = NULL;
    _cleanup_free_ char *saved = must_copy(getenv("PATH"));
    use_skopeo(scratch,
        "echo \"time=\\\"now\\\" level=fatal msg=\\\"manifest \\\\\\\"x\\\\\\\" unknown\\\"\" >&2; exit 1");
    struct error *error = image_pull(scratch->store, "debian", NULL, NULL, &image);
    setenv("PATH", "/nonexistent", 1);
    struct error *missing = image_pull(scratch->store, "debian", NULL, NULL, &image);
    setenv("PATH", saved, 1);
    assert_refused(error, ERROR_UNAVAILABLE,
        "pulling docker.io/library/debian:latest: skopeo failed: manifest \"x\" unknown");
    assert_refused(missing, ERROR_FAILED_PRECONDITION, "pulling needs skopeo");
    assert_no_traces(scratch);
}

#define store_test(function) cmocka_unit_test_setup_teardown(function, scratch_set_up, scratch_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        store_test(every_form_gives_what_umoci_unpacks),
        store_test(the_kernel_sees_the_same),
        store_test(a_nested_index_is_followed),
        store_test(a_directory_and_a_tar_become_images),
        store_test(an_ordinary_user_gets_owners_right),
        store_test(bad_images_are_refused),
        store_test(two_loads_share_the_work),
        store_test(a_wait_can_be_stopped_and_survives_a_kill),
        store_test(a_killed_load_leaves_no_half_image),
        store_test(the_sweep_takes_orphans_only),
        store_test(a_load_can_be_stopped),
        store_test(a_full_disk_is_one_sentence),
        store_test(damage_is_found),
        store_test(names_and_removal),
        store_test(an_image_in_use_stays),
        store_test(a_pull_goes_through_skopeo),
        store_test(a_failed_pull_quotes_skopeo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
