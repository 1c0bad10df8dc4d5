/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the shim runs to tell of an event: `caisson --address A publish --topic T --namespace N`, the event (a
 * google.protobuf.Any) on standard input. That is containerd's contract for its -publish-binary flag.
 */
#pragma once

#include "base/error.h"

/* What the exec ids begin with that no front end waits for. */
#define PUBLISH_DETACHED_EXEC "detached-"

/* Takes the event from the descriptor. The exit of a container that no front end holds is recorded and its
   shim is removed; a detached exec that has ended is deleted; everything else is no concern of ours. */
struct error *publish_event(const char *topic, int input);
