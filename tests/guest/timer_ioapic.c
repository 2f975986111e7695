/*
 * timer_ioapic.c - the PIT through IOAPIC pin 2 with the 8259 masked: edges while unmasked, none
 * while masked.
 */
#include "lib/guest.h"

#define VECTOR 0x40
#define HZ     100
#define TICKS  20
#define PIN    2

static volatile unsigned ticks;

static void tick(const struct frame *f)
{
	ticks++;
	lapic_write(LAPIC_EOI, 0);
}

void main(void)
{
	struct stopwatch s;
	uint32_t us = 0;

	lapic_init(false);
	pic_init(0);
	on_vector(VECTOR, tick);
	if (((ioapic_read(IOAPIC_VER) >> 16) & 0xff) != IOAPIC_PINS - 1)
		fail("not 24 pins");
	ioapic_write(IOAPIC_RTE(PIN) + 1, lapic_read(LAPIC_ID) & 0xff000000);
	ioapic_write(IOAPIC_RTE(PIN), VECTOR);
	pit_program(PIT_CH0_RATE, PIT_HZ / HZ);
	while (ticks < 1)
		irq_wait();
	stopwatch_start(&s);
	while (ticks < 1 + TICKS) {
		irq_wait();
		us = stopwatch_us(&s);
	}
	say("%u ticks\n", TICKS);
	if (us < (TICKS - 1) * 1000000 / HZ)
		fail("the ticks came too fast");
	ioapic_write(IOAPIC_RTE(PIN), VECTOR | RTE_MASKED);
	irq_on();
	asm volatile("nop");
	irq_off();
	ticks = 0;
	irq_on();
	wait_us(50000);
	irq_off();
	if (ticks)
		fail("ticks while masked");
}
