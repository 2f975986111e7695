/*
 * gsi.h - fan-out of global system interrupts: GSI n drives 8259 input n (n < 16) and I/O APIC pin
 * n; GSI 0 drives pin 2, as the MADT override says. A GSI is the OR of its sources.
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

void gsi_init(struct gsi *g, struct pic *pic, struct ioapic *ioapic);
/* A new wire to `gsi` (0..23), to be handed to a chip; at most GSI_SOURCES a GSI. */
struct irq_line gsi_line(struct gsi *g, unsigned gsi);
/* Could a rising edge on `gsi` reach a CPU now, by either controller? */
bool gsi_listens(const struct gsi *g, unsigned gsi);
