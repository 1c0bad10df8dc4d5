/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the host to TCP ports of the guest, by its loopback addresses: what `crictl port-forward`
 * asks for.
 */
#pragma once

#include "mux/mux.h"

#include <event2/event.h>

/* Connections that are being made. */
#define DIALS_MAX 64

struct dials;

struct dials *dials_new(struct event_base *base);
/* Joins the stream to 127.0.0.1:port, or to [::1]:port where that refuses; resets it where both do. False:
   too many are being made; the stream is still the caller's. */
bool dials_add(struct dials *dials, uint16_t port, struct mux_stream *stream);
/* Before the streams' mux is freed. Takes NULL. */
void dials_free(struct dials *dials);
