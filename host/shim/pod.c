/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/pod.h"

#include "base/fd.h"
#include "base/strv.h"
#include "proto/cri.pb-c.h"
#include "shim/runtime_options.h"

#include <fcntl.h>
#include <string.h>

/* Of the host's resolv.conf, what is looked at, and as many lines as the agent takes. */
#define HOST_DNS_MAX 65536
#define HOST_DNS_LINES 16

struct pod_waiter {
    struct ttrpc_call *call;
    struct pod_waiter *next;
};

/* ---- what it is to be like ---- */

/* The first one that is named counts. */
static void add_annotation(struct pod *pod, const char *key, const char *value)
{
    for (size_t i = 0; i < pod->annotation_count; i++)
        if (strcmp(pod->annotations[i].key, key) == 0)
            return;
    pod->annotations = must_resize(pod->annotations, pod->annotation_count + 1, sizeof(*pod->annotations));
    pod->annotations[pod->annotation_count++] =
        (struct sandbox_annotation){.key = must_copy(key), .value = must_copy(value)};
}

static void add_number(struct pod *pod, const char *key, int64_t value)
{
    _cleanup_free_ char *text = must_printf("%lld", (long long)value);
    if (value > 0)
        add_annotation(pod, key, text);
}

/* As containerd's CRI writes them into the configuration of a pause container. */
static void add_sizes(struct pod *pod, const Cri__LinuxContainerResources *resources)
{
    add_number(pod, "io.kubernetes.cri.sandbox-cpu-period", resources->cpu_period);
    add_number(pod, "io.kubernetes.cri.sandbox-cpu-quota", resources->cpu_quota);
    add_number(pod, "io.kubernetes.cri.sandbox-memory", resources->memory_limit_in_bytes);
}

static void add_joined(char ***lines, const char *word, const char *const *values, size_t count)
{
    if (count == 0)
        return;
    _cleanup_free_ char *line = must_copy(word);
    for (size_t i = 0; i < count; i++) {
        char *longer = must_printf("%s %s", line, values[i]);
        free(line);
        line = longer;
    }
    strv_take(lines, TAKE_PTR(line));
}

/* As CRI does for a pod without DNS settings of its own. */
static void add_host_dns(struct pod *pod)
{
    _cleanup_free_ char *text = NULL;
    error_free(file_read(AT_FDCWD, "/etc/resolv.conf", HOST_DNS_MAX, &text, NULL));
    _cleanup_strv_ char **lines = text ? strv_split(text, '\n') : NULL;
    STRV_FOREACH (line, lines)
        if (**line && !strchr("#;", **line) && strv_length(pod->dns) < HOST_DNS_LINES)
            strv_append(&pod->dns, *line);
}

static void add_dns(struct pod *pod, const Cri__DNSConfig *dns)
{
    for (size_t i = 0; i < dns->n_servers; i++)
        strv_append_printf(&pod->dns, "nameserver %s", dns->servers[i]);
    add_joined(&pod->dns, "search", dns->searches, dns->n_searches);
    add_joined(&pod->dns, "options", dns->options, dns->n_options);
}

static void add_config(struct pod *pod, const Cri__PodSandboxConfig *config)
{
    pod->hostname = must_copy(config->hostname);
    for (size_t i = 0; i < config->n_annotations; i++)
        add_annotation(pod, config->annotations[i]->key, config->annotations[i]->value);
    if (config->dns_config)
        add_dns(pod, config->dns_config);
    if (!pod->dns)
        add_host_dns(pod);
    if (config->linux_config && config->linux_config->resources)
        add_sizes(pod, config->linux_config->resources);
}

static struct error *read_options(struct pod *pod, const Google__Protobuf__Any *any)
{
    const char *name = cri__pod_sandbox_config__descriptor.name;
    if (!any || !runtime_options_is_type(any, name))
        return runtime_options_config_path(any, &pod->config_path);
    Cri__PodSandboxConfig *config = cri__pod_sandbox_config__unpack(NULL, any->value.len, any->value.data);
    if (!config)
        return error_new(ERROR_INVALID_ARGUMENT, "the sandbox's options cannot be read as %s", name);
    add_config(pod, config);
    cri__pod_sandbox_config__free_unpacked(config, NULL);
    return NULL;
}

