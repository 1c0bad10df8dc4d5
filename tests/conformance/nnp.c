/* SPDX-License-Identifier: Apache-2.0 */
/* Tells as whom it runs; its file belongs to root and has the set-uid bit. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    return printf("Effective uid: %u\n", (unsigned)geteuid()) < 0;
}
