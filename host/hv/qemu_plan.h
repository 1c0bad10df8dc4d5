/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that QEMU's process is started with: arguments, descriptors, jail. Made when the machine is created, so
 * that a start is one fork and nothing can be missing then.
 */
#pragma once

#include "hv/hv.h"

struct qemu_plan;

/* Our ends of QEMU's channels. */
struct qemu_channels {
    int monitor;
    int console;
    int link;
    int errors; /* standard error */
    int state;  /* of the snapshot to start from; -1: none */
};

struct error *qemu_plan_new(const struct hv_config *config, bool kvm, struct qemu_plan **ret_plan);
/* See hv_identity. */
struct error *qemu_identity_tcg(char **ret_text);
struct error *qemu_identity_kvm(char **ret_text);
/* Takes NULL. */
void qemu_plan_free(struct qemu_plan *plan);
/* Once. The channels are the caller's on success. */
struct error *qemu_plan_spawn(struct qemu_plan *plan, pid_t *ret_pid, struct qemu_channels *ret_channels);

DEFINE_CLEANUP(struct qemu_plan *, qemu_plan_free);
