/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network namespace with real wires, its taps and redirections. The test program moves to a network
 * namespace of its own first, so nothing of the machine's is touched; `ip` and `tc` make and show.
 */
#include "net/net.h"

#include "base/fd.h"
#include "base/process.h"
#include "net/redirect.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* The container's namespace is that of a child that only waits for the end of this test. */
struct world {
    pid_t child;
    int alive; /* closed: the child ends */
    char path[64];
};

static void check(struct error *error)
{
    if (error)
        fail_msg("%s", error_message(error));
}

/* Runs a command of the shell, where `box COMMAND` runs in the container's namespace; returns what it prints.
 */
static char *shell(const struct world *world, const char *command)
{
    _cleanup_free_ char *line = must_printf(
        "box() { program=$1; shift; nsenter -t %d -n $program \"$@\"; }; %s", world->child, command);
    char *const arguments[] = {(char[]){"/bin/sh"}, (char[]){"-ec"}, line, NULL};
    const struct process_options options = {.arguments = arguments};
    char *output = NULL;
    check(process_run_checked(&options, 1 << 20, &output));
    return output;
}

static void make(const struct world *world, const char *command)
{
    free(shell(world, command));
}

static bool shows(const struct world *world, const char *command, const char *text)
{
    _cleanup_free_ char *output = shell(world, command);
    return strstr(output, text);
}

/* Waits in a namespace of its own until the other end of the pipe is closed. */
static void live_in_namespace(int ready, int alive)
{
    char byte = 0;
    if (unshare(CLONE_NEWNET) < 0 || write(ready, &byte, 1) != 1)
        _exit(1);
    _exit(read(alive, &byte, 1) != 0);
}

static int begin_world(void **state)
{
    struct world *world = must_new(struct world);
    int ready[2], alive[2];
    char byte;
    if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(alive, O_CLOEXEC) < 0)
        return -1;
    world->child = fork();
    if (world->child == 0) {
        close(alive[1]);
        live_in_namespace(ready[1], alive[0]);
    }
    close(ready[1]);
    close(alive[0]);
    world->alive = alive[1];
    snprintf(world->path, sizeof(world->path), "/proc/%d/ns/net", world->child);
    *state = world;
    bool made = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    return made ? 0 : -1;
}

static int end_world(void **state)
{
    struct world *world = *state;
    close(world->alive);
    int status;
    waitpid(world->child, &status, 0);
    free(shell(world, "ip link show w0 >/dev/null 2>&1 && ip link del w0 || true"));
    free(world);
    return 0;
}

/* A wire w0 - eth0, both ends up, with addresses. */
static void plug(const struct world *world)
{
    _cleanup_free_ char *command = must_printf(
        "ip link add w0 mtu 1400 type veth peer name eth0 netns %d; ip addr add 10.9.0.1/24 dev w0; ip link "
        "set w0 up;"
        "box ip link set eth0 mtu 1400 address 02:00:00:00:00:09; box ip addr add 10.9.0.2/24 dev eth0;"
        "box ip addr add fd09::2/64 dev eth0 nodad; box ip link set eth0 up",
        world->child);
    make(world, command);
}

/* ---- scanning ---- */

static const struct net_route *route_to(const struct net_scan *scan, const char *text, uint8_t prefix)
{
    struct ip_address wanted;
    check(ip_address_parse(text, &wanted));
    for (size_t i = 0; i < scan->route_count; i++) {
        const struct ip_address *have = &scan->routes[i].destination;
        if (have->family == wanted.family && have->prefix == prefix &&
            memcmp(have->bytes, wanted.bytes, wanted.length) == 0)
            return &scan->routes[i];
    }
    return NULL;
}

static uint8_t prefix_of(const struct net_scan *scan, const char *text)
{
    struct ip_address wanted;
    check(ip_address_parse(text, &wanted));
    for (size_t i = 0; i < scan->address_count; i++)
        if (memcmp(scan->addresses[i].address.bytes, wanted.bytes, wanted.length) == 0)
            return scan->addresses[i].address.prefix;
    fail_msg("no address %s", text);
    return 0;
}

