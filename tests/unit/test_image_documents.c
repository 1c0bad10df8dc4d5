/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What strangers write as text: digests, names, indexes, manifests, configurations, sources.
 */
#include "assertions.h"
#include "image/document.h"
#include "image/manifest.h"

#include "base/strv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HEX "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define OTHER_HEX "0000000000000000000000000000000000000000000000000000000000000000"
#define DESCRIPTOR "\"digest\":\"sha256:" HEX "\",\"size\":5"

static void digests(void **state)
{
    struct digest digest;
    assert_ok(digest_parse("x", "sha256:" HEX, &digest));
    assert_string_equal(digest_hex(&digest), HEX);
    struct digest hello = digest_of("hello", 5);
    assert_true(digest_equal(&digest, &hello));
    assert_says(digest_parse("x", "md5:abc", &digest), "no digest of a kind known here");
    assert_says(digest_parse("x", "sha256:abc", &digest), "needs 64 hex digits");
    assert_says(digest_parse("x",
                    "sha256:../../../../../../../../../../../../../../../../../../../../etc/passwd", &digest),
        "needs 64 hex digits");
    assert_says(digest_parse("x", HEX, &digest), "no digest");
}

static void names(void **state)
{
    static const struct {
        const char *text;
        const char *complete;
        const char *normal;
    } cases[] = {
        {"debian", "debian:latest", "docker.io/library/debian:latest"},
        {"debian:12", "debian:12", "docker.io/library/debian:12"},
        {"team/app", "team/app:latest", "docker.io/team/app:latest"},
        {"localhost/a", "localhost/a:latest", "localhost/a:latest"},
        {"host:5000/a/b:T", "host:5000/a/b:T", "host:5000/a/b:T"},
        {"docker.io/debian", "docker.io/debian:latest", "docker.io/library/debian:latest"},
        {"index.docker.io/x/y", "index.docker.io/x/y:latest", "docker.io/x/y:latest"},
        {"a@sha256:" HEX, "a@sha256:" HEX, "docker.io/library/a@sha256:" HEX},
        {"a__b-c.d---e", "a__b-c.d---e:latest", "docker.io/library/a__b-c.d---e:latest"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *complete = NULL;
        _cleanup_free_ char *normal = NULL;
        assert_ok(image_name_complete(cases[i].text, &complete));
        assert_ok(image_reference_normalise(cases[i].text, &normal));
        assert_string_equal(complete, cases[i].complete);
        assert_string_equal(normal, cases[i].normal);
    }
    static const char *const bad[] = {"", "Debian", "a//b", "/a", "a/", "a:", "a:b:c", "a:-x", "-a", "a_-b",
        "a___b", "a..b", "a@", "a@sha256:12", "a b", "../a", "a/../b", "-o.example/a", "--help", "a:\n",
        "h?.x/a"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *complete = NULL;
        struct error *error = image_name_complete(bad[i], &complete);
        if (!error)
            fail_msg("\"%s\" became \"%s\"", bad[i], complete);
        error_free(error);
    }
}

/* An index with one entry for each of a few platforms, this machine's plain one last. */
static char *platforms_index(const char *here)
{
    return must_printf(
        "{\"manifests\":["
        "{\"digest\":\"sha256:" OTHER_HEX
        "\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"s390x\"}},"
        "{\"digest\":\"sha256:" OTHER_HEX
        "\",\"size\":1,\"platform\":{\"os\":\"windows\",\"architecture\":\"%s\"}},"
        "{\"digest\":\"sha256:" OTHER_HEX
        "\",\"size\":1,\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}},"
        "{\"digest\":\"sha256:" OTHER_HEX
        "\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\",\"variant\":\"v3\"}},"
        "{" DESCRIPTOR ",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}]}",
        here, here, here);
}

static void an_index_gives_this_machines_image(void **state)
{
    _cleanup_free_ char *text = platforms_index(architecture_here());
    _cleanup_index_choice_ struct index_choice choice = {0};
    assert_ok(index_choose("index.json", text, strlen(text), NULL, &choice));
    assert_string_equal(choice.descriptor.digest.text, "sha256:" HEX);
    assert_int_equal(choice.descriptor.size, 5);

    _cleanup_free_ char *foreign = platforms_index("mips");
    struct index_choice none;
    _cleanup_free_ char *words =
        must_printf("not made for linux/%s, only for: linux/s390x, windows/mips, linux/mips/v3, linux/mips",
            architecture_here());
    assert_says(index_choose("index.json", foreign, strlen(foreign), NULL, &none), words);
}

#define TAGGED(hex, name)       \
    "{\"digest\":\"sha256:" hex \
    "\",\"size\":5,\"annotations\":{\"org.opencontainers.image.ref.name\":\"" name "\"}}"

static void an_index_with_several_tags(void **state)
{
    static const char text[] = "{\"manifests\":[" TAGGED(OTHER_HEX, "11") "," TAGGED(HEX, "12") "," TAGGED(
        OTHER_HEX, "x.org/a:13") "]}";
    struct index_choice choice = {0};
    assert_ok(index_choose("index.json", text, strlen(text), "12", &choice));
    assert_string_equal(choice.descriptor.digest.text, "sha256:" HEX);
    assert_string_equal(choice.tag, "12");
    assert_null(choice.names);
    index_choice_clear(&choice);
    assert_ok(index_choose("index.json", text, strlen(text), "x.org/a:13", &choice));
    assert_string_equal(choice.names[0], "x.org/a:13");
    assert_null(choice.tag);
    index_choice_clear(&choice);
    assert_says(index_choose("index.json", text, strlen(text), NULL, &choice),
        "holds several images; say which one by adding \":TAG\" (there are: 11, 12, x.org/a:13)");
    assert_says(index_choose("index.json", text, strlen(text), "14", &choice),
        "no image in it has the tag \"14\" (there are: 11, 12, x.org/a:13)");
    assert_says(index_choose("index.json", "{}", 2, NULL, &choice), "it holds no image");
    assert_says(index_choose("index.json", "[]", 2, NULL, &choice), "must be an object");
    assert_says(index_choose("index.json", "{\"manifests\":[{}]}", 18, NULL, &choice),
        "index.json: manifests[0] has no digest");
}

static void manifests(void **state)
{
    static const char text[] =
        "{\"config\":{" DESCRIPTOR "},\"layers\":["
        "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+zstd\"," DESCRIPTOR "},"
        "{\"mediaType\":\"application/vnd.docker.image.rootfs.diff.tar.gzip\"," DESCRIPTOR "}]}";
    _cleanup_manifest_ struct manifest manifest = {0};
    assert_ok(manifest_read("m", text, strlen(text), &manifest));
    assert_int_equal(manifest.layer_count, 2);
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"{\"config\":{" DESCRIPTOR "}}", "m has no layers"},
        {"{\"layers\":[]}", "m: config must be an object"},
        {"{\"config\":{" DESCRIPTOR "},\"layers\":[{\"digest\":\"sha256:" HEX "\",\"size\":-1}]}",
            "m: layers[0]"},
        {"{\"config\":{" DESCRIPTOR "},\"layers\":[{\"mediaType\":\"x.tar+encrypted\"," DESCRIPTOR "}]}",
            "layers can be tar, plain or compressed with gzip or zstd"},
        {"{\"layers\":{}}", "m.layers must be an array"},
        {"{\"a\":1,\"a\":2}", "duplicate"},
        {"{", "m: line 1"},
        {"", "m: line"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct manifest bad;
        assert_says(manifest_read("m", cases[i].text, strlen(cases[i].text), &bad), cases[i].words);
    }
}

