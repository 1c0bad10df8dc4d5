/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/qmp.h"

#include "base/fd.h"
#include "base/json.h"

#include <event2/buffer.h>
#include <string.h>
#include <sys/socket.h>

struct call {
    int64_t id;
    qmp_done *done;
    void *context;
};

struct qmp {
    int fd;
    struct event *readable;
    struct evbuffer *input;
    struct qmp_events events;
    void *context;
    int64_t next_id;
    struct call calls[QMP_CALLS_MAX]; /* id 0: free */
    bool greeted;
    bool *freed; /* set when a callback frees this object under our feet */
};

void qmp_message_clear(struct qmp_message *message)
{
    json_decref(message->root);
    *message = (struct qmp_message){0};
}

static struct error *read_error(const json_t *root, struct qmp_message *message)
{
    json_t *problem = NULL;
    TRY(json_get_object(root, "monitor", "error", &problem));
    message->kind = QMP_ERROR;
    message->text = "no description";
    return json_get_string(problem, "monitor: error", "desc", &message->text);
}

static struct error *classify(const json_t *root, struct qmp_message *message)
{
    if (!json_is_object(root))
        return error_new(ERROR_INVALID_ARGUMENT, "monitor: not an object");
    message->id = -1;
    TRY(json_get_integer(root, "monitor", "id", 0, INT64_MAX, &message->id));
    if (json_object_get(root, "event")) {
        message->kind = QMP_EVENT;
        json_t *data = NULL;
        TRY(json_get_object(root, "monitor", "data", &data));
        message->data = data;
        TRY(json_get_string(root, "monitor", "event", &message->text));
        return message->text ? NULL : error_new(ERROR_INVALID_ARGUMENT, "monitor: an event without a name");
    }
    if (json_object_get(root, "error"))
        return read_error(root, message);
    message->data = json_object_get(root, "return");
    message->kind = QMP_REPLY;
    if (message->data)
        return NULL;
    message->data = json_object_get(root, "QMP");
    message->kind = QMP_GREETING;
    return message->data ? NULL : error_new(ERROR_INVALID_ARGUMENT, "monitor: an unknown message");
}

struct error *qmp_parse(const char *line, size_t length, struct qmp_message *ret_message)
{
    if (length > QMP_LINE_MAX)
        return error_new(ERROR_OUT_OF_RANGE, "monitor: a line of %zu bytes", length);
    struct qmp_message message = {0};
    TRY(json_read("monitor", line, length, &message.root));
    struct error *error = classify(message.root, &message);
    if (error) {
        qmp_message_clear(&message);
        return error;
    }
    *ret_message = message;
    return NULL;
}

static void stop_reading(struct qmp *qmp)
{
    event_del(qmp->readable);
    evbuffer_drain(qmp->input, evbuffer_get_length(qmp->input));
}

static void fail(struct qmp *qmp, const struct error *reason)
{
    stop_reading(qmp);
    qmp->events.failed(qmp->context, reason);
}

static struct error *answer_call(struct qmp *qmp, const struct qmp_message *message)
{
    for (size_t i = 0; i < QMP_CALLS_MAX; i++) {
        struct call call = qmp->calls[i];
        if (call.id == 0 || call.id != message->id)
            continue;
        qmp->calls[i] = (struct call){0};
        if (call.done)
            call.done(
                call.context, message->kind == QMP_ERROR
                                  ? error_new(ERROR_UNKNOWN, "the hypervisor answered: %s", message->text)
                                  : NULL);
        return NULL;
    }
    if (message->kind == QMP_ERROR)
        return error_new(ERROR_INTERNAL, "monitor: %s", message->text);
    return error_new(ERROR_INTERNAL, "monitor: an answer to no question");
}

static void negotiated(void *context, struct error *error)
{
    struct qmp *qmp = context;
    _cleanup_error_ struct error *reason = error;
    if (reason)
        fail(qmp, reason);
    else
        qmp->events.ready(qmp->context);
}

static struct error *dispatch(struct qmp *qmp, const struct qmp_message *message)
{
    switch (message->kind) {
    case QMP_EVENT:
        qmp->events.event(qmp->context, message->text, message->data);
        return NULL;
    case QMP_GREETING:
        if (qmp->greeted)
            return error_new(ERROR_INTERNAL, "monitor: greeted twice");
        qmp->greeted = true;
        qmp_call(qmp, "qmp_capabilities", negotiated, qmp);
        return NULL;
    case QMP_REPLY:
    case QMP_ERROR:
        return answer_call(qmp, message);
    }
    return NULL;
}