static void test_scan(void **state)
{
    const struct world *world = *state;
    _cleanup_net_ struct net *net = NULL;
    plug(world);
    make(world,
        "box ip link add down0 type veth peer name down1; box ip route add default via 10.9.0.1 metric 70;"
        "box ip route add 10.5.0.0/16 via 10.9.0.1 src 10.9.0.2 mtu 1300;"
        "box ip route add 10.6.0.1 via 10.88.0.1 dev eth0 onlink; box ip route add 169.254.1.1 dev eth0 "
        "scope link;"
        "box ip -6 route add default via fe80::1 dev eth0; box ip route add 10.7.0.0/16 dev eth0 table 99;"
        "box ip neigh add 10.9.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent;"
        "box ip neigh add 10.9.0.7 lladdr 02:00:00:00:00:07 dev eth0 nud stale");
    check(net_new(world->path, &net));
    const struct net_scan *scan = net_state(net);
    assert_int_equal(scan->interface_count, 1);
    assert_string_equal(scan->interfaces[0].name, "eth0");
    assert_int_equal(scan->interfaces[0].mtu, 1400);
    assert_int_equal(scan->interfaces[0].mac[5], 9);
    assert_int_equal(prefix_of(scan, "10.9.0.2"), 24);
    assert_int_equal(prefix_of(scan, "fd09::2"), 64);
    const struct net_route *route = route_to(scan, "0.0.0.0", 0);
    assert_int_equal(route->priority, 70);
    assert_int_equal(route->gateway.bytes[3], 1);
    route = route_to(scan, "10.5.0.0", 16);
    assert_int_equal(route->mtu, 1300);
    assert_int_equal(route->source.bytes[3], 2);
    assert_int_equal(route_to(scan, "10.6.0.1", 32)->flags, RTNH_F_ONLINK);
    assert_int_equal(route_to(scan, "169.254.1.1", 32)->scope, RT_SCOPE_LINK);
    assert_int_equal(route_to(scan, "::", 0)->gateway.bytes[0], 0xfe);
    assert_null(route_to(scan, "10.9.0.0", 24)); /* comes with the address */
    assert_null(route_to(scan, "10.7.0.0", 16)); /* of another table */
    assert_int_equal(scan->neighbour_count, 1);
    assert_int_equal(scan->neighbours[0].mac[5], 1);
    assert_int_equal(scan->neighbours[0].state, NUD_PERMANENT);
}

static void test_address_without_network(void **state)
{
    const struct world *world = *state;
    _cleanup_net_ struct net *net = NULL;
    plug(world);
    make(world, "box ip route del 10.9.0.0/24 dev eth0; box ip route del fd09::/64 dev eth0");
    check(net_new(world->path, &net));
    assert_int_equal(prefix_of(net_state(net), "10.9.0.2"), 32);
    assert_int_equal(prefix_of(net_state(net), "fd09::2"), 128);
}

/* ---- taps and redirections ---- */

/* Reads frames, each behind its virtio-net header, until one has the type and the destination. */
static bool tap_receives(int tap, uint16_t type, const uint8_t *destination)
{
    uint8_t frame[2048];
    for (;;) {
        ssize_t length = read(tap, frame, sizeof(frame));
        const uint8_t *ethernet = frame + 10;
        if (length < 24)
            return false;
        if (ethernet[12] == type >> 8 && ethernet[13] == (type & 0xff) &&
            memcmp(ethernet, destination, 6) == 0)
            return true;
    }
}

/* A frame of a type that nobody handles, from the guest to the wire. */
static void tap_sends(int tap)
{
    uint8_t frame[10 + 60] = {0};
    memset(frame + 10, 0xff, 6);
    memcpy(frame + 16, (uint8_t[]){2, 0, 0, 0, 0, 9}, 6);
    frame[22] = 0x88;
    frame[23] = 0xb5; /* for experiments: IEEE 802 */
    assert_int_equal(write(tap, frame, sizeof(frame)), sizeof(frame));
}

static unsigned long received_by_wire(const struct world *world)
{
    _cleanup_free_ char *text =
        shell(world, "ip -s -j link show w0 | sed -E 's/.*\"rx\":.\"bytes\":([0-9]+).*/\\1/'");
    return strtoul(text, NULL, 10);
}

static void test_frames_pass_both_ways(void **state)
{
    const struct world *world = *state;
    static const uint8_t everyone[6] = {255, 255, 255, 255, 255, 255};
    _cleanup_net_ struct net *net = NULL;
    size_t count;
    plug(world);
    check(net_new(world->path, &net));
    const struct hv_nic *nics = net_nics(net, &count);
    assert_int_equal(count, 1);
    assert_int_equal(nics[0].mac[5], 9);
    make(world, "busybox ping -c 1 -W 1 10.9.0.2 >/dev/null 2>&1 || true");
    assert_true(tap_receives(nics[0].fd, 0x0806, everyone)); /* the question who has 10.9.0.2 */
    unsigned long before = received_by_wire(world);
    tap_sends(nics[0].fd);
    assert_true(received_by_wire(world) >= before + 60);
    assert_true(shows(world, "box ip link show caisson0", "mtu 1400"));
    assert_false(shows(world, "box ip addr show caisson0", "inet6"));
    net_free(TAKE_PTR(net));
    assert_false(shows(world, "box ip link", "caisson"));
    assert_false(shows(world, "box tc qdisc show", "ingress"));
}

