/*
 * ports.c - every I/O port, read and written in all widths, but for those that end the machine;
 * then string I/O, both directions, over the edge of a page.
 */
#include "lib/guest.h"

#define STRING_LEN 4096

static char buffer[3 * STRING_LEN] __attribute__((aligned(4096)));

static bool covers(unsigned port, unsigned size, unsigned first, unsigned last)
{
	return port <= last && port + size > first;
}

static bool ends(unsigned port, unsigned size)
{
	return covers(port, size, PORT_TEST_EXIT, PORT_TEST_EXIT + 3) ||
	       covers(port, size, PORT_SYSCTL_A, PORT_SYSCTL_A) ||
	       covers(port, size, PORT_PM1_CNT, PORT_PM1_CNT + 1) ||
	       (covers(port, size, PORT_RESET, PORT_RESET) && port != PORT_PCI_ADDR);
}

static void touch(unsigned port, unsigned size, uint32_t v)
{
	uint16_t p = (uint16_t)port;

	/* What goes to the transmitter stays inside. */
	if (covers(port, size, PORT_COM1, PORT_COM1 + 7))
		out8(PORT_COM1 + UART_MCR, MCR_LOOP);
	switch (size) {
	case 1:
		out8(p, (uint8_t)v);
		in8(p);
		break;
	case 2:
		out16(p, (uint16_t)v);
		in16(p);
		break;
	default: out32(p, v); in32(p);
	}
}

static void sweep(uint32_t v)
{
	for (unsigned size = 1; size <= 4; size *= 2)
		for (unsigned port = 0; port < 0x10000; port++)
			if (!ends(port, size))
				touch(port, size, v);
	console_init();
	say("swept %x\n", v);
}

static void strings(uint16_t port)
{
	char *at = buffer + 2048 + 1; /* neither start nor end on a page's edge */
	unsigned n = STRING_LEN;

	asm volatile("rep insb" : "+D"(at), "+c"(n) : "d"(port) : "memory");
	at = buffer + 2048 + 1;
	n = STRING_LEN;
	asm volatile("rep outsb" : "+S"(at), "+c"(n) : "d"(port) : "memory");
	at = buffer + 2048 + 1;
	n = STRING_LEN / 4;
	asm volatile("rep insl" : "+D"(at), "+c"(n) : "d"(port) : "memory");
	at = buffer + 2048 + 1;
	n = STRING_LEN / 4;
	asm volatile("rep outsl" : "+S"(at), "+c"(n) : "d"(port) : "memory");
	at = buffer + sizeof(buffer) - 1;
	n = STRING_LEN;
	asm volatile("std; rep insb; cld" : "+D"(at), "+c"(n) : "d"(port) : "memory");
}

void main(void)
{
	static const uint16_t string_ports[] = {0x1f0, 0x80,  PORT_PIT,      0x71,
						0x60,  0xcfc, PORT_COM1 + 7, 0xffff};

	sweep(0xffffffff);
	sweep(0);
	out32(PORT_PCI_ADDR, 0);
	for (unsigned i = 0; i < sizeof(string_ports) / sizeof(string_ports[0]); i++)
		strings(string_ports[i]);
	if (buffer[sizeof(buffer) - 1] != (char)0xff)
		fail("a read of no device is not all ones");
	say("strings\n");
}
