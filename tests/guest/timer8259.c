/*
 * timer8259.c - the PIT's rate generator through the 8259 to the first CPU, while it halts. The
 * IOAPIC is masked, LINT0 takes the 8259.
 */
#include "lib/guest.h"

#define HZ    100
#define TICKS 20

static volatile unsigned ticks;

static void tick(const struct frame *f)
{
	ticks++;
	out8(PORT_PIC1, PIC_EOI);
}

void main(void)
{
	struct stopwatch s;
	uint32_t us = 0;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic_write(IOAPIC_RTE(pin), RTE_MASKED);
	lapic_init(true);
	on_vector(PIC_VECTOR, tick);
	pic_init(1 << 0);
	pit_program(PIT_CH0_RATE, PIT_HZ / HZ);
	while (ticks < 1)
		irq_wait();
	stopwatch_start(&s);
	while (ticks < 1 + TICKS) {
		irq_wait();
		us = stopwatch_us(&s);
	}
	say("%u ticks\n", TICKS);
	/* A busy host may be late, but ticks never come early by more than one period. */
	if (us < (TICKS - 1) * 1000000 / HZ)
		fail("the ticks came too fast");
	out8(PORT_PIC1 + 1, 0xff);
	ticks = 0;
	irq_on();
	wait_us(50000);
	irq_off();
	if (ticks)
		fail("ticks while masked");
}
