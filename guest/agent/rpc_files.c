/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rpc.h"

#include "agent/copy_file.h"

static struct error *copy_file(struct agent *agent, const Grpc__CopyFileRequest *request)
{
    TRY(sandbox_state_check(agent->state, CALL_SETUP));
    return error_wrap(copy_file_chunk(request), "copying to \"%.256s\"", request->path);
}
RPC_HANDLER(rpc_copy_file, copy_file, Grpc__CopyFileRequest);
