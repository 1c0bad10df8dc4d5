/* SPDX-License-Identifier: Apache-2.0 */
/* Times and sizes for people. */
#include "cli/listing.h"

#include "client/record.h"

#include <stdio.h>
#include <time.h>

static const struct {
    const char *name;
    int64_t seconds;
} units[] = {{"year", 365 * 86400}, {"month", 30 * 86400}, {"week", 7 * 86400}, {"day", 86400},
    {"hour", 3600}, {"minute", 60}, {"second", 1}};

char *time_span(int64_t milliseconds)
{
    int64_t seconds = milliseconds / 1000;

    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        int64_t count = seconds / units[i].seconds;
        if (count > 0)
            return must_printf("%ld %s%s", count, units[i].name, count > 1 ? "s" : "");
    }
    return must_copy("less than a second");
}

char *time_ago(int64_t milliseconds)
{
    if (milliseconds == 0)
        return must_copy("");
    _cleanup_free_ char *span = time_span(record_now() - milliseconds);
    return must_printf("%s ago", span);
}

char *time_text(int64_t milliseconds)
{
    time_t seconds = (time_t)(milliseconds / 1000);
    struct tm parts;
    char text[32];

    if (milliseconds == 0)
        return must_copy("");
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    return must_printf("%s.%03dZ", text, (int)(milliseconds % 1000));
}

char *size_text(uint64_t bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_SIZE(names)) {
        value /= 1024;
        unit++;
    }
    return must_printf(unit == 0 ? "%.0f%s" : "%.1f%s", value, names[unit]);
}
