/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest web server that is worth measuring: one process, one page, connections kept open. */
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define REQUEST_MAX 4096

struct connection {
    char request[REQUEST_MAX];
    size_t length;
};

static const char page[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nprobe\n";

static int listen_at(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 128) < 0) {
        perror("probe: listening");
        exit(125);
    }
    return fd;
}

/* Answers each whole request in what has come. False when the connection is over. */
static bool answer(int fd, struct connection *connection)
{
    size_t room = REQUEST_MAX - 1 - connection->length;
    ssize_t count = read(fd, connection->request + connection->length, room);
    if (count <= 0 || room == 0)
        return count < 0 && errno == EINTR;
    connection->length += (size_t)count;
    connection->request[connection->length] = '\0';
    char *end;
    while ((end = strstr(connection->request, "\r\n\r\n"))) {
        size_t used = (size_t)(end + 4 - connection->request);
        if (write(fd, page, sizeof(page) - 1) != (ssize_t)sizeof(page) - 1)
            return false;
        if (memmem(connection->request, used, "HTTP/1.0\r\n", 10))
            return false; /* its client waits for the end of the connection */
        connection->length -= used;
        memmove(connection->request, connection->request + used, connection->length + 1);
    }
    return true;
}

int probe_serve(char **arguments)
{
    static struct connection connections[CONNECTIONS_MAX + 1];
    struct pollfd watched[CONNECTIONS_MAX + 1];
    nfds_t count = 1;
    watched[0] = (struct pollfd){.fd = listen_at((uint16_t)atoi(arguments[0])), .events = POLLIN};
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (poll(watched, count, -1) < 0 && errno != EINTR)
            return 125;
        /* From the end, so that the last one can take the place of one that is over. */
        for (nfds_t i = count - 1; i > 0; i--) {
            if (!watched[i].revents || answer(watched[i].fd, &connections[i]))
                continue;
            close(watched[i].fd);
            watched[i] = watched[--count];
            connections[i] = connections[count];
        }
        if (!watched[0].revents)
            continue;
        int fd = accept4(watched[0].fd, NULL, NULL, SOCK_CLOEXEC), one = 1;
        if (fd < 0 || count > CONNECTIONS_MAX) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        connections[count].length = 0;
        watched[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
}
