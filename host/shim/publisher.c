/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/publisher.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/process.h"
#include "proto/publisher.pb-c.h"
#include "ttrpc/ttrpc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#define CALL_TIMEOUT 5000

struct message {
    char *topic;
    struct timespec at;
    const char *type; /* static: the descriptor's */
    uint8_t *bytes;
    size_t length;
    unsigned attempts;
    TAILQ_ENTRY(message) entry;
};

struct child {
    struct publisher *publisher;
    char *topic;
    struct process_watch *watch;
    TAILQ_ENTRY(child) entry;
};

struct publisher {
    struct event_base *base;
    char *namespace;
    char *ttrpc_address;
    char *publish_binary;
    char *binary_address;
    char *directory;
    TAILQ_HEAD(, message) queue;
    size_t queued;
    TAILQ_HEAD(, child) children;
    struct ttrpc_client *client;
    bool lost; /* the client is to be replaced */
    bool sending;
    struct event *send_soon;
    struct event *flush_over;
    void (*flushed)(void *context);
    void *flush_context;
};

static void send_next(evutil_socket_t fd, short what, void *context);
static void flush_over(evutil_socket_t fd, short what, void *context);

static char *copy_if_any(const char *text)
{
    return text && *text ? must_copy(text) : NULL;
}

struct publisher *publisher_new(struct event_base *base, const struct publisher_options *options)
{
    struct publisher *publisher = must_new(struct publisher);
    publisher->base = base;
    publisher->namespace = must_copy(options->namespace);
    publisher->ttrpc_address = copy_if_any(options->ttrpc_address);
    publisher->publish_binary = copy_if_any(options->publish_binary);
    publisher->binary_address = must_copy(options->binary_address ? options->binary_address : "");
    publisher->directory = copy_if_any(options->directory);
    publisher->send_soon = evtimer_new(base, send_next, publisher);
    publisher->flush_over = evtimer_new(base, flush_over, publisher);
    if (!publisher->send_soon || !publisher->flush_over)
        abort(); /* libevent's only reason is a lack of memory */
    TAILQ_INIT(&publisher->queue);
    TAILQ_INIT(&publisher->children);
    return publisher;
}

static void message_free(struct publisher *publisher, struct message *message)
{
    TAILQ_REMOVE(&publisher->queue, message, entry);
    publisher->queued--;
    free(message->topic);
    free(message->bytes);
    free(message);
}

static void send_after(struct publisher *publisher, unsigned seconds)
{
    struct timeval delay = {.tv_sec = seconds};
    evtimer_add(publisher->send_soon, &delay);
}

/* ---- flush ---- */

static void flush_over(evutil_socket_t fd, short what, void *context)
{
    struct publisher *publisher = context;
    void (*flushed)(void *context) = publisher->flushed;
    publisher->flushed = NULL;
    if (flushed)
        flushed(publisher->flush_context);
}

static void check_flushed(struct publisher *publisher)
{
    if (publisher->flushed && TAILQ_EMPTY(&publisher->queue))
        event_active(publisher->flush_over, EV_TIMEOUT, 0);
}

void publisher_flush(
    struct publisher *publisher, unsigned milliseconds, void (*done)(void *context), void *context)
{
    struct timeval patience = {milliseconds / 1000, milliseconds % 1000 * 1000};
    publisher->flushed = done;
    publisher->flush_context = context;
    evtimer_add(publisher->flush_over, &patience);
    check_flushed(publisher);
}

/* ---- over ttrpc ---- */

/* From a callback of the client itself, which therefore lives until the next message is sent. */
static void connection_closed(void *context, const struct error *reason)
{
    struct publisher *publisher = context;
    publisher->lost = true;
}

static struct error *connect_if_needed(struct publisher *publisher)
{
    if (publisher->lost)
        ttrpc_client_free(TAKE_PTR(publisher->client));
    publisher->lost = false;
    if (publisher->client)
        return NULL;
    int fd = -1;
    TRY(unix_connect(publisher->ttrpc_address, &fd));
    return ttrpc_client_new(publisher->base, fd, connection_closed, publisher, &publisher->client);
}

static void failed(struct publisher *publisher, const struct error *error)
{
    struct message *message = TAILQ_FIRST(&publisher->queue);
    if (++message->attempts < PUBLISHER_ATTEMPTS) {
        send_after(publisher, 1);
        return;
    }
    log_warning("event %s is dropped: %s", message->topic, error_message(error));
    message_free(publisher, message);
    send_after(publisher, 0);
    check_flushed(publisher);
}

static void forwarded(void *context, struct error *error, const ProtobufCMessage *response)
{
    struct publisher *publisher = context;
    if (error_code(error) == ERROR_CANCELLED) {
        error_free(error);
        return;
    }
    publisher->sending = false;
    if (error) {
        failed(publisher, error);
        error_free(error);
        return;
    }
    message_free(publisher, TAILQ_FIRST(&publisher->queue));
    send_after(publisher, 0);
    check_flushed(publisher);
}

static void forward(struct publisher *publisher, const struct message *message)
{
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    at.seconds = message->at.tv_sec;
    at.nanos = (int32_t)message->at.tv_nsec;
    Google__Protobuf__Any event = GOOGLE__PROTOBUF__ANY__INIT;
    event.type_url = message->type;
    event.value = (ProtobufCBinaryData){.data = message->bytes, .len = message->length};
    Containerd__Envelope envelope = CONTAINERD__ENVELOPE__INIT;
    envelope.timestamp = &at;
    envelope.namespace_ = publisher->namespace;
    envelope.topic = message->topic;
    envelope.event = &event;
    Publisher__ForwardRequest request = PUBLISHER__FORWARD_REQUEST__INIT;
    request.envelope = &envelope;
    publisher->sending = true;
    ttrpc_client_call(publisher->client, &publisher__events__descriptor, "Forward", &request.base,
        CALL_TIMEOUT, forwarded, publisher);
}

