/*
 * reset.S - the smallest multiboot image that ends: its second instruction pulses the reset line
 * through the keyboard controller. What is timed with it is the monitor, not the guest. The ELF
 * header is written out by hand, so that the file is 100 bytes without sections or padding.
 *
 * Linked as a flat binary at 1 MiB.
 */
#define LOAD        0x100000
#define MB_MAGIC    0x1badb002
#define KBD_COMMAND 0x64
#define KBD_RESET   0xfe

	.code32
	.text
	.globl _start
ehdr:
	.ascii "\177ELF"
	.byte 1, 1, 1, 0 /* 32-bit, little-endian, version, System V */
	.fill 8, 1, 0
	.short 2, 3 /* ET_EXEC, EM_386 */
	.long 1
	.long LOAD + (_start - ehdr)
	.long phdr - ehdr
	.long 0, 0
	.short 52, 32, 1, 0, 0, 0
phdr:
	.long 1, 0, LOAD, LOAD /* PT_LOAD, offset, virtual, physical */
	.long end - ehdr, end - ehdr
	.long 7, 4
mb_header:
	.long MB_MAGIC, 0, -MB_MAGIC
_start:
	movb $KBD_RESET, %al
	outb %al, $KBD_COMMAND
end:
