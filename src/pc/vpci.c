/*
 * vpci.c - virtio over PCI, modern devices [virtio 1.2, 4.1; PCI 3.0, 6.7 and 6.8.2].
 * Modelled: every structure of 4.1.4 in one BAR, MSI-X with masks and pending bits, INTx while
 * MSI-X is off, the PCI_CFG window.
 * Not modelled: the legacy interface, notification data, queue reset (their registers read 0),
 * power management, what Bus Master stops. A register takes accesses of its own width [4.1.3.1];
 * others read 0 and are dropped. Locks: see vpci.h; this file takes the device lock, then the board
 * lock.
 */
#include "vpci.h"

/* Identity [4.1.2]. */
#define VPCI_VENDOR    0x1af4u
#define VPCI_DEVICE    0x1040u /* plus the device ID */
#define VPCI_SUBSYSTEM 0x1100u /* from 40h on: no transitional device */
#define VPCI_REVISION  1u

/* Class codes as drivers know them of other monitors: SCSI storage, Ethernet, communication. */
#define CLASS_STORAGE  0x010000u
#define CLASS_ETHERNET 0x020000u
#define CLASS_OTHERCOM 0x078000u
#define CLASS_OTHER    0x00ff00u

/* What the BAR holds: a page for what is slow, one each for bells, MSI-X table, pending bits. */
#define BAR_COMMON   0x0000u
#define BAR_ISR      0x0040u
#define BAR_DEVICE   0x0080u
#define BAR_NOTIFY   0x1000u
#define BAR_TABLE    0x2000u
#define BAR_PBA      0x3000u
#define BAR_PAGE     0x1000u
#define COMMON_SIZE  0x40u /* through queue_reset */
#define ISR_SIZE     4u
#define NOTIFY_SIZE  BAR_PAGE
#define NOTIFY_WIDTH 2u

/* Capabilities in the configuration space, in the order of the list. */
#define CAP_MSIX    0x40u
#define CAP_COMMON  0x4cu
#define CAP_ISR     0x5cu
#define CAP_DEVICE  0x6cu
#define CAP_NOTIFY  0x7cu
#define CAP_PCI_CFG 0x90u

#define CAP_ID_VENDOR 0x09u
#define CAP_ID_MSIX   0x11u

/* struct virtio_pci_cap [4.1.4]. */
#define VCAP_LEN    2u
#define VCAP_TYPE   3u
#define VCAP_BAR    4u
#define VCAP_OFFSET 8u
#define VCAP_LENGTH 12u
#define VCAP_EXTRA  16u /* notify_off_multiplier, or pci_cfg_data */
#define VCAP_SIZE   16u

#define VCAP_COMMON_CFG 1u
#define VCAP_NOTIFY_CFG 2u
#define VCAP_ISR_CFG    3u
#define VCAP_DEVICE_CFG 4u
#define VCAP_PCI_CFG    5u

/* MSI-X capability [PCI 3.0, 6.8.2]. */
#define MSIX_CONTROL 2u
#define MSIX_TABLE   4u
#define MSIX_PBA     8u

/* ISR status [4.1.4.5]. */
#define VPCI_ISR_QUEUE  BIT(0)
#define VPCI_ISR_CONFIG BIT(1)

/* The common configuration [4.1.4.3]. 64-bit registers are two of 32 bits. */
#define COMMON_DEVICE_FEATURE_SELECT 0x00u
#define COMMON_DEVICE_FEATURE        0x04u
#define COMMON_DRIVER_FEATURE_SELECT 0x08u
#define COMMON_DRIVER_FEATURE        0x0cu
#define COMMON_CONFIG_MSIX_VECTOR    0x10u
#define COMMON_NUM_QUEUES            0x12u
#define COMMON_DEVICE_STATUS         0x14u
#define COMMON_CONFIG_GENERATION     0x15u
#define COMMON_QUEUE_SELECT          0x16u
#define COMMON_QUEUE_SIZE            0x18u
#define COMMON_QUEUE_MSIX_VECTOR     0x1au
#define COMMON_QUEUE_ENABLE          0x1cu
#define COMMON_QUEUE_NOTIFY_OFF      0x1eu /* 0: with bell_step, one bell */
#define COMMON_QUEUE_DESC            0x20u
#define COMMON_QUEUE_DRIVER          0x28u
#define COMMON_QUEUE_DEVICE          0x30u
#define COMMON_QUEUE_NOTIFY_DATA     0x38u /* 0: not offered */
#define COMMON_QUEUE_RESET           0x3au /* 0: not offered */

