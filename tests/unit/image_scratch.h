/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scratch directory with an image store in it, and a shell with the functions that make images.
 */
#pragma once

#include "assertions.h"
#include "image/image.h"

#include "base/path.h"
#include "base/process.h"
#include "base/strv.h"

#include <string.h>

struct scratch {
    char *path;
    struct image_store *store;
};

/* layout DIR ARCHITECTURE LAYER...: an OCI layout of one image tagged "it" with these tars, .tar, .tar.gz or
   .tar.zst. descriptor DIR TYPE FILE: moves a file to the layout's blobs and prints its descriptor. */
static const char scratch_functions[] =
    "set -eu\n"
    "descriptor() {\n"
    "  hex=$(sha256sum \"$3\" | cut -d ' ' -f 1)\n"
    "  printf '{\"mediaType\":\"application/vnd.oci.image.%s\",\"digest\":\"sha256:%s\",\"size\":%d}' "
    "\"$2\" \"$hex\" \"$(stat -c %s \"$3\")\"\n"
    "  cp \"$3\" \"$1/blobs/sha256/$hex\"\n"
    "}\n"
    "plain() { case $1 in *.gz) gzip -dc \"$1\" ;; *.zst) zstd -dcq \"$1\" ;; *) cat \"$1\" ;; esac; }\n"
    "kind() { case $1 in *.gz) echo +gzip ;; *.zst) echo +zstd ;; esac; }\n"
    "layout() {\n"
    "  dir=$1 arch=$2 layers= ids= ; shift 2\n"
    "  mkdir -p $dir/blobs/sha256\n"
    "  for layer; do\n"
    "    layers=$layers${layers:+,}$(descriptor $dir layer.v1.tar$(kind $layer) $layer)\n"
    "    ids=$ids${ids:+,}'\"sha256:'$(plain $layer | sha256sum | cut -d ' ' -f 1)'\"'\n"
    "  done\n"
    "  printf '{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"sh\"]},\"rootfs\":"
    "{\"type\":\"layers\",\"diff_ids\":[%s]}}' $arch \"$ids\" >$dir/config\n"
    "  printf '{\"schemaVersion\":2,\"config\":%s,\"layers\":[%s]}' "
    "\"$(descriptor $dir config.v1+json $dir/config)\" \"$layers\" >$dir/manifest\n"
    "  printf "
    "'{\"schemaVersion\":2,\"manifests\":[%s,\"annotations\":{\"org.opencontainers.image.ref.name\":\"it\"}}]"
    "}' "
    "\"$(descriptor $dir manifest.v1+json $dir/manifest | sed 's/}$//')\" >$dir/index.json\n"
    "  printf '{\"imageLayoutVersion\":\"1.0.0\"}' >$dir/oci-layout\n"
    "}\n"
    "here=$(case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac)\n";

/* Runs a script in the scratch directory; its exit status. */
static inline int scratch_try(const struct scratch *scratch, const char *script)
{
    _cleanup_free_ char *whole = must_printf("%s%s", scratch_functions, script);
    char *const arguments[] = {(char[]){"sh"}, (char[]){"-c"}, whole, NULL};
    const struct process_options options = {.arguments = arguments, .directory = scratch->path};
    struct process_result result = {0};
    assert_ok(process_run(&options, 1 << 20, &result));
    int status = process_exit_code(result.status);
    if (status != 0)
        print_message("%s", result.errors);
    process_result_clear(&result);
    return status;
}

static inline void scratch_run(const struct scratch *scratch, const char *script)
{
    assert_int_equal(scratch_try(scratch, script), 0);
}

static inline char *scratch_path(const struct scratch *scratch, const char *name)
{
    return must_printf("%s/%s", scratch->path, name);
}

static inline int scratch_set_up(void **state)
{
    struct scratch *scratch = must_new(struct scratch);
    char template[] = "/tmp/caisson-image-XXXXXX";
    assert_non_null(mkdtemp(template));
    scratch->path = must_copy(template);
    _cleanup_free_ char *data = scratch_path(scratch, "data");
    assert_ok(image_store_open(data, &scratch->store));
    *state = scratch;
    return 0;
}

static inline int scratch_tear_down(void **state)
{
    struct scratch *scratch = *state;
    image_store_free(scratch->store);
    assert_ok(tree_remove(scratch->path));
    free(scratch->path);
    free(scratch);
    return 0;
}

/* Loads "oci:NAME" and the like; a path is meant from the scratch directory. */
static inline struct error *scratch_load(const struct scratch *scratch, const char *prefix, const char *path,
    const char *name, const struct image_observer *observer, struct image **ret_image)
{
    _cleanup_free_ char *text = must_printf("%s%s/%s", prefix, scratch->path, path);
    struct image_source source;
    assert_ok(image_source_parse(text, &source));
    struct error *error = image_load(scratch->store, &source, name, observer, ret_image);
    image_source_clear(&source);
    return error;
}

/* Nothing that a load makes on its way is there any more. */
static inline void assert_no_traces(const struct scratch *scratch)
{
    scratch_run(scratch, "test -z \"$(ls data/images/temporary data/images/locks | grep -v ':$')\"\n"
                         "test -z \"$(find data -name '*.tmp')\"\n");
}
