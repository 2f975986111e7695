/*
 * transport.h - four small virtio devices on the fuzzers' board, two over PCI and two over MMIO, on
 * the real virtio.c and queue.c. They echo: what a chain has to read goes to what it has to write.
 */
#pragma once
#include "world.h"

enum { PCI_A, PCI_B, MMIO_A, MMIO_B, DEVICES };

#define PLUG_QUEUES 3u
#define PLUG_SIZE   16u      /* of the queues, at most */
#define PLUG_CONFIG 20u      /* bytes */
#define PLUG_RAM    0x10000u /* from guest-physical 0 on */
#define PLUG_SLOT   2u       /* and the next */
#define PLUG_SHARED 14u      /* the second window: its GSI is that of window 0 */

#define RING(d, q) (((d)*PLUG_QUEUES + (q)) * 0x200u) /* where plug_bring_up() puts one */
#define RING_AVAIL 0x100u
#define RING_USED  0x140u
#define RING_END   (DEVICES * PLUG_QUEUES * 0x200u)

struct plug {
	struct virtio_dev dev;
	bool began;               /* start() came, stop() did not */
	bool stops_late;          /* stop() will not be done at once */
	bool draining;            /* ... and is not yet */
	bool kicked;              /* the loop has to serve it */
	uint64_t bell;            /* what the monitor was told last */
	uint8_t initial[PCI_CFG]; /* of the configuration space */
};

struct plugs {
	struct world w;
	struct plug plug[DEVICES];
	struct vpci vpci[2];
	struct vmmio vmmio[2];
	struct irq_sink sink; /* of MSI-X: any message may come */
	struct virtio_host host;
	struct ram ram;
	uint8_t mem[PLUG_RAM];
	struct chain chain;
	uint64_t msis, pulses, chains;
	/* What the other CPU does while one waits for a reset. */
	void (*meanwhile)(void *ctx);
	void *ctx;
};

void plugs_init(struct plugs *p, unsigned cpus);
/* The loop serves device `d`, or everything that was kicked until nothing is left. */
void plug_serve(struct plugs *p, unsigned d);
void plugs_settle(struct plugs *p);
/* What was in flight when the device was stopped is done. */
void plug_drained(struct plugs *p, unsigned d);

/* transport_check.c - what holds between any two accesses; `quiet`: and after plugs_settle(). */
void plugs_check(const struct plugs *p, bool quiet);
