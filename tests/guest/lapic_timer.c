/* lapic_timer.c - KVM's LAPIC timer, one-shot and periodic, while the CPU halts. */
#include "lib/guest.h"

#define VECTOR 0x41
#define COUNT  1000000 /* 1 ms at KVM's 1 GHz; QEMU's own LAPIC is as fast */
#define DIV_1  0xb
#define TICKS  10

static volatile unsigned ticks;

static void tick(const struct frame *f)
{
	ticks++;
	lapic_write(LAPIC_EOI, 0);
}

void main(void)
{
	lapic_init(false);
	pic_init(0);
	on_vector(VECTOR, tick);
	lapic_write(LAPIC_TIMER_DIV, DIV_1);
	lapic_write(LAPIC_LVT_TIMER, VECTOR);
	lapic_write(LAPIC_TIMER_INIT, COUNT);
	while (ticks < 1)
		irq_wait();
	irq_on();
	wait_us(20000);
	irq_off();
	if (ticks != 1)
		fail("a one-shot fired again");
	say("one shot\n");
	lapic_write(LAPIC_LVT_TIMER, VECTOR | LVT_PERIODIC);
	lapic_write(LAPIC_TIMER_INIT, COUNT);
	while (ticks < 1 + TICKS)
		irq_wait();
	say("%u ticks\n", TICKS);
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
}
