/*
 * pit.h - 8254 interval timer: three down counters at 40h-43h, OUT0 on IRQ 0, gate and output of
 * counter 2 at port 61h. Board lock held by the caller of everything here.
 */
#pragma once
#include "../irq/line.h"

#define PIT_HZ 1193182u

/*
 * One counter; guest-visible state only, so a copy is a snapshot. Its times are ticks of CLK, which
 * has run at PIT_HZ since now = 0: nothing is rounded twice, and edges do not drift.
 */
struct pit_ch {
	uint64_t start; /* tick at which `count` was loaded, or from which it would have run */
	uint64_t load;  /* tick at which `next` will be loaded; NEVER: at a rise of the gate */
	uint64_t held;  /* ticks counted before the pause */
	uint32_t count; /* what is being counted, 1..65536; 0: nothing since the control word */
	uint32_t next;  /* written and not loaded yet; 0: nothing */
	uint16_t latch; /* OL: held until its bytes are read */
	uint8_t ctrl;   /* last control word, bits 5:0 */
	uint8_t status; /* latched status byte */
	uint8_t wr_lo;  /* first byte of a two-byte write */
	bool latched, status_latched;
	bool rd_msb, wr_msb; /* byte flip-flops: the next one is the high byte */
	bool load_low;       /* `next` will be loaded where a square wave falls */
	bool paused;         /* by the gate, or by half a count in mode 0 */
	bool gate;
};

struct pit {
	struct pit_ch ch[3];
	uint64_t edge_ns; /* next rise of OUT0; NEVER if none */
	struct irq_line out0;
};

/*
 * Nothing counts, gates 1, 1, 0. `out0` is taken to be low. It carries rises at their times, not
 * the low phases of modes 2 to 4: those show in the status byte alone.
 */
void pit_init(struct pit *p, struct irq_line out0);
/* `off` is from 40h. The control register has no read: all-ones. */
uint32_t pit_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void pit_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/* Next rise of OUT0 in ns; NEVER if none. Periodic modes are clamped to 200 us apart. */
uint64_t pit_deadline(const void *dev);
/* Brings OUT0 up to `now`: any number of missed periods gives one edge, in constant time. */
void pit_tick(void *dev, uint64_t now);
/* Port 61h's side: gate of counter 2, output of counter 2. */
void pit_gate2(struct pit *p, bool gate, uint64_t now);
bool pit_out2(const struct pit *p, uint64_t now);