struct error *pod_new(const Sandbox__CreateSandboxRequest *request, struct pod **ret_pod)
{
    _cleanup_pod_ struct pod *pod = must_new(struct pod);
    pod->id = must_copy(request->sandbox_id);
    pod->network_namespace = must_copy(request->netns_path);
    clock_gettime(CLOCK_REALTIME, &pod->created_at);
    for (size_t i = 0; i < request->n_annotations; i++)
        add_annotation(pod, request->annotations[i]->key, request->annotations[i]->value);
    TRY(read_options(pod, request->options));
    *ret_pod = TAKE_PTR(pod);
    return NULL;
}

struct sandbox_pod pod_wish(const struct pod *pod)
{
    return (struct sandbox_pod){.hostname = pod->hostname,
        .dns = pod->dns,
        .network_namespace = pod->network_namespace,
        .annotations = pod->annotations,
        .annotation_count = pod->annotation_count,
        .config_path = pod->config_path};
}

/* ---- who waits ---- */

static void add_waiter(struct pod_waiter **list, struct ttrpc_call *call)
{
    struct pod_waiter *waiter = must_new(struct pod_waiter);
    *waiter = (struct pod_waiter){.call = call, .next = *list};
    *list = waiter;
}

static struct ttrpc_call *take_waiter(struct pod_waiter **list)
{
    struct pod_waiter *waiter = *list;
    if (!waiter)
        return NULL;
    struct ttrpc_call *call = waiter->call;
    *list = waiter->next;
    free(waiter);
    return call;
}

/* A pod that was stopped ended well, one that was lost as if by SIGKILL. */
static void answer_wait(const struct pod *pod, struct ttrpc_call *call)
{
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    at.seconds = pod->exited_at.tv_sec;
    at.nanos = (int32_t)pod->exited_at.tv_nsec;
    Sandbox__WaitSandboxResponse response = SANDBOX__WAIT_SANDBOX_RESPONSE__INIT;
    response.exit_status = pod->stop_wanted ? 0 : SANDBOX_LOST_STATUS;
    response.exited_at = &at;
    ttrpc_reply(call, &response.base);
}

void pod_wait(struct pod *pod, struct ttrpc_call *call)
{
    if (pod->ended)
        answer_wait(pod, call);
    else
        add_waiter(&pod->waiting, call);
}

void pod_await_stop(struct pod *pod, struct ttrpc_call *call)
{
    add_waiter(&pod->stopping, call);
}

void pod_has_ended(struct pod *pod)
{
    struct ttrpc_call *call;
    if (pod->ended)
        return;
    pod->ended = true;
    clock_gettime(CLOCK_REALTIME, &pod->exited_at);
    while ((call = take_waiter(&pod->waiting)))
        answer_wait(pod, call);
}

void pod_has_stopped(struct pod *pod)
{
    struct ttrpc_call *call;
    pod_has_ended(pod);
    while ((call = take_waiter(&pod->stopping)))
        ttrpc_reply_empty(call);
}

void pod_free(struct pod *pod)
{
    struct ttrpc_call *call;
    if (!pod)
        return;
    while ((call = take_waiter(&pod->waiting)) || (call = take_waiter(&pod->stopping)))
        ttrpc_fail(call, error_new(ERROR_UNAVAILABLE, "the sandbox is gone"));
    for (size_t i = 0; i < pod->annotation_count; i++) {
        free((char *)(uintptr_t)pod->annotations[i].key);
        free((char *)(uintptr_t)pod->annotations[i].value);
    }
    free(pod->annotations);
    strv_free(pod->dns);
    free(pod->id);
    free(pod->hostname);
    free(pod->network_namespace);
    free(pod->config_path);
    free(pod);
}