static void docker_manifests(void **state)
{
    static const char text[] =
        "[{\"Config\":\"a.json\",\"RepoTags\":[\"debian:11\"],\"Layers\":[\"x/layer.tar\"]},"
        "{\"Config\":\"b.json\",\"RepoTags\":null,\"Layers\":[]}]";
    struct docker_manifest manifest = {0};
    assert_ok(docker_manifest_read(text, strlen(text), "debian:11", &manifest));
    assert_string_equal(manifest.config, "a.json");
    assert_string_equal(manifest.layers[0], "x/layer.tar");
    docker_manifest_clear(&manifest);
    assert_says(docker_manifest_read(text, strlen(text), NULL, &manifest), "several images");
    assert_says(docker_manifest_read(text, strlen(text), "12", &manifest), "no image in it is called \"12\"");
    assert_says(docker_manifest_read("{}", 2, NULL, &manifest), "must be an array");
    assert_says(docker_manifest_read("[{}]", 4, NULL, &manifest), "manifest.json[0] has no Config");
}

static void configurations(void **state)
{
    static const char text[] =
        "{\"architecture\":\"amd64\",\"os\":\"linux\",\"created\":\"2024-05-01T14:00:00.5+02:00\","
        "\"config\":{\"User\":\"web:staff\",\"Env\":[\"A=b\"],\"Entrypoint\":[\"/"
        "e\"],\"Cmd\":null,\"WorkingDir\":\"\","
        "\"Volumes\":{\"/data\":{}},\"ExposedPorts\":{\"80/"
        "tcp\":{}},\"Labels\":{\"k\":\"v\"},\"StopSignal\":\"SIGINT\"},"
        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" HEX "\"]}}";
    _cleanup_document_ struct document document = {0};
    assert_ok(document_read("c", text, strlen(text), &document));
    assert_int_equal(document.created, 1714564800);
    assert_int_equal(document.contents_count, 1);
    assert_string_equal(document.config.user, "web:staff");
    assert_string_equal(document.config.entrypoint[0], "/e");
    assert_null(document.config.command);
    assert_null(document.config.working_directory);
    assert_string_equal(document.config.volumes[0], "/data");
    assert_string_equal(document.config.exposed_ports[0], "80/tcp");
    assert_string_equal(document.config.labels[0], "k=v");
    assert_string_equal(document.config.stop_signal, "SIGINT");
    struct document bad;
    assert_says(document_read("c", "{}", 2, &bad), "c has no member \"rootfs\"");
    static const char number[] = "{\"rootfs\":{},\"config\":{\"Env\":[1]}}";
    assert_says(document_read("c", number, strlen(number), &bad), "c: config.Env[0] must be a string");
    static const char digest[] = "{\"rootfs\":{\"diff_ids\":[\"x\"]}}";
    assert_says(document_read("c", digest, strlen(digest), &bad), "c: rootfs: \"x\" is no digest");
}