_Static_assert(VIRTIO_QUEUES + 1 <= MSIX_VECTORS, "a vector each, and one for changes");

#define AT(off, width) ((off) << 3 | (width))

static void irq_lock(const struct vpci_board *b) ACQUIRE(b) UNCHECKED
{
	b->lock(b->ctx);
}

static void irq_unlock(const struct vpci_board *b) RELEASE(b) UNCHECKED
{
	b->unlock(b->ctx);
}

/* --- interrupts: board lock held --- */

/* The pin's level follows the ISR while MSI-X is off [4.1.5.3]; Interrupt Disable cuts the wire. */
static void intx_update(struct vpci *v) REQUIRES(v->board)
{
	bool asks = v->isr && !msix_enabled(&v->msix);
	uint32_t command = pci_get(&v->fn.cfg[PCI_REG_COMMAND], 2);
	uint32_t status = pci_get(&v->fn.cfg[PCI_REG_STATUS], 2);

	CLEAR(status, PCI_STATUS_INTX);
	if (asks)
		status |= PCI_STATUS_INTX;
	pci_put(&v->fn.cfg[PCI_REG_STATUS], 2, status);
	pci_intx(v->board->pci, v->slot, asks && !(command & PCI_COMMAND_INTX_OFF));
}

static uint32_t isr_take(struct vpci *v) REQUIRES(v->board)
{
	uint8_t isr = v->isr;

	v->isr = 0;
	intx_update(v);
	return isr;
}

/* One interrupt of the device: by its vector, or by `bit` of the ISR while MSI-X is off. */
static void vpci_interrupt(struct vpci *v, uint16_t vector, uint8_t bit)
{
	irq_lock(v->board);
	if (!msix_enabled(&v->msix)) {
		v->isr |= bit;
		intx_update(v);
	} else {
		msix_signal(&v->msix, vector); /* none for QUEUE_NO_VECTOR */
	}
	irq_unlock(v->board);
}

/* The functions of struct virtio_irq; device lock held. */
static void irq_queue(void *ctx, unsigned queue)
{
	struct vpci *v = ctx;

	vpci_interrupt(v, v->dev->queue[queue].vector, VPCI_ISR_QUEUE);
}

static void irq_config(void *ctx)
{
	struct vpci *v = ctx;

	vpci_interrupt(v, v->config_vector, VPCI_ISR_CONFIG);
}

/* The MSI-X table is the function's, not the device's: it stays. */
static void irq_reset(void *ctx)
{
	struct vpci *v = ctx;

	v->offered_sel = v->acked_sel = 0;
	v->queue_sel = 0;
	v->config_vector = QUEUE_NO_VECTOR;
	irq_lock(v->board);
	v->isr = 0;
	msix_reset(&v->msix);
	intx_update(v);
	irq_unlock(v->board);
}

/* By MSI-X alone: a pin's level and the ISR are ours. */
static void irq_wire(void *ctx, unsigned queue, int fd)
{
	struct vpci *v = ctx;

	if (queue >= MSIX_WIRES)
		return;
	irq_lock(v->board);
	msix_wire(&v->msix, queue, v->dev->queue[queue].vector, fd);
	irq_unlock(v->board);
}

static bool irq_wired(void *ctx, unsigned queue)
{
	struct vpci *v = ctx;
	bool wired;

	if (queue >= MSIX_WIRES)
		return false;
	irq_lock(v->board);
	wired = msix_wired(&v->msix, queue);
	irq_unlock(v->board);
	return wired;
}

/* --- common configuration: device lock held --- */

/* Which of the three addresses a register is a half of; NULL: it is not. */
static uint64_t *queue_address(struct queue *q, uint32_t at)
{
	switch (at & ~(uint32_t)AT(4, 0)) {
	case AT(COMMON_QUEUE_DESC, 4): return &q->desc;
	case AT(COMMON_QUEUE_DRIVER, 4): return &q->avail;
	case AT(COMMON_QUEUE_DEVICE, 4): return &q->used;
	default: return NULL;
	}
}

