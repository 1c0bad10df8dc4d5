/* SPDX-License-Identifier: Apache-2.0 */
/* Documents of an image that strangers wrote. The first byte chooses the reader. */
#include "image/document.h"
#include "image/manifest.h"

#include <string.h>

static struct error *choose(const char *text, size_t length, const char *tag)
{
    _cleanup_index_choice_ struct index_choice choice = {0};
    return index_choose("index.json", text, length, tag, &choice);
}

static struct error *read_manifest(const char *text, size_t length)
{
    _cleanup_manifest_ struct manifest manifest = {0};
    manifest_is_index(NULL, text, length);
    return manifest_read("manifest", text, length, &manifest);
}

static struct error *read_docker(const char *text, size_t length)
{
    _cleanup_docker_manifest_ struct docker_manifest manifest = {0};
    return docker_manifest_read(text, length, NULL, &manifest);
}

static struct error *read_document(const char *text, size_t length)
{
    _cleanup_document_ struct document document = {0};
    return document_read("configuration", text, length, &document);
}

static struct error *read_reference(const char *text, size_t length)
{
    _cleanup_free_ char *copy = must_copy_length(text, length);
    _cleanup_free_ char *complete = NULL;
    _cleanup_free_ char *normal = NULL;
    _cleanup_free_ char *again = NULL;
    TRY(image_name_complete(copy, &complete));
    TRY(image_reference_normalise(copy, &normal));
    /* What was made complete once stays as it is. */
    if (image_name_complete(complete, &again) || strcmp(again, complete) != 0)
        abort();
    return NULL;
}

static struct error *read_one(const char *text, size_t length)
{
    switch (text[0]) {
    case 'i':
        return choose(text + 1, length - 1, NULL);
    case 't':
        return choose(text + 1, length - 1, "12");
    case 'm':
        return read_manifest(text + 1, length - 1);
    case 'd':
        return read_docker(text + 1, length - 1);
    case 'r':
        return read_reference(text + 1, length - 1);
    default:
        return read_document(text + 1, length - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        error_free(read_one((const char *)data, size));
    return 0;
}
