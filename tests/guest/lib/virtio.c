/*
 * virtio.c - see virtio.h. Sections cite [virtio 1.2].
 */
#include "virtio.h"

#define VENDOR          0x1af4
#define MODERN          0x1040 /* and the device type */
#define PCI_REG_COMMAND 0x04
#define PCI_REG_BAR     0x10
#define PCI_REG_CAP     0x34
#define COMMAND_ON      0x406 /* memory, master, no INTx */
#define CAP_VENDOR      0x09
#define CAP_MSIX        0x11
#define CFG_COMMON      1 /* structure types [4.1.4] */
#define CFG_NOTIFY      2
#define CFG_ISR         3
#define CFG_DEVICE      4
#define MMIO_BASE       0xc0001000u
#define MMIO_SIZE       0x1000u
#define MAGIC           0x74726976u
#define MSIX_ENABLE     0x80000000u /* in the double word of the capability */
#define MSIX_MASKED     1

static uint32_t taken = 16 << 20;

void *take(uint32_t size, uint32_t align)
{
	uint8_t *p;

	taken = (taken + align - 1) & -align;
	p = (uint8_t *)taken;
	taken += size;
	if (taken > ram_end())
		fail("the guest's own memory ran out");
	memset(p, 0, size);
	return p;
}

static const char *name_of(unsigned id)
{
	switch (id) {
	case ID_NET: return "net";
	case ID_BLK: return "blk";
	case ID_RNG: return "rng";
	case ID_BALLOON: return "balloon";
	case ID_VSOCK: return "vsock";
	default: return "unknown";
	}
}

/* --- finding --- */

static uint32_t bar_address(unsigned devfn, unsigned bar)
{
	return pci_config(devfn, PCI_REG_BAR + 4 * bar) & ~0xfu;
}

static void vendor_capability(struct vdev *v, unsigned cap)
{
	unsigned type = pci_config(v->devfn, cap) >> 24, bar = pci_config(v->devfn, cap + 4) & 0xff;
	uint32_t at = bar_address(v->devfn, bar) + pci_config(v->devfn, cap + 8);

	switch (type) {
	case CFG_COMMON:
		v->common = at;
		v->bar = bar_address(v->devfn, bar);
		break;
	case CFG_NOTIFY:
		v->notify = at;
		v->notify_multiplier = pci_config(v->devfn, cap + 16);
		break;
	case CFG_ISR: v->isr = at; break;
	case CFG_DEVICE: v->config = at; break;
	}
}

static void msix_capability(struct vdev *v, unsigned cap)
{
	uint32_t table = pci_config(v->devfn, cap + 4), pba = pci_config(v->devfn, cap + 8);

	v->msix_cap = cap;
	v->msix_vectors = (pci_config(v->devfn, cap) >> 16 & 0x7ff) + 1;
	v->msix_table = bar_address(v->devfn, table & 7) + (table & ~7u);
	v->msix_pba = bar_address(v->devfn, pba & 7) + (pba & ~7u);
}

static void bar_measure(struct vdev *v)
{
	for (unsigned bar = 0; bar < 6; bar++) {
		unsigned reg = PCI_REG_BAR + 4 * bar;
		uint32_t was = pci_config(v->devfn, reg);

		if ((was & ~0xfu) != v->bar)
			continue;
		pci_config_set(v->devfn, PCI_REG_COMMAND, 0);
		pci_config_set(v->devfn, reg, 0xffffffff);
		v->bar_size = -(pci_config(v->devfn, reg) & ~0xfu);
		pci_config_set(v->devfn, reg, was);
		pci_config_set(v->devfn, PCI_REG_COMMAND, COMMAND_ON);
		return;
	}
}