/* Registers of the selected queue. If there is none the size is 0, which says so [4.1.4.3.1]. */
static uint32_t queue_read(const struct virtio_dev *d, unsigned n, uint32_t at) REQUIRES(d->lock)
{
	const struct queue *q = virtio_queue(d, n);
	const uint64_t *address;

	if (!q)
		return at == AT(COMMON_QUEUE_MSIX_VECTOR, 2) ? QUEUE_NO_VECTOR : 0;
	switch (at) {
	case AT(COMMON_QUEUE_SIZE, 2): return q->size;
	case AT(COMMON_QUEUE_MSIX_VECTOR, 2): return q->vector;
	case AT(COMMON_QUEUE_ENABLE, 2): return q->enabled;
	default: break;
	}
	address = queue_address((struct queue *)q, at);
	if (!address)
		return 0;
	return (uint32_t)(*address >> (at & AT(4, 0) ? 32 : 0));
}

/* A vector that the table does not have reads back as none [4.1.5.1.2]. */
static uint16_t vector_taken(const struct vpci *v, uint32_t val)
{
	return val < v->msix.vectors ? (uint16_t)val : QUEUE_NO_VECTOR;
}

static void queue_write(struct vpci *v, uint32_t at, uint32_t val) REQUIRES(v->dev->lock)
{
	struct queue *q = virtio_queue_rw(v->dev, v->queue_sel);
	uint64_t *address;

	if (!q)
		return;
	switch (at) {
	case AT(COMMON_QUEUE_SIZE, 2):
		virtio_queue_size(v->dev, v->queue_sel, (uint16_t)val);
		return;
	case AT(COMMON_QUEUE_MSIX_VECTOR, 2): q->vector = vector_taken(v, val); return;
	case AT(COMMON_QUEUE_ENABLE, 2): q->enabled |= val == 1; return; /* 0 is not for drivers */
	default: break;
	}
	address = queue_address(q, at);
	if (!address)
		return;
	if (at & AT(4, 0))
		*address = (*address & UINT32_MAX) | (uint64_t)val << 32;
	else
		*address = (*address & ~(uint64_t)UINT32_MAX) | val;
}

static uint32_t common_read(const struct vpci *v, uint32_t at) REQUIRES(v->dev->lock)
{
	const struct virtio_dev *d = v->dev;

	switch (at) {
	case AT(COMMON_DEVICE_FEATURE_SELECT, 4): return v->offered_sel;
	case AT(COMMON_DEVICE_FEATURE, 4): return virtio_offered(v->dev, v->offered_sel);
	case AT(COMMON_DRIVER_FEATURE_SELECT, 4): return v->acked_sel;
	case AT(COMMON_DRIVER_FEATURE, 4): return virtio_acked(v->dev, v->acked_sel);
	case AT(COMMON_CONFIG_MSIX_VECTOR, 2): return v->config_vector;
	case AT(COMMON_NUM_QUEUES, 2): return d->queues;
	case AT(COMMON_DEVICE_STATUS, 1): return virtio_status(v->dev);
	case AT(COMMON_CONFIG_GENERATION, 1): return d->generation;
	case AT(COMMON_QUEUE_SELECT, 2): return v->queue_sel;
	default: return queue_read(v->dev, v->queue_sel, at);
	}
}

static void common_write(struct vpci *v, uint32_t at, uint32_t val) REQUIRES(v->dev->lock)
{
	switch (at) {
	case AT(COMMON_DEVICE_FEATURE_SELECT, 4): v->offered_sel = val; break;
	case AT(COMMON_DRIVER_FEATURE_SELECT, 4): v->acked_sel = val; break;
	case AT(COMMON_DRIVER_FEATURE, 4): virtio_ack(v->dev, v->acked_sel, val); break;
	case AT(COMMON_CONFIG_MSIX_VECTOR, 2): v->config_vector = vector_taken(v, val); break;
	case AT(COMMON_DEVICE_STATUS, 1): virtio_set_status(v->dev, (uint8_t)val); break;
	case AT(COMMON_QUEUE_SELECT, 2): v->queue_sel = (uint16_t)val; break;
	default: queue_write(v, at, val); break;
	}
}

/* --- the BAR --- */

/* The structures under the device lock: the first page but for the ISR. */
static uint32_t device_read(struct vpci *v, uint32_t off, unsigned size)
{
	uint32_t val = 0;

	virtio_lock(v->dev);
	if (off < COMMON_SIZE)
		val = common_read(v, AT(off, size));
	else if (off >= BAR_DEVICE && off < BAR_PAGE)
		val = virtio_config_read(v->dev, off - BAR_DEVICE, size);
	virtio_unlock(v->dev);
	return val;
}

