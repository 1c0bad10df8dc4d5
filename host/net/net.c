/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"

#include "net/namespace.h"
#include "net/redirect.h"

#include <linux/if_link.h>
#include <string.h>

#define TAP_PREFIX "caisson"
/* Free while no machine is in the namespace: all taps of one go together. */
#define FIRST_TAP TAP_PREFIX "0"

/* Of a card in reserve: locally administered, and a number. */
#define RESERVE_MAC                        \
    {                                      \
        0x02, 0xca, 0x15, 0x52, 0x00, 0x00 \
    }

struct card {
    int tap_index;
    int interface_index; /* 0: in reserve */
};

struct net {
    int socket; /* routing socket in the namespace */
    char *note;
    struct net_scan *scan;
    struct net_tap *taps; /* NULL once released */
    struct card *cards;
    struct hv_nic *nics; /* as the cards */
    size_t count;
};

/* ---- one card ---- */

/* Nothing of the namespace's own is to go out by the tap: no address, so no IPv6 neighbour discovery. Said in
   a message before the one that brings it up, because in one message the kernel brings it up first; a kernel
   without IPv6 refuses, and needs it not. */
static void forbid_addresses(int socket, int index)
{
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
    const uint8_t none = IN6_ADDR_GEN_MODE_NONE;
    struct netlink_request request;
    netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
    struct rtattr *families = netlink_begin_nested(&request, IFLA_AF_SPEC);
    struct rtattr *six = netlink_begin_nested(&request, AF_INET6);
    netlink_put(&request, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof(none));
    netlink_end_nested(&request, six);
    netlink_end_nested(&request, families);
    error_free(netlink_call(socket, &request));
}

