/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest half of guest/kernel/check, and its clock.
 *
 * As PID 1 of a guest: say how long the kernel took to get here and how many
 * CPUs it found, then restart, which ends QEMU. Anywhere else: print the rate
 * of this machine's TSC in kHz, for the kernel's tcg_tsc_khz=.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Over 20 ms, reading the two clocks a fraction of a µs apart is an error of a few parts in 10^5. */
static int64_t tsc_khz(void)
{
    const int64_t period_ns = 20000000;
    int64_t start_ns = clock_ns(CLOCK_MONOTONIC_RAW);
    int64_t start_tsc = (int64_t)__rdtsc();
    int64_t end_ns;

    do
        end_ns = clock_ns(CLOCK_MONOTONIC_RAW);
    while (end_ns - start_ns < period_ns);
    return ((int64_t)__rdtsc() - start_tsc) * 1000000 / (end_ns - start_ns);
}

int main(void)
{
    int64_t uptime_us = clock_ns(CLOCK_BOOTTIME) / 1000;

    if (getpid() != 1) {
        printf("%lld\n", (long long)tsc_khz());
        return 0;
    }
    dprintf(STDOUT_FILENO, "check: in init, %lld us, %ld cpus\n", (long long)uptime_us,
        sysconf(_SC_NPROCESSORS_CONF));
    reboot(RB_AUTOBOOT);
    return 1;
}