static void device_write(struct vpci *v, uint32_t off, unsigned size, uint32_t val)
{
	virtio_lock(v->dev);
	if (off < COMMON_SIZE)
		common_write(v, AT(off, size), val);
	else if (off >= BAR_DEVICE && off < BAR_PAGE)
		virtio_config_write(v->dev, off - BAR_DEVICE, size, val);
	else if (off == BAR_NOTIFY && size == NOTIFY_WIDTH && val < v->dev->queues)
		virtio_notify(v->dev);
	virtio_unlock(v->dev);
}

static uint32_t interrupt_read(struct vpci *v, uint32_t off, unsigned size)
{
	uint32_t val = 0;

	irq_lock(v->board);
	if (off == BAR_ISR)
		val = isr_take(v);
	else if (off < BAR_PBA)
		val = msix_table_read(&v->msix, off - BAR_TABLE, size);
	else
		val = msix_pba_read(&v->msix, off - BAR_PBA, size);
	irq_unlock(v->board);
	return val;
}

uint32_t vpci_read(struct vpci *v, uint32_t off, unsigned size)
{
	if (off >= BAR_TABLE || (off == BAR_ISR && size == 1))
		return interrupt_read(v, off, size);
	return device_read(v, off, size);
}

void vpci_write(struct vpci *v, uint32_t off, unsigned size, uint32_t val)
{
	if (off < BAR_TABLE) {
		device_write(v, off, size, val);
	} else if (off < BAR_PBA) {
		irq_lock(v->board);
		msix_table_write(&v->msix, off - BAR_TABLE, size, val);
		irq_unlock(v->board);
	}
}

/* --- the configuration space: board lock held --- */

bool vpci_window(const struct vpci *v, unsigned reg, uint32_t *off, unsigned *size)
{
	const uint8_t *cap = &v->fn.cfg[CAP_PCI_CFG];
	uint32_t length = pci_get(cap + VCAP_LENGTH, 4);

	*off = pci_get(cap + VCAP_OFFSET, 4);
	*size = length;
	if (reg != CAP_PCI_CFG + VCAP_EXTRA || cap[VCAP_BAR] != 0)
		return false;
	if (length != 1 && length != 2 && length != 4)
		return false;
	return *off < VPCI_BAR_SIZE && *off % length == 0; /* aligned, so that its end is inside */
}

uint32_t vpci_window_get(const struct vpci *v, unsigned size)
{
	return pci_get(&v->fn.cfg[CAP_PCI_CFG + VCAP_EXTRA], size);
}

void vpci_window_put(struct vpci *v, unsigned size, uint32_t val)
{
	pci_put(&v->fn.cfg[CAP_PCI_CFG + VCAP_EXTRA], size, val);
}

static void bar_update(struct vpci *v)
{
	bool decodes = pci_get(&v->fn.cfg[PCI_REG_COMMAND], 2) & PCI_COMMAND_MEM;

	v->bar = decodes ? pci_get(&v->fn.cfg[PCI_REG_BAR0], 4) : 0;
}

/* The hook of the bus, which comes with the board lock held: in no way that clang could see. */
static void fn_written(struct pci_fn *f, unsigned off, unsigned size) UNCHECKED
{
	struct vpci *v = f->owner;

	bar_update(v);
	msix_set_control(&v->msix, (uint16_t)pci_get(&f->cfg[CAP_MSIX + MSIX_CONTROL], 2));
	intx_update(v);
}

void vpci_settle(struct vpci *v)
{
	struct virtio_dev *d = v->dev;
	uint64_t bell = 0;

	virtio_lock(d);
	irq_lock(v->board);
	if (v->bar && v->board->reaches(v->board->ctx, v, v->bar + BAR_NOTIFY))
		bell = v->bar + BAR_NOTIFY;
	irq_unlock(v->board);
	if (bell != d->bell) {
		d->bell = bell;
		if (virtio_live(d) || d->bell_set) /* otherwise its start will look */
			d->host->kick(d->host->ctx, d);
	}
	virtio_unlock(d);
}

/* --- at the start --- */

static uint32_t class_of(uint16_t id)
{
	switch (id) {
	case VIRTIO_ID_NET: return CLASS_ETHERNET;
	case VIRTIO_ID_BLK: return CLASS_STORAGE;
	case VIRTIO_ID_VSOCK: return CLASS_OTHERCOM;
	default: return CLASS_OTHER;
	}
}

/* A register of `size` bytes and which of its bits are writable. */
static void reg(struct vpci *v, unsigned off, unsigned size, uint32_t val, uint32_t wmask)
{
	pci_put(&v->fn.cfg[off], size, val);
	pci_put(&v->fn.wmask[off], size, wmask);
}

