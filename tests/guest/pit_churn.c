/*
 * pit_churn.c - the PIT at its fastest and in every mode, with its interrupt open: the machine must
 * stay usable, and an ordinary tick must work afterwards.
 */
#include "lib/guest.h"

static volatile unsigned ticks;

static void tick(const struct frame *f)
{
	ticks++;
	out8(PORT_PIC1, PIC_EOI);
}

static void spin(uint32_t us)
{
	irq_on();
	wait_us(us);
	irq_off();
}

void main(void)
{
	lapic_init(true);
	on_vector(PIC_VECTOR, tick);
	on_vector(PIC_VECTOR + 7,
		  tick); /* spurious: the line may be gone when it is acknowledged */
	pic_init(1 << 0);
	for (unsigned mode = 0; mode < 8; mode++)
		for (unsigned count = 0; count < 4; count++) {
			pit_program((uint8_t)(0x30 | mode << 1), count);
			spin(1000);
		}
	say("slow churn\n");
	for (unsigned i = 0; i < 20000; i++) {
		out8(PORT_PIT_CTRL, (uint8_t)i);
		out8((uint16_t)(PORT_PIT + i % 3), (uint8_t)(i >> 3));
		in8((uint16_t)(PORT_PIT + i % 4));
		if (i % 64 == 0)
			spin(100);
	}
	say("fast churn\n");
	pit_program(PIT_CH0_RATE, 1);
	spin(100000);
	if (!ticks)
		fail("no tick at all");
	pit_program(PIT_CH0_RATE, PIT_HZ / 100);
	spin(20000); /* what is still on its way */
	for (ticks = 0; ticks < 5;)
		irq_wait();
	say("ticks again\n");
}
