/*
 * virtio.h - a small virtio driver for the guests, over PCI (modern) and MMIO version 2. It does
 * nothing behind the caller's back: rings and registers are open to those who want to break them.
 * Registers are polled; interrupts are the guest's own affair.
 */
#pragma once
#include "guest.h"

/* Device types [virtio 1.2, 5]. */
#define ID_NET     1
#define ID_BLK     2
#define ID_RNG     4
#define ID_BALLOON 5
#define ID_VSOCK   19

#define S_ACKNOWLEDGE 0x01
#define S_DRIVER      0x02
#define S_DRIVER_OK   0x04
#define S_FEATURES_OK 0x08
#define S_NEEDS_RESET 0x40
#define S_READY       (S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK)

#define F_INDIRECT  (1ull << 28)
#define F_EVENT_IDX (1ull << 29)
#define F_VERSION_1 (1ull << 32)

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

#define ISR_QUEUE  1
#define ISR_CONFIG 2

#define QUEUES_MAX  17
#define DEVICES_MAX 8
#define RING_MAX    256
#define NO_VECTOR   0xffff
#define PATIENCE_US 10000000

/* Common configuration [4.1.4.3]. */
enum {
	PCI_DEVICE_FEATURE_SELECT = 0x00,
	PCI_DEVICE_FEATURE = 0x04,
	PCI_DRIVER_FEATURE_SELECT = 0x08,
	PCI_DRIVER_FEATURE = 0x0c,
	PCI_CONFIG_VECTOR = 0x10,
	PCI_NUM_QUEUES = 0x12,
	PCI_STATUS = 0x14,
	PCI_GENERATION = 0x15,
	PCI_QUEUE_SELECT = 0x16,
	PCI_QUEUE_SIZE = 0x18,
	PCI_QUEUE_VECTOR = 0x1a,
	PCI_QUEUE_ENABLE = 0x1c,
	PCI_QUEUE_NOTIFY_OFF = 0x1e,
	PCI_QUEUE_DESC = 0x20,
	PCI_QUEUE_DRIVER = 0x28,
	PCI_QUEUE_DEVICE = 0x30,
};

/* Registers [4.2.2]. */
enum {
	MMIO_MAGIC = 0x00,
	MMIO_VERSION = 0x04,
	MMIO_DEVICE_ID = 0x08,
	MMIO_DEVICE_FEATURE = 0x10,
	MMIO_DEVICE_FEATURE_SELECT = 0x14,
	MMIO_DRIVER_FEATURE = 0x20,
	MMIO_DRIVER_FEATURE_SELECT = 0x24,
	MMIO_QUEUE_SELECT = 0x30,
	MMIO_QUEUE_MAX = 0x34,
	MMIO_QUEUE_SIZE = 0x38,
	MMIO_QUEUE_READY = 0x44,
	MMIO_QUEUE_NOTIFY = 0x50,
	MMIO_INTERRUPT = 0x60,
	MMIO_INTERRUPT_ACK = 0x64,
	MMIO_STATUS = 0x70,
	MMIO_QUEUE_DESC = 0x80,
	MMIO_QUEUE_DRIVER = 0x90,
	MMIO_QUEUE_DEVICE = 0xa0,
	MMIO_CONFIG = 0x100,
};

/* guest.c has them. */
void *memset(void *to, int byte, size_t len);
void *memcpy(void *restrict to, const void *restrict from, size_t len);

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct avail {
	uint16_t flags, idx;
	uint16_t ring[];
};

struct used {
	uint16_t flags, idx;
	struct {
		uint32_t id, len;
	} ring[];
};

struct vq {
	struct vdev *dev;
	uint16_t n, size;
	uint32_t notify; /* address of its register, PCI */
	volatile struct desc *desc;
	volatile struct avail *avail;
	volatile struct used *used;
	volatile uint16_t *used_event,
		*avail_event; /* F_EVENT_IDX: the driver's and the device's */
	uint16_t seen;        /* of used->idx */
};

