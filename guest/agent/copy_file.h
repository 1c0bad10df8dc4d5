/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that the host brings into the guest, in pieces: CopyFile. A file appears under its name when its last
 * piece has come; until then it is a hidden file beside it. Directories and symbolic links come in one piece
 * (file_mode says which; a link's target is the data).
 */
#pragma once

#include "base/error.h"
#include "proto/agent.pb-c.h"

/* One request. Its path has to be below /run; links on the way are resolved inside /run and never lead out.
 */
struct error *copy_file_chunk(const Grpc__CopyFileRequest *request);
