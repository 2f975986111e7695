/*
 * flood.c - kib= KiB (4096) to the console in FIFO-sized bursts. With paced=1 each burst waits for
 * THRE, so every byte must arrive; without it the transmitter is overrun, and only the end counts.
 */
#include "lib/guest.h"

#define BURST 16

void main(void)
{
	static char line[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+\n";
	unsigned total = option("kib", 4096) << 10;
	bool paced = option("paced", 0);

	for (unsigned sent = 0; sent < total; sent += BURST) {
		const char *from = line + sent % 64;
		unsigned n = BURST;

		while (paced && !(in8(PORT_COM1 + UART_LSR) & LSR_THRE))
			;
		asm volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(PORT_COM1) : "memory");
	}
}