static void test_second_machine_is_refused(void **state)
{
    const struct world *world = *state;
    _cleanup_net_ struct net *net = NULL;
    struct net *other = NULL;
    plug(world);
    check(net_new(world->path, &net));
    _cleanup_error_ struct error *error = net_new(world->path, &other);
    assert_int_equal(error_code(error), ERROR_FAILED_PRECONDITION);
    assert_non_null(strstr(error_message(error), "another virtual machine"));
    /* and leaves the first one's things alone */
    assert_true(shows(world, "box tc filter show dev eth0 ingress", "caisson0"));
}

static void test_own_namespace_is_refused(void **state)
{
    struct net *net = NULL;
    _cleanup_error_ struct error *error = net_new("/proc/self/ns/net", &net);
    assert_int_equal(error_code(error), ERROR_FAILED_PRECONDITION);
    _cleanup_error_ struct error *missing = net_new("/nowhere/ns", &net);
    assert_int_equal(error_code(missing), ERROR_NOT_FOUND);
    _cleanup_error_ struct error *other_kind = net_new("/proc/self/ns/uts", &net);
    assert_non_null(other_kind);
}

/* ---- late interfaces ---- */

static void test_reserve(void **state)
{
    const struct world *world = *state;
    _cleanup_net_ struct net *net = NULL;
    size_t came = 7;
    check(net_new(world->path, &net));
    assert_int_equal(net_reserve(net), NET_RESERVE);
    net_give_up(net, 1);
    assert_int_equal(net_reserve(net), NET_RESERVE - 1);
    check(net_rescan(net, &came));
    assert_int_equal(came, 0);
    plug(world);
    check(net_rescan(net, &came));
    assert_int_equal(came, 1);
    assert_int_equal(net_reserve(net), NET_RESERVE - 2);
    const struct net_interface *interface = &net_state(net)->interfaces[0];
    assert_string_equal(interface->name, "eth0");
    assert_int_equal(net_card_of(net, interface->index)[1], 0xca);
    assert_true(shows(world, "box tc filter show dev eth0 ingress", "caisson0"));
    assert_true(shows(world, "box ip link show caisson0", "mtu 1400"));
    make(world, "box ip link add x0 type veth peer name x1; box ip link set x0 up");
    _cleanup_error_ struct error *error = net_rescan(net, &came);
    assert_int_equal(error_code(error), ERROR_FAILED_PRECONDITION);
    assert_non_null(strstr(error_message(error), "x0"));
}

/* ---- what was left ---- */

static void test_sweep(void **state)
{
    const struct world *world = *state;
    struct net *net = NULL;
    plug(world);
    check(net_new(world->path, &net));
    _cleanup_free_ char *note = net_note(net);
    /* Of another namespace: nothing happens. */
    check(net_sweep("1:1 /proc/self/ns/net"));
    check(net_sweep("1:1 /nowhere"));
    assert_true(shows(world, "box tc qdisc show dev eth0", "ingress"));
    check(net_sweep(note));
    assert_false(shows(world, "box tc qdisc show dev eth0", "ingress"));
    net_free(net);
    _cleanup_error_ struct error *error = net_sweep("nonsense");
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
}

static void test_stale_redirection_is_replaced(void **state)
{
    const struct world *world = *state;
    _cleanup_net_ struct net *net = NULL;
    _cleanup_fd_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC),
                     box = open(world->path, O_RDONLY | O_CLOEXEC);
    int routing = -1;
    plug(world);
    assert_int_equal(setns(box, CLONE_NEWNET), 0);
    check(netlink_open(&routing));
    check(net_redirect(routing, (int)if_nametoindex("eth0"), (int)if_nametoindex("lo")));
    assert_int_equal(setns(home, CLONE_NEWNET), 0);
    close(routing);
    check(net_new(world->path, &net));
    _cleanup_free_ char *filters = shell(world, "box tc filter show dev eth0 ingress");
    assert_non_null(strstr(filters, "caisson0"));
    assert_null(strstr(filters, "device lo"));
}

/* A namespace and, for `ip`, a view of /sys of it. */
static bool has_world_of_its_own(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && access("/dev/net/tun", R_OK | W_OK) == 0;
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, begin_world, end_world)

int main(void)
{
    if (!has_world_of_its_own()) {
        puts("1..0 # SKIP needs root and /dev/net/tun, to make network namespaces and taps");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_scan),
        IN_WORLD(test_address_without_network),
        IN_WORLD(test_frames_pass_both_ways),
        IN_WORLD(test_second_machine_is_refused),
        cmocka_unit_test(test_own_namespace_is_refused),
        IN_WORLD(test_reserve),
        IN_WORLD(test_sweep),
        IN_WORLD(test_stale_redirection_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
