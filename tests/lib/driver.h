/*
 * driver.h - a miniature virtio driver for tests: rings in a struct ram, chains added, what came
 * back taken; and a monitor around one device, which counts what the device asks for. driver.c
 * knows rings alone, driver_dev.c the device around them.
 *
 *	ram = driver_ram(16 * MIB, 0);
 *	driver_host_init(&h);
 *	blk_init(&b, &conf, &h.host, &ram, &io);
 *	driver_init(&v, &ram, 0x1000, 16, VIRTIO_F_EVENT_IDX);
 *	assert_true(driver_bring_up(&h, &b.dev, &v, 1, VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX));
 *	at = driver_alloc(&v, 512);
 *	head = driver_add(&v, (struct driver_buf[]){{at, 16, false}, {at + 16, 1, true}}, 2);
 *	driver_kick(&v, &b.dev);
 *	assert_true(driver_used(&v, &done) && done.head == head && done.len == 1);
 */
#pragma once
#include "../../src/virtio/virtio.h"

#define DRIVER_TABLE 64u /* entries of each indirect table */

struct driver {
	const struct ram *ram;
	uint16_t size;
	bool event_idx, indirect; /* indirect: chains of two and more go through a table */
	uint64_t desc, avail, used, table;
	uint64_t heap; /* next free byte, for driver_alloc() */

	uint16_t avail_idx; /* chains added; the device sees them after driver_publish() */
	uint16_t published;
	uint16_t last_used; /* chains taken back */
	uint16_t free, first_free;
	uint16_t next_free[QUEUE_SIZE_MAX];
	uint16_t length[QUEUE_SIZE_MAX]; /* descriptors of the chain with this head; 0: not out */
};

struct driver_buf {
	uint64_t gpa;
	uint32_t len;
	bool write; /* by the device */
};

struct driver_done {
	uint16_t head;
	uint32_t len;
};

/*
 * Zeroed memory of `low` bytes from 0 and `high` bytes from 4 GiB on, side by side; a sanitizer
 * sees what goes beyond the whole.
 */
struct ram driver_ram(uint64_t low, uint64_t high);
void driver_ram_free(struct ram *r);

/* Rings of `size` entries from `gpa` (4 KiB aligned) on, zeroed, and a heap behind them. */
void driver_init(struct driver *v, const struct ram *ram, uint64_t gpa, uint16_t size,
		 uint64_t features);
/* The settings of the device's queue: where the rings are, and enabled. */
void driver_settings(const struct driver *v, struct queue *q);
/* Guest-physical memory after the rings, 16-byte aligned; and the same as a pointer. */
uint64_t driver_alloc(struct driver *v, uint64_t len);
void *driver_at(const struct driver *v, uint64_t gpa, uint64_t len);

/* Puts a chain into the ring. Its head, or -1 when there are not enough descriptors. */
int driver_add(struct driver *v, const struct driver_buf *buf, unsigned n);
/* Shows what was added. true: the device wants to be notified. */
bool driver_publish(struct driver *v);
/* Takes what the device gave back, in its order; fails if it is no chain that was out. */
bool driver_used(struct driver *v, struct driver_done *done);
/* Interrupts for what the device gives back from here on, or none. true: look once more. */
bool driver_interrupts(struct driver *v, bool on);

/* Lies: straight into the rings. */
void driver_put_desc(struct driver *v, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
		     uint16_t next);
void driver_put_desc_at(const struct ram *ram, uint64_t table, unsigned i, uint64_t addr,
			uint32_t len, uint16_t flags, uint16_t next);
/* The next entry of the available ring is `head`, and is published. */
void driver_put_avail(struct driver *v, uint16_t head);
void driver_put_avail_idx(struct driver *v, uint16_t idx);

/* --- driver_dev.c: a monitor and a transport that only count --- */

struct driver_host {
	struct virtio_host host;
	struct virtio_irq irq;
	unsigned kicks, bells, resets;
	uint64_t wake_at; /* the last deadline asked for; NEVER */
	uint64_t bell;    /* where the bell is; 0: nowhere */
	unsigned irqs[VIRTIO_QUEUES], config_irqs;
};

void driver_host_init(struct driver_host *h);
/*
 * Connects the interrupts, then goes the driver's way from reset to DRIVER_OK [virtio 1.2, 3.1]:
 * queue i has the rings v[i]; one whose size is 0 stays disabled. Serves the device once. false:
 * the features or the rings were refused.
 */
bool driver_bring_up(struct driver_host *h, struct virtio_dev *d, const struct driver *v,
		     unsigned queues, uint64_t features);
/* Publishes, notifies if the device wants it, and turns the loop until nothing is left. */
void driver_kick(struct driver *v, struct virtio_dev *d);
/* Turns the loop while the device asks for it; the turns it took. */
unsigned driver_serve(struct virtio_dev *d);
/* Status 0 and the turn that carries it out. true: the reset is finished. */
bool driver_reset(struct virtio_dev *d);
uint8_t driver_status(struct virtio_dev *d);
