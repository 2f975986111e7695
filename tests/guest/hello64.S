/*
 * hello64.S - from 32-bit to 64-bit mode, output and the end from there.
 */
#include "lib/guest.inc"

	.text
	.code32
	.globl main
main:
	call enter_long
	.code64
	movabsq $0x0123456789abcdef, %r8
	movq %r8, %r9
	shrq $32, %r9
	leaq good(%rip), %rsi
	cmpq $0x01234567, %r9
	je 1f
	leaq bad(%rip), %rsi
1:	movw $(PORT_COM1 + 5), %dx
2:	inb %dx, %al
	testb $LSR_THRE, %al
	jz 2b
	lodsb
	testb %al, %al
	jz 3f
	movw $PORT_COM1, %dx
	outb %al, %dx
	jmp 1b
3:	movl $0x10, %eax
	outl %eax, $PORT_EXIT
4:	hlt
	jmp 4b

	.section .rodata
good:	.asciz "hello from 64-bit mode\nok\n"
bad:	.asciz "FAIL: 64-bit registers\n"
	.section .note.GNU-stack, "", @progbits
