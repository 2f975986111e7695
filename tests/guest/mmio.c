/*
 * mmio.c - addresses with nothing behind them: reads are all ones, writes go nowhere, in all
 * widths, unaligned, over the edges of pages and of RAM, as string moves and as locked
 * read-modify-writes.
 */
#include "lib/guest.h"

#define PAGE 4096

static const uint32_t holes[] = {
	0xc0100000,                         /* below the PCI window */
	0xd0000000, 0xe0000ffd, 0xfebfe000, /* in it, with no BAR */
	0xfec01000, 0xfed00000,             /* after the IOAPIC; where others have an HPET */
};

static void expect(uint32_t got, uint32_t want, uint32_t address)
{
	if (got == want)
		return;
	say("%x: %x, not %x\n", address, got, want);
	fail("a hole is not empty");
}

static void poke(uint32_t at)
{
	*(volatile uint8_t *)at = 0x5a;
	*(volatile uint16_t *)at = 0x5a5a;
	*(volatile uint32_t *)at = 0x5a5a5a5a;
	expect(*(volatile uint8_t *)at, 0xff, at);
	expect(*(volatile uint16_t *)at, 0xffff, at);
	expect(*(volatile uint32_t *)at, 0xffffffff, at);
}

static void strings(uint32_t at)
{
	static uint8_t copy[PAGE];
	void *to = copy, *from = (void *)at;
	unsigned n = PAGE;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	for (unsigned i = 0; i < PAGE; i++)
		expect(copy[i], 0xff, at + i);
	to = (void *)at;
	n = PAGE / 4;
	asm volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(0) : "memory");
}

/* Half in RAM, half out: RAM keeps what is written there, the rest is all ones. */
static void edge_of_ram(void)
{
	uint32_t end = ram_end();

	*(volatile uint32_t *)(end - 2) = 0x12345678;
	expect(*(volatile uint16_t *)(end - 2), 0x5678, end - 2);
	expect(*(volatile uint32_t *)(end - 2), 0xffff5678, end - 2);
}

void main(void)
{
	for (unsigned i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
		for (unsigned off = 0; off < 8; off++)
			poke(holes[i] + off);
		for (unsigned off = PAGE - 4; off < PAGE; off++)
			poke((holes[i] & ~(PAGE - 1u)) + off);
		strings(holes[i]);
	}
	say("holes\n");
	if (option("locked", 1)) {
		volatile uint32_t *at = mmio32(holes[1]);

		asm volatile("lock incl %0" : "+m"(*at));
		asm volatile("lock orl $1, %0" : "+m"(*at));
		say("locked\n");
	}
	if (option("edge", 1)) {
		edge_of_ram();
		say("edge of RAM\n");
	}
	for (unsigned off = 0; off < 0x1000;
	     off++) { /* the IOAPIC's page, where only two registers are */
		(void)*(volatile uint8_t *)(0xfec00000 + off);
		*(volatile uint8_t *)(0xfec00000 + off) = 0;
		(void)*(volatile uint16_t *)(0xfec00000 + off);
	}
	say("ioapic page\n");
}
