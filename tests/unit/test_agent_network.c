/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces, routes and neighbours, on a tap device in a network namespace of the test's own.
 */
#include "agent_world.h"

#include "netlink/ip_address.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define HARDWARE "52:54:00:12:34:56"

struct network_test {
    struct agent_world *world;
    int tap;
};

/* An interface named tap0 with the hardware address; goes with the descriptor. */
static int make_tap(void)
{
    int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    struct ifreq request = {.ifr_name = "tap0", .ifr_flags = IFF_TAP | IFF_NO_PI};
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0)
        return -1;
    _cleanup_fd_ int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq hardware = {.ifr_name = "tap0", .ifr_hwaddr = {.sa_family = 1 /* ARPHRD_ETHER */}};
    uint8_t bytes[HARDWARE_ADDRESS_SIZE];
    agent_check(hardware_address_parse(HARDWARE, bytes));
    memcpy(hardware.ifr_hwaddr.sa_data, bytes, sizeof(bytes));
    assert_int_equal(ioctl(socket_fd, SIOCSIFHWADDR, &hardware), 0);
    return tap;
}

static int set_up(void **state)
{
    struct network_test *test = must_new(struct network_test);
    test->world = agent_world_new(NULL);
    test->tap = make_tap();
    *state = test;
    return 0;
}

static int tear_down(void **state)
{
    struct network_test *test = *state;
    agent_world_free(test->world);
    close_fd(test->tap);
    free(test);
    return 0;
}

static struct error *update(
    struct network_test *test, const char *hardware, const char *name, const char *mask)
{
    Types__IPAddress four = TYPES__IPADDRESS__INIT, six = TYPES__IPADDRESS__INIT;
    four.address = "10.0.2.15";
    four.mask = mask;
    six.family = TYPES__IPFAMILY__v6;
    six.address = "fd00::15";
    six.mask = "64";
    Types__IPAddress *addresses[] = {&four, &six};
    Types__Interface interface = TYPES__INTERFACE__INIT;
    interface.hw_addr = hardware;
    interface.name = name;
    interface.mtu = 1400;
    interface.ip_addresses = addresses;
    interface.n_ip_addresses = 2;
    Grpc__UpdateInterfaceRequest request = GRPC__UPDATE_INTERFACE_REQUEST__INIT;
    request.interface = &interface;
    return agent_call(test->world, "UpdateInterface", &request.base, NULL);
}

static Grpc__Interfaces *list_interfaces(struct network_test *test)
{
    Grpc__ListInterfacesRequest request = GRPC__LIST_INTERFACES_REQUEST__INIT;
    ProtobufCMessage *message;
    agent_check(agent_call(test->world, "ListInterfaces", &request.base, &message));
    return (Grpc__Interfaces *)(void *)message;
}

static const Types__Interface *find(const Grpc__Interfaces *interfaces, const char *name)
{
    for (size_t i = 0; i < interfaces->n_interfaces; i++) {
        if (strcmp(interfaces->interfaces[i]->name, name) == 0)
            return interfaces->interfaces[i];
    }
    return NULL;
}

static bool has_address(const Types__Interface *interface, const char *address, const char *mask)
{
    for (size_t i = 0; i < interface->n_ip_addresses; i++) {
        if (strcmp(interface->ip_addresses[i]->address, address) == 0 &&
            strcmp(interface->ip_addresses[i]->mask, mask) == 0)
            return true;
    }
    return false;
}

#define NEEDS_TAP(test)      \
    do {                     \
        if ((test)->tap < 0) \
            skip();          \
    } while (0)

static void test_interface(void **state)
{
    struct network_test *test = *state;
    NEEDS_TAP(test);
    agent_check(update(test, HARDWARE, "eth0", "24"));
    Grpc__Interfaces *interfaces = list_interfaces(test);
    const Types__Interface *interface = find(interfaces, "eth0");
    assert_non_null(interface);
    assert_null(find(interfaces, "tap0"));
    assert_string_equal(interface->hw_addr, HARDWARE);
    assert_int_equal(interface->mtu, 1400);
    assert_true(interface->raw_flags & IFF_UP);
    assert_true(has_address(interface, "10.0.2.15", "24"));
    assert_true(has_address(interface, "fd00::15", "64"));
    grpc__interfaces__free_unpacked(interfaces, NULL);
    /* Again, with another prefix: the old address goes. */
    agent_check(update(test, HARDWARE, "eth0", "16"));
    interfaces = list_interfaces(test);
    interface = find(interfaces, "eth0");
    assert_true(has_address(interface, "10.0.2.15", "16"));
    assert_false(has_address(interface, "10.0.2.15", "24"));
    grpc__interfaces__free_unpacked(interfaces, NULL);
}

