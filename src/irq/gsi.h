/*
 * gsi.h - fan-out of global system interrupts: GSI n drives 8259 input n (n < 16) and I/O APIC pin
 * n; GSI 0 drives pin 2, as the MADT override says. A GSI is the OR of its sources. Board lock held
 * by the caller of everything here, and of irq_set() on the wires.
 */
#pragma once
#include "ioapic.h"
#include "pic.h"

#define GSI_N       24u
#define GSI_SOURCES 32u /* wires that may share one GSI */

struct gsi {
	uint32_t level[GSI_N];  /* one bit a source */
	uint8_t sources[GSI_N]; /* wires handed out */
	struct pic *pic;
	struct ioapic *ioapic;
};

/* All GSIs low and without sources; the controllers need not be initialised yet. */
void gsi_init(struct gsi *g, struct pic *pic, struct ioapic *ioapic);
/*
 * A new wire to `gsi` (0..23), to be handed to a chip; it starts low. At most GSI_SOURCES a GSI:
 * more would share the last one's bit.
 */
struct irq_line gsi_line(struct gsi *g, unsigned gsi);
/* Could a rising edge on `gsi` (0..23) reach a CPU now, by either controller? */
bool gsi_listens(const struct gsi *g, unsigned gsi);
