/*
 * pic.h - 8259A pair at 20h-21h and A0h-A1h with the ELCR at 4D0h-4D1h; the slave is on IR2.
 * Board lock held by the caller of everything here. `off` counts from the chip's first port; all
 * accesses are one byte, `now` is not used.
 */
#pragma once
#include "line.h"

struct pic_chip {                    /* guest-visible state only: a copy is a snapshot */
	uint8_t irr, isr, imr, line; /* requests, in service, masks, input levels */
	uint8_t elcr;                /* 1 = level-triggered: IRR follows the line */
	uint8_t base;                /* ICW2: vector of IR0, low three bits 0 */
	uint8_t lowest;              /* IR of the lowest priority: 7 after ICW1 */
	uint8_t icw;                 /* the initialisation word expected next; 0 = ready */
	uint8_t icw1, icw4;
	bool read_isr, poll, smm, rotate_aeoi;
};

struct pic {
	struct pic_chip chip[2]; /* master, slave */
	bool out;                /* level of the master's INT, as last driven */
	struct irq_line intr;    /* master's INT */
};

/*
 * Power-on: takes command words at once, all inputs masked, low and edge-triggered, base 0. Does
 * not drive the wire, which is taken to be low. ICW1 unmasks, as the datasheet has it.
 */
void pic_init(struct pic *p, struct irq_line intr);
/* Input `irq` 0..15; 2 is the cascade and ignored, as is anything above 15. */
void pic_set(struct pic *p, unsigned irq, bool level);
/*
 * Both INTA cycles: the vector. With nothing pending that of IR7, which leaves no ISR bit. Drives
 * INTR, which stays high if another request can be taken at once.
 */
uint8_t pic_inta(struct pic *p);
/* The level of INTR. The wire is driven only when it changes. */
bool pic_intr(const struct pic *p);
/* Could a rising edge on `irq` reach the CPU now: not masked, no request waiting already. */
bool pic_listens(const struct pic *p, unsigned irq);

uint32_t pic_master_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void pic_master_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
uint32_t pic_slave_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void pic_slave_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
uint32_t pic_elcr_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void pic_elcr_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
