/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image store: images come in from layouts, archives, directories and registries, and stay as one
 * read-only EROFS file each, with the image's configuration beside it.
 *
 *     DATA/images/index.json          names -> digest, replaced whole under DATA/images/locks/index
 *     DATA/images/rootfs/HEX.erofs    the root file system of the image whose configuration hashes to HEX
 *     DATA/images/rootfs/HEX.json     its record; its presence means that the image is whole
 *     DATA/images/references/HEX/ID   container ID uses the image
 *     DATA/images/locks, DATA/images/temporary
 *
 * An image is known by the digest of its configuration ("sha256:...", the image ID of docker and podman):
 * the configuration lists the digests of the layers, so the same image is kept once wherever it came from.
 * Every call may run in several processes at once. Calls block; they are for front ends, not for the shim.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image_store;

/* Creates DATA/images where it is missing (0700). */
struct error *image_store_open(const char *data_directory, struct image_store **ret_store);
void image_store_free(struct image_store *store);
DEFINE_CLEANUP(struct image_store *, image_store_free);
#define _cleanup_image_store_ _cleanup_(image_store_free)

/* What a container gets from its image unless the user says otherwise; members are NULL where the image says
   nothing. */
struct image_config {
    char **entrypoint;
    char **command;
    char **environment; /* "NAME=value" */
    char *user;         /* "name", "uid", "name:group", "uid:gid" */
    char *working_directory;
    char *stop_signal;    /* "SIGTERM", "15" */
    char **volumes;       /* absolute paths in the container */
    char **exposed_ports; /* "80/tcp" */
    char **labels;        /* "key=value" */
};

struct image {
    char *digest;          /* "sha256:HEX" of the configuration */
    char *manifest_digest; /* of the manifest it came with; NULL where there was none */
    char **names;          /* sorted; NULL for an image without a name */
    int64_t created;       /* seconds since 1970, as the image says; 0 when it does not */
    int64_t loaded;        /* seconds since 1970 */
    uint64_t size;         /* bytes of the root file system image on disk */
    char *rootfs_path;     /* absolute */
    char *rootfs_type;     /* "erofs": the fstype to mount it with, read-only */
    char *rootfs_digest;   /* "sha256:HEX" of that file, for image_verify */
    int64_t rootfs_time;   /* when that file was written, nanoseconds since 1970 */
    char *architecture;    /* as OCI names it: "amd64" */
    struct image_config config;
};
/* Takes NULL. */
void image_free(struct image *image);
DEFINE_CLEANUP(struct image *, image_free);
#define _cleanup_image_ _cleanup_(image_free)

/*
 * Where an image comes from.
 */
enum image_source_kind {
    IMAGE_SOURCE_LAYOUT,    /* OCI layout directory */
    IMAGE_SOURCE_ARCHIVE,   /* OCI or docker archive, compressed or not; "-" is standard input */
    IMAGE_SOURCE_DIRECTORY, /* a root directory; see image_load for ownership */
    IMAGE_SOURCE_TAR,       /* a root file system as one tar, compressed or not; "-" is standard input */
};

struct image_source {
    enum image_source_kind kind;
    char *path;
    char *tag; /* which image of a layout or archive: its ref name or repository tag; NULL: the only one */
};
void image_source_clear(struct image_source *source);

/* True for text that image_source_parse takes by its prefix ("oci:", "oci-archive:", "docker-archive:",
   "dir:", "tar:"), so that `run` can tell a source from a name. */
bool image_source_has_prefix(const char *text);
/* "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]", "docker-archive:FILE[:NAME]", "dir:PATH", "tar:FILE"; without a
   prefix a directory with an index.json is a layout, another directory a root directory, a file or "-" an
   archive. */
struct error *image_source_parse(const char *text, struct image_source *ret_source);

/* Called often (several times a second at least while bytes move). `step` is a phrase for a person ("reading
   layer 2 of 5"); total is 0 when it is not known. Returning false stops the work: CANCELLED, nothing left.
 */
typedef bool image_progress(void *context, const char *step, uint64_t done, uint64_t total);

struct image_observer {
    image_progress *progress; /* may be NULL */
    void *context;
};

/* Loads an image and gives it its name: `name` where it is given, else the full names that the archive or
   layout carries, else the base name of the file with the tag; a root directory is "directory/HEX", the same
   for the same path; what comes from standard input stays nameless. A name that another image had moves; the
   other one, when this was its last name and no container uses it, is removed. Of a multi-platform image the
   one for this machine is taken, or an error lists what there is. A root directory read by root keeps its
   owners; read by another user, that user's files are root's in the image (and those of the user's group
   belong to group 0), all others as found. `observer` may be NULL. INVALID_ARGUMENT or DATA_LOSS for a bad
   image, naming layer and entry; RESOURCE_EXHAUSTED for a full disk. */
struct error *image_load(struct image_store *store, const struct image_source *source, const char *name,
    const struct image_observer *observer, struct image **ret_image);

/* How skopeo transfers; policy and registries are its own configuration. Members may be NULL. */
struct image_pull_options {
    const char *authfile;    /* skopeo --authfile */
    const char *credentials; /* USER:PASSWORD, handed over in a private file, never on a command line */
    const char *tls_verify;  /* "true" or "false": skopeo --src-tls-verify */
};

/* Pulls from a registry ("debian" is docker.io/library/debian:latest) by way of skopeo. Always asks the
   registry; where another process pulls the same reference at this moment, waits for it and takes its result.
 */
struct error *image_pull(struct image_store *store, const char *reference,
    const struct image_pull_options *options, const struct image_observer *observer,
    struct image **ret_image);

/* By name as given, by docker's normalised name, by "sha256:HEX" of configuration or manifest, or by a unique
   prefix of the digest (at least 4 digits). NOT_FOUND where there is none, INVALID_ARGUMENT where several
   fit. */
struct error *image_resolve(struct image_store *store, const char *text, struct image **ret_image);

/* All images, newest load first. */
struct error *image_list(struct image_store *store, struct image ***ret_images, size_t *ret_count);
void image_list_free(struct image **images, size_t count);

/* By name: takes the name away, and the data with the last one. By digest or prefix: all of it, but with more
   than one name only when forced. An image that a container uses stays: FAILED_PRECONDITION names the
   container; forced, only its names go. ret_digest (may be NULL): the image's digest; ret_deleted (may be
   NULL): whether its data went. */
struct error *image_remove(
    struct image_store *store, const char *text, bool force, char **ret_digest, bool *ret_deleted);

/* The container uses the image, so image_remove refuses. DATA/containers/ID must exist before: a reference
   without it is stale and swept. NOT_FOUND when the image was removed meanwhile. DATA_LOSS when it is
   damaged: a file system image whose size or time is not as recorded is hashed first. */
struct error *image_reference(struct image_store *store, const char *digest, const char *container_id);
/* No error where there is no such reference. */
struct error *image_unreference(struct image_store *store, const char *digest, const char *container_id);

/* Re-hashes the root file system image: DATA_LOSS where it is not what was written at conversion. */
struct error *image_verify(
    struct image_store *store, const struct image *image, const struct image_observer *observer);

/* The start-up sweep: temporary files of processes that are gone, root file system images without a record,
   references of containers that are gone. Cheap where there is nothing to do. */
struct error *image_sweep(struct image_store *store);

/* "debian" -> "docker.io/library/debian:latest"; refuses what is no reference. */
struct error *image_reference_normalise(const char *text, char **ret_reference);
/* A name as given, ":latest" added where it has neither tag nor digest; refuses what is no name. */
struct error *image_name_complete(const char *text, char **ret_name);
