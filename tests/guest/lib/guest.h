/*
 * guest.h - what the bare-metal guests share: ports, the console, interrupts, time and the ways to
 * end. A guest is one file with main(); lib/start.S enters it in flat 32-bit mode with interrupts
 * off, no paging, and the interrupt table loaded. main() returns to pass.
 *
 * They assume nothing that firmware would have set up, so they run alike on minnow and on QEMU.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_PIC1      0x20
#define PORT_PIC2      0xa0
#define PORT_PIT       0x40
#define PORT_PIT_CTRL  0x43
#define PORT_KBD       0x64
#define PORT_SYSCTL_A  0x92
#define PORT_COM1      0x3f8
#define PORT_PM1_STS   0x600
#define PORT_PM1_CNT   0x604
#define PORT_PM_TIMER  0x608
#define PORT_PCI_ADDR  0xcf8
#define PORT_RESET     0xcf9
#define PORT_PCI_DATA  0xcfc
#define PORT_TEST_EXIT 0xf4

#define PM1_S5       0x2000 /* SLP_EN with SLP_TYP 0 */
#define PIT_HZ       1193182
#define PIT_CH0_RATE 0x34 /* counter 0, LSB then MSB, mode 2 */
#define PIT_CH0_ONCE 0x30 /* counter 0, LSB then MSB, mode 0 */
#define PIC_EOI      0x20
#define PIC_VECTOR   0x20 /* IRQ 0; IRQ 8 is at 28h */

#define UART_DATA 0
#define UART_IER  1
#define UART_FCR  2 /* IIR when read */
#define UART_LCR  3
#define UART_MCR  4
#define UART_LSR  5
#define LSR_DR    0x01
#define LSR_THRE  0x20
#define IER_RDI   0x01
#define IER_THRI  0x02
#define MCR_OUT2  0x08 /* the interrupt reaches the bus */
#define MCR_LOOP  0x10
#define FCR_CLEAR 0x07 /* FIFOs on, both emptied */

#define LAPIC_ID         0x020
#define LAPIC_EOI        0x0b0
#define LAPIC_SVR        0x0f0
#define LAPIC_ICR_LO     0x300
#define LAPIC_ICR_HI     0x310
#define LAPIC_LVT_TIMER  0x320
#define LAPIC_LVT0       0x350
#define LAPIC_TIMER_INIT 0x380
#define LAPIC_TIMER_CUR  0x390
#define LAPIC_TIMER_DIV  0x3e0
#define LAPIC_ENABLE     0x1ff /* software enable, spurious vector FFh */
#define LVT_MASKED       0x10000
#define LVT_PERIODIC     0x20000

#define IOAPIC_VER    0x01
#define IOAPIC_RTE(n) (0x10 + 2 * (n))
#define IOAPIC_PINS   24
#define RTE_LEVEL     0x8000
#define RTE_MASKED    0x10000

#define STATUS_PASS 0x10 /* the monitor's exit status is 33 */
#define STATUS_FAIL 0x11 /* and 35 */

struct frame {
	uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
	uint32_t vector, error, eip, cs, eflags;
};

static inline void out8(uint16_t port, uint8_t v)
{
	asm volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void out16(uint16_t port, uint16_t v)
{
	asm volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void out32(uint16_t port, uint32_t v)
{
	asm volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t v;

	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t v;

	asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline void irq_off(void)
{
	asm volatile("cli" : : : "memory");
}

static inline void irq_on(void)
{
	asm volatile("sti" : : : "memory");
}

/* Sleeps until the next interrupt and lets it in: nothing fits between sti and hlt. */
static inline void irq_wait(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

static inline volatile uint32_t *mmio32(uint32_t address)
{
	return (volatile uint32_t *)address;
}

static inline uint32_t lapic_read(unsigned reg)
{
	return *mmio32(0xfee00000 + reg);
}

static inline void lapic_write(unsigned reg, uint32_t v)
{
	*mmio32(0xfee00000 + reg) = v;
}

static inline uint32_t ioapic_read(unsigned reg)
{
	*mmio32(0xfec00000) = reg;
	return *mmio32(0xfec00010);
}

static inline void ioapic_write(unsigned reg, uint32_t v)
{
	*mmio32(0xfec00000) = reg;
	*mmio32(0xfec00010) = v;
}

/* Console. say() knows %s %u %x %%. */
void console_init(void);
void put(char c);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Options are the words NAME=VALUE of the command line. */
unsigned option(const char *name, unsigned otherwise);
bool option_is(const char *name, const char *value);

/* Memory as the boot information tells it: the first byte above RAM below 4 GiB. */
uint32_t ram_end(void);
uint32_t boot_magic(void);

/* Time by the ACPI PM timer, which needs no interrupt. */
struct stopwatch {
	uint32_t last, ticks;
};
void stopwatch_start(struct stopwatch *s);
uint32_t stopwatch_us(struct stopwatch *s); /* call at least every 4 s; up to 20 minutes */
void wait_us(uint32_t us);

/* `fn` NULL: the vector is unexpected and fails the guest. */
void on_vector(unsigned vector, void (*fn)(const struct frame *f));
void idt_load(void); /* for a second CPU */

/* Programs the 8259A pair to vectors 20h-2Fh; `enabled` has a bit for each IRQ that may come. */
void pic_init(uint16_t enabled);
void pit_program(uint8_t control, unsigned count);
/* LAPIC on, and LINT0 taking the 8259's interrupts or not. */
void lapic_init(bool extint);

/* Ends: status 33 after "ok", or 35 after "FAIL: why". */
_Noreturn void pass(void);
_Noreturn void fail(const char *why);