static bool find_pci(struct vdev *v, unsigned devfn)
{
	uint32_t id = pci_config(devfn, 0);

	if ((id & 0xffff) != VENDOR || id >> 16 < MODERN)
		return false;
	*v = (struct vdev){.devfn = devfn, .id = (id >> 16) - MODERN};
	for (unsigned cap = pci_config(devfn, PCI_REG_CAP) & 0xfc; cap;
	     cap = pci_config(devfn, cap) >> 8 & 0xfc) {
		unsigned kind = pci_config(devfn, cap) & 0xff;

		if (kind == CAP_VENDOR)
			vendor_capability(v, cap);
		if (kind == CAP_MSIX)
			msix_capability(v, cap);
	}
	if (!v->common || !v->notify || !v->isr)
		fail("a virtio function lacks a capability");
	bar_measure(v);
	v->queues = *mmio16(v->common + PCI_NUM_QUEUES);
	return true;
}

static bool find_mmio(struct vdev *v, uint32_t regs)
{
	if (*mmio32(regs + MMIO_MAGIC) != MAGIC || *mmio32(regs + MMIO_VERSION) != 2 ||
	    *mmio32(regs + MMIO_DEVICE_ID) == 0)
		return false;
	*v = (struct vdev){.mmio = true, .regs = regs, .config = regs + MMIO_CONFIG};
	v->id = *mmio32(regs + MMIO_DEVICE_ID);
	for (vq_select(v, 0); v->queues < QUEUES_MAX && vq_max(v);)
		vq_select(v, ++v->queues);
	return true;
}

unsigned virtio_find(struct vdev *v, unsigned max)
{
	unsigned n = 0, windows = option("mmio", 0);

	for (unsigned i = 0; i < windows && n < max; i++)
		n += find_mmio(&v[n], MMIO_BASE + i * MMIO_SIZE);
	for (unsigned slot = 0; slot < 32 && n < max; slot++)
		n += find_pci(&v[n], slot << 3);
	for (unsigned i = 0; i < n; i++) {
		v[i].name = name_of(v[i].id);
		if (v[i].queues > QUEUES_MAX)
			v[i].queues = QUEUES_MAX;
		for (unsigned q = 0; q < v[i].queues; q++)
			v[i].q[q] = (struct vq){.dev = &v[i], .n = (uint16_t)q};
	}
	return n;
}

/* --- registers --- */

uint8_t vdev_status(struct vdev *v)
{
	if (v->mmio)
		return (uint8_t)*mmio32(v->regs + MMIO_STATUS);
	return *mmio8(v->common + PCI_STATUS);
}

void vdev_set_status(struct vdev *v, uint8_t status)
{
	if (v->mmio)
		*mmio32(v->regs + MMIO_STATUS) = status;
	else
		*mmio8(v->common + PCI_STATUS) = status;
}

uint64_t vdev_offers(struct vdev *v)
{
	uint32_t base = v->mmio ? v->regs : v->common;
	uint32_t select = v->mmio ? MMIO_DEVICE_FEATURE_SELECT : PCI_DEVICE_FEATURE_SELECT;
	uint32_t feature = v->mmio ? MMIO_DEVICE_FEATURE : PCI_DEVICE_FEATURE;
	uint64_t f;

	*mmio32(base + select) = 1;
	f = (uint64_t)*mmio32(base + feature) << 32;
	*mmio32(base + select) = 0;
	return f | *mmio32(base + feature);
}

void vdev_ack(struct vdev *v, uint64_t features)
{
	uint32_t base = v->mmio ? v->regs : v->common;
	uint32_t select = v->mmio ? MMIO_DRIVER_FEATURE_SELECT : PCI_DRIVER_FEATURE_SELECT;
	uint32_t feature = v->mmio ? MMIO_DRIVER_FEATURE : PCI_DRIVER_FEATURE;

	*mmio32(base + select) = 0;
	*mmio32(base + feature) = (uint32_t)features;
	*mmio32(base + select) = 1;
	*mmio32(base + feature) = (uint32_t)(features >> 32);
}

