/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent-client LINK COMMAND [ARGUMENT...] [-- COMMAND...]...: calls of the guest protocol one after the
 * other, for trying the agent out by hand and from scripts. A guest ends when its link does. LINK is
 * mux:PATH, the unix socket of a virtual machine's link, or unix:PATH, the socket of an agent that was
 * started with --listen.
 */
#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"
#include "mux/mux.h"
#include "oci/config.h"
#include "proto/agent.pb-c.h"
#include "proto/health.pb-c.h"
#include "ttrpc/ttrpc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#define PORT_AGENT 1024
#define PORT_STREAMS 1027
#define CALL_TIMEOUT_MS 60000

struct client {
    struct event_base *base;
    struct mux *mux; /* NULL without one */
    bool ready;
    struct ttrpc_client *rpc;
    int streams_open;
};

/* ---- connection ---- */

static void on_ready(void *context)
{
    ((struct client *)context)->ready = true;
}

static bool on_incoming(void *context, uint32_t port, struct mux_stream *stream)
{
    return false;
}

static void on_failed(void *context, const struct error *reason)
{
    fprintf(stderr, "agent-client: the link is gone: %s\n", error_message(reason));
    exit(1);
}

static struct error *connect_mux(struct client *client, int link, int *ret_fd)
{
    static const struct mux_events events = {.ready = on_ready, .incoming = on_incoming, .failed = on_failed};
    TRY(mux_new(client->base, link, true, &events, client, &client->mux));
    while (!client->ready)
        event_base_loop(client->base, EVLOOP_ONCE);
    struct mux_stream *stream;
    TRY(mux_open(client->mux, PORT_AGENT, &stream));
    int mux_end;
    TRY(unix_pair(ret_fd, &mux_end));
    mux_attach_socket(stream, mux_end, NULL, NULL);
    return NULL;
}

static struct error *client_connect(struct client *client, const char *link)
{
    bool is_mux = strncmp(link, "mux:", 4) == 0;
    if (!is_mux && strncmp(link, "unix:", 5) != 0)
        return error_new(ERROR_INVALID_ARGUMENT, "the link is neither mux:PATH nor unix:PATH");
    client->base = event_base_new();
    int fd;
    TRY(unix_connect(strchr(link, ':') + 1, &fd));
    if (is_mux)
        TRY(connect_mux(client, fd, &fd));
    return ttrpc_client_new(client->base, fd, NULL, NULL, &client->rpc);
}

static struct error *call(
    struct client *client, const char *method, const ProtobufCMessage *request, ProtobufCMessage **ret_reply)
{
    return ttrpc_client_call_and_wait(
        client->rpc, &grpc__agent_service__descriptor, method, request, CALL_TIMEOUT_MS, ret_reply);
}

/* ---- the guest ---- */

static struct error *do_details(struct client *client, char **arguments)
{
    Grpc__GuestDetailsRequest request = GRPC__GUEST_DETAILS_REQUEST__INIT;
    request.mem_block_size = request.mem_hotplug_probe = true;
    ProtobufCMessage *message;
    TRY(call(client, "GetGuestDetails", &request.base, &message));
    const Grpc__GuestDetailsResponse *reply = (const void *)message;
    printf("version %s, init %d, seccomp %d, storages", reply->agent_details->version,
        reply->agent_details->init_daemon, reply->agent_details->supports_seccomp);
    for (size_t i = 0; i < reply->agent_details->n_storage_handlers; i++)
        printf(" %s", reply->agent_details->storage_handlers[i]);
    puts("");
    protobuf_c_message_free_unpacked(message, NULL);
    return NULL;
}

static struct error *do_metrics(struct client *client, char **arguments)
{
    Grpc__GetMetricsRequest request = GRPC__GET_METRICS_REQUEST__INIT;
    ProtobufCMessage *message;
    TRY(call(client, "GetMetrics", &request.base, &message));
    fputs(((const Grpc__Metrics *)(const void *)message)->metrics, stdout);
    protobuf_c_message_free_unpacked(message, NULL);
    return NULL;
}

