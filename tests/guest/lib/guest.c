/*
 * guest.c - runtime of the bare-metal guests; see guest.h.
 */
#include "guest.h"
#include <stdarg.h>

#define MB_INFO_MEMORY  0x1
#define MB_INFO_CMDLINE 0x4
#define GATE_INT32      0x8e00 /* present, ring 0, 32-bit interrupt gate */
#define SEL_CODE32      0x08
#define STUB_SIZE       16
#define PM_TIMER_MASK   0xffffff

struct mb_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

struct gate {
	uint16_t offset_lo, selector, type, offset_hi;
};

extern char stubs[];
void guest_init(uint32_t magic, const struct mb_info *info);
void dispatch(const struct frame *f);

static uint32_t magic_seen, memory_end;
static const char *cmdline = "";
static struct gate idt[256] __attribute__((aligned(8)));
static void (*handlers[256])(const struct frame *f);

void put(char c)
{
	while (!(in8(PORT_COM1 + UART_LSR) & LSR_THRE))
		;
	out8(PORT_COM1 + UART_DATA, (uint8_t)c);
}

static void put_number(uint32_t v, unsigned base)
{
	char digits[10];
	unsigned n = 0;

	do
		digits[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	while (n)
		put(digits[--n]);
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (const char *f = format; *f; f++) {
		if (*f != '%') {
			put(*f);
			continue;
		}
		switch (*++f) {
		case 's':
			for (const char *s = va_arg(args, const char *); *s; s++)
				put(*s);
			break;
		case 'u': put_number(va_arg(args, uint32_t), 10); break;
		case 'x': put_number(va_arg(args, uint32_t), 16); break;
		default: put(*f);
		}
	}
	va_end(args);
}

void console_init(void)
{
	out8(PORT_COM1 + UART_LCR, 0x83); /* DLAB, 8 bits */
	out8(PORT_COM1 + UART_DATA, 1);   /* 115200 */
	out8(PORT_COM1 + UART_IER, 0);
	out8(PORT_COM1 + UART_LCR, 0x03);
	out8(PORT_COM1 + UART_IER, 0);
	out8(PORT_COM1 + UART_FCR, FCR_CLEAR);
	out8(PORT_COM1 + UART_MCR, MCR_OUT2 | 0x3);
}

/* The value after NAME= at the start of a word, or NULL. */
static const char *option_value(const char *name)
{
	for (const char *p = cmdline; *p; p++) {
		const char *n = name;

		if (p != cmdline && p[-1] != ' ')
			continue;
		for (const char *q = p; *n && *q == *n; q++)
			n++;
		if (!*n && p[n - name] == '=')
			return p + (n - name) + 1;
	}
	return NULL;
}

unsigned option(const char *name, unsigned otherwise)
{
	const char *p = option_value(name);
	unsigned v = 0;

	if (!p)
		return otherwise;
	for (; *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (unsigned)(*p - '0');
	return v;
}

bool option_is(const char *name, const char *value)
{
	const char *p = option_value(name);

	if (!p)
		return false;
	for (; *value; value++, p++)
		if (*p != *value)
			return false;
	return !*p || *p == ' ';
}

uint32_t ram_end(void)
{
	return memory_end;
}

uint32_t boot_magic(void)
{
	return magic_seen;
}

void stopwatch_start(struct stopwatch *s)
{
	s->last = in32(PORT_PM_TIMER) & PM_TIMER_MASK;
	s->ticks = 0;
}

uint32_t stopwatch_us(struct stopwatch *s)
{
	uint32_t t = in32(PORT_PM_TIMER) & PM_TIMER_MASK;

	s->ticks += (t - s->last) & PM_TIMER_MASK;
	s->last = t;
	return s->ticks / 358 * 100 + s->ticks % 358 * 100 / 358; /* 3.579545 MHz */
}

void wait_us(uint32_t us)
{
	struct stopwatch s;

	stopwatch_start(&s);
	while (stopwatch_us(&s) < us)
		;
}

void dispatch(const struct frame *f)
{
	if (handlers[f->vector]) {
		handlers[f->vector](f);
		return;
	}
	say("vector %x error %x at %x\n", f->vector, f->error, f->eip);
	fail("unexpected vector");
}

void on_vector(unsigned vector, void (*fn)(const struct frame *f))
{
	handlers[vector] = fn;
}

void idt_load(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint32_t)idt};

	asm volatile("lidt %0" : : "m"(pointer));
}

void pic_init(uint16_t enabled)
{
	if (enabled & 0xff00)
		enabled |= 1 << 2; /* the cascade */
	out8(PORT_PIC1, 0x11);     /* ICW1: edge, cascade, ICW4 follows */
	out8(PORT_PIC2, 0x11);
	out8(PORT_PIC1 + 1, PIC_VECTOR);
	out8(PORT_PIC2 + 1, PIC_VECTOR + 8);
	out8(PORT_PIC1 + 1, 1 << 2);
	out8(PORT_PIC2 + 1, 2);
	out8(PORT_PIC1 + 1, 1); /* ICW4: 8086 mode */
	out8(PORT_PIC2 + 1, 1);
	out8(PORT_PIC1 + 1, (uint8_t)~enabled);
	out8(PORT_PIC2 + 1, (uint8_t)(~enabled >> 8));
}

void pit_program(uint8_t control, unsigned count)
{
	out8(PORT_PIT_CTRL, control);
	out8(PORT_PIT, (uint8_t)count);
	out8(PORT_PIT, (uint8_t)(count >> 8));
}

void lapic_init(bool extint)
{
	lapic_write(LAPIC_SVR, LAPIC_ENABLE);
	lapic_write(LAPIC_LVT0, extint ? 0x700 : LVT_MASKED);
}

void pass(void)
{
	say("ok\n");
	for (;;) {
		out32(PORT_TEST_EXIT, STATUS_PASS);
		asm volatile("cli; hlt");
	}
}

void fail(const char *why)
{
	say("FAIL: %s\n", why);
	for (;;) {
		out32(PORT_TEST_EXIT, STATUS_FAIL);
		asm volatile("cli; hlt");
	}
}

void guest_init(uint32_t magic, const struct mb_info *info)
{
	magic_seen = magic;
	if (info->flags & MB_INFO_MEMORY)
		memory_end = (info->mem_upper + 1024) * 1024;
	if (info->flags & MB_INFO_CMDLINE)
		cmdline = (const char *)info->cmdline;
	for (unsigned i = 0; i < 256; i++) {
		uint32_t at = (uint32_t)stubs + i * STUB_SIZE;

		idt[i] = (struct gate){(uint16_t)at, SEL_CODE32, GATE_INT32, (uint16_t)(at >> 16)};
	}
	idt_load();
	console_init();
}

/* gcc calls these even in freestanding code. */
void *memset(void *to, int byte, size_t len);
void *memcpy(void *restrict to, const void *restrict from, size_t len);

void *memset(void *to, int byte, size_t len)
{
	void *p = to;

	asm volatile("rep stosb" : "+D"(p), "+c"(len) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	void *p = to;

	asm volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(len) : : "memory");
	return to;
}