/* ---- by the publish-binary ---- */

static bool is_for_binary(const char *topic)
{
    return strcmp(topic, "/tasks/exit") == 0 || strcmp(topic, "/tasks/oom") == 0;
}

static void child_free(struct child *child)
{
    TAILQ_REMOVE(&child->publisher->children, child, entry);
    process_watch_free(child->watch);
    free(child->topic);
    free(child);
}

static void child_exited(void *context, int status)
{
    struct child *child = context;
    if (status != 0)
        log_warning(
            "the publish-binary failed with status %d for %s", process_exit_code(status), child->topic);
    child_free(child);
}

/* The event is far smaller than a pipe, so the write does not wait for the reader. */
static struct error *event_pipe(const struct message *message, int *ret_read_end)
{
    int ends[2];
    Google__Protobuf__Any event = GOOGLE__PROTOBUF__ANY__INIT;
    event.type_url = message->type;
    event.value = (ProtobufCBinaryData){.data = message->bytes, .len = message->length};
    size_t length = 0;
    _cleanup_free_ uint8_t *bytes = ttrpc_pack(&event.base, &length);
    if (length > 4096)
        return error_new(ERROR_INTERNAL, "an event of %zu bytes", length);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(errno, "making a pipe");
    _cleanup_fd_ int read_end = ends[0];
    _cleanup_fd_ int write_end = ends[1];
    TRY(fd_write_all(write_end, bytes, length));
    *ret_read_end = TAKE_FD(read_end);
    return NULL;
}

static struct error *run_binary(struct publisher *publisher, const struct message *message)
{
    _cleanup_fd_ int input = -1;
    pid_t pid = 0;
    TRY(event_pipe(message, &input));
    char *const arguments[] = {publisher->publish_binary, (char[]){"--address"}, publisher->binary_address,
        (char[]){"publish"}, (char[]){"--topic"}, message->topic, (char[]){"--namespace"},
        publisher->namespace, NULL};
    const struct process_fd fds[] = {{.fd = input, .child_fd = 0}};
    const struct process_options options = {.arguments = arguments,
        .directory = publisher->directory,
        .fds = fds,
        .fd_count = ARRAY_SIZE(fds),
        .new_session = true};
    TRY(process_spawn(&options, &pid));
    struct child *child = must_new(struct child);
    child->publisher = publisher;
    child->topic = must_copy(message->topic);
    TAILQ_INSERT_TAIL(&publisher->children, child, entry);
    return process_watch_new(publisher->base, pid, child_exited, child, &child->watch);
}

static void run_binary_and_go_on(struct publisher *publisher, struct message *message)
{
    _cleanup_error_ struct error *error = run_binary(publisher, message);
    if (error)
        log_warning("event %s is not published: %s", message->topic, error_message(error));
    message_free(publisher, message);
    send_after(publisher, 0);
    check_flushed(publisher);
}

/* ---- the queue ---- */

static void send_next(evutil_socket_t fd, short what, void *context)
{
    struct publisher *publisher = context;
    struct message *message = TAILQ_FIRST(&publisher->queue);
    if (!message || publisher->sending)
        return;
    if (!publisher->ttrpc_address) {
        run_binary_and_go_on(publisher, message);
        return;
    }
    _cleanup_error_ struct error *error = connect_if_needed(publisher);
    if (error)
        failed(publisher, error);
    else
        forward(publisher, message);
}

/* The first may be on its way. */
static void drop_oldest(struct publisher *publisher)
{
    struct message *oldest = TAILQ_FIRST(&publisher->queue);
    if (publisher->sending)
        oldest = TAILQ_NEXT(oldest, entry);
    log_warning("event %s is dropped: too many wait", oldest->topic);
    message_free(publisher, oldest);
}

void publisher_send(struct publisher *publisher, const char *topic, const ProtobufCMessage *event)
{
    bool wanted = publisher->ttrpc_address || (publisher->publish_binary && is_for_binary(topic));
    if (!wanted)
        return;
    if (publisher->queued >= PUBLISHER_QUEUE_MAX)
        drop_oldest(publisher);
    struct message *message = must_new(struct message);
    message->topic = must_copy(topic);
    message->type = event->descriptor->name;
    message->bytes = ttrpc_pack(event, &message->length);
    clock_gettime(CLOCK_REALTIME, &message->at);
    TAILQ_INSERT_TAIL(&publisher->queue, message, entry);
    publisher->queued++;
    if (!evtimer_pending(publisher->send_soon, NULL))
        send_after(publisher, 0);
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    ttrpc_client_free(publisher->client);
    while (!TAILQ_EMPTY(&publisher->queue))
        message_free(publisher, TAILQ_FIRST(&publisher->queue));
    while (!TAILQ_EMPTY(&publisher->children))
        child_free(TAILQ_FIRST(&publisher->children));
    event_free(publisher->send_soon);
    event_free(publisher->flush_over);
    free(publisher->namespace);
    free(publisher->ttrpc_address);
    free(publisher->publish_binary);
    free(publisher->binary_address);
    free(publisher->directory);
    free(publisher);
}
