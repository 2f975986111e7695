/*
 * realmode.S - down to real mode, ten timer ticks through the 8259 and the real-mode vector table,
 * and back up.
 */
#include "lib/guest.inc"
#define TICKS      10
#define IVT_TIMER  (8 * 4)
#define PIT_RELOAD 1193 /* 1 kHz */
#define PORT_PIC1  0x20
#define PORT_PIC2  0xa0
#define PORT_PIT   0x40

	.text
	.code32
	.globl main
main:
	movl $low, %esi
	movl $LOW_CODE, %edi
	movl $(low_end - low), %ecx
	rep movsb
	sidt idt_saved
	movl %esp, esp_saved
	movw $SEL_DATA16, %cx
	movw %cx, %ds
	movw %cx, %es
	movw %cx, %fs
	movw %cx, %gs
	movw %cx, %ss
	ljmp $SEL_CODE16, $(down - low)

back:
	movw $SEL_DATA, %cx
	movw %cx, %ds
	movw %cx, %es
	movw %cx, %fs
	movw %cx, %gs
	movw %cx, %ss
	movl esp_saved, %esp
	lidt idt_saved
	pushl $message_back
	call say
	addl $4, %esp
	ret

/* Everything below runs at LOW_SEG:0. */
	.code16
low:
down:
	movl %cr0, %eax
	andb $~CR0_PE, %al
	movl %eax, %cr0
	ljmp $LOW_SEG, $(real - low)
real:
	movw %cs, %ax
	movw %ax, %ds
	movw %ax, %ss
	movw $0xfff0, %sp
	xorw %ax, %ax
	movw %ax, %es
	lidt ivt_pointer - low
	movw $(message_real - low), %si
	call print

	movw $(tick - low), %es:IVT_TIMER
	movw %cs, %es:IVT_TIMER + 2
	call timer_start
1:	sti
	hlt
	cli
	cmpw $TICKS, ticks - low
	jb 1b
	movb $0xff, %al
	outb %al, $PORT_PIC1 + 1
	movw $(message_ticks - low), %si
	call print

	lgdtl gdt_copy - low
	movl %cr0, %eax
	orb $CR0_PE, %al
	movl %eax, %cr0
	ljmpl $SEL_CODE32, $back

/* The 8259 pair at vectors 8 and 70h, as a PC's firmware has it; IRQ 0 alone open. */
timer_start:
	movb $0x11, %al
	outb %al, $PORT_PIC1
	outb %al, $PORT_PIC2
	movb $0x08, %al
	outb %al, $PORT_PIC1 + 1
	movb $0x70, %al
	outb %al, $PORT_PIC2 + 1
	movb $0x04, %al
	outb %al, $PORT_PIC1 + 1
	movb $0x02, %al
	outb %al, $PORT_PIC2 + 1
	movb $0x01, %al
	outb %al, $PORT_PIC1 + 1
	outb %al, $PORT_PIC2 + 1
	movb $0xfe, %al
	outb %al, $PORT_PIC1 + 1
	movb $0xff, %al
	outb %al, $PORT_PIC2 + 1
	movb $0x34, %al
	outb %al, $PORT_PIT + 3
	movw $PIT_RELOAD, %ax
	outb %al, $PORT_PIT
	movb %ah, %al
	outb %al, $PORT_PIT
	ret

tick:
	pushw %ax
	incw %cs:ticks - low
	movb $0x20, %al
	outb %al, $PORT_PIC1
	popw %ax
	iret

print:
	movw $(PORT_COM1 + 5), %dx
1:	inb %dx, %al
	testb $LSR_THRE, %al
	jz 1b
	lodsb
	testb %al, %al
	jz 2f
	movw $PORT_COM1, %dx
	outb %al, %dx
	jmp print
2:	ret

	.align 4
ivt_pointer:
	.short 0x3ff
	.long 0
gdt_copy: /* the table itself is above 1 MiB; lgdtl takes its full address */
	.short 6 * 8 - 1
	.long gdt
ticks:	.short 0
message_real:  .asciz "hello from real mode\n"
message_ticks: .asciz "10 ticks\n"
low_end:

	.data
	.align 8
idt_saved: .skip 8
esp_saved: .long 0
message_back: .asciz "back in protected mode\n"
	.section .note.GNU-stack, "", @progbits
