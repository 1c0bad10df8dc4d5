/* SPDX-License-Identifier: Apache-2.0 */
#include "compare/network_space.h"

#include "base/strv.h"

#include <arpa/inet.h>
#include <sched.h>

#define COMMAND_LIMIT 10000
#define HOLDER_LIMIT 10000

/* In the child that becomes the holder. */
static int take_network(void *context)
{
    return unshare(CLONE_NEWNET) < 0 ? errno : 0;
}

static struct error *start_holder(struct launcher *launcher, const char *program, struct kept *ret_kept)
{
    char *const arguments[] = {(char *)(uintptr_t)program, (char[]){"hold"}, NULL};
    process_prepare *before = launcher->prepare;
    launcher->prepare = take_network;
    struct error *error = keep(launcher, arguments, "ready", HOLDER_LIMIT, ret_kept);
    launcher->prepare = before;
    return error;
}

/* The command is split at its blanks. */
static struct error *call(struct launcher *launcher, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static struct error *call(struct launcher *launcher, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    _cleanup_free_ char *text = must_vprintf(format, list);
    va_end(list);
    _cleanup_strv_ char **arguments = strv_split(text, ' ');
    struct launched launched = {0};
    TRY(launch_checked(launcher, arguments, COMMAND_LIMIT, &launched));
    launched_clear(&launched);
    return NULL;
}

/* Number 1 (the host) or 2 (the container) of four addresses out of 198.18.0.0/15, which RFC 2544 keeps for
   measuring: another four for each process. */
static void choose_address(pid_t holder, unsigned number, char ret_address[INET_ADDRSTRLEN])
{
    const struct in_addr address = {htonl(0xc6120000 | ((unsigned)holder % (1u << 15)) << 2 | number)};
    inet_ntop(AF_INET, &address, ret_address, INET_ADDRSTRLEN);
}

static struct error *connect_both(struct launcher *launcher, pid_t holder, const char *address)
{
    char host[INET_ADDRSTRLEN];
    int pid = (int)holder;
    choose_address(holder, 1, host);
    TRY(call(launcher, "ip link add ccmp%d type veth peer name eth0 netns %d", pid, pid));
    TRY(call(launcher, "ip address add %s/30 dev ccmp%d", host, pid));
    TRY(call(launcher, "ip link set ccmp%d up", pid));
    TRY(call(launcher, "nsenter -t %d -n ip link set lo up", pid));
    TRY(call(launcher, "nsenter -t %d -n ip address add %s/30 dev eth0", pid, address));
    TRY(call(launcher, "nsenter -t %d -n ip link set eth0 up", pid));
    return call(launcher, "nsenter -t %d -n ip route add default via %s", pid, host);
}

struct error *network_space_open(
    struct launcher *launcher, const char *holder, struct network_space *ret_space)
{
    struct network_space space = {0};
    TRY(start_holder(launcher, holder, &space.holder));
    choose_address(space.holder.pid, 2, space.address);
    space.path = must_printf("/proc/%d/ns/net", (int)space.holder.pid);
    struct error *error = connect_both(launcher, space.holder.pid, space.address);
    if (error) {
        network_space_close(&space);
        return error_wrap(error, "making a network for the containers");
    }
    *ret_space = space;
    return NULL;
}

void network_space_close(struct network_space *space)
{
    kept_end(&space->holder, true);
    free(space->path);
    *space = (struct network_space){0};
}
