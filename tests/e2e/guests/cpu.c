/*
 * cpu.c - what the CPU says of itself: for each N from 0 that leafN= names, a line of EAX, EBX, ECX
 * and EDX of CPUID with that leaf and subN=; then likewise of RDMSR with msrN=, EDX and EAX.
 */
#include "../../guest/lib/guest.h"

static void show_leaf(uint32_t leaf, uint32_t sub)
{
	uint32_t a = leaf, b, c = sub, d;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	say("leaf %x %x: %x %x %x %x\n", leaf, sub, a, b, c, d);
}

static void show_msr(uint32_t index)
{
	uint32_t a, d;

	asm volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(index));
	say("msr %x: %x %x\n", index, d, a);
}

void main(void)
{
	for (char leaf[] = "leaf0", sub[] = "sub0"; option(leaf, -1) != -1u; leaf[4]++, sub[3]++)
		show_leaf(option(leaf, 0), option(sub, 0));
	for (char msr[] = "msr0"; option(msr, -1) != -1u; msr[3]++)
		show_msr(option(msr, 0));
	say("ready\n");
	for (;;)
		;
}
