/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole shim in the test's event loop: the Task service at a real socket, a client of it, a guest of
 * fake_guest.h, and an event service that notes what it is told. Everything lies in one temporary directory.
 */
#pragma once

#include "assertions.h"
#include "fake_guest.h"

#include "base/path.h"
#include "base/strv.h"
#include "proto/cgroup2.pb-c.h"
#include "proto/events.pb-c.h"
#include "proto/publisher.pb-c.h"
#include "proto/task.pb-c.h"
#include "sandbox/model.h"
#include "shim/shim.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

struct world {
    struct event_base *base;
    char directory[64];
    char *bundle;
    char *events; /* "TOPIC container id status;" each */
    struct ttrpc_server *event_server;
    struct shim_options options;
    struct places places;
    struct shim *shim;
    struct ttrpc_client *client;
    int output; /* read ends of the container's fifos */
    int errors;
    int input;
    bool shim_ended; /* the loop was left by the shim */
};

static const char world_config[] =
    "{\"ociVersion\":\"1.0.2\",\"hostname\":\"box\","
    "\"process\":{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"],\"cwd\":\"/\"},"
    "\"root\":{\"path\":\"rootfs\"},"
    "\"annotations\":{\"io.caisson.network\":\"user\"},"
    "\"mounts\":[{\"destination\":\"/etc/"
    "hosts\",\"type\":\"bind\",\"source\":\"hosts\",\"options\":[\"rbind\"]}],"
    "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\",\"path\":\"/proc/1/ns/net\"}]}}";

static char *world_path(const struct world *world, const char *name)
{
    return must_printf("%s/%s", world->directory, name);
}

static void world_write(const struct world *world, const char *name, const char *text)
{
    _cleanup_free_ char *path = world_path(world, name);
    assert_ok(file_replace(AT_FDCWD, path, text, strlen(text), 0644));
}

static inline bool world_has(const struct world *world, const char *name)
{
    _cleanup_free_ char *path = world_path(world, name);
    return access(path, F_OK) == 0;
}

/* ---- the event service ---- */

static void note_event(struct world *world, const char *topic, const char *what)
{
    char *longer = must_printf("%s%s %s;", world->events, topic, what);
    free(world->events);
    world->events = longer;
}

static void forward(void *context, struct ttrpc_call *call, const ProtobufCMessage *message)
{
    struct world *world = context;
    const Containerd__Envelope *envelope = ((const Publisher__ForwardRequest *)message)->envelope;
    const Google__Protobuf__Any *any = envelope->event;
    assert_string_equal(envelope->namespace_, "test");
    if (strcmp(any->type_url, "containerd.events.TaskExit") == 0) {
        Event__TaskExit *event = event__task_exit__unpack(NULL, any->value.len, any->value.data);
        _cleanup_free_ char *text =
            must_printf("%s/%s %u", event->container_id, event->id, event->exit_status);
        note_event(world, envelope->topic, text);
        event__task_exit__free_unpacked(event, NULL);
    } else {
        note_event(world, envelope->topic, any->type_url + strlen("containerd.events."));
    }
    ttrpc_reply_empty(call);
}

static const struct ttrpc_method forward_methods[] = {{"Forward", forward}};
static const struct ttrpc_service forward_service = {.name = "containerd.services.events.ttrpc.v1.Events",
    .descriptor = &publisher__events__descriptor,
    .methods = forward_methods,
    .method_count = 1};
static const struct ttrpc_service *const forward_services[] = {&forward_service};

static void world_serve_events(struct world *world)
{
    _cleanup_free_ char *path = world_path(world, "events.sock");
    int listener = -1;
    world->event_server = ttrpc_server_new(world->base, forward_services, 1, world);
    assert_ok(unix_listen(path, &listener));
    assert_ok(ttrpc_server_listen(world->event_server, listener));
}

/* ---- the world ---- */

