/*
 * gsi.c - fan-out of global system interrupts [ACPI Global System Interrupts] to the 8259A
 * pair and the I/O APIC. Both controllers see every change, and the guest masks the one that it
 * does not use. A GSI is a wired OR, so a shared level falls with its last source. Board lock held
 * by the caller.
 */
#include "gsi.h"

#include <string.h>

#define GSI_PIT     0u
#define GSI_PIT_PIN 2u /* where GSI 0 arrives, shared with GSI 2 */

_Static_assert(GSI_N == IOAPIC_PINS, "a pin for every GSI");

static unsigned gsi_pin(unsigned gsi)
{
	return gsi == GSI_PIT ? GSI_PIT_PIN : gsi;
}

/* The irq_line function; `n` names GSI and source. */
static void gsi_set(void *ctx, unsigned n, bool level)
{
	struct gsi *g = ctx;
	unsigned gsi = n / GSI_SOURCES, pin = gsi_pin(gsi);
	uint32_t bit = (uint32_t)BIT(n % GSI_SOURCES), before = g->level[gsi];

	CLEAR(g->level[gsi], bit);
	if (level)
		g->level[gsi] |= bit;
	if (g->level[gsi] == before)
		return;

	pic_set(g->pic, gsi, g->level[gsi]); /* ignores those above its inputs */
	if (pin == GSI_PIT_PIN)
		ioapic_set(g->ioapic, pin, g->level[GSI_PIT] || g->level[GSI_PIT_PIN]);
	else
		ioapic_set(g->ioapic, pin, g->level[gsi]);
}

void gsi_init(struct gsi *g, struct pic *pic, struct ioapic *ioapic)
{
	memset(g, 0, sizeof(*g));
	g->pic = pic;
	g->ioapic = ioapic;
}

struct irq_line gsi_line(struct gsi *g, unsigned gsi)
{
	unsigned source = MIN(g->sources[gsi], GSI_SOURCES - 1);

	g->sources[gsi] = (uint8_t)(source + 1);
	return (struct irq_line){.set = gsi_set, .ctx = g, .n = gsi * GSI_SOURCES + source};
}

bool gsi_listens(const struct gsi *g, unsigned gsi)
{
	return pic_listens(g->pic, gsi) || ioapic_listens(g->ioapic, gsi_pin(gsi));
}
