/*
 * pit.h - 8254 interval timer: three down counters at 40h-43h, OUT0 on IRQ 0, gate and output of
 * counter 2 at port 61h. Board lock held by the caller of everything here.
 */
#pragma once
#include "../irq/line.h"

#define PIT_HZ 1193182u

struct pit_ch {              /* guest-visible state only: a copy is a snapshot */
	uint64_t start_ns;   /* when the present count was loaded, or its gate rose */
	uint64_t edge_ns;    /* next rise of OUT; NEVER if none. Kept for counter 0 alone */
	uint32_t count;      /* 1..65536; a written 0 counts as 65536 */
	uint16_t latch;      /* OL: held until its bytes are read */
	uint8_t ctrl;        /* last control word, bits 5:0 */
	uint8_t status;      /* latched status byte */
	uint8_t wr_lo;       /* first byte of a two-byte write */
	uint8_t latched;     /* bytes of `latch` still to be read */
	bool status_latched;
	bool rd_msb, wr_msb; /* byte flip-flops: the next one is the high byte */
	bool loaded;         /* a full count has been written since the control word */
	bool gate, out;
};

struct pit {
	struct pit_ch ch[3];
	struct irq_line out0;
};

void pit_init(struct pit *p, struct irq_line out0);
uint32_t pit_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void pit_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/* Next rise of OUT0 in ns; NEVER if none. Periodic modes are clamped to 200 us apart. */
uint64_t pit_deadline(const void *dev);
/* Brings OUT0 up to `now`: any number of missed periods gives one edge, in constant time. */
void pit_tick(void *dev, uint64_t now);
/* Port 61h's side: gate of counter 2, output of counter 2. */
void pit_gate2(struct pit *p, bool gate, uint64_t now);
bool pit_out2(const struct pit *p, uint64_t now);
