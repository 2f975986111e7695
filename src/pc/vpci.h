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
#include "pci.h"

#define VPCI_BAR_SIZE 0x4000u /* a power of two */
#define VPCI_VECTORS  (VIRTIO_QUEUES + 1)

struct vpci;

/* What the transport needs of the board. */
struct vpci_board {
	void *ctx;
	const struct irq_sink *sink;
	/* The board lock; vpci takes it to interrupt, the device lock being held. */
	void (*lock)(void *ctx);
	void (*unlock)(void *ctx); /* also settles: timers, wires */
	struct pci *pci;
};

struct vpci {
	struct pci_fn fn;
	struct virtio_dev *dev;
	const struct vpci_board *board;
	unsigned slot;

	/* Device lock. */
	uint32_t offered_sel, acked_sel;
	uint16_t queue_sel, config_vector;

	/* Board lock. */
	uint8_t isr;
	unsigned vectors; /* of the MSI-X table */
	uint32_t table[VPCI_VECTORS][4];
	uint32_t pending; /* one bit a vector */
	uint64_t bar;     /* where the BAR decodes now; 0 = nowhere */
	bool moved;       /* the BAR moved: vpci_settle() has to tell the device */
};

/*
 * A function for `dev` at 00:`slot`.0, its BAR at `bar` (a multiple of VPCI_BAR_SIZE) with decoding
 * on, as firmware leaves it. dev->queues and dev->config_len are final. Neither may move
 * afterwards.
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
 * The window of the PCI_CFG capability: is `off` of the configuration space its data register?
 * Then the access goes to *bar_off, *len bytes, with the board lock dropped. Board lock held.
 */
bool vpci_window(const struct vpci *v, unsigned off, uint32_t *bar_off, unsigned *len);
/* After a configuration access, no lock held: tells the device where its BAR went. */
void vpci_settle(struct vpci *v);
