/*
 * ioapic_fuzz.c - every index and every kind of redirection entry with all lines idle; then a level
 * line that nobody lowers, handled a few hundred times without clearing its cause.
 */
#include "lib/guest.h"

#define PIN_COM1 4
#define VECTOR   0x44
#define STORM    300
#define EOIR     0x40

static volatile unsigned storm;

static void stuck(const struct frame *f)
{
	if (++storm == STORM)
		ioapic_write(IOAPIC_RTE(PIN_COM1), VECTOR | RTE_LEVEL | RTE_MASKED);
	lapic_write(LAPIC_EOI, 0);
	/* A host that emulates ring 0 tells of an EOI only at the next exit, which hlt is not. */
	in8(PORT_COM1 + UART_IER);
}

static void reset_entries(void)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		ioapic_write(IOAPIC_RTE(pin), RTE_MASKED);
		ioapic_write(IOAPIC_RTE(pin) + 1, 0);
	}
}

static void registers(void)
{
	static const uint32_t values[] = {0, 0xffffffff, 0x5a5aa5a5, 0x0001ffff, 0x0000ffff};

	for (unsigned reg = 0; reg < 256; reg++)
		for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			ioapic_write(reg, values[i]);
			(void)*mmio32(0xfec00010);
			*(volatile uint8_t *)0xfec00010 = 0xff;
			*(volatile uint16_t *)0xfec00012 = 0xffff;
			*mmio32(0xfec00000 + EOIR) = values[i] & 0xff;
		}
	reset_entries();
}

/* Every delivery mode, reserved ones too, with and without level, masked and not. */
static void entries(void)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		for (unsigned bits = 0; bits < 0x200; bits++) {
			ioapic_write(IOAPIC_RTE(pin) + 1, bits << 24);
			ioapic_write(IOAPIC_RTE(pin), bits << 8 | (bits & 0xff));
		}
	reset_entries();
}

void main(void)
{
	lapic_init(false);
	pic_init(0);
	pit_program(PIT_CH0_ONCE, 0);
	wait_us(60000); /* until the one-shot is over, so that no line moves */
	registers();
	if (((ioapic_read(IOAPIC_VER) >> 16) & 0xff) != IOAPIC_PINS - 1)
		fail("the version register changed");
	say("registers\n");
	entries();
	say("entries\n");
	on_vector(VECTOR, stuck);
	ioapic_write(IOAPIC_RTE(PIN_COM1) + 1, lapic_read(LAPIC_ID) & 0xff000000);
	ioapic_write(IOAPIC_RTE(PIN_COM1), VECTOR | RTE_LEVEL);
	out8(PORT_COM1 + UART_IER, IER_THRI);
	while (storm < STORM)
		irq_wait();
	out8(PORT_COM1 + UART_IER, 0);
	say("storm %u\n", storm);
}