static struct error *configure_tap(int socket, int index, uint32_t mtu)
{
    const struct ifinfomsg header = {
        .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct netlink_request request;
    forbid_addresses(socket, index);
    netlink_begin(&request, RTM_NEWLINK, 0, &header, sizeof(header));
    if (mtu > 0)
        netlink_put_number(&request, IFLA_MTU, mtu);
    return netlink_call(socket, &request);
}

static struct error *join(struct net *net, struct card *card, const struct net_interface *interface)
{
    TRY(configure_tap(net->socket, card->tap_index, interface->mtu));
    card->interface_index = interface->index;
    TRY(net_redirect(net->socket, card->tap_index, interface->index));
    return net_redirect(net->socket, interface->index, card->tap_index);
}

static struct error *join_interface(struct net *net, struct card *card, const struct net_interface *interface)
{
    return error_wrap(
        join(net, card, interface), "carrying the interface %s into the machine", interface->name);
}

/* ---- the whole ---- */

static struct error *check_alone(const struct net *net, const char *path)
{
    if (net->count == 0 || strcmp(net->taps[0].name, FIRST_TAP) == 0)
        return NULL;
    return error_new(ERROR_FAILED_PRECONDITION,
        "the network namespace %s is carried into another virtual machine already (it has a device " FIRST_TAP
        "); a namespace can be in one machine only",
        path);
}

static struct error *make_cards(struct net *net, int namespace)
{
    size_t interfaces = net->scan->interface_count;
    size_t count = interfaces > 0 ? interfaces : NET_RESERVE;
    TRY(net_namespace_taps(namespace, net->socket, TAP_PREFIX, count, &net->taps));
    net->count = count;
    net->cards = must_alloc_array(count, sizeof(*net->cards));
    net->nics = must_alloc_array(count, sizeof(*net->nics));
    for (size_t i = 0; i < count; i++) {
        struct hv_nic *nic = &net->nics[i];
        *nic = (struct hv_nic){.fd = net->taps[i].fd, .mac = RESERVE_MAC};
        nic->mac[5] = (uint8_t)i;
        if (i < interfaces)
            memcpy(nic->mac, net->scan->interfaces[i].mac, sizeof(nic->mac));
        net->cards[i].tap_index = net->taps[i].index;
    }
    return NULL;
}

static struct error *set_up(struct net *net, const char *path)
{
    _cleanup_fd_ int namespace = -1;
    TRY(net_namespace_open(path, &namespace));
    net->note = net_namespace_note(namespace, path);
    TRY(net_namespace_socket(namespace, &net->socket));
    TRY(net_scan_new(net->socket, &net->scan));
    TRY(make_cards(net, namespace));
    TRY(check_alone(net, path));
    for (size_t i = 0; i < net->scan->interface_count; i++)
        TRY(join_interface(net, &net->cards[i], &net->scan->interfaces[i]));
    for (size_t i = net->scan->interface_count; i < net->count; i++)
        TRY(configure_tap(net->socket, net->cards[i].tap_index, 0));
    return NULL;
}

struct error *net_new(const char *namespace_path, struct net **ret_net)
{
    struct net *net = must_new(struct net);
    net->socket = -1;
    struct error *error = set_up(net, namespace_path);
    if (error) {
        net_free(net);
        return error;
    }
    *ret_net = net;
    return NULL;
}

void net_release(struct net *net)
{
    net_taps_free(TAKE_PTR(net->taps), net->count);
    for (size_t i = 0; i < net->count; i++)
        net->nics[i].fd = -1;
}

void net_free(struct net *net)
{
    if (!net)
        return;
    for (size_t i = 0; i < net->count; i++)
        if (net->cards[i].interface_index > 0)
            net_redirect_end(net->socket, net->cards[i].interface_index);
    net_taps_free(net->taps, net->count);
    net_scan_free(net->scan);
    close_fd(net->socket);
    free(net->note);
    free(net->cards);
    free(net->nics);
    free(net);
}

/* ---- cards ---- */

const struct hv_nic *net_nics(const struct net *net, size_t *ret_count)
{
    *ret_count = net->count;
    return net->nics;
}

size_t net_reserve(const struct net *net)
{
    size_t count = 0;
    for (size_t i = 0; i < net->count; i++)
        count += net->cards[i].interface_index == 0;
    return count;
}

void net_give_up(struct net *net, size_t count)
{
    for (; count > 0 && net->count > 0 && net->cards[net->count - 1].interface_index == 0; count--) {
        net->count--;
        if (net->taps)
            close_fd(TAKE_FD(net->taps[net->count].fd));
    }
}

static struct card *card_of(const struct net *net, int index)
{
    for (size_t i = 0; i < net->count; i++)
        if (net->cards[i].interface_index == index)
            return &net->cards[i];
    return NULL;
}

const uint8_t *net_card_of(const struct net *net, int index)
{
    const struct card *card = card_of(net, index);
    return card ? net->nics[card - net->cards].mac : NULL;
}

const struct net_scan *net_state(const struct net *net)
{
    return net->scan;
}

/* ---- later ---- */

static struct error *take_reserve(struct net *net, const struct net_interface *interface)
{
    struct card *card = card_of(net, 0);
    if (!card)
        return error_new(ERROR_FAILED_PRECONDITION,
            "the interface %s came after the machine was started, which has no network card left for it",
            interface->name);
    return join_interface(net, card, interface);
}

/* The known first, so that who tells the machine finds the new ones at the end. */
static void sort_known_first(const struct net *net, struct net_scan *scan)
{
    size_t known = 0;
    for (size_t i = 0; i < scan->interface_count; i++) {
        if (!card_of(net, scan->interfaces[i].index))
            continue;
        struct net_interface swapped = scan->interfaces[known];
        scan->interfaces[known++] = scan->interfaces[i];
        scan->interfaces[i] = swapped;
    }
}

struct error *net_rescan(struct net *net, size_t *ret_came)
{
    _cleanup_net_scan_ struct net_scan *scan = NULL;
    size_t came = 0;
    TRY(net_scan_new(net->socket, &scan));
    sort_known_first(net, scan);
    for (size_t i = 0; i < scan->interface_count; i++) {
        if (card_of(net, scan->interfaces[i].index))
            continue;
        TRY(take_reserve(net, &scan->interfaces[i]));
        came++;
    }
    net_scan_free(net->scan);
    net->scan = TAKE_PTR(scan);
    *ret_came = came;
    return NULL;
}

/* ---- after a supervisor that was killed ---- */

char *net_note(const struct net *net)
{
    return must_copy(net->note);
}

struct error *net_sweep(const char *note)
{
    _cleanup_fd_ int namespace = -1, socket = -1;
    _cleanup_net_scan_ struct net_scan *scan = NULL;
    TRY(net_namespace_reopen(note, &namespace));
    if (namespace < 0)
        return NULL;
    TRY(net_namespace_socket(namespace, &socket));
    TRY(net_scan_new(socket, &scan));
    for (size_t i = 0; i < scan->interface_count; i++)
        net_redirect_end(socket, scan->interfaces[i].index);
    return NULL;
}