static void sources(void **state)
{
    static const struct {
        const char *text;
        enum image_source_kind kind;
        const char *path;
        const char *tag;
    } cases[] = {
        {"oci:/no/such/dir", IMAGE_SOURCE_LAYOUT, "/no/such/dir", NULL},
        {"oci:/no/such/dir:12", IMAGE_SOURCE_LAYOUT, "/no/such/dir", "12"},
        {"oci-archive:/tmp:x.org/a/b:1", IMAGE_SOURCE_ARCHIVE, "/tmp", "x.org/a/b:1"},
        {"docker-archive:f.tar:debian:12", IMAGE_SOURCE_ARCHIVE, "f.tar", "debian:12"},
        {"dir:/tmp/", IMAGE_SOURCE_DIRECTORY, "/tmp", NULL},
        {"dir:/", IMAGE_SOURCE_DIRECTORY, "/", NULL},
        {"tar:-", IMAGE_SOURCE_TAR, "-", NULL},
        {"-", IMAGE_SOURCE_ARCHIVE, "-", NULL},
        {"/tmp", IMAGE_SOURCE_DIRECTORY, "/tmp", NULL},
        {"/no/such.tar", IMAGE_SOURCE_ARCHIVE, "/no/such.tar", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct image_source source;
        assert_ok(image_source_parse(cases[i].text, &source));
        assert_int_equal(source.kind, cases[i].kind);
        assert_string_equal(source.path, cases[i].path);
        assert_string_equal(source.tag ? source.tag : "none", cases[i].tag ? cases[i].tag : "none");
        image_source_clear(&source);
    }
    struct image_source source;
    assert_says(image_source_parse("oci:", &source), "a path is missing");
    assert_true(image_source_has_prefix("dir:/x"));
    assert_false(image_source_has_prefix("debian:12"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),
        cmocka_unit_test(names),
        cmocka_unit_test(an_index_gives_this_machines_image),
        cmocka_unit_test(an_index_with_several_tags),
        cmocka_unit_test(manifests),
        cmocka_unit_test(docker_manifests),
        cmocka_unit_test(configurations),
        cmocka_unit_test(sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