struct vdev {
	unsigned id;
	const char *name;
	bool mmio;
	/* PCI */
	unsigned devfn, msix_cap, msix_vectors;
	uint32_t bar, bar_size, common, isr, notify, notify_multiplier, msix_table, msix_pba;
	/* Both: of the device's own configuration; MMIO: of the registers. */
	uint32_t config, regs;
	uint64_t features; /* negotiated */
	unsigned queues;
	struct vq q[QUEUES_MAX];
};

struct buf {
	const void *at;
	uint32_t len;
	bool write;
};

static inline volatile uint8_t *mmio8(uint32_t address)
{
	return (volatile uint8_t *)address;
}

static inline volatile uint16_t *mmio16(uint32_t address)
{
	return (volatile uint16_t *)address;
}

/* What was stored before is seen before what is loaded afterwards. */
static inline void barrier(void)
{
	asm volatile("lock; orl $0, (%%esp)" : : : "memory");
}

static inline uint32_t pci_config(unsigned devfn, unsigned reg)
{
	out32(PORT_PCI_ADDR, 0x80000000u | devfn << 8 | (reg & 0xfc));
	return in32(PORT_PCI_DATA);
}

static inline void pci_config_set(unsigned devfn, unsigned reg, uint32_t v)
{
	out32(PORT_PCI_ADDR, 0x80000000u | devfn << 8 | (reg & 0xfc));
	out32(PORT_PCI_DATA, v);
}

/* Fresh memory, zeroed, never given back; 16 MiB on. */
void *take(uint32_t size, uint32_t align);

/* All virtio devices: mmio=N of the command line windows, and bus 0. How many. */
unsigned virtio_find(struct vdev *v, unsigned max);

uint8_t vdev_status(struct vdev *v);
void vdev_set_status(struct vdev *v, uint8_t status);
uint64_t vdev_offers(struct vdev *v);
void vdev_ack(struct vdev *v, uint64_t features);
/* Status 0, and waits until it reads so. */
void vdev_reset(struct vdev *v);
/* Interrupt causes, which reading clears (MMIO: acknowledges). */
uint32_t vdev_isr(struct vdev *v);
/* Reset to FEATURES_OK with those of `features` that are offered. false: refused. */
bool vdev_begin(struct vdev *v, uint64_t features);
/* Selects queue n, and its registers: */
void vq_select(struct vdev *v, unsigned n);
uint16_t vq_max(struct vdev *v);
void vq_set_size(struct vdev *v, uint16_t size);
void vq_set_rings(struct vdev *v, uint64_t desc, uint64_t avail, uint64_t used);
void vq_enable(struct vdev *v);
/* Empties q's rings, taken when it has none yet, and gives them to the device with `size` entries.
 */
void vq_setup(struct vq *q, uint16_t size);
/* vdev_begin(), all queues as large as they go, DRIVER_OK; fails the guest when it does not work.
 */
void vdev_open(struct vdev *v, uint64_t features);

/* A chain of n buffers in the descriptors from `head` on; visible to the device. */
void vq_put(struct vq *q, unsigned head, const struct buf *b, unsigned n);
/* Makes `head` available. */
void vq_avail(struct vq *q, unsigned head);
void vq_notify(struct vq *q);
/* Notifies if the device wants it for the chains since `old`, the avail index before them. */
bool vq_kick(struct vq *q, uint16_t old);
/* The next chain that came back: its head and length. false: none. */
bool vq_used(struct vq *q, uint32_t *head, uint32_t *len);
/* As vq_used(), with patience. */
bool vq_wait(struct vq *q, uint32_t *head, uint32_t *len);
/* One request, put, notified and waited for: its length. Fails the guest when nothing comes. */
uint32_t vq_request(struct vq *q, const struct buf *b, unsigned n);

/* MSI-X: on or off; an entry's message to CPU `cpu`; masked while it changes. */
void msix_enable(struct vdev *v, bool on);
void msix_set(struct vdev *v, unsigned entry, unsigned cpu, uint8_t vector);
/* Gives the selected queue (n >= 0) or the configuration (-1) an entry; what reads back. */
uint16_t msix_assign(struct vdev *v, int n, uint16_t entry);
