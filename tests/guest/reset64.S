/*
 * reset64.S - reset.S as an ELF64 image with a PVH note, for monitors that load nothing else. The
 * code reads the same in 32-bit and 64-bit mode, so either entry will do.
 *
 * Linked as a flat binary at 1 MiB.
 */
#define KBD_COMMAND    0x64
#define KBD_RESET      0xfe

#include "lib/elf64.inc"
	movb $KBD_RESET, %al
	outb %al, $KBD_COMMAND
1:	hlt
	jmp 1b
end:
