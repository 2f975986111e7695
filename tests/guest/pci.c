/*
 * pci.c - configuration mechanism 1: every bus and device by its first register, every register of
 * bus 0 in every width and at every offset; then all ones and zeroes into all of them, put back.
 */
#include "lib/guest.h"

#define ENABLE 0x80000000u

static uint32_t address(unsigned bus, unsigned devfn, unsigned reg)
{
	return ENABLE | bus << 16 | devfn << 8 | reg;
}

static uint32_t config_read(unsigned bus, unsigned devfn, unsigned reg)
{
	out32(PORT_PCI_ADDR, address(bus, devfn, reg));
	return in32(PORT_PCI_DATA);
}

static void config_write(unsigned bus, unsigned devfn, unsigned reg, uint32_t v)
{
	out32(PORT_PCI_ADDR, address(bus, devfn, reg));
	out32(PORT_PCI_DATA, v);
}

/* Bytes and words must agree with the double word they are part of. */
static void widths(unsigned devfn, unsigned reg)
{
	uint32_t whole = config_read(0, devfn, reg);

	for (unsigned i = 0; i < 4; i++)
		if (in8((uint16_t)(PORT_PCI_DATA + i)) != (uint8_t)(whole >> 8 * i))
			fail("a byte differs from its double word");
	for (unsigned i = 0; i < 4; i += 2)
		if (in16((uint16_t)(PORT_PCI_DATA + i)) != (uint16_t)(whole >> 8 * i))
			fail("a word differs from its double word");
	in16(PORT_PCI_DATA + 1);
	in16(PORT_PCI_DATA + 3);
	in32(PORT_PCI_DATA + 2);
}

static void scribble(unsigned devfn)
{
	for (unsigned reg = 0; reg < 256; reg += 4) {
		uint32_t was = config_read(0, devfn, reg);

		config_write(0, devfn, reg, 0xffffffff);
		config_write(0, devfn, reg, 0);
		for (unsigned i = 0; i < 4; i++)
			out8((uint16_t)(PORT_PCI_DATA + i), 0xa5);
		out16(PORT_PCI_DATA + 1, 0x5a5a);
		config_write(0, devfn, reg, was);
	}
}

/* 8-bit and 16-bit writes are not the address register's; it reads back without reserved bits. */
static void address_register(void)
{
	out32(PORT_PCI_ADDR, address(0, 8, 0x40));
	out8(PORT_PCI_ADDR, 0xff);
	out16(PORT_PCI_ADDR, 0xffff);
	out8(PORT_PCI_ADDR + 3, 0);
	if (in32(PORT_PCI_ADDR) != address(0, 8, 0x40))
		fail("a narrow write changed the address register");
	out32(PORT_PCI_ADDR, 0);
	if (in32(PORT_PCI_DATA) != 0xffffffff)
		fail("data without the enable bit");
}

void main(void)
{
	unsigned functions = 0;

	for (unsigned bus = 1; bus < 256; bus++)
		for (unsigned devfn = 0; devfn < 256; devfn++)
			if (config_read(bus, devfn, 0) != 0xffffffff)
				fail("a function on a bus that is not there");
	say("buses\n");
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		bool there = config_read(0, devfn, 0) != 0xffffffff;

		functions += there;
		for (unsigned reg = 0; reg < 256; reg += 4)
			widths(devfn, reg);
		if (there)
			scribble(devfn);
	}
	say("functions %s\n", functions >= 3 ? "found" : "missing");
	if (config_read(0, 0, 0) != 0x12378086)
		fail("no 440FX at 00:00.0");
	address_register();
	say("address register\n");
}
