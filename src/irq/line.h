/*
 * line.h - what leaves a chip: an interrupt wire, a power event, and the sink through which the
 * interrupt controllers reach the vCPUs. Wires are values, set once by board_init().
 */
#pragma once
#include "../util.h"

/* One input of something: a GSI, an 8259 pin, a test's probe. */
struct irq_line {
	void (*set)(void *ctx, unsigned n, bool level);
	void *ctx;
	unsigned n;
};

/* Drives the wire to `level`. Setting it to the level that it has is harmless. */
static inline void irq_set(const struct irq_line *l, bool level)
{
	l->set(l->ctx, l->n, level);
}

enum power_event { POWER_OFF, POWER_RESET };

/* Where every way to end the machine arrives: S5, CF9h, port 92h, 8042 pulse. */
struct power_line {
	void (*event)(void *ctx, enum power_event ev);
	void *ctx;
};

static inline void power_signal(const struct power_line *p, enum power_event ev)
{
	p->event(p->ctx, ev);
}

/*
 * From the interrupt controllers to the vCPUs; filled by kvm/, by unit tests and by fuzzers.
 * Called with the board lock held; none of the functions may block on I/O.
 */
struct irq_sink {
	void *ctx;
	/* Sends one MSI. > 0 delivered, 0 coalesced, < 0 no such target (a guest's mistake). */
	int (*msi)(void *ctx, uint64_t addr, uint32_t data);
	/* Makes EOIs of GSI `gsi` with this level message exit to user space. */
	void (*route)(void *ctx, unsigned gsi, uint64_t addr, uint32_t data);
	/* Forgets the route of `gsi`. */
	void (*unroute)(void *ctx, unsigned gsi);
	/* The 8259 pair's INTR output, to vCPU 0. */
	void (*intr)(void *ctx, bool level);
	/*
	 * Has eventfd `fd`, which a part of the kernel signals, send this MSI without us; with a
	 * new message, that one from now on, as a whole. A signal that was there already counts.
	 * false: it is not connected. NULL: none can be.
	 */
	bool (*wire)(void *ctx, int fd, uint64_t addr, uint32_t data);
	/* `fd` is not connected any more: when it returns, no message of it is under way. */
	void (*unwire)(void *ctx, int fd);
};
