/*
 * vmmio.h - virtio over MMIO, version 2 [virtio 1.2, 4.2]: one 4 KiB window a device, and an
 * interrupt that is a pulse. Device lock taken by the accesses themselves.
 */
#pragma once
#include "../virtio/virtio.h"

#define VMMIO_SIZE 0x1000u

struct vmmio {
	struct virtio_dev *dev;
	/* Pulses the window's interrupt; the device lock is held, takes the board lock. */
	void (*pulse)(void *ctx, unsigned gsi);
	void *ctx;
	unsigned gsi;
	uint64_t gpa; /* of the window */

	/* Device lock. */
	uint32_t offered_sel, acked_sel, queue_sel;
	uint32_t isr; /* InterruptStatus */

	/* Board lock. */
	uint64_t accesses; /* counted by the board */
};

/* A window for `dev` at `gpa`. Neither may move afterwards. Before any thread. */
void vmmio_init(struct vmmio *m, struct virtio_dev *dev, uint64_t gpa, unsigned gsi,
		void (*pulse)(void *ctx, unsigned gsi), void *ctx);
/* `off` < VMMIO_SIZE, `size` 1, 2 or 4 and inside. No lock held. */
uint32_t vmmio_read(struct vmmio *m, uint32_t off, unsigned size);
/* May wait for the end of a reset, since drivers do not read back. No lock held. */
void vmmio_write(struct vmmio *m, uint32_t off, unsigned size, uint32_t val);