static struct error *do_interfaces(struct client *client, char **arguments)
{
    Grpc__ListInterfacesRequest request = GRPC__LIST_INTERFACES_REQUEST__INIT;
    ProtobufCMessage *message;
    TRY(call(client, "ListInterfaces", &request.base, &message));
    const Grpc__Interfaces *reply = (const void *)message;
    for (size_t i = 0; i < reply->n_interfaces; i++) {
        const Types__Interface *interface = reply->interfaces[i];
        printf("%s %s mtu %" PRIu64, interface->name, interface->hw_addr, interface->mtu);
        for (size_t j = 0; j < interface->n_ip_addresses; j++)
            printf(" %s/%s", interface->ip_addresses[j]->address, interface->ip_addresses[j]->mask);
        puts("");
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return NULL;
}

static struct error *do_sandbox(struct client *client, char **arguments)
{
    Grpc__CreateSandboxRequest request = GRPC__CREATE_SANDBOX_REQUEST__INIT;
    request.hostname = arguments[0];
    return call(client, "CreateSandbox", &request.base, NULL);
}

static struct error *do_destroy(struct client *client, char **arguments)
{
    Grpc__DestroySandboxRequest request = GRPC__DESTROY_SANDBOX_REQUEST__INIT;
    return call(client, "DestroySandbox", &request.base, NULL);
}

/* ---- containers ---- */

static void on_stream_closed(void *context, bool reset)
{
    ((struct client *)context)->streams_open--;
}

/* One of this program's own standard streams on a connection of its own. */
static struct error *open_stream(struct client *client, int fd, uint32_t *ret_port)
{
    if (!client->mux)
        return error_new(ERROR_UNIMPLEMENTED, "streams need a mux: link");
    struct mux_stream *stream;
    TRY(mux_open(client->mux, PORT_STREAMS, &stream));
    *ret_port = mux_stream_id(stream);
    bool is_input = fd == STDIN_FILENO;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    client->streams_open += !is_input;
    mux_attach(
        stream, is_input ? copy : -1, is_input ? -1 : copy, is_input ? NULL : on_stream_closed, client);
    return NULL;
}

/* "mmioblk,/dev/vda,erofs,/run/lower,ro,noatime" */
static struct error *parse_storage(char *text, Grpc__Storage **ret_storage)
{
    Grpc__Storage *storage = must_new(Grpc__Storage);
    *storage = (Grpc__Storage)GRPC__STORAGE__INIT;
    const char *fields[4];
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        fields[i] = strsep(&text, ",");
        if (!fields[i])
            return error_new(
                ERROR_INVALID_ARGUMENT, "a storage is DRIVER,SOURCE,TYPE,MOUNTPOINT[,OPTION...]");
    }
    storage->driver = fields[0];
    storage->source = fields[1];
    storage->fstype = fields[2];
    storage->mount_point = fields[3];
    storage->options = must_alloc_array(text ? strlen(text) + 1 : 1, sizeof(*storage->options));
    for (const char *option; (option = strsep(&text, ","));)
        storage->options[storage->n_options++] = option;
    *ret_storage = storage;
    return NULL;
}

