/* SPDX-License-Identifier: Apache-2.0 */
/* What a process in the container can learn and reach. Every attempt is one that changes nothing when it
 * succeeds. */
#include "probe.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINES_MAX 40
#define ENTRIES_MAX 400
#define TEXT_MAX 65536
#define KLOG_READ_ALL 3 /* syslog(2), SYSLOG_ACTION_READ_ALL */

/* ---- texts ---- */

/* Lines of a text as an array; the text is cut up. */
static void put_lines(struct json *json, const char *key, char *text)
{
    json_key(json, key);
    json_open(json, '[');
    int count = 0;
    for (char *line = strtok(text, "\n"); line && count < LINES_MAX; line = strtok(NULL, "\n"), count++)
        json_text(json, line);
    json_close(json, ']');
}

/* NUL-terminated; empty where it cannot be read. */
static char *read_text(const char *path)
{
    char *text = calloc(1, TEXT_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t count = 0;
    if (!text)
        exit(125);
    while (fd >= 0 && length < TEXT_MAX - 1 && (count = read(fd, text + length, TEXT_MAX - 1 - length)) > 0)
        length += (size_t)count;
    if (fd >= 0)
        close(fd);
    return text;
}

static void put_file(struct json *json, const char *key, const char *path)
{
    char *text = read_text(path);
    put_lines(json, key, text);
    free(text);
}

static int64_t count_lines(const char *path)
{
    char *text = read_text(path);
    int64_t lines = 0;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    free(text);
    return lines;
}

/* The value of a line "NAME: VALUE"; empty where there is none. */
static void find_field(const char *text, const char *name, char *ret_value, size_t size)
{
    const char *line = text;
    *ret_value = '\0';
    while ((line = strstr(line, name))) {
        const char *after = line + strlen(name);
        bool begins = line == text || line[-1] == '\n';
        line = after;
        after += strspn(after, " \t");
        if (!begins || *after++ != ':')
            continue;
        after += strspn(after, " \t");
        snprintf(ret_value, size, "%.*s", (int)strcspn(after, "\n"), after);
        return;
    }
}

static void put_field(struct json *json, const char *key, const char *text, const char *name)
{
    char value[256];
    find_field(text, name, value, sizeof(value));
    json_key(json, key);
    json_text(json, value);
}

/* ---- names in a directory ---- */

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void put_names(struct json *json, const char *key, const char *path, bool numbers)
{
    char *names[ENTRIES_MAX];
    size_t count = 0;
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && count < ENTRIES_MAX && (entry = readdir(directory)))
        if (entry->d_name[0] != '.' && (numbers || entry->d_name[0] < '0' || entry->d_name[0] > '9'))
            names[count++] = strdup(entry->d_name);
    if (directory)
        closedir(directory);
    qsort(names, count, sizeof(names[0]), by_name);
    json_key(json, key);
    json_open(json, '[');
    for (size_t i = 0; i < count; i++) {
        json_text(json, names[i] ? names[i] : "");
        free(names[i]);
    }
    json_close(json, ']');
}

/* ---- kernel and machine ---- */

static void put_kernel(struct json *json)
{
    struct utsname name;
    struct sysinfo info;
    uname(&name);
    sysinfo(&info);
    json_key(json, "kernel_name");
    json_text(json, name.sysname);
    json_key(json, "hostname");
    json_text(json, name.nodename);
    json_key(json, "kernel_release");
    json_text(json, name.release);
    json_key(json, "kernel_version");
    json_text(json, name.version);
    json_key(json, "architecture");
    json_text(json, name.machine);
    json_key(json, "uptime");
    json_whole(json, info.uptime);
    json_key(json, "memory");
    json_whole(json, (int64_t)info.totalram * info.mem_unit);
    put_file(json, "proc_version", "/proc/version");
    put_file(json, "kernel_parameters", "/proc/cmdline");
}

static void put_processor(struct json *json)
{
    char *text = read_text("/proc/cpuinfo");
    cpu_set_t allowed;
    put_field(json, "cpu_model", text, "model name");
    put_field(json, "cpu_flags", text, "flags");
    free(text);
    json_key(json, "cpus");
    json_whole(json, sysconf(_SC_NPROCESSORS_ONLN));
    json_key(json, "cpus_allowed");
    json_whole(json, sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : 0);
}

static void put_kernel_log(struct json *json)
{
    char *text = calloc(1, TEXT_MAX);
    if (!text)
        exit(125);
    int length = klogctl(KLOG_READ_ALL, text, TEXT_MAX - 1);
    if (length < 0)
        snprintf(text, TEXT_MAX, "(refused: %s)", strerror(errno));
    put_lines(json, "dmesg", text);
    free(text);
}