void vdev_reset(struct vdev *v)
{
	struct stopwatch s;

	vdev_set_status(v, 0);
	stopwatch_start(&s);
	while (vdev_status(v))
		if (stopwatch_us(&s) > PATIENCE_US)
			fail("a reset does not end");
}

uint32_t vdev_isr(struct vdev *v)
{
	uint32_t isr;

	if (!v->mmio)
		return *mmio8(v->isr);
	isr = *mmio32(v->regs + MMIO_INTERRUPT);
	*mmio32(v->regs + MMIO_INTERRUPT_ACK) = isr;
	return isr;
}

bool vdev_begin(struct vdev *v, uint64_t features)
{
	vdev_reset(v);
	vdev_set_status(v, S_ACKNOWLEDGE);
	vdev_set_status(v, S_ACKNOWLEDGE | S_DRIVER);
	v->features = (features | F_VERSION_1) & vdev_offers(v);
	vdev_ack(v, v->features);
	vdev_set_status(v, S_READY);
	return vdev_status(v) == S_READY;
}

void vq_select(struct vdev *v, unsigned n)
{
	if (v->mmio)
		*mmio32(v->regs + MMIO_QUEUE_SELECT) = n;
	else
		*mmio16(v->common + PCI_QUEUE_SELECT) = (uint16_t)n;
}

uint16_t vq_max(struct vdev *v)
{
	if (v->mmio)
		return (uint16_t)*mmio32(v->regs + MMIO_QUEUE_MAX);
	return *mmio16(v->common + PCI_QUEUE_SIZE);
}

void vq_set_size(struct vdev *v, uint16_t size)
{
	if (v->mmio)
		*mmio32(v->regs + MMIO_QUEUE_SIZE) = size;
	else
		*mmio16(v->common + PCI_QUEUE_SIZE) = size;
}

void vq_set_rings(struct vdev *v, uint64_t desc, uint64_t avail, uint64_t used)
{
	uint32_t base = v->mmio ? v->regs + MMIO_QUEUE_DESC : v->common + PCI_QUEUE_DESC;
	uint32_t stride =
		v->mmio ? MMIO_QUEUE_DRIVER - MMIO_QUEUE_DESC : PCI_QUEUE_DRIVER - PCI_QUEUE_DESC;
	uint64_t ring[] = {desc, avail, used};

	for (unsigned i = 0; i < 3; i++) {
		*mmio32(base + i * stride) = (uint32_t)ring[i];
		*mmio32(base + i * stride + 4) = (uint32_t)(ring[i] >> 32);
	}
}

void vq_enable(struct vdev *v)
{
	if (v->mmio)
		*mmio32(v->regs + MMIO_QUEUE_READY) = 1;
	else
		*mmio16(v->common + PCI_QUEUE_ENABLE) = 1;
}

/* --- queues --- */

void vq_setup(struct vq *q, uint16_t size)
{
	struct vdev *v = q->dev;

	if (!q->desc) {
		q->desc = take(RING_MAX * sizeof(struct desc), 4096);
		q->avail = take(4 + RING_MAX * 2 + 2, 4096);
		q->used = take(4 + RING_MAX * 8 + 2, 4096);
	}
	q->used_event = (volatile uint16_t *)((uint32_t)q->avail + 4 + 2u * size);
	q->avail_event = (volatile uint16_t *)((uint32_t)q->used + 4 + 8u * size);
	/* Not the entries: on some hosts each byte costs a microsecond. */
	q->avail->flags = q->avail->idx = *q->used_event = 0;
	q->used->flags = q->used->idx = *q->avail_event = 0;
	q->size = size;
	q->seen = 0;
	vq_select(v, q->n);
	vq_set_size(v, size);
	if (!v->mmio)
		q->notify = v->notify +
			    *mmio16(v->common + PCI_QUEUE_NOTIFY_OFF) * v->notify_multiplier;
	vq_set_rings(v, (uint32_t)q->desc, (uint32_t)q->avail, (uint32_t)q->used);
	vq_enable(v);
}

