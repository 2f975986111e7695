/*
 * transfer.c - takes kib= KiB from COM1 and sends each byte back, in bursts as long as the FIFO's
 * trigger level says are there: few exits a byte.
 */
#include "../../guest/lib/guest.h"

#define FCR_TRIGGER_14 0xc1 /* FIFOs on */
#define IIR_CAUSE      0x0f
#define IIR_DATA       0x04 /* at least the trigger level */
#define IIR_TIMEOUT    0x0c
#define TRIGGER        14

static unsigned take(char *to)
{
	char *end = to;
	unsigned n = TRIGGER;

	switch (in8(PORT_COM1 + UART_FCR) & IIR_CAUSE) {
	case IIR_DATA:
		asm volatile("rep insb" : "+D"(end), "+c"(n) : "d"(PORT_COM1) : "memory");
		break;
	case IIR_TIMEOUT:
		while (end - to < TRIGGER && in8(PORT_COM1 + UART_LSR) & LSR_DR)
			*end++ = (char)in8(PORT_COM1);
		break;
	default: break;
	}
	return (unsigned)(end - to);
}

void main(void)
{
	static char burst[TRIGGER];
	unsigned total = option("kib", 1024) << 10;

	pic_init(0); /* the cause is polled */
	out8(PORT_COM1 + UART_FCR, FCR_TRIGGER_14);
	out8(PORT_COM1 + UART_IER, IER_RDI);
	say("ready\n");
	for (unsigned done = 0, n; done < total; done += n) {
		const char *from = burst;
		unsigned left = n = take(burst);

		while (n && !(in8(PORT_COM1 + UART_LSR) & LSR_THRE))
			;
		asm volatile("rep outsb" : "+S"(from), "+c"(left) : "d"(PORT_COM1) : "memory");
	}
}