/* A vendor capability at `at` with `extra` bytes behind the structure; `next` is in the list. */
static void vcap(struct vpci *v, unsigned at, unsigned next, unsigned type, uint32_t off,
		 uint32_t length, unsigned extra)
{
	reg(v, at, 2, CAP_ID_VENDOR | next << 8, 0);
	reg(v, at + VCAP_LEN, 1, VCAP_SIZE + extra, 0);
	reg(v, at + VCAP_TYPE, 1, type, 0);
	reg(v, at + VCAP_OFFSET, 4, off, 0);
	reg(v, at + VCAP_LENGTH, 4, length, 0);
}

static void capabilities(struct vpci *v)
{
	reg(v, PCI_REG_CAP, 1, CAP_MSIX, 0);
	reg(v, CAP_MSIX, 2, CAP_ID_MSIX | CAP_COMMON << 8, 0);
	reg(v, CAP_MSIX + MSIX_CONTROL, 2, v->msix.vectors - 1,
	    (uint32_t)(MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASKED));
	reg(v, CAP_MSIX + MSIX_TABLE, 4, BAR_TABLE, 0); /* in BAR 0 */
	reg(v, CAP_MSIX + MSIX_PBA, 4, BAR_PBA, 0);
	vcap(v, CAP_COMMON, CAP_ISR, VCAP_COMMON_CFG, BAR_COMMON, COMMON_SIZE, 0);
	vcap(v, CAP_ISR, CAP_DEVICE, VCAP_ISR_CFG, BAR_ISR, ISR_SIZE, 0);
	vcap(v, CAP_DEVICE, CAP_NOTIFY, VCAP_DEVICE_CFG, BAR_DEVICE, VIRTIO_CONFIG_MAX, 0);
	vcap(v, CAP_NOTIFY, CAP_PCI_CFG, VCAP_NOTIFY_CFG, BAR_NOTIFY, NOTIFY_SIZE, 4);
	reg(v, CAP_NOTIFY + VCAP_EXTRA, 4, v->bell_step, 0);
	vcap(v, CAP_PCI_CFG, 0, VCAP_PCI_CFG, 0, 0, 4);
	reg(v, CAP_PCI_CFG + VCAP_BAR, 1, 0, UINT8_MAX);
	reg(v, CAP_PCI_CFG + VCAP_OFFSET, 4, 0, UINT32_MAX);
	reg(v, CAP_PCI_CFG + VCAP_LENGTH, 4, 0, UINT32_MAX);
	reg(v, CAP_PCI_CFG + VCAP_EXTRA, 4, 0, UINT32_MAX);
}

void vpci_init(struct vpci *v, struct virtio_dev *dev, const struct vpci_board *board,
	       unsigned slot, uint64_t bar)
{
	*v = (struct vpci){
		.fn = {.written = fn_written, .owner = v},
		.dev = dev,
		.board = board,
		.slot = slot,
		.config_vector = QUEUE_NO_VECTOR
        };
	msix_init(&v->msix, dev->queues + 1, board->sink);
	reg(v, PCI_REG_VENDOR, 2, VPCI_VENDOR, 0);
	reg(v, PCI_REG_DEVICE, 2, VPCI_DEVICE + dev->ops->id, 0);
	reg(v, PCI_REG_COMMAND, 2, PCI_COMMAND_MEM | PCI_COMMAND_MASTER,
	    PCI_COMMAND_MEM | PCI_COMMAND_MASTER | PCI_COMMAND_PERR | PCI_COMMAND_SERR |
		    PCI_COMMAND_INTX_OFF);
	reg(v, PCI_REG_STATUS, 2, PCI_STATUS_CAPS, 0);
	reg(v, PCI_REG_REVISION, 4, VPCI_REVISION | class_of(dev->ops->id) << 8, 0);
	reg(v, PCI_REG_SUBSYSTEM, 4, VPCI_VENDOR | VPCI_SUBSYSTEM << 16, 0);
	reg(v, PCI_REG_BAR0, 4, (uint32_t)bar, ~(VPCI_BAR_SIZE - 1));
	reg(v, PCI_REG_INT_PIN, 1, 1, 0);
	capabilities(v);
	bar_update(v);
	dev->bell_len = NOTIFY_WIDTH;
	dev->irq = (struct virtio_irq){.ctx = v,
				       .queue = irq_queue,
				       .config = irq_config,
				       .reset = irq_reset,
				       .wire = irq_wire,
				       .wired = irq_wired};
}
