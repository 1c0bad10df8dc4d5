/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/network_link.h"

#include "netlink/netlink.h"

#include <string.h>

static void copy_name(struct network_link *link, const struct netlink_attribute *attribute)
{
    size_t length = attribute->data ? strnlen(attribute->data, attribute->length) : 0;
    if (length >= sizeof(link->name))
        length = 0;
    if (length > 0)
        memcpy(link->name, attribute->data, length);
    link->name[length] = '\0';
}

static struct error *add_link(void *context, const struct nlmsghdr *message)
{
    struct network_links *links = context;
    struct netlink_attribute attributes[IFLA_MTU + 1];
    if (message->nlmsg_type != RTM_NEWLINK || links->count == NETWORK_LINKS_MAX)
        return NULL;
    TRY(netlink_attributes(message, sizeof(struct ifinfomsg), IFLA_MTU, attributes));
    const struct ifinfomsg *header = netlink_body(message);
    struct network_link *link = &links->links[links->count++];
    *link = (struct network_link){.index = header->ifi_index, .flags = header->ifi_flags};
    link->mtu = netlink_number(&attributes[IFLA_MTU]);
    copy_name(link, &attributes[IFLA_IFNAME]);
    const struct netlink_attribute *hardware = &attributes[IFLA_ADDRESS];
    link->has_hardware = hardware->length == HARDWARE_ADDRESS_SIZE;
    if (link->has_hardware)
        memcpy(link->hardware, hardware->data, HARDWARE_ADDRESS_SIZE);
    return NULL;
}

struct error *network_links_read(int fd, struct network_links *ret_links)
{
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
    struct netlink_request request;
    ret_links->count = 0;
    netlink_begin(&request, RTM_GETLINK, 0, &header, sizeof(header));
    return error_wrap(netlink_dump(fd, &request, add_link, ret_links), "listing the network interfaces");
}

const struct network_link *network_links_by_name(const struct network_links *links, const char *name)
{
    for (size_t i = 0; i < links->count; i++) {
        if (strcmp(links->links[i].name, name) == 0)
            return &links->links[i];
    }
    return NULL;
}

const struct network_link *network_links_by_index(const struct network_links *links, int index)
{
    for (size_t i = 0; i < links->count; i++) {
        if (links->links[i].index == index)
            return &links->links[i];
    }
    return NULL;
}

const struct network_link *network_links_by_hardware(
    const struct network_links *links, const uint8_t hardware[HARDWARE_ADDRESS_SIZE])
{
    for (size_t i = 0; i < links->count; i++) {
        const struct network_link *link = &links->links[i];
        if (link->has_hardware && memcmp(link->hardware, hardware, HARDWARE_ADDRESS_SIZE) == 0)
            return link;
    }
    return NULL;
}
