/*
 * start.S - multiboot 1 entry, descriptor table and interrupt stubs of the bare-metal guests.
 */
#include "guest.inc"

	.section .multiboot, "a"
	.align 4
	.long MB_MAGIC, MB_MEMORY, -(MB_MAGIC + MB_MEMORY)

	.text
	.code32
	.globl _start
_start:
	cli
	cld
	movl $stack_top, %esp
	lgdt gdt_pointer
	ljmp $SEL_CODE32, $1f
1:	movw $SEL_DATA, %cx
	movw %cx, %ds
	movw %cx, %es
	movw %cx, %fs
	movw %cx, %gs
	movw %cx, %ss
	pushl %ebx
	pushl %eax
	call guest_init
	call main
	call pass

/* One stub for each vector: error code or 0, vector, then the common part. */
	.altmacro
	.macro stub n
	.align 16
	.if (\n == 8) || (\n >= 10 && \n <= 14) || (\n == 17) || (\n == 21)
	.else
	pushl $0
	.endif
	pushl $\n
	jmp stub_common
	.endm

	.align 16
	.globl stubs
stubs:
	.set n, 0
	.rept 256
	stub %n
	.set n, n + 1
	.endr

stub_common:
	pusha
	cld
	pushl %esp
	call dispatch
	addl $4, %esp
	popa
	addl $8, %esp
	/*
	 * Back without iret, which KVM's instruction emulator has only for real mode, and some hosts
	 * emulate all of ring 0. sti holds interrupts off until the far return is done.
	 */
	testl $EFLAGS_IF, 8(%esp)
	jz 1f
	andl $~EFLAGS_IF, 8(%esp)
	pushl 8(%esp)
	popfl
	sti
	lretl $4
1:	pushl 8(%esp)
	popfl
	lretl $4

	.data
	.align 8
	.globl gdt, gdt_pointer
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff /* SEL_CODE32: flat */
	.quad 0x00cf93000000ffff /* SEL_DATA: flat */
	.quad 0x00009b070000ffff /* SEL_CODE16: 64 KiB at LOW_CODE */
	.quad 0x000093070000ffff /* SEL_DATA16 */
	.quad 0x00af9b000000ffff /* SEL_CODE64 */
gdt_end:
gdt_pointer:
	.short gdt_end - gdt - 1
	.long gdt

	.bss
	.align 16
	.skip 16384
stack_top:
	.section .note.GNU-stack, "", @progbits
