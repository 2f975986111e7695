/*
 * smp.c - starts the other CPUs by INIT and start-up IPIs, as many as cpus= says and not one more,
 * has each print its line in turn, then wakes them all from hlt by one broadcast.
 */
#include "lib/ap.h"

#define WAKE_VECTOR 0x50
#define PATIENCE_US 10000000

static volatile unsigned arrived, turn, ready, woken;

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

void main(void)
{
	unsigned others = option("cpus", 1) - 1;

	lapic_init(false);
	pic_init(0);
	on_vector(WAKE_VECTOR, wake);
	ap_start();
	await(&arrived, others, "too few CPUs came up");
	wait_us(50000);
	if (arrived != others)
		fail("too many CPUs came up");
	say("cpu 0\n");
	turn = 1;
	await(&ready, others, "a CPU did not take its turn");
	say("%u cpus\n", arrived + 1);
	ap_ipi(ICR_FIXED | WAKE_VECTOR);
	await(&woken, others, "a CPU did not wake");
	say("%u woken\n", woken);
}
