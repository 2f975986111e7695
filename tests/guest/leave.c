/*
 * leave.c - every way out of the machine: way=cf9|cf9hard|kbd|p92|triple|s5|exit, with exit's
 * value= for the test device.
 */
#include "lib/guest.h"

static void triple_fault(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) empty = {0, 0};

	asm volatile("lidt %0; ud2" : : "m"(empty));
}

void main(void)
{
	say("leaving\n");
	if (option_is("way", "cf9")) {
		out8(PORT_RESET, 0x06); /* as the FADT's reset register: system reset, armed */
	} else if (option_is("way", "cf9hard")) {
		out8(PORT_RESET, 0x02); /* hard, not yet */
		say("armed\n");
		out8(PORT_RESET, 0x0e); /* full, now */
	} else if (option_is("way", "kbd")) {
		out8(PORT_KBD, 0xfe);
	} else if (option_is("way", "p92")) {
		out8(PORT_SYSCTL_A, (in8(PORT_SYSCTL_A) & ~1) | 1);
	} else if (option_is("way", "triple")) {
		triple_fault();
	} else if (option_is("way", "s5")) {
		out16(PORT_PM1_CNT, PM1_S5);
	} else if (option_is("way", "exit")) {
		out32(PORT_TEST_EXIT, option("value", 0));
	}
	/* The write has left the machine before this can run, or it is not a way out. */
	fail("still here");
}