static void test_interface_input(void **state)
{
    struct network_test *test = *state;
    static const struct {
        const char *hardware, *name, *mask;
        enum error_code code;
    } bad[] = {
        {"52:54:00:00:00:01", "eth0", "24", ERROR_NOT_FOUND},
        {"52:54:00:00:00", "eth0", "24", ERROR_INVALID_ARGUMENT},
        {"52:54:00:00:00:01:02", "eth0", "24", ERROR_INVALID_ARGUMENT},
        {"", "nothing", "24", ERROR_NOT_FOUND},
        {HARDWARE, "a-name-that-is-too-long", "24", ERROR_INVALID_ARGUMENT},
        {HARDWARE, "eth0", "33", ERROR_INVALID_ARGUMENT},
        {HARDWARE, "eth0", "x", ERROR_INVALID_ARGUMENT},
    };
    NEEDS_TAP(test);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_error_ struct error *error = update(test, bad[i].hardware, bad[i].name, bad[i].mask);
        if (error_code(error) != bad[i].code)
            fail_msg("%zu: %s: %s", i, error_code_name(error_code(error)), error ? error_message(error) : "");
    }
    Grpc__UpdateInterfaceRequest empty = GRPC__UPDATE_INTERFACE_REQUEST__INIT;
    agent_refuses(test->world, "UpdateInterface", &empty.base, ERROR_INVALID_ARGUMENT, "no interface");
}

/* A card in reserve is named by its present hardware address and takes over the interface's. */
static void test_reserve(void **state)
{
    struct network_test *test = *state;
    static const char mac[] = "02:00:00:00:00:09";
    Types__Interface interface = TYPES__INTERFACE__INIT;
    interface.hw_addr = mac;
    interface.device_path = "02:ca:15:52:00:00";
    interface.name = "net1";
    interface.mtu = 1420;
    Grpc__UpdateInterfaceRequest request = GRPC__UPDATE_INTERFACE_REQUEST__INIT;
    request.interface = &interface;
    NEEDS_TAP(test);
    agent_refuses(test->world, "UpdateInterface", &request.base, ERROR_NOT_FOUND, mac);
    interface.device_path = "02/03"; /* a place on the PCI bus */
    agent_refuses(test->world, "UpdateInterface", &request.base, ERROR_NOT_FOUND, mac);
    interface.device_path = HARDWARE;
    agent_check(agent_call(test->world, "UpdateInterface", &request.base, NULL));
    Grpc__Interfaces *interfaces = list_interfaces(test);
    const Types__Interface *found = find(interfaces, "net1");
    assert_true(found && strcmp(found->hw_addr, mac) == 0);
    assert_true(found && found->mtu == 1420);
    assert_true(found && found->raw_flags & IFF_UP);
    grpc__interfaces__free_unpacked(interfaces, NULL);
}

static struct error *update_routes(struct network_test *test, const Types__Route *first,
    const Types__Route *second, Grpc__Routes **ret_routes)
{
    Types__Route copies[] = {*first, *second};
    Types__Route *list[] = {&copies[0], &copies[1]};
    Grpc__Routes routes = GRPC__ROUTES__INIT;
    routes.routes = list;
    routes.n_routes = 2;
    Grpc__UpdateRoutesRequest request = GRPC__UPDATE_ROUTES_REQUEST__INIT;
    request.routes = &routes;
    ProtobufCMessage *message = NULL;
    TRY(agent_call(test->world, "UpdateRoutes", &request.base, &message));
    *ret_routes = (Grpc__Routes *)(void *)message;
    return NULL;
}

static Types__Route route(const char *destination, const char *gateway, const char *device)
{
    Types__Route made = TYPES__ROUTE__INIT;
    made.dest = destination;
    made.gateway = gateway;
    made.device = device;
    return made;
}

static size_t count_routes(const Grpc__Routes *routes, const char *destination, const char *gateway)
{
    size_t count = 0;
    for (size_t i = 0; i < routes->n_routes; i++)
        count += strcmp(routes->routes[i]->dest, destination) == 0 &&
                 strcmp(routes->routes[i]->gateway, gateway) == 0;
    return count;
}

static uint32_t metric_of(const Grpc__Routes *routes, const char *destination)
{
    for (size_t i = 0; i < routes->n_routes; i++)
        if (strcmp(routes->routes[i]->dest, destination) == 0)
            return routes->routes[i]->priority;
    return 0;
}

