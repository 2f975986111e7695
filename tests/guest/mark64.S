/*
 * mark64.S - reset64.S with another end: it writes what tells a boot timer that the guest runs, and
 * waits for ever. For 32-bit mode without paging.
 *
 * Linked as a flat binary at 1 MiB.
 */
#define BOOT_TIMER     0xc0000000
#define BOOT_DONE      123

#include "lib/elf64.inc"
	movb $BOOT_DONE, BOOT_TIMER
1:	hlt
	jmp 1b
end:
