/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim-client ADDRESS COMMAND [ARGUMENT...]: one call of containerd's Task service, as containerd makes it.
 * For tests of what only containerd asks for, several containers in one sandbox above all, without a
 * containerd. ADDRESS is what `containerd-shim-caisson-v2 start` printed. An error's code and sentence go to
 * standard error; the exit code is 1 then.
 */
#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"
#include "proto/task.pb-c.h"
#include "ttrpc/ttrpc.h"

#include <inttypes.h>
#include <string.h>

#define CALL_TIMEOUT_MS 120000

static struct ttrpc_client *client;

static struct error *call(
    const char *method, const ProtobufCMessage *request, ProtobufCMessage **ret_response)
{
    return ttrpc_client_call_and_wait(
        client, &task__task__descriptor, method, request, CALL_TIMEOUT_MS, ret_response);
}

/* "erofs,/path/image,ro" */
static Containerd__Mount *parse_mount(char *text)
{
    Containerd__Mount *mount = must_new(Containerd__Mount);
    *mount = (Containerd__Mount)CONTAINERD__MOUNT__INIT;
    mount->type = strsep(&text, ",");
    mount->source = text ? strsep(&text, ",") : "";
    mount->options = must_alloc_array(text ? strlen(text) + 1 : 1, sizeof(*mount->options));
    for (const char *option; (option = strsep(&text, ","));)
        mount->options[mount->n_options++] = option;
    return mount;
}

static struct error *do_create(char **arguments)
{
    Containerd__Mount *mounts[16];
    Task__CreateTaskRequest request = TASK__CREATE_TASK_REQUEST__INIT;
    request.id = arguments[0];
    request.bundle = arguments[1];
    request.stdout = request.stderr = arguments[2];
    request.rootfs = mounts;
    for (char **text = arguments + 3; *text && request.n_rootfs < ARRAY_SIZE(mounts); text++)
        mounts[request.n_rootfs++] = parse_mount(*text);
    return call("Create", &request.base, NULL);
}

static struct error *do_exec(char **arguments)
{
    Google__Protobuf__Any spec = GOOGLE__PROTOBUF__ANY__INIT;
    spec.type_url = "types.containerd.io/opencontainers/runtime-spec/1/Process";
    spec.value = (ProtobufCBinaryData){.data = (uint8_t *)arguments[3], .len = strlen(arguments[3])};
    Task__ExecProcessRequest request = TASK__EXEC_PROCESS_REQUEST__INIT;
    request.id = arguments[0];
    request.exec_id = arguments[1];
    request.stdout = request.stderr = arguments[2];
    request.spec = &spec;
    return call("Exec", &request.base, NULL);
}

static struct error *do_start(char **arguments)
{
    Task__StartRequest request = TASK__START_REQUEST__INIT;
    request.id = arguments[0];
    request.exec_id = arguments[1] ? arguments[1] : "";
    return call("Start", &request.base, NULL);
}

static struct error *do_delete(char **arguments)
{
    Task__DeleteRequest request = TASK__DELETE_REQUEST__INIT;
    request.id = arguments[0];
    request.exec_id = arguments[1] ? arguments[1] : "";
    return call("Delete", &request.base, NULL);
}

static struct error *do_kill(char **arguments)
{
    uint64_t signal;
    TRY(parse_unsigned("signal", arguments[1], 1, 64, &signal));
    Task__KillRequest request = TASK__KILL_REQUEST__INIT;
    request.id = arguments[0];
    request.signal = (uint32_t)signal;
    return call("Kill", &request.base, NULL);
}

static struct error *do_wait(char **arguments)
{
    Task__WaitRequest request = TASK__WAIT_REQUEST__INIT;
    ProtobufCMessage *response = NULL;
    request.id = arguments[0];
    request.exec_id = arguments[1] ? arguments[1] : "";
    TRY(call("Wait", &request.base, &response));
    printf("%" PRIu32 "\n", ((const Task__WaitResponse *)(const void *)response)->exit_status);
    protobuf_c_message_free_unpacked(response, NULL);
    return NULL;
}

static struct error *do_update(char **arguments)
{
    Google__Protobuf__Any resources = GOOGLE__PROTOBUF__ANY__INIT;
    resources.type_url = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";
    resources.value = (ProtobufCBinaryData){.data = (uint8_t *)arguments[1], .len = strlen(arguments[1])};
    Task__UpdateTaskRequest request = TASK__UPDATE_TASK_REQUEST__INIT;
    request.id = arguments[0];
    request.resources = &resources;
    return call("Update", &request.base, NULL);
}

static struct error *do_shutdown(char **arguments)
{
    Task__ShutdownRequest request = TASK__SHUTDOWN_REQUEST__INIT;
    request.id = arguments[0];
    return call("Shutdown", &request.base, NULL);
}

static const struct command {
    const char *name;
    size_t arguments; /* at least */
    const char *usage;
    struct error *(*run)(char **arguments);
} commands[] = {
    {"create", 3, "ID BUNDLE OUTPUT [TYPE,SOURCE[,OPTION...]]...", do_create},
    {"delete", 1, "ID [EXEC-ID]", do_delete},
    {"exec", 4, "ID EXEC-ID OUTPUT PROCESS-JSON", do_exec},
    {"kill", 2, "ID SIGNAL", do_kill},
    {"shutdown", 1, "ID", do_shutdown},
    {"start", 1, "ID [EXEC-ID]", do_start},
    {"update", 2, "ID RESOURCES-JSON", do_update},
    {"wait", 1, "ID [EXEC-ID]", do_wait},
};

static int usage(void)
{
    fputs("usage: shim-client ADDRESS COMMAND...\n", stderr);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        fprintf(stderr, "  %s %s\n", commands[i].name, commands[i].usage);
    return 2;
}

static struct error *run(struct event_base *base, const char *address, char **words)
{
    int fd = -1;
    const char *path = strncmp(address, "unix://", 7) == 0 ? address + 7 : address;
    TRY(unix_connect(path, &fd));
    TRY(ttrpc_client_new(base, fd, NULL, NULL, &client));
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (strcmp(commands[i].name, words[0]) == 0 && strv_length(words) > commands[i].arguments)
            return commands[i].run(words + 1);
    return error_new(ERROR_INVALID_ARGUMENT, "no such command, or with too few arguments: %s", words[0]);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return usage();
    struct event_base *base = event_base_new();
    _cleanup_error_ struct error *error = run(base, argv[1], argv + 2);
    if (error)
        fprintf(stderr, "%s: %s\n", error_code_name(error_code(error)), error_message(error));
    ttrpc_client_free(client);
    event_base_free(base);
    return error ? 1 : 0;
}