/* The gateway of the first is reached by the second, which therefore goes in first. */
static void test_routes(void **state)
{
    struct network_test *test = *state;
    NEEDS_TAP(test);
    agent_check(update(test, HARDWARE, "eth0", "24"));
    Types__Route far = route("", "192.168.7.1", "eth0"), near = route("192.168.7.0/24", "", "eth0");
    near.scope = 253; /* link */
    near.priority = 70;
    far.mtu = 1300;
    Grpc__Routes *routes;
    agent_check(update_routes(test, &far, &near, &routes));
    assert_int_equal(count_routes(routes, "", "192.168.7.1"), 1);
    assert_int_equal(count_routes(routes, "192.168.7.0/24", ""), 1);
    assert_int_equal(metric_of(routes, "192.168.7.0/24"), 70);
    assert_int_equal(count_routes(routes, "10.0.2.0/24", ""), 1);
    grpc__routes__free_unpacked(routes, NULL);
    /* A second call replaces them. */
    Types__Route other = route("default", "10.0.2.2", "eth0"), six = route("fd01::/64", "fd00::1", "eth0");
    six.family = TYPES__IPFAMILY__v6;
    agent_check(update_routes(test, &other, &six, &routes));
    assert_int_equal(count_routes(routes, "", "192.168.7.1"), 0);
    assert_int_equal(count_routes(routes, "192.168.7.0/24", ""), 0);
    assert_int_equal(count_routes(routes, "", "10.0.2.2"), 1);
    assert_int_equal(count_routes(routes, "fd01::/64", "fd00::1"), 1);
    grpc__routes__free_unpacked(routes, NULL);
}

static void test_route_input(void **state)
{
    struct network_test *test = *state;
    NEEDS_TAP(test);
    agent_check(update(test, HARDWARE, "eth0", "24"));
    const Types__Route good = route("default", "10.0.2.2", "eth0");
    const Types__Route bad[] = {route("10.0.0.0/40", "", "eth0"), route("ten", "", "eth0"),
        route("10.0.0.0/8", "10.0.2", "eth0"), route("10.0.0.0/", "", "eth0")};
    Grpc__Routes *routes;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_error_ struct error *error = update_routes(test, &good, &bad[i], &routes);
        assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    }
    Types__Route lost = route("10.9.0.0/16", "", "eth9");
    _cleanup_error_ struct error *error = update_routes(test, &good, &lost, &routes);
    assert_int_equal(error_code(error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error_message(error), "eth9"));
}

static void test_neighbour(void **state)
{
    struct network_test *test = *state;
    NEEDS_TAP(test);
    agent_check(update(test, HARDWARE, "eth0", "24"));
    Types__IPAddress address = TYPES__IPADDRESS__INIT;
    address.address = "10.0.2.9";
    Types__ARPNeighbor neighbour = TYPES__ARPNEIGHBOR__INIT;
    neighbour.to_ip_address = &address;
    neighbour.device = "eth0";
    neighbour.lladdr = "02:00:00:00:00:09";
    Types__ARPNeighbor *list[] = {&neighbour};
    Grpc__ARPNeighbors neighbours = GRPC__ARPNEIGHBORS__INIT;
    neighbours.arp_neighbors = list;
    neighbours.n_arp_neighbors = 1;
    Grpc__AddARPNeighborsRequest request = GRPC__ADD_ARPNEIGHBORS_REQUEST__INIT;
    request.neighbors = &neighbours;
    agent_check(agent_call(test->world, "AddARPNeighbors", &request.base, NULL));
    _cleanup_free_ char *table = NULL;
    agent_check(file_read(AT_FDCWD, "/proc/net/arp", 65536, &table, NULL));
    assert_non_null(strstr(table, "10.0.2.9"));
    assert_non_null(strstr(table, "02:00:00:00:00:09"));
    neighbour.device = "eth9";
    agent_refuses(test->world, "AddARPNeighbors", &request.base, ERROR_INVALID_ARGUMENT, "eth9");
}

static void test_address_text(void **state)
{
    struct ip_address address;
    agent_check(ip_address_parse("fe80::1/64", &address));
    assert_int_equal(address.prefix, 64);
    assert_int_equal(address.length, 16);
    _cleanup_free_ char *text = ip_address_text(address.family, address.bytes, address.length);
    assert_string_equal(text, "fe80::1");
    agent_check(ip_address_parse("10.1.2.3", &address));
    assert_int_equal(address.prefix, 32);
    static const char *const bad[] = {"", "10.1.2", "10.1.2.3.4", "10.1.2.3/", "10.1.2.3/33", "10.1.2.3/-1",
        "::1/129", ":::", "fe80::1%eth0", "10.1.2.3/24/8"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_error_ struct error *error = ip_address_parse(bad[i], &address);
        assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    if (!agent_world_isolate()) {
        puts("1..0 # SKIP needs the rights for namespaces of its own");
        return 0;
    }
    static const struct CMUnitTest tests[] = {TEST(test_interface), TEST(test_interface_input),
        TEST(test_reserve), TEST(test_routes), TEST(test_route_input), TEST(test_neighbour),
        TEST(test_address_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
