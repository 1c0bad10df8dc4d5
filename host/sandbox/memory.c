/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/model.h"

static void memory_ran_out(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct sandbox *sandbox = context;
    const Grpc__OOMEvent *event = (const Grpc__OOMEvent *)response;
    /* UNAVAILABLE and CANCELLED are the end of the machine; an agent without such events is left alone. */
    if (error) {
        if (error_code(error) != ERROR_UNAVAILABLE && error_code(error) != ERROR_CANCELLED)
            sandbox_remark(sandbox, "out-of-memory events: %s", error_message(error));
        error_free(error);
        return;
    }
    struct container *container = sandbox_container(sandbox, event->container_id);
    if (container) {
        container_write_file(container, "oom", "");
        container_write_file(
            container, "reason", "a process was ended because the container is out of memory");
        sandbox_tell(sandbox, SANDBOX_EVENT_OUT_OF_MEMORY, container_init(container));
    }
    sandbox_watch_memory(sandbox);
}

void sandbox_watch_memory(struct sandbox *sandbox)
{
    agent_get_oom_event(sandbox->agent, memory_ran_out, sandbox);
}