/* False when the object is gone or reads no more. */
static bool take_line(struct qmp *qmp, const char *line, size_t length)
{
    bool freed = false;
    struct qmp_message message = {0};
    _cleanup_error_ struct error *error = qmp_parse(line, length, &message);
    if (!error) {
        qmp->freed = &freed;
        error = dispatch(qmp, &message);
        qmp_message_clear(&message);
        if (freed)
            return false;
        qmp->freed = NULL;
    }
    if (!error)
        return true;
    fail(qmp, error);
    return false;
}

static bool take_lines(struct qmp *qmp)
{
    for (;;) {
        size_t length = 0;
        _cleanup_free_ char *line = evbuffer_readln(qmp->input, &length, EVBUFFER_EOL_LF);
        if (!line)
            break;
        if (length > 0 && line[length - 1] == '\r')
            length--;
        if (length > 0 && !take_line(qmp, line, length))
            return false;
    }
    if (evbuffer_get_length(qmp->input) <= QMP_LINE_MAX)
        return true;
    _cleanup_error_ struct error *error = error_new(ERROR_OUT_OF_RANGE, "monitor: a line without an end");
    fail(qmp, error);
    return false;
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
    struct qmp *qmp = argument;
    int count = evbuffer_read(qmp->input, fd, 4096);
    if (count > 0)
        (void)take_lines(qmp);
    else if (count == 0 || (errno != EAGAIN && errno != EINTR))
        fail(qmp, NULL);
}

void qmp_flush(struct qmp *qmp)
{
    while (event_pending(qmp->readable, EV_READ, NULL) && evbuffer_read(qmp->input, qmp->fd, 4096) > 0) {
        if (!take_lines(qmp))
            return;
    }
}

struct error *qmp_new(
    struct event_base *base, int fd, const struct qmp_events *events, void *context, struct qmp **ret_qmp)
{
    struct qmp *qmp = must_new(struct qmp);
    *qmp = (struct qmp){.fd = fd, .events = *events, .context = context, .next_id = 1};
    qmp->input = evbuffer_new();
    qmp->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, qmp);
    struct error *error = fd_set_nonblocking(fd, true);
    if (!error && (!qmp->input || !qmp->readable || event_add(qmp->readable, NULL) < 0))
        error = error_new(ERROR_INTERNAL, "monitor: the event loop refused its descriptor");
    if (error) {
        qmp_free(qmp);
        return error;
    }
    *ret_qmp = qmp;
    return NULL;
}

void qmp_free(struct qmp *qmp)
{
    if (!qmp)
        return;
    if (qmp->freed)
        *qmp->freed = true;
    if (qmp->readable)
        event_free(qmp->readable);
    if (qmp->input)
        evbuffer_free(qmp->input);
    close_fd(qmp->fd);
    free(qmp);
}

static struct call *free_call(struct qmp *qmp)
{
    for (size_t i = 0; i < QMP_CALLS_MAX; i++) {
        if (qmp->calls[i].id == 0)
            return &qmp->calls[i];
    }
    return NULL;
}

static char *command_line(const char *command, json_t *arguments, int64_t id)
{
    _cleanup_json_ json_t *owned = arguments;
    if (!owned)
        return must_printf("{\"execute\":\"%s\",\"id\":%lld}\n", command, (long long)id);
    _cleanup_free_ char *text = json_write(owned);
    return must_printf("{\"execute\":\"%s\",\"arguments\":%s,\"id\":%lld}\n", command, text, (long long)id);
}

/* A command is far smaller than a socket's buffer: what does not fit at once means a hung peer. */
static bool send_line(const struct qmp *qmp, char *line, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control = {0};
    struct iovec text = {.iov_base = line, .iov_len = strlen(line)};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof(int));
    }
    return sendmsg(qmp->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)text.iov_len;
}

void qmp_call_with(
    struct qmp *qmp, const char *command, json_t *arguments, int fd, qmp_done *done, void *context)
{
    int64_t id = qmp->next_id++;
    _cleanup_free_ char *line = command_line(command, arguments, id);
    struct call *call = free_call(qmp);
    struct error *error = NULL;
    if (!call)
        error = error_new(ERROR_RESOURCE_EXHAUSTED, "%s: too many questions wait", command);
    else if (!send_line(qmp, line, fd))
        error = error_new(ERROR_UNAVAILABLE, "%s: the hypervisor does not take commands", command);
    else
        *call = (struct call){.id = id, .done = done, .context = context};
    if (error && done)
        done(context, error);
    else
        error_free(error);
}

void qmp_call(struct qmp *qmp, const char *command, qmp_done *done, void *context)
{
    qmp_call_with(qmp, command, NULL, -1, done, context);
}
