/*
 * long.S - enter_long: from flat 32-bit mode to 64-bit mode with the low 4 GiB mapped to
 * themselves in 2 MiB pages. It returns to its 32-bit caller's next instruction, which must be
 * 64-bit code; clobbers eax, ecx, edx, edi. Interrupts must stay off: the gates are 32-bit ones.
 */
#include "guest.inc"
#define PAGE_RW    0x3
#define PAGE_LARGE 0x83

	.text
	.code32
	.globl enter_long
enter_long:
	movl $(pdpt + PAGE_RW), pml4
	movl $(page_dirs + PAGE_RW), %eax
	xorl %ecx, %ecx
1:	movl %eax, pdpt(, %ecx, 8)
	addl $4096, %eax
	incl %ecx
	cmpl $4, %ecx
	jne 1b
	movl $PAGE_LARGE, %eax
	xorl %ecx, %ecx
2:	movl %eax, page_dirs(, %ecx, 8)
	addl $0x200000, %eax
	incl %ecx
	cmpl $2048, %ecx
	jne 2b

	movl %cr4, %eax
	orl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $pml4, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl %cr0, %eax
	orl $CR0_PG, %eax
	movl %eax, %cr0
	ljmp $SEL_CODE64, $3f
	.code64
3:	movl (%rsp), %eax
	addq $4, %rsp
	jmp *%rax

	.bss
	.align 4096
pml4:
	.skip 4096
pdpt:
	.skip 4096
page_dirs:
	.skip 4 * 4096
	.section .note.GNU-stack, "", @progbits