static struct error *create(struct client *client, char **arguments)
{
    _cleanup_oci_spec_ Grpc__Spec *spec = NULL;
    _cleanup_fd_ int bundle = open(arguments[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
    TRY(oci_config_load(bundle, &spec));
    Grpc__CreateContainerRequest request = GRPC__CREATE_CONTAINER_REQUEST__INIT;
    request.container_id = request.exec_id = arguments[0];
    request.oci = spec;
    TRY(open_stream(client, STDIN_FILENO, &request.stdin_port));
    TRY(open_stream(client, STDOUT_FILENO, &request.stdout_port));
    if (!spec->process->terminal)
        TRY(open_stream(client, STDERR_FILENO, &request.stderr_port));
    Grpc__Storage *storages[16];
    request.storages = storages;
    for (char **text = arguments + 2; *text && request.n_storages < ARRAY_SIZE(storages); text++)
        TRY(parse_storage(*text, &storages[request.n_storages++]));
    return call(client, "CreateContainer", &request.base, NULL);
}

static struct error *wait_for(struct client *client, const char *id, const char *exec_id)
{
    Grpc__WaitProcessRequest request = GRPC__WAIT_PROCESS_REQUEST__INIT;
    request.container_id = id;
    request.exec_id = exec_id;
    ProtobufCMessage *message;
    TRY(call(client, "WaitProcess", &request.base, &message));
    while (client->streams_open > 0)
        event_base_loop(client->base, EVLOOP_ONCE);
    fprintf(stderr, "exit %d\n", ((const Grpc__WaitProcessResponse *)(const void *)message)->status);
    protobuf_c_message_free_unpacked(message, NULL);
    return NULL;
}

static struct error *do_run(struct client *client, char **arguments)
{
    TRY(create(client, arguments));
    Grpc__StartContainerRequest start = GRPC__START_CONTAINER_REQUEST__INIT;
    start.container_id = arguments[0];
    TRY(call(client, "StartContainer", &start.base, NULL));
    TRY(wait_for(client, arguments[0], arguments[0]));
    Grpc__RemoveContainerRequest removal = GRPC__REMOVE_CONTAINER_REQUEST__INIT;
    removal.container_id = arguments[0];
    return call(client, "RemoveContainer", &removal.base, NULL);
}

static struct error *do_exec(struct client *client, char **arguments)
{
    Grpc__User user = GRPC__USER__INIT;
    Grpc__Process process = GRPC__PROCESS__INIT;
    process.user = &user;
    process.cwd = "/";
    const char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    const char *words[64];
    process.env = environment;
    process.n_env = 1;
    process.args = words;
    for (char **word = arguments + 2; *word && process.n_args < ARRAY_SIZE(words); word++)
        words[process.n_args++] = *word;
    Grpc__ExecProcessRequest request = GRPC__EXEC_PROCESS_REQUEST__INIT;
    request.container_id = arguments[0];
    request.exec_id = arguments[1];
    request.process = &process;
    TRY(open_stream(client, STDIN_FILENO, &request.stdin_port));
    TRY(open_stream(client, STDOUT_FILENO, &request.stdout_port));
    TRY(open_stream(client, STDERR_FILENO, &request.stderr_port));
    TRY(call(client, "ExecProcess", &request.base, NULL));
    return wait_for(client, arguments[0], arguments[1]);
}

static struct error *do_signal(struct client *client, char **arguments)
{
    Grpc__SignalProcessRequest request = GRPC__SIGNAL_PROCESS_REQUEST__INIT;
    request.container_id = arguments[0];
    request.exec_id = arguments[1];
    uint64_t number;
    TRY(parse_unsigned("signal", arguments[2], 1, 64, &number));
    request.signal = (uint32_t)number;
    return call(client, "SignalProcess", &request.base, NULL);
}

/* ---- commands ---- */

static const struct command {
    const char *name;
    int arguments; /* at least */
    const char *usage;
    struct error *(*run)(struct client *client, char **arguments);
} commands[] = {
    {"destroy", 0, "", do_destroy},
    {"details", 0, "", do_details},
    {"exec", 3, "ID EXEC-ID COMMAND [ARGUMENT...]", do_exec},
    {"interfaces", 0, "", do_interfaces},
    {"metrics", 0, "", do_metrics},
    {"run", 2, "ID BUNDLE [DRIVER,SOURCE,TYPE,MOUNTPOINT[,OPTION...]]...", do_run},
    {"sandbox", 1, "HOSTNAME", do_sandbox},
    {"signal", 3, "ID EXEC-ID SIGNAL", do_signal},
};

static int usage(void)
{
    fputs("usage: agent-client mux:PATH|unix:PATH COMMAND [-- COMMAND]...\n", stderr);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        fprintf(stderr, "  %s %s\n", commands[i].name, commands[i].usage);
    return 2;
}

/* One command with its arguments, NULL after the last. */
static struct error *run(struct client *client, char **words)
{
    for (size_t i = 0; words[0] && i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, words[0]) == 0 && (int)strv_length(words) > commands[i].arguments)
            return error_wrap(commands[i].run(client, words + 1), "%s", words[0]);
    }
    return error_new(ERROR_INVALID_ARGUMENT, "no such command, or with too few arguments: %s", words[0]);
}

static struct error *run_all(struct client *client, char **words)
{
    while (*words) {
        char **end = words;
        while (*end && strcmp(*end, "--") != 0)
            end++;
        char **next = *end ? end + 1 : end;
        *end = NULL;
        TRY(run(client, words));
        words = next;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 3)
        return usage();
    struct client client = {0};
    _cleanup_error_ struct error *error = client_connect(&client, argv[1]);
    if (!error)
        error = run_all(&client, argv + 2);
    if (error)
        fprintf(stderr, "agent-client: %s (%s)\n", error_message(error), error_code_name(error_code(error)));
    return error ? 1 : 0;
}
