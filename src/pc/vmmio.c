/*
 * vmmio.c - virtio over MMIO, version 2 [virtio 1.2, 4.2].
 * Modelled: every register of 4.2.2, the configuration space, an edge interrupt a message.
 * Not modelled: version 1, notification data, queue reset, shared memory regions.
 * Registers take aligned double words [4.2.2.2]; others read 0 and are dropped, and so are writes
 * to what can only be read. The device lock is taken here, then the board lock by pulse().
 */
#include "vmmio.h"

#define VMMIO_MAGIC_VALUE 0x74726976u /* "virt" */
#define VMMIO_VERSION     2u
#define VMMIO_VENDOR      0x4e4e494du /* "MINN" */

#define REG_MAGIC               0x000u
#define REG_VERSION             0x004u
#define REG_DEVICE_ID           0x008u
#define REG_VENDOR_ID           0x00cu
#define REG_DEVICE_FEATURES     0x010u
#define REG_DEVICE_FEATURES_SEL 0x014u
#define REG_DRIVER_FEATURES     0x020u
#define REG_DRIVER_FEATURES_SEL 0x024u
#define REG_QUEUE_SEL           0x030u
#define REG_QUEUE_NUM_MAX       0x034u
#define REG_QUEUE_NUM           0x038u
#define REG_QUEUE_READY         0x044u
#define REG_QUEUE_NOTIFY        0x050u
#define REG_INTERRUPT_STATUS    0x060u
#define REG_INTERRUPT_ACK       0x064u
#define REG_STATUS              0x070u
#define REG_QUEUE_DESC          0x080u /* each of three addresses low, then high */
#define REG_QUEUE_DRIVER        0x090u
#define REG_QUEUE_DEVICE        0x0a0u
#define REG_SHM_LEN             0x0b0u /* low and high, then the base likewise */
#define REG_SHM_BASE            0x0b8u
#define REG_CONFIG_GENERATION   0x0fcu
#define REG_CONFIG              0x100u

#define VMMIO_ISR_QUEUE  BIT(0)
#define VMMIO_ISR_CONFIG BIT(1)

/* --- interrupts: device lock held --- */

static void vmmio_interrupt(struct vmmio *m, uint32_t bit)
{
	m->isr |= bit;
	m->pulse(m->ctx, m->gsi);
}

static void irq_queue(void *ctx, unsigned queue)
{
	vmmio_interrupt(ctx, VMMIO_ISR_QUEUE);
}

static void irq_config(void *ctx)
{
	vmmio_interrupt(ctx, VMMIO_ISR_CONFIG);
}

static void irq_reset(void *ctx)
{
	struct vmmio *m = ctx;

	m->offered_sel = m->acked_sel = m->queue_sel = 0;
	m->isr = 0;
}

/* --- registers: device lock held --- */

static uint32_t reg_read(const struct vmmio *m, uint32_t off) REQUIRES(m->dev->lock)
{
	const struct queue *q = virtio_queue(m->dev, m->queue_sel);

	switch (off) {
	case REG_MAGIC: return VMMIO_MAGIC_VALUE;
	case REG_VERSION: return VMMIO_VERSION;
	case REG_DEVICE_ID: return m->dev->ops->id;
	case REG_VENDOR_ID: return VMMIO_VENDOR;
	case REG_DEVICE_FEATURES: return virtio_offered(m->dev, m->offered_sel);
	case REG_QUEUE_NUM_MAX: return q ? q->max : 0; /* 0: there is no such queue */
	case REG_QUEUE_READY: return q && q->enabled;
	case REG_INTERRUPT_STATUS: return m->isr;
	case REG_STATUS: return virtio_status(m->dev);
	case REG_SHM_LEN: /* no region has this length [4.2.2.1] */
	case REG_SHM_LEN + 4:
	case REG_SHM_BASE:
	case REG_SHM_BASE + 4: return UINT32_MAX;
	case REG_CONFIG_GENERATION: return m->dev->generation;
	default: return 0;
	}
}

