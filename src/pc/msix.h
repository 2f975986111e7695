/*
 * msix.h - the MSI-X table of a PCI function, its masks and pending bits. A chip: board lock held
 * by the caller of everything here. The capability in the configuration space is the function's.
 */
#pragma once
#include "../irq/line.h"

#define MSIX_VECTORS 32u /* the most that a table has */
#define MSIX_WIRES   16u /* eventfds that a part of the kernel signals */

/* Message Control, a word of the capability [PCI 3.0, 6.8.2.3]. */
#define MSIX_CONTROL_SIZE   MASK(10, 0) /* of the table, less one */
#define MSIX_CONTROL_MASKED BIT(14)
#define MSIX_CONTROL_ENABLE BIT(15)

/* One such, and the vector that it is to send. */
struct msix_wire {
	int fd; /* 0: none */
	uint16_t vector;
	bool on; /* connected: it does so without us */
};

struct msix {
	uint16_t control; /* as the function's registers last said */
	unsigned vectors;
	uint32_t table[MSIX_VECTORS][4];
	uint32_t pending; /* one bit a vector */
	unsigned wires;   /* in use */
	struct msix_wire wire[MSIX_WIRES];
	const struct irq_sink *sink;
};

/* `vectors` (1..MSIX_VECTORS) entries, all masked; the function is off. */
void msix_init(struct msix *s, unsigned vectors, const struct irq_sink *sink);
/* Message Control is `control` now; may send what was pending. */
void msix_set_control(struct msix *s, uint16_t control);
static inline bool msix_enabled(const struct msix *s)
{
	return s->control & MSIX_CONTROL_ENABLE;
}

/* Sends vector `n`, or leaves it pending behind a mask. Enabled; vectors beyond the table vanish.
 */
void msix_signal(struct msix *s, unsigned n);
/* What is pending is forgotten; the table and the wires stay. */
void msix_reset(struct msix *s);

/*
 * Wire `n` (below MSIX_WIRES) has eventfd `fd` send `vector`; -1: no more. It is connected while
 * the function is on and no mask is in the way. While it is not, a signal is the owner's to pass on
 * by msix_signal(), which keeps it pending behind a mask.
 */
void msix_wire(struct msix *s, unsigned n, unsigned vector, int fd);
static inline bool msix_wired(const struct msix *s, unsigned n)
{
	return s->wire[n].on;
}

/*
 * Table and pending bits, `off` from the start of each. Aligned double words; other accesses, and
 * those beyond the end, read 0 and are dropped.
 */
uint32_t msix_table_read(const struct msix *s, uint32_t off, unsigned size);
void msix_table_write(struct msix *s, uint32_t off, unsigned size, uint32_t val);
uint32_t msix_pba_read(const struct msix *s, uint32_t off, unsigned size);
