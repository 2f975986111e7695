/*
 * stay.c - says "ready" and stays: how=spin|idle|hlt. With marks= it writes so many marks to the
 * boot-timer page first, and with how=pass ends then.
 */
#include "../../guest/lib/guest.h"

#define BOOT_TIMER 0xc0000000
#define VECTOR     0x41
#define TICK_COUNT 10000000 /* 10 ms at KVM's 1 GHz */
#define DIV_1      0xb

static void tick(const struct frame *f)
{
	lapic_write(LAPIC_EOI, 0);
}

/* As an idle kernel whose tick is the LAPIC's; the PIT runs on behind a mask. */
static void idle(void)
{
	lapic_init(false);
	pic_init(0);
	pit_program(PIT_CH0_RATE, PIT_HZ / 1000);
	on_vector(VECTOR, tick);
	lapic_write(LAPIC_TIMER_DIV, DIV_1);
	lapic_write(LAPIC_LVT_TIMER, VECTOR | LVT_PERIODIC);
	lapic_write(LAPIC_TIMER_INIT, TICK_COUNT);
	for (;;)
		irq_wait();
}

void main(void)
{
	unsigned marks = option("marks", 0);

	for (unsigned i = 0; i < marks; i++) {
		*(volatile uint8_t *)BOOT_TIMER = (uint8_t)(i + 1);
		wait_us(1000);
	}
	say("ready\n");
	if (option_is("how", "pass"))
		return;
	if (option_is("how", "idle"))
		idle();
	while (option_is("how", "hlt"))
		asm volatile("cli; hlt");
	for (;;)
		;
}
