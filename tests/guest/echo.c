/*
 * echo.c - gives back what comes in on COM1 until a '.', by polling or with input=irq by the
 * receive interrupt.
 */
#include "lib/guest.h"

#define END '.'

static volatile bool ended;

static void drain(void)
{
	while (in8(PORT_COM1 + UART_LSR) & LSR_DR) {
		char c = (char)in8(PORT_COM1 + UART_DATA);

		if (c == END) {
			ended = true;
			return;
		}
		put(c);
	}
}

static void received(const struct frame *f)
{
	drain();
	out8(PORT_PIC1, PIC_EOI);
}

void main(void)
{
	say("ready\n");
	if (option_is("input", "irq")) {
		lapic_init(true);
		on_vector(PIC_VECTOR + 4, received);
		pic_init(1 << 4);
		out8(PORT_COM1 + UART_IER, IER_RDI);
		while (!ended)
			irq_wait();
		out8(PORT_COM1 + UART_IER, 0);
	} else {
		while (!ended)
			drain();
	}
	say("\n");
}
