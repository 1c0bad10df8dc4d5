/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redirection of everything that one interface receives to the sending side of another, by traffic control:
 * an ingress queueing discipline with one u32 filter that takes every packet and a mirred action. These three
 * are in every distribution's kernel (sch_ingress, cls_u32, act_mirred); the filter has a preference of its
 * own, by which it is known again.
 */
#pragma once

#include "base/error.h"

/* Indices of interfaces; fd is the routing socket of their namespace. One that stands from before, of a
   machine that is gone, is replaced. */
struct error *net_redirect(int fd, int from, int to);
/* Takes the filter away, and the queueing discipline with it where nobody else has a filter there. An
   interface that is gone, or has none, is fine. */
void net_redirect_end(int fd, int from);
