/*
 * pause_guest.c - keeps every path of the monitor busy until a character comes in: a PIT tick
 * through the 8259, letters in order on COM1, string output, registers read back through ports and
 * memory. Ends with the number of ticks that it handled.
 */
#include "../guest/lib/guest.h"

#define PORT_RTC   0x70
#define CMOS_FREE  0x40
#define TICK_COUNT 1193 /* 1 kHz */

static volatile unsigned ticks;

static void tick(const struct frame *f)
{
	ticks++;
	out8(PORT_PIC1, PIC_EOI);
}

static void check_ports(unsigned n)
{
	out8(PORT_RTC, CMOS_FREE);
	out8(PORT_RTC + 1, (uint8_t)n);
	if (in8(PORT_RTC + 1) != (uint8_t)n)
		fail("a port read gave something else than was written");
}

static void check_mmio(unsigned n)
{
	ioapic_write(IOAPIC_RTE(5), RTE_MASKED | (n & 0xff));
	if (ioapic_read(IOAPIC_RTE(5)) != (RTE_MASKED | (n & 0xff)))
		fail("a memory read gave something else than was written");
}

/* Each letter follows the last: one that is lost or comes twice is seen outside. */
static void letters(unsigned *n)
{
	static char burst[8];
	const char *from = burst;
	unsigned count = sizeof(burst);

	for (unsigned i = 0; i < sizeof(burst); i++)
		burst[i] = (char)('A' + (*n)++ % 26);
	while (!(in8(PORT_COM1 + UART_LSR) & LSR_THRE))
		;
	asm volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(PORT_COM1) : "memory");
	put((char)('A' + (*n)++ % 26));
}

void main(void)
{
	unsigned n = 0;

	lapic_init(true);
	on_vector(PIC_VECTOR, tick);
	pic_init(1 << 0);
	pit_program(PIT_CH0_RATE, TICK_COUNT);
	irq_on();
	while (!(in8(PORT_COM1 + UART_LSR) & LSR_DR)) {
		letters(&n);
		check_ports(n);
		check_mmio(n);
		if (n % 16 == 0)
			asm volatile("hlt");
	}
	irq_off();
	out8(PORT_PIC1 + 1, 0xff);
	irq_on();
	wait_us(5000);
	irq_off();
	say("\n%u ticks\n", ticks);
}
