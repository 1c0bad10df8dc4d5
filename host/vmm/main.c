/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson-vmm: runs one virtual machine under KVM, for the process at the other end of descriptor 3
 * (control.h). It needs nothing else: /dev/kvm, the kernel, disks and taps are sent to it.
 */
#include "base/log.h"
#include "vmm/control.h"
#include "vmm/jail.h"
#include "vmm/server.h"

#include <signal.h>

static struct error *run(void)
{
    bool alone;
    struct server *server;
    TRY(jail_enter(CONTROL_KVM_FD + 1, &alone));
    if (!alone)
        log_info("no namespaces for this user: confined by system calls only");
    struct event_base *base = event_base_new();
    if (!base)
        return error_new(ERROR_INTERNAL, "cannot make an event loop");
    TRY(server_new(base, CONTROL_FD, CONTROL_KVM_FD, &server));
    return server_run(server);
}

/* What is left is the kernel's to clean up, which it does faster and in the same way however we end. */
int main(void)
{
    log_open(STDERR_FILENO, LOG_LEVEL_INFO, "vmm");
    signal(SIGPIPE, SIG_IGN);
    _cleanup_error_ struct error *error = run();
    if (error)
        log_error("%s", error_message(error));
    return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