static void set_half(uint64_t *address, bool high, uint32_t val)
{
	if (high)
		*address = (*address & UINT32_MAX) | (uint64_t)val << 32;
	else
		*address = (*address & ~(uint64_t)UINT32_MAX) | val;
}

/* Registers of the selected queue, while it may be set up. */
static void queue_write(struct vmmio *m, uint32_t off, uint32_t val) REQUIRES(m->dev->lock)
{
	struct queue *q = virtio_queue_rw(m->dev, m->queue_sel);

	if (!q)
		return;
	switch (off) {
	case REG_QUEUE_NUM:
		if (val <= UINT16_MAX)
			virtio_queue_size(m->dev, m->queue_sel, (uint16_t)val);
		break;
	case REG_QUEUE_READY: /* a driver that takes its queues down writes 0 and reads back */
		if (val <= 1)
			q->enabled = val;
		break;
	case REG_QUEUE_DESC:
	case REG_QUEUE_DESC + 4: set_half(&q->desc, off & 4, val); break;
	case REG_QUEUE_DRIVER:
	case REG_QUEUE_DRIVER + 4: set_half(&q->avail, off & 4, val); break;
	case REG_QUEUE_DEVICE:
	case REG_QUEUE_DEVICE + 4: set_half(&q->used, off & 4, val); break;
	default: break;
	}
}

/* true: a reset is under way that the driver takes for done. */
static bool reg_write(struct vmmio *m, uint32_t off, uint32_t val) REQUIRES(m->dev->lock)
{
	switch (off) {
	case REG_DEVICE_FEATURES_SEL: m->offered_sel = val; break;
	case REG_DRIVER_FEATURES: virtio_ack(m->dev, m->acked_sel, val); break;
	case REG_DRIVER_FEATURES_SEL: m->acked_sel = val; break;
	case REG_QUEUE_SEL: m->queue_sel = val; break;
	case REG_QUEUE_NOTIFY:
		if (val < m->dev->queues)
			virtio_notify(m->dev);
		break;
	case REG_INTERRUPT_ACK: CLEAR(m->isr, val); break;
	case REG_STATUS: return val <= UINT8_MAX && virtio_set_status(m->dev, (uint8_t)val);
	default: queue_write(m, off, val); break;
	}
	return false;
}

/* --- the window --- */

uint32_t vmmio_read(struct vmmio *m, uint32_t off, unsigned size)
{
	uint32_t val = 0;

	virtio_lock(m->dev);
	if (off >= REG_CONFIG)
		val = virtio_config_read(m->dev, off - REG_CONFIG, size);
	else if (size == 4 && off % 4 == 0)
		val = reg_read(m, off);
	virtio_unlock(m->dev);
	return val;
}

/*
 * Drivers take a reset for done when the write of status 0 is over: Linux frees its rings next. So
 * that write ends when the device has finished with them, and so does any other of the status
 * meanwhile.
 */
void vmmio_write(struct vmmio *m, uint32_t off, unsigned size, uint32_t val)
{
	bool wait = false;

	virtio_lock(m->dev);
	if (off >= REG_CONFIG)
		virtio_config_write(m->dev, off - REG_CONFIG, size, val);
	else if (size == 4 && off % 4 == 0)
		wait = reg_write(m, off, val);
	virtio_unlock(m->dev);
	if (wait)
		m->dev->host->await_reset(m->dev->host->ctx, m->dev);
}

void vmmio_init(struct vmmio *m, struct virtio_dev *dev, uint64_t gpa, unsigned gsi,
		void (*pulse)(void *ctx, unsigned gsi), void *ctx)
{
	*m = (struct vmmio){.dev = dev, .pulse = pulse, .ctx = ctx, .gsi = gsi, .gpa = gpa};
	dev->irq = (struct virtio_irq){
		.ctx = m, .queue = irq_queue, .config = irq_config, .reset = irq_reset};
	dev->bell = gpa + REG_QUEUE_NOTIFY;
	dev->bell_len = 4;
}
