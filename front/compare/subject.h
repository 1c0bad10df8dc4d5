/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runtime under comparison: how its containers are started, by which commands, and how they are got rid of.
 * All get the same files, the same command, the same capabilities and the same seccomp filter.
 */
#pragma once

#include "base/error.h"
#include "compare/http.h"
#include "compare/results.h"

#include <jansson.h>
#include <stdbool.h>

/* Where the comparison happens; everything below `directory` is removed at its end. Borrowed strings. */
struct workplace {
    const char *directory;  /* private, on a real disk */
    const char *rootfs;     /* below it: what every container runs in; the probe is /probe */
    const char *volume;     /* below it: given to containers at /volume */
    const char *probe;      /* on the host */
    const char *caisson;    /* this program */
    const char *containerd; /* its address, where containers are started through it; or NULL */
    const char *namespace;  /* of ours in it: nobody else's names are like it */
    const struct app *app;  /* a real application, or NULL */
    const struct toolbox *toolbox;
    const json_t *seccomp; /* linux.seccomp for all, and capabilities as "CAP_..." */
    char *const *capabilities;
    struct launcher *launcher;
    double begun; /* milliseconds_now() when the comparison began */
};

/* What a container is started for. */
struct purpose {
    const char *program;  /* NULL: /probe */
    char *const *command; /* its arguments */
    bool volume;
    uint16_t port;                     /* that it listens at, published at 127.0.0.1; 0: no network */
    const struct network_space *space; /* through containerd: where it listens instead; or NULL */
};

static inline const char *purpose_program(const struct purpose *purpose)
{
    return purpose->program ?: "/probe";
}

struct subject;

struct subject_ops {
    bool is_plain; /* nothing but a process: who kills it has ended its container */
    /* Its version in a line; an error where it cannot even say that. */
    struct error *(*version)(struct subject *subject, char **ret_version);
    /* What has to be there before the first container. May be NULL. */
    struct error *(*prepare)(struct subject *subject);
    /* The command line that runs a container in the foreground. */
    struct error *(*run)(
        struct subject *subject, const char *id, const struct purpose *purpose, char ***ret_arguments);
    /* Its own steps; NULL where it has none of that kind. */
    struct error *(*create)(
        struct subject *subject, const char *id, const struct purpose *purpose, char ***ret_arguments);
    char **(*start)(struct subject *subject, const char *id);
    char **(*remove)(struct subject *subject, const char *id);
    char **(*exec)(struct subject *subject, const char *id, char *const *command);
    /* The workplace's application, to be asked at *endpoint: published there, or another port is put there.
       `space` as of a purpose. NULL: it runs no images. */
    struct error *(*run_app)(struct subject *subject, const char *id, const struct network_space *space,
        struct endpoint *endpoint, char ***ret_arguments);
    /* Gets rid of a container in any state, without a word. */
    void (*end)(struct subject *subject, const char *id);
    void (*free)(struct subject *subject);
};

struct subject {
    const struct subject_ops *ops;
    const struct workplace *workplace;
    struct subject_result *result; /* its name, and where everything goes */
    char *program;
    char *variant;                /* runsc's platform, caisson's hypervisor; or NULL */
    process_prepare *prepare;     /* what its programs need before they begin; or NULL */
    char *state;                  /* directory of its own */
    unsigned bundles, containers; /* so many were made */
    const char *mark;             /* what finds its processes, see descendants_usage */
};

/* Finds what there is on this machine, in the order of the report: host, runc, crun, runsc with each
   platform, caisson with each hypervisor. `wanted` names some of them, or programs by path; NULL: all. Those
   that are not there but were asked for get a row with the reason. Returns how many. */
size_t subjects_find(const struct workplace *workplace, char *const *wanted, struct results *results,
    struct subject *ret_subjects[], size_t limit);
void subject_free(struct subject *subject);

extern const struct subject_ops subject_host, subject_oci, subject_caisson, subject_containerd, subject_kata;

/* For subject_containerd: the common files as an image in a namespace of their own; and both away again. */
struct error *containerd_enter(const struct workplace *workplace);
void containerd_leave(const struct workplace *workplace);
/* The application's image, from an archive. */
struct error *containerd_import_app(const struct workplace *workplace, const char *source);
/* Removes namespaces of dead runs with all that is in them; returns how many. */
unsigned containerd_sweep(struct launcher *launcher, const char *address);
/* Its own version, owned by the caller. */
struct error *containerd_version(const struct workplace *workplace, char **ret_version);

/* For subject_oci: writes the bundle of a container and returns its directory. */
struct error *bundle_write(struct subject *subject, const struct purpose *purpose, char **ret_bundle);
/* The same from a config that is there; takes it. */
struct error *bundle_store(struct subject *subject, json_t *config_taken, char **ret_bundle);
/* Pure: its config.json. */
json_t *bundle_config(const struct workplace *workplace, const struct purpose *purpose);
