/*
 * smp.c - starts the other CPUs by INIT and start-up IPIs, as many as cpus= says and not one more,
 * has each print its line in turn, then wakes them all from hlt by one broadcast.
 */
#include "lib/guest.h"

#define LOW_CODE    0x70000
#define LOW_VECTOR  0x70
#define ICR_OTHERS  0xc0000
#define ICR_INIT    0x4500
#define ICR_STARTUP 0x4600
#define ICR_FIXED   0x4000
#define WAKE_VECTOR 0x50
#define CPUS_MAX    32
#define STACK_SIZE  2048
#define PATIENCE_US 10000000

extern char ap_code[], ap_code_end[];
void ap_main(unsigned id);

char ap_stacks[CPUS_MAX][STACK_SIZE] __attribute__((aligned(16)));
static volatile unsigned arrived, turn, ready, woken;

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
    "	shll $11, %esp\n"
    "	addl $ap_stacks, %esp\n"
    "	pushl %eax\n"
    "	call ap_main\n");

static void add(volatile unsigned *counter)
{
	asm volatile("lock incl %0" : "+m"(*counter) : : "memory");
}

static void wake(const struct frame *f)
{
	add(&woken);
	lapic_write(LAPIC_EOI, 0);
}

void ap_main(unsigned id)
{
	add(&arrived);
	idt_load();
	lapic_init(false);
	while (turn != id)
		asm volatile("pause");
	say("cpu %u\n", id);
	turn = id + 1;
	add(&ready);
	irq_on();
	for (;;)
		asm volatile("hlt");
}

/* Waits until `counter` is `n`; the stopwatch bounds it. */
static void await(volatile unsigned *counter, unsigned n, const char *what)
{
	struct stopwatch s;

	stopwatch_start(&s);
	while (*counter != n)
		if (stopwatch_us(&s) > PATIENCE_US)
			fail(what);
}

static void ipi_others(uint32_t command)
{
	lapic_write(LAPIC_ICR_HI, 0);
	lapic_write(LAPIC_ICR_LO, ICR_OTHERS | command);
}

void main(void)
{
	unsigned others = option("cpus", 1) - 1;

	for (char *to = (char *)LOW_CODE, *from = ap_code; from < ap_code_end;)
		*to++ = *from++;
	lapic_init(false);
	pic_init(0);
	on_vector(WAKE_VECTOR, wake);
	ipi_others(ICR_INIT);
	wait_us(10000);
	ipi_others(ICR_STARTUP | LOW_VECTOR);
	wait_us(200);
	ipi_others(ICR_STARTUP | LOW_VECTOR);
	await(&arrived, others, "too few CPUs came up");
	wait_us(50000);
	if (arrived != others)
		fail("too many CPUs came up");
	say("cpu 0\n");
	turn = 1;
	await(&ready, others, "a CPU did not take its turn");
	say("%u cpus\n", arrived + 1);
	ipi_others(ICR_FIXED | WAKE_VECTOR);
	await(&woken, others, "a CPU did not wake");
	say("%u woken\n", woken);
}