void vdev_open(struct vdev *v, uint64_t features)
{
	if (!vdev_begin(v, features))
		fail("FEATURES_OK is refused");
	for (unsigned i = 0; i < v->queues; i++) {
		vq_select(v, i);
		vq_setup(&v->q[i], vq_max(v) < RING_MAX ? vq_max(v) : RING_MAX);
	}
	vdev_set_status(v, S_READY | S_DRIVER_OK);
	if (vdev_status(v) != (S_READY | S_DRIVER_OK))
		fail("DRIVER_OK is not taken");
}

void vq_avail(struct vq *q, unsigned head)
{
	q->avail->ring[q->avail->idx % q->size] = (uint16_t)head;
	asm volatile("" : : : "memory");
	q->avail->idx++;
	asm volatile("" : : : "memory");
}

void vq_put(struct vq *q, unsigned head, const struct buf *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		volatile struct desc *d = &q->desc[head + i];

		d->addr = (uint32_t)b[i].at;
		d->len = b[i].len;
		d->flags = (uint16_t)((i + 1 < n ? DESC_NEXT : 0) | (b[i].write ? DESC_WRITE : 0));
		d->next = (uint16_t)(head + i + 1);
	}
	vq_avail(q, head);
}

void vq_notify(struct vq *q)
{
	if (q->dev->mmio)
		*mmio32(q->dev->regs + MMIO_QUEUE_NOTIFY) = q->n;
	else
		*mmio16(q->notify) = q->n;
}

bool vq_kick(struct vq *q, uint16_t old)
{
	uint16_t new = q->avail->idx;
	bool wanted = !(q->used->flags & 1);

	barrier();
	if (q->dev->features & F_EVENT_IDX)
		wanted = (uint16_t)(new - *q->avail_event - 1) < (uint16_t)(new - old);
	if (wanted)
		vq_notify(q);
	return wanted;
}

bool vq_used(struct vq *q, uint32_t *head, uint32_t *len)
{
	if (q->used->idx == q->seen)
		return false;
	*head = q->used->ring[q->seen % q->size].id;
	*len = q->used->ring[q->seen % q->size].len;
	q->seen++;
	return true;
}

bool vq_wait(struct vq *q, uint32_t *head, uint32_t *len)
{
	struct stopwatch s;

	stopwatch_start(&s);
	while (!vq_used(q, head, len))
		if (stopwatch_us(&s) > PATIENCE_US)
			return false;
	return true;
}

uint32_t vq_request(struct vq *q, const struct buf *b, unsigned n)
{
	uint32_t head, len;

	vq_put(q, 0, b, n);
	vq_notify(q);
	if (!vq_wait(q, &head, &len))
		fail("a request is not answered");
	if (head != 0)
		fail("a request that was not made is answered");
	return len;
}

/* --- MSI-X --- */

void msix_enable(struct vdev *v, bool on)
{
	uint32_t was = pci_config(v->devfn, v->msix_cap);

	pci_config_set(v->devfn, v->msix_cap, on ? was | MSIX_ENABLE : was & ~MSIX_ENABLE);
}

void msix_set(struct vdev *v, unsigned entry, unsigned cpu, uint8_t vector)
{
	uint32_t at = v->msix_table + 16 * entry;

	*mmio32(at + 12) = MSIX_MASKED;
	*mmio32(at) = 0xfee00000u | cpu << 12;
	*mmio32(at + 4) = 0;
	*mmio32(at + 8) = vector;
	*mmio32(at + 12) = 0;
}

uint16_t msix_assign(struct vdev *v, int n, uint16_t entry)
{
	uint32_t at = v->common + (n < 0 ? PCI_CONFIG_VECTOR : PCI_QUEUE_VECTOR);

	if (n >= 0)
		vq_select(v, (unsigned)n);
	*mmio16(at) = entry;
	return *mmio16(at);
}
