/*
 * mark64.S - reset64.S with another end: it writes what tells a boot timer that the guest runs, and
 * waits for ever. For 32-bit mode without paging.
 *
 * Linked as a flat binary at 1 MiB.
 */
#define LOAD           0x100000
#define XEN_PHYS_ENTRY 18
#define BOOT_TIMER     0xc0000000
#define BOOT_DONE      123

	.code32
	.text
	.globl _start
ehdr:
	.ascii "\177ELF"
	.byte 2, 1, 1, 0 /* 64-bit, little-endian, version, System V */
	.fill 8, 1, 0
	.short 2, 62 /* ET_EXEC, EM_X86_64 */
	.long 1
	.quad LOAD + (_start - ehdr)
	.quad phdr - ehdr
	.quad 0
	.long 0
	.short 64, 56, 2, 0, 0, 0
phdr:
	.long 1, 7 /* PT_LOAD, rwx */
	.quad 0, LOAD, LOAD
	.quad end - ehdr, end - ehdr
	.quad 4096
	.long 4, 4 /* PT_NOTE */
	.quad note - ehdr, LOAD + (note - ehdr), LOAD + (note - ehdr)
	.quad note_end - note, note_end - note
	.quad 4
note:
	.long 4, 4, XEN_PHYS_ENTRY
	.asciz "Xen"
	.long LOAD + (_start - ehdr)
note_end:
_start:
	movb $BOOT_DONE, BOOT_TIMER
1:	hlt
	jmp 1b
end:
