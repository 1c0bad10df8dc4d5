/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of the system that Caisson drives: where they are. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

/* The resolved path of qemu-system-x86_64: $CAISSON_QEMU, else found in PATH and the usual places. NOT_FOUND
   says which package has it. */
struct error *find_qemu(char **ret_path);

/* Our own monitor: $CAISSON_VMM, else beside the running program (PREFIX/lib/caisson, for PREFIX/bin). */
struct error *find_vmm(char **ret_path);

struct virtiofsd_program {
    char *path;
    bool rust; /* the separate project's (from Debian 13 on); else the one in C that came with QEMU up to 7.2
                */
};

/* $CAISSON_VIRTIOFSD, else the usual places. */
struct error *find_virtiofsd(struct virtiofsd_program *ret_program);
void virtiofsd_program_clear(struct virtiofsd_program *program);
