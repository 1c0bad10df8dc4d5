/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seccomp profile of a Spec, compiled once into the kernel's filter program and installed by each
 * process of the container.
 *
 * Beyond what the profile says, a filter whose default refuses answers ENOSYS to system calls that are newer
 * than all that the profile names, so that libraries fall back instead of giving up (runc does the same).
 */
#pragma once

#include "base/error.h"
#include "proto/oci.pb-c.h"

#include <linux/filter.h>

struct seccomp_filter;

/* NULL stays NULL: no profile, no filter. Unknown names of system calls are skipped. UNIMPLEMENTED for
   SCMP_ACT_NOTIFY, which needs a listener on the other side of the VM's wall. */
struct error *seccomp_filter_compile(const Grpc__LinuxSeccomp *profile, struct seccomp_filter **ret_filter);
/* The program, borrowed. */
const struct sock_fprog *seccomp_filter_program(const struct seccomp_filter *filter);
/* Takes NULL. */
void seccomp_filter_free(struct seccomp_filter *filter);
DEFINE_CLEANUP(struct seccomp_filter *, seccomp_filter_free);

/* Confines this process for good. Needs no_new_privs or CAP_SYS_ADMIN. */
struct error *seccomp_filter_install(const struct seccomp_filter *filter);
