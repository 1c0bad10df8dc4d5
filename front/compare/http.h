/* SPDX-License-Identifier: Apache-2.0 */
/* A web client that measures, on this machine only. Times are in milliseconds. */
#pragma once

#include "compare/launch.h"

#include <netinet/in.h>

#define LOOPBACK "127.0.0.1"

struct endpoint {
    char address[INET_ADDRSTRLEN];
    uint16_t port;
};

/* A port of loopback that nobody listens at now. */
struct error *http_free_port(uint16_t *ret_port);
/* Whether somebody accepts connections there. */
bool http_is_open(const struct endpoint *endpoint);
struct error *http_connect(const struct endpoint *endpoint, int *ret_fd);
/* One request for "/" on a connection of its own, to the end of the answer; any status but one of the 500s is
   an answer. */
struct error *http_page(const struct endpoint *endpoint, double *ret_milliseconds, int *ret_status);
/* Tries until there is an answer: a published port accepts before the way to the server is open. */
struct error *http_first_answer(
    struct launcher *launcher, const struct endpoint *endpoint, int limit_milliseconds, int *ret_status);
