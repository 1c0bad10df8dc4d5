/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static void begin_element(struct json *json)
{
    if (json->comma_due)
        putchar(',');
    json->comma_due = true;
}

void json_open(struct json *json, char bracket)
{
    begin_element(json);
    putchar(bracket);
    json->comma_due = false;
}

void json_close(struct json *json, char bracket)
{
    putchar(bracket);
    json->comma_due = true;
}

static void put_escaped(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else if (byte < ' ')
            printf("\\u%04x", byte);
        else
            putchar(byte < 0x7f ? byte : '?');
    }
    putchar('"');
}

void json_key(struct json *json, const char *name)
{
    begin_element(json);
    put_escaped(name);
    putchar(':');
    json->comma_due = false;
}

void json_text(struct json *json, const char *text)
{
    begin_element(json);
    put_escaped(text);
}

void json_number(struct json *json, double number)
{
    begin_element(json);
    printf("%.6g", number);
}

void json_whole(struct json *json, int64_t number)
{
    begin_element(json);
    printf("%" PRId64, number);
}

void json_flag(struct json *json, bool flag)
{
    begin_element(json);
    fputs(flag ? "true" : "false", stdout);
}

void json_done(void)
{
    putchar('\n');
    fflush(stdout);
}

int64_t clock_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}
