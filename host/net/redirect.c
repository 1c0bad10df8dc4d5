/* SPDX-License-Identifier: Apache-2.0 */
#include "net/redirect.h"

#include "netlink/netlink.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>

/* Nobody else's: preferences are counted down from 49152 or written by hand as small numbers. */
#define PREFERENCE 0xca15u

#define INGRESS "ingress"
/* The side where packets come in, of an ingress discipline as of a clsact one. */
#define INGRESS_SIDE TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)

static void begin(struct netlink_request *request, int type, int flags, const struct tcmsg *header)
{
    netlink_begin(request, type, flags, header, sizeof(*header));
}

static struct tcmsg discipline_of(int index)
{
    return (struct tcmsg){
        .tcm_ifindex = index, .tcm_parent = TC_H_INGRESS, .tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0)};
}

static struct tcmsg filter_of(int index)
{
    return (struct tcmsg){.tcm_ifindex = index,
        .tcm_parent = INGRESS_SIDE,
        .tcm_info = TC_H_MAKE(PREFERENCE << 16, htons(ETH_P_ALL))};
}

/* Somebody's clsact discipline has the same side and serves as well. */
static struct error *add_discipline(int fd, int index)
{
    struct netlink_request request;
    const struct tcmsg header = discipline_of(index);
    begin(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &header);
    netlink_put_text(&request, TCA_KIND, INGRESS);
    struct error *error = netlink_call(fd, &request);
    if (error_number(error) != EEXIST)
        return error_wrap(error, "adding an ingress queueing discipline (the kernel's sch_ingress)");
    error_free(error);
    return NULL;
}

static void put_redirection(struct netlink_request *request, int to)
{
    const struct tc_mirred mirred = {
        .action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (unsigned)to};
    struct rtattr *actions = netlink_begin_nested(request, TCA_U32_ACT);
    struct rtattr *first = netlink_begin_nested(request, 1);
    netlink_put_text(request, TCA_ACT_KIND, "mirred");
    struct rtattr *options = netlink_begin_nested(request, TCA_ACT_OPTIONS);
    netlink_put(request, TCA_MIRRED_PARMS, &mirred, sizeof(mirred));
    netlink_end_nested(request, options);
    netlink_end_nested(request, first);
    netlink_end_nested(request, actions);
}

static struct error *add_filter(int fd, int index, int to)
{
    /* A selector without keys matches everything. */
    static const struct tc_u32_sel everything = {.flags = TC_U32_TERMINAL};
    struct netlink_request request;
    const struct tcmsg header = filter_of(index);
    begin(&request, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &header);
    netlink_put_text(&request, TCA_KIND, "u32");
    struct rtattr *options = netlink_begin_nested(&request, TCA_OPTIONS);
    netlink_put(&request, TCA_U32_SEL, &everything, sizeof(everything));
    put_redirection(&request, to);
    netlink_end_nested(&request, options);
    return error_wrap(
        netlink_call(fd, &request), "adding the redirection (the kernel's cls_u32 and act_mirred)");
}

static void remove_filter(int fd, int index)
{
    struct netlink_request request;
    const struct tcmsg header = filter_of(index);
    begin(&request, RTM_DELTFILTER, 0, &header);
    error_free(netlink_call(fd, &request));
}

struct error *net_redirect(int fd, int from, int to)
{
    TRY(add_discipline(fd, from));
    remove_filter(fd, from);
    return add_filter(fd, from, to);
}

static struct error *count_filter(void *context, const struct nlmsghdr *message)
{
    if (message->nlmsg_type == RTM_NEWTFILTER)
        ++*(size_t *)context;
    return NULL;
}

static bool has_filter(int fd, int index)
{
    struct netlink_request request;
    size_t count = 0;
    const struct tcmsg header = {.tcm_ifindex = index, .tcm_parent = INGRESS_SIDE};
    begin(&request, RTM_GETTFILTER, 0, &header);
    error_free(netlink_dump(fd, &request, count_filter, &count));
    return count > 0;
}

void net_redirect_end(int fd, int from)
{
    struct netlink_request request;
    const struct tcmsg header = discipline_of(from);
    remove_filter(fd, from);
    if (has_filter(fd, from))
        return;
    begin(&request, RTM_DELQDISC, 0, &header);
    netlink_put_text(&request, TCA_KIND, INGRESS); /* a clsact one is not ours */
    error_free(netlink_call(fd, &request));
}
