/* ap.c - see ap.h. */
#include "ap.h"

#define LOW_CODE    0x70000
#define LOW_VECTOR  0x70
#define ICR_INIT    0x4500
#define ICR_STARTUP 0x4600
#define CPUS_MAX    32
#define STACK_SIZE  4096

extern char ap_code[], ap_code_end[];
char ap_stacks[CPUS_MAX][STACK_SIZE] __attribute__((aligned(16)));

/* At LOW_CODE:0 in real mode; the GDT is the BSP's. Each CPU's APIC ID picks its stack. */
asm("	.text\n"
    "	.code16\n"
    "ap_code:\n"
    "	cli\n"
    "	movw %cs, %ax\n"
    "	movw %ax, %ds\n"
    "	lgdtl ap_gdt - ap_code\n"
    "	movl %cr0, %eax\n"
    "	andl $0x9fffffff, %eax\n" /* caches on: CD and NW are set after INIT */
    "	orb $1, %al\n"
    "	movl %eax, %cr0\n"
    "	ljmpl $8, $ap_flat\n"
    "ap_gdt:\n"
    "	.short 3 * 8 - 1\n"
    "	.long gdt\n"
    "ap_code_end:\n"
    "	.code32\n"
    "ap_flat:\n"
    "	movw $16, %ax\n"
    "	movw %ax, %ds\n"
    "	movw %ax, %es\n"
    "	movw %ax, %ss\n"
    "	movl 0xfee00020, %eax\n"
    "	shrl $24, %eax\n"
    "	andl $31, %eax\n"
    "	leal 1(%eax), %esp\n"
    "	shll $12, %esp\n"
    "	addl $ap_stacks, %esp\n"
    "	pushl %eax\n"
    "	call ap_main\n");

void ap_ipi(uint32_t command)
{
	lapic_write(LAPIC_ICR_HI, 0);
	lapic_write(LAPIC_ICR_LO, ICR_OTHERS | command);
}

void ap_start(void)
{
	for (char *to = (char *)LOW_CODE, *from = ap_code; from < ap_code_end;)
		*to++ = *from++;
	ap_ipi(ICR_INIT);
	wait_us(10000);
	ap_ipi(ICR_STARTUP | LOW_VECTOR);
	wait_us(200);
	ap_ipi(ICR_STARTUP | LOW_VECTOR);
}