static int open_fifo(struct world *world, const char *name, int flags)
{
    _cleanup_free_ char *path = world_path(world, name);
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void world_name_places(struct world *world)
{
    world->places = (struct places){.data = world_path(world, "data"),
        .sandbox = world_path(world, "sandbox"),
        .socket = world_path(world, "sandbox/shim.sock"),
        .lock = world_path(world, "sandbox/lock"),
        .kernel = world_path(world, "kernel"),
        .initrd = world_path(world, "initrd")};
    assert_ok(directory_create_all(world->places.sandbox, 0700));
    assert_ok(directory_create_all(world->places.data, 0700));
}

static void world_begin_shim(struct world *world)
{
    _cleanup_free_ char *events = world_path(world, "events.sock");
    struct shim_config config = {.options = &world->options,
        .places = &world->places,
        .ttrpc_address = events,
        .choose = fake_choose,
        .metrics = METRICS_V2};
    int listener = -1;
    int fd = -1;
    assert_ok(unix_listen(world->places.socket, &listener));
    assert_ok(shim_new(world->base, &config, listener, &world->shim));
    world->shim->sandbox->options.standalone = true; /* no file server for the bundle's files */
    assert_ok(unix_connect(world->places.socket, &fd));
    assert_ok(ttrpc_client_new(world->base, fd, NULL, NULL, &world->client));
}

static void world_make_bundle(struct world *world)
{
    _cleanup_free_ char *image = NULL;
    world->bundle = world_path(world, "bundle");
    assert_ok(directory_create_all(world->bundle, 0700));
    world_write(world, "bundle/config.json", world_config);
    world_write(world, "bundle/hosts", "127.0.0.1 localhost\n");
    image = world_path(world, "image");
    int fd = open(image, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close(fd);
    world->output = open_fifo(world, "out", O_RDONLY);
    world->errors = open_fifo(world, "err", O_RDONLY);
    world->input = open_fifo(world, "in", O_RDWR);
}

static int world_begin(void **state)
{
    struct world *world = must_new(struct world);
    signal(SIGPIPE, SIG_IGN);
    strcpy(world->directory, "/tmp/caisson-shim-XXXXXX");
    if (!mkdtemp(world->directory))
        return -1;
    world->base = event_base_new();
    world->events = must_copy("");
    world->options = (struct shim_options){
        .action = SHIM_START, .namespace = "test", .id = "c1", .address = "", .publish_binary = ""};
    fake_guest_begin(world->base);
    world_make_bundle(world);
    world_name_places(world);
    world_serve_events(world);
    world_begin_shim(world);
    *state = world;
    return 0;
}

static int world_end(void **state)
{
    struct world *world = *state;
    shim_free(world->shim);
    ttrpc_client_free(world->client);
    fake_guest_end();
    ttrpc_server_free(world->event_server);
    event_base_free(world->base);
    close_fd(world->output);
    close_fd(world->errors);
    close_fd(world->input);
    assert_ok(tree_remove(world->directory));
    free(world->places.data);
    free(world->places.sandbox);
    free(world->places.socket);
    free(world->places.lock);
    free(world->places.kernel);
    free(world->places.initrd);
    free(world->bundle);
    free(world->events);
    free(world);
    return 0;
}

/* ---- calls ---- */

static struct error *world_call(
    struct world *world, const char *method, const ProtobufCMessage *request, ProtobufCMessage **ret_response)
{
    return ttrpc_client_call_and_wait(
        world->client, &task__task__descriptor, method, request, 20000, ret_response);
}

struct later {
    bool done;
    enum error_code code;
    char *message;
    uint32_t status; /* of Wait */
};

static void later_done(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct later *later = context;
    later->done = true;
    later->code = error_code(error);
    later->message = error ? must_copy(error_message(error)) : NULL;
    if (response && response->descriptor == &task__wait_response__descriptor)
        later->status = ((const Task__WaitResponse *)response)->exit_status;
    error_free(error);
}

static void world_call_later(
    struct world *world, const char *method, const ProtobufCMessage *request, struct later *later)
{
    *later = (struct later){0};
    ttrpc_client_call(world->client, &task__task__descriptor, method, request, 0, later_done, later);
}

static Task__CreateTaskRequest create_request;
static Containerd__Mount create_mount;
static Containerd__Mount *create_mounts[1];
static char create_texts[5][128];

static const Task__CreateTaskRequest *world_create_request(struct world *world)
{
    static const char *const names[] = {"in", "out", "err", "image"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        snprintf(create_texts[i], sizeof(create_texts[i]), "%s/%s", world->directory, names[i]);
    create_mount = (Containerd__Mount)CONTAINERD__MOUNT__INIT;
    create_mount.type = "erofs";
    create_mount.source = create_texts[3];
    create_mounts[0] = &create_mount;
    create_request = (Task__CreateTaskRequest)TASK__CREATE_TASK_REQUEST__INIT;
    create_request.id = "c1";
    create_request.bundle = world->bundle;
    create_request.stdin = create_texts[0];
    create_request.stdout = create_texts[1];
    create_request.stderr = create_texts[2];
    create_request.rootfs = create_mounts;
    create_request.n_rootfs = 1;
    return &create_request;
}

static struct error *world_create(struct world *world)
{
    return world_call(world, "Create", &world_create_request(world)->base, NULL);
}

#define WORLD_SIMPLE_CALL(function, method, type, init)                                            \
    static inline struct error *function(struct world *world, const char *id, const char *exec_id) \
    {                                                                                              \
        type request = init;                                                                       \
        request.id = id;                                                                           \
        request.exec_id = exec_id;                                                                 \
        return world_call(world, method, &request.base, NULL);                                     \
    }

WORLD_SIMPLE_CALL(world_start, "Start", Task__StartRequest, TASK__START_REQUEST__INIT)
WORLD_SIMPLE_CALL(world_delete, "Delete", Task__DeleteRequest, TASK__DELETE_REQUEST__INIT)

static inline struct error *world_kill(struct world *world, const char *exec_id, uint32_t signal)
{
    Task__KillRequest request = TASK__KILL_REQUEST__INIT;
    request.id = "c1";
    request.exec_id = exec_id;
    request.signal = signal;
    return world_call(world, "Kill", &request.base, NULL);
}

static inline struct error *world_exec(struct world *world, const char *exec_id)
{
    static char process[] = "{\"args\":[\"true\"],\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0}}";
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.value = (ProtobufCBinaryData){.data = (uint8_t *)process, .len = strlen(process)};
    Task__ExecProcessRequest request = TASK__EXEC_PROCESS_REQUEST__INIT;
    request.id = "c1";
    request.exec_id = exec_id;
    request.spec = &any;
    return world_call(world, "Exec", &request.base, NULL);
}

static inline void world_wait_later(struct world *world, const char *exec_id, struct later *later)
{
    Task__WaitRequest request = TASK__WAIT_REQUEST__INIT;
    request.id = "c1";
    request.exec_id = exec_id;
    world_call_later(world, "Wait", &request.base, later);
}

static inline Task__Status world_state(struct world *world, const char *exec_id)
{
    Task__StateRequest request = TASK__STATE_REQUEST__INIT;
    ProtobufCMessage *response = NULL;
    request.id = "c1";
    request.exec_id = exec_id;
    assert_ok(world_call(world, "State", &request.base, &response));
    Task__Status status = ((Task__StateResponse *)response)->status;
    protobuf_c_message_free_unpacked(response, NULL);
    return status;
}

static inline struct error *world_shutdown(struct world *world, bool now)
{
    Task__ShutdownRequest request = TASK__SHUTDOWN_REQUEST__INIT;
    request.id = "c1";
    request.now = now;
    return world_call(world, "Shutdown", &request.base, NULL);
}

static inline void world_up(struct world *world)
{
    assert_ok(world_create(world));
    assert_ok(world_start(world, "c1", ""));
}

/* The patience with the execs of a container that has ended is over now rather than in seconds. */
static inline void world_end_patience(struct world *world, const char *id)
{
    struct container *container = sandbox_container(world->shim->sandbox, id);
    while (!container->exec_patience)
        assert_int_equal(event_base_loop(world->base, EVLOOP_ONCE), 0);
    event_active(container->exec_patience, EV_TIMEOUT, 0);
}

#define assert_fails(call, expected_code, words)                                    \
    do {                                                                            \
        _cleanup_error_ struct error *failure_ = (call);                            \
        assert_int_equal(error_code(failure_), expected_code);                      \
        if (!strstr(error_message(failure_), words))                                \
            fail_msg("\"%s\" does not say \"%s\"", error_message(failure_), words); \
    } while (0)
