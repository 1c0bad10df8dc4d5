/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From real mode straight to long mode, then PROBE_ROUNDS times lock cmpxchg16b, the instruction at which
 * emulating hosts give up, and one byte to PROBE_PORT. Anything else ends in a triple fault.
 */
#include "hv/probe_guest.h"

#define LOADED(label) (PROBE_CODE + (label) - probe_guest)

    .section .rodata
    .globl probe_guest, probe_guest_end
probe_guest:
    .code16
    cli
    lgdtl LOADED(gdt_pointer)
    movl $0x20, %eax                /* CR4.PAE */
    movl %eax, %cr4
    movl $PROBE_PML4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx          /* EFER.LME */
    movl $0x100, %eax
    xorl %edx, %edx
    wrmsr
    movl $0x80000011, %eax          /* CR0: PG, ET, PE */
    movl %eax, %cr0
    ljmpl $8, $LOADED(long_mode)

    .code64
long_mode:
    movl $PROBE_COUNTER, %edi
    movl $PROBE_ROUNDS, %esi
    xorl %eax, %eax
    xorl %edx, %edx
next:
    movl %eax, %ebx
    incl %ebx
    movl %edx, %ecx
    lock cmpxchg16b (%rdi)
    jnz failed
    movl %ebx, %eax
    decl %esi
    jnz next
    cmpl $PROBE_ROUNDS, (%rdi)
    jne failed
    movb $PROBE_DONE, %al
    outb %al, $PROBE_PORT
failed:
    ud2

    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff        /* 64-bit code */
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long LOADED(gdt)
probe_guest_end:
    .section .note.GNU-stack, "", @progbits
