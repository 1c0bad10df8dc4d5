/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libevent's utilities mention the resolver, which a static link would then carry whole, though our
 * static programs (agent, monitor) know only addresses. These take its place: a source of such a program, in
 * no library.
 */
#include <netdb.h>
#include <stddef.h>

int getaddrinfo(const char *restrict node, const char *restrict service,
    const struct addrinfo *restrict hints, struct addrinfo **restrict ret_result)
{
    return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *result)
{
}

int getnameinfo(const struct sockaddr *restrict address, socklen_t length, char *restrict host,
    socklen_t host_size, char *restrict service, socklen_t service_size, int flags)
{
    return EAI_FAIL;
}

struct servent *getservbyname(const char *name, const char *protocol)
{
    return NULL;
}

struct protoent *getprotobynumber(int number)
{
    return NULL;
}
