/*
 * steps.h - one format for what is done to a chip and what it answers: unit tests write tables of
 * steps, fuzzers decode bytes into them, `minnow run --trace` prints them. Addresses are the
 * machine's ports or physical addresses, so a trace pastes into a test as it is.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../src/irq/line.h"

enum step_op {
	WR,    /* write val to addr, one byte */
	WR2,   /* two bytes */
	WR4,   /* four bytes */
	RD,    /* read one byte from addr, expect val */
	RD2,   /* two bytes */
	RD4,   /* four bytes */
	AT,    /* set the clock to val ns; the chip's deadlines on the way are ticked in order */
	TICK,  /* advance the clock by val ns, in the same way */
	SET,   /* drive the chip's input wire addr to val */
	LINE,  /* expect output wire addr to be at level val */
	EDGES, /* expect val rising edges of output wire addr since it was last asked */
	ARMED, /* expect the next deadline at val ns (NEVER: none) */
	OFF,   /* expect val power events of kind addr (enum power_event) since last asked */
	MSI,   /* expect the next unread MSI: address addr (low 32 bits), data val */
	NOMSI, /* expect that there is no unread MSI */
	ROUTE, /* expect the EOI route of GSI addr to have data val; NEVER: none */
	X0,    /* chip-specific, done by rig.op, which returns what is compared with val */
	X1,
	X2,
	X3,
	X4,
	X5,
};

struct step {
	enum step_op op;
	uint64_t addr, val;
};

#define RIG_LINES 64
#define RIG_MSIS  64

/* What a table is run against: a chip with its wires connected to probes. */
struct rig {
	void *dev;
	uint64_t base; /* subtracted from addr to give the chip's offset */
	uint32_t (*read)(void *dev, uint32_t off, unsigned size, uint64_t now);
	void (*write)(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
	uint64_t (*deadline)(const void *dev); /* NULL: keeps no time */
	void (*tick)(void *dev, uint64_t now);
	void (*set)(void *dev, unsigned n, bool level, uint64_t now);
	uint64_t (*op)(struct rig *r, const struct step *s); /* X0..X5 */

	uint64_t now;
	struct {
		bool level;
		unsigned rises;
	} line[RIG_LINES];
	unsigned power[2];
	struct {
		uint64_t addr;
		uint32_t data;
	} msi[RIG_MSIS];
	unsigned msi_in, msi_out;
	int msi_result; /* what the sink answers; 1 after rig_sink() */
	struct {
		bool set;
		uint64_t addr;
		uint32_t data;
	} route[RIG_LINES];
	bool intr;
	struct irq_sink sink;
};

/* Probes of the rig, to hand to the chip's init function. */
struct irq_line rig_line(struct rig *r, unsigned n);
struct power_line rig_power(struct rig *r);
const struct irq_sink *rig_sink(struct rig *r);

/* Runs the table; a step that does not hold fails the cmocka test with its index and values. */
void rig_run(struct rig *r, const char *name, const struct step *s, size_t n);
#define RUN(r, table) rig_run((r), #table, (table), sizeof(table) / sizeof((table)[0]))
