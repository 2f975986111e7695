/*
 * mmio64.S - 8-byte accesses to addresses with nothing behind them, aligned, unaligned and over the
 * edge of a page, in the PCI window and above all RAM's end.
 */
#include "lib/guest.inc"

	.text
	.code32
	.globl main
main:
	call enter_long
	.code64
	leaq places(%rip), %rbx
1:	movl (%rbx), %ecx
	testl %ecx, %ecx
	jz 3f
	movabsq $0x5a5a5a5aa5a5a5a5, %rax
	movq %rax, (%rcx)
	movq (%rcx), %rax
	incq %rax
	jnz 2f /* not all ones */
	addq $4, %rbx
	jmp 1b
2:	leaq bad(%rip), %rsi
	movl $0x11, %edi
	jmp 4f
3:	leaq good(%rip), %rsi
	movl $0x10, %edi
4:	movw $(PORT_COM1 + 5), %dx
5:	inb %dx, %al
	testb $LSR_THRE, %al
	jz 5b
	lodsb
	testb %al, %al
	jz 6f
	movw $PORT_COM1, %dx
	outb %al, %dx
	jmp 4b
6:	movl %edi, %eax
	outl %eax, $PORT_EXIT
7:	hlt
	jmp 7b

	.section .rodata
	.align 4
places:	.long 0xd0000000, 0xd0000001, 0xd0000ffc, 0xd0000fff, 0xfed00000, 0xc0100003, 0
good:	.asciz "8-byte holes\nok\n"
bad:	.asciz "FAIL: a hole is not empty\n"
	.section .note.GNU-stack, "", @progbits
