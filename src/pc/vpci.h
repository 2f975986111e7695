/*
 * vpci.h - virtio over PCI [virtio 1.2, 4.1]: one function with MSI-X, INTx as the fall-back, and
 * one memory BAR of VPCI_BAR_SIZE bytes that holds every structure.
 *
 * Two locks, because interrupts come from the device and from the board: what selects and describes
 * (common and device configuration) is under the device lock; what interrupts (ISR, MSI-X table and
 * pending bits, the function's configuration space) is under the board lock, which is taken last.
 */
#pragma once
#include "../virtio/virtio.h"
#include "msix.h"
#include "pci.h"

#define VPCI_BAR_SIZE 0x4000u /* a power of two */

struct vpci;

/* What the transport needs of the board. */
struct CAPABILITY("board lock") vpci_board {
	void *ctx;
	const struct irq_sink *sink;
	/* The board lock; vpci takes it to interrupt, the device lock being held. */
	void (*lock)(void *ctx);
	void (*unlock)(void *ctx); /* also settles: timers, wires */
	/* Does an access at `gpa` reach this function's BAR? Board lock held. */
	bool (*reaches)(void *ctx, const struct vpci *v, uint64_t gpa);
	struct pci *pci;
};

struct vpci {
	struct pci_fn fn;
	struct virtio_dev *dev;
	const struct vpci_board *board;
	unsigned slot;
	uint32_t bell_step; /* notify_off_multiplier: 0, one bell for all queues */

	/* Device lock. */
	uint32_t offered_sel, acked_sel;
	uint16_t queue_sel, config_vector;

	/* Board lock. */
	uint8_t isr;
	struct msix msix;
	uint64_t bar;      /* where the BAR decodes now; 0 = nowhere */
	uint64_t accesses; /* to the BAR; counted by the board */
};

/*
 * A function for `dev` at 00:`slot`.0, its BAR at `bar` (a multiple of VPCI_BAR_SIZE) with decoding
 * on, as firmware leaves it. dev->queues is final. Neither may move afterwards. The caller puts
 * v->fn on the bus and then calls vpci_settle(), which gives the device its bell.
 */
void vpci_init(struct vpci *v, struct virtio_dev *dev, const struct vpci_board *board,
	       unsigned slot, uint64_t bar);

/*
 * Accesses inside the BAR, `off` < VPCI_BAR_SIZE, `size` 1, 2 or 4 and inside; no lock held, each
 * takes those it needs.
 */
uint32_t vpci_read(struct vpci *v, uint32_t off, unsigned size);
void vpci_write(struct vpci *v, uint32_t off, unsigned size, uint32_t val);

/*
 * The window of the PCI_CFG capability [4.1.4.9]: is `reg`, a multiple of 4 of the configuration
 * space, its data register, and does the capability name a place? Then an access to it is one to
 * *off of the BAR, *size bytes, which the caller makes with the board lock dropped. A write goes
 * there once the register has it; what a read finds is put into the register before it is read.
 * Board lock held.
 */
bool vpci_window(const struct vpci *v, unsigned reg, uint32_t *off, unsigned *size);
uint32_t vpci_window_get(const struct vpci *v, unsigned size);
void vpci_window_put(struct vpci *v, unsigned size, uint32_t val);

/*
 * After a BAR of any function moved, no lock held: tells the device where its bell is. The address
 * is looked up here, so that of several calls the last to get the device lock is right.
 */
void vpci_settle(struct vpci *v);