static void put_interfaces(struct json *json)
{
    struct if_nameindex *list = if_nameindex();
    json_key(json, "interfaces");
    json_open(json, '[');
    for (struct if_nameindex *item = list; item && item->if_name; item++)
        json_text(json, item->if_name);
    json_close(json, ']');
    if (list)
        if_freenameindex(list);
}

/* "eth0 10.0.2.15" of each; links without an address have none here. */
static void put_addresses(struct json *json)
{
    struct ifaddrs *list = NULL;
    char text[INET6_ADDRSTRLEN + IFNAMSIZ + 2], host[INET6_ADDRSTRLEN];
    json_key(json, "addresses");
    json_open(json, '[');
    if (getifaddrs(&list) < 0)
        list = NULL;
    for (struct ifaddrs *item = list; item; item = item->ifa_next) {
        int family = item->ifa_addr ? item->ifa_addr->sa_family : AF_UNSPEC;
        if (family != AF_INET && family != AF_INET6)
            continue;
        const void *address =
            family == AF_INET
                ? (const void *)&((const struct sockaddr_in *)(const void *)item->ifa_addr)->sin_addr
                : &((const struct sockaddr_in6 *)(const void *)item->ifa_addr)->sin6_addr;
        snprintf(text, sizeof(text), "%s %s", item->ifa_name, inet_ntop(family, address, host, sizeof(host)));
        json_text(json, text);
    }
    json_close(json, ']');
    freeifaddrs(list);
}

/* ---- confinement ---- */

static void put_confinement(struct json *json)
{
    char *status = read_text("/proc/self/status");
    json_key(json, "uid");
    json_whole(json, getuid());
    put_field(json, "capabilities", status, "CapEff");
    put_field(json, "capabilities_bounding", status, "CapBnd");
    put_field(json, "seccomp", status, "Seccomp");
    put_field(json, "no_new_privileges", status, "NoNewPrivs");
    free(status);
    put_file(json, "user_map", "/proc/self/uid_map");
    put_file(json, "cgroup", "/proc/self/cgroup");
    json_key(json, "processes_seen");
    int64_t seen = 0;
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    while (directory && (entry = readdir(directory)))
        seen += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
    if (directory)
        closedir(directory);
    json_whole(json, seen);
}

/* ---- reach ---- */

static const char *outcome(long result)
{
    return result >= 0 ? "yes" : strerrorname_np(errno) ? strerrorname_np(errno) : "error";
}

static void put_reach(struct json *json, const char *key, long result)
{
    json_key(json, key);
    json_text(json, outcome(result));
}

static long open_and_close(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0)
        close(fd);
    return fd;
}

static long open_socket(int family, int type)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd;
}

/* In a child, for the namespace would be ours. */
static long make_user_namespace(void)
{
    pid_t child = fork();
    int status = 0;
    if (child == 0)
        _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -1;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    return errno == 0 ? 0 : -1;
}

static void put_reachable(struct json *json)
{
    json_key(json, "reach");
    json_open(json, '{');
    put_reach(json, "AF_VSOCK", open_socket(AF_VSOCK, SOCK_STREAM));
    put_reach(json, "AF_ALG", open_socket(AF_ALG, SOCK_SEQPACKET));
    put_reach(json, "AF_PACKET", open_socket(AF_PACKET, SOCK_RAW));
    put_reach(json, "AF_NETLINK", open_socket(AF_NETLINK, SOCK_RAW));
    put_reach(json, "writing /proc/sys", open_and_close("/proc/sys/kernel/hostname", O_WRONLY));
    put_reach(json, "/dev/kmsg", open_and_close("/dev/kmsg", O_RDONLY));
    put_reach(json, "/dev/mem", open_and_close("/dev/mem", O_RDONLY));
    put_reach(json, "/dev/kvm", open_and_close("/dev/kvm", O_RDWR));
    put_reach(json, "/proc/kcore", open_and_close("/proc/kcore", O_RDONLY));
    put_reach(json, "keyrings", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
    put_reach(json, "user namespaces", make_user_namespace());
    put_reach(json, "remounting /", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
    json_close(json, '}');
}

int probe_evidence(char **arguments)
{
    struct json writer = {0}, *json = &writer;
    json_open(json, '{');
    put_kernel(json);
    put_processor(json);
    put_kernel_log(json);
    put_interfaces(json);
    put_addresses(json);
    put_names(json, "proc", "/proc", false);
    put_names(json, "devices", "/dev", true);
    put_names(json, "built_in", "/sys/module", true);
    put_file(json, "modules", "/proc/modules");
    json_key(json, "module_count");
    json_whole(json, count_lines("/proc/modules"));
    put_file(json, "mounts", "/proc/self/mounts");
    json_key(json, "mount_count");
    json_whole(json, count_lines("/proc/self/mounts"));
    put_confinement(json);
    put_reachable(json);
    json_close(json, '}');
    json_done();
    return 0;
}
