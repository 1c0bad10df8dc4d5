/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership shown at the declaration.
 *
 *     _cleanup_free_ char *path = must_printf("%s/config.json", bundle);
 *     _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
 *
 * A variable that carries one of these attributes owns what it holds and lets go of it at the end of its
 * scope. TAKE_PTR and TAKE_FD move the thing out: they return it and leave the variable empty.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Defines the function that DEFINE_CLEANUP's users attach: destroys *p when it is not NULL. */
#define DEFINE_CLEANUP(type, destroy)             \
    static inline void cleanup_##destroy(type *p) \
    {                                             \
        if (*p)                                   \
            destroy(*p);                          \
    }                                             \
    struct cleanup_needs_a_semicolon

#define _cleanup_(destroy) __attribute__((cleanup(cleanup_##destroy)))

static inline void cleanup_free_pointer(void *p)
{
    free(*(void **)p);
}

/* Closes once: on Linux the descriptor is gone even when close() says EINTR. errno survives. */
static inline void close_fd(int fd)
{
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
}

static inline void cleanup_fd(int *fd)
{
    close_fd(*fd);
}

DEFINE_CLEANUP(FILE *, fclose);
DEFINE_CLEANUP(DIR *, closedir);

#define _cleanup_free_ __attribute__((cleanup(cleanup_free_pointer)))
#define _cleanup_fd_ __attribute__((cleanup(cleanup_fd)))
#define _cleanup_file_ _cleanup_(fclose)
#define _cleanup_dir_ _cleanup_(closedir)

#define TAKE_PTR(variable)                        \
    ({                                            \
        __typeof__(variable) taken_ = (variable); \
        (variable) = NULL;                        \
        taken_;                                   \
    })

#define TAKE_FD(variable)        \
    ({                           \
        int taken_ = (variable); \
        (variable) = -1;         \
        taken_;                  \
    })
