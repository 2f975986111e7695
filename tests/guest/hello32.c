/* hello32.c - the multiboot entry, the console and the command line. */
#include "lib/guest.h"

#define MB_BOOT_MAGIC 0x2badb002

void main(void)
{
	if (boot_magic() != MB_BOOT_MAGIC)
		fail("EAX is not the multiboot magic");
	say("hello from 32-bit mode\n");
	say("word %s\n", option_is("word", "given") ? "given" : "missing");
	say("ram %u MiB\n", (ram_end() + 0xfffff) >> 20);
}
