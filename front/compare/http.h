/* SPDX-License-Identifier: Apache-2.0 */
/* A web client that measures, over loopback only. Times are in milliseconds. */
#pragma once

#include "compare/launch.h"

double http_now(void);
/* A port that nobody listens at now. */
struct error *http_free_port(uint16_t *ret_port);
/* Whether somebody accepts connections there. */
bool http_is_open(uint16_t port);
struct error *http_connect(uint16_t port, int *ret_fd);
/* One request for "/" on a connection of its own, to the end of the answer; any status but one of the 500s is
   an answer. */
struct error *http_page(uint16_t port, double *ret_milliseconds);
/* Tries until there is an answer: a published port accepts before the way to the server is open. */
struct error *http_first_answer(struct launcher *launcher, uint16_t port, int limit_milliseconds);
