/*
 * virtio_regs.c - registers of every virtio device that is there, in every way that they are not
 * meant for: sizes and selectors out of range, changes after DRIVER_OK, bad vectors, widths, storms
 * of notifications, and over PCI a BAR that goes where it has no business. Nothing of it shows.
 */
#include "lib/victim.h"

#define PAGE       4096
#define FAR_QUEUE  0xffff
#define STORM      2000
#define VECTOR     0x60
#define CMD_MEMORY 0x406
#define BAR_REG    0x10
#define CMD_REG    0x04
#define LAPIC      0xfee00000u
#define IOAPIC     0xfec00000u

static volatile unsigned interrupts;

static void interrupt(const struct frame *f)
{
	interrupts++;
	lapic_write(LAPIC_EOI, 0);
}

/* Fails the guest unless `holds`. */
static void need(struct vdev *v, const char *what, bool holds, const char *why)
{
	if (!holds)
		victim_fail(v, what, why);
}

/* --- features --- */

static void features(struct vdev *v)
{
	const char *what = "features";
	uint64_t offers = vdev_offers(v);

	need(v, what, offers & F_VERSION_1, "VERSION_1 is not offered");
	vdev_reset(v);
	vdev_set_status(v, S_ACKNOWLEDGE | S_DRIVER);
	vdev_ack(v, offers & ~F_VERSION_1);
	vdev_set_status(v, S_READY);
	need(v, what, !(vdev_status(v) & S_FEATURES_OK), "taken without VERSION_1");
	vdev_ack(v, F_VERSION_1 | 1ull << 63);
	vdev_set_status(v, S_READY);
	need(v, what, !(vdev_status(v) & S_FEATURES_OK), "taken though not offered");
	vdev_set_status(v, S_READY | S_DRIVER_OK);
	need(v, what, !(vdev_status(v) & S_DRIVER_OK), "DRIVER_OK without FEATURES_OK");
	vdev_ack(v, F_VERSION_1);
	vdev_set_status(v, S_READY);
	need(v, what, vdev_status(v) == S_READY, "not taken");
	vdev_ack(v, offers);
	if (!v->mmio)
		need(v, what, *mmio32(v->common + PCI_DRIVER_FEATURE) == 1,
		     "changed after FEATURES_OK");
	vdev_set_status(v, S_ACKNOWLEDGE);
	need(v, what, vdev_status(v) == S_READY, "status bits are taken back");
	victim_works(v, what);
	say("%s: %s\n", v->name, what);
}

/* --- queues [cases 6 and 7] --- */

static void queue_sizes(struct vdev *v)
{
	static const uint16_t bad[] = {0, 3, 0x8000, 0xffff, 512, 255};
	const char *what = "queue sizes";
	struct vq *q = victim_queue(v);
	uint16_t max;

	need(v, what, vdev_begin(v, 0), "FEATURES_OK is refused");
	vq_select(v, q->n);
	max = vq_max(v);
	vq_setup(q, max);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		vq_set_size(v, bad[i]);
		need(v, what, vq_max(v) == max, "a bad size is taken");
	}
	vdev_set_status(v, S_READY | S_DRIVER_OK);
	need(v, what, vdev_status(v) == (S_READY | S_DRIVER_OK), "a good queue is refused");
	vdev_reset(v);
	victim_works(v, what);
	say("%s: %s\n", v->name, what);
}

/* Whatever is written after DRIVER_OK: the queue is where it was. */
static void changes_too_late(struct vdev *v)
{
	const char *what = "changes after DRIVER_OK";
	struct vq *q = victim_queue(v);
	uint32_t ring[6], head, len;
	uint16_t size;

	vdev_open(v, 0);
	vq_select(v, q->n);
	size = vq_max(v);
	for (unsigned i = 0; i < 6 && !v->mmio; i++)
		ring[i] = *mmio32(v->common + PCI_QUEUE_DESC + 4 * i);
	vq_set_rings(v, 0x1000, 0x2000, 0x3000);
	vq_set_rings(v, ~0ull, ~0ull, ~0ull);
	vq_set_size(v, 1);
	if (v->mmio) {
		*mmio32(v->regs + MMIO_QUEUE_READY) = 0;
		need(v, what, *mmio32(v->regs + MMIO_QUEUE_READY) == 1, "the queue is taken down");
	} else {
		*mmio16(v->common + PCI_QUEUE_ENABLE) = 0;
		need(v, what, *mmio16(v->common + PCI_QUEUE_ENABLE) == 1, "the queue is disabled");
		for (unsigned i = 0; i < 6; i++)
			need(v, what, *mmio32(v->common + PCI_QUEUE_DESC + 4 * i) == ring[i],
			     "a ring's address changed");
	}
	need(v, what, vq_max(v) == size, "the size changed");
	victim_put(v, 0);
	vq_notify(q);
	need(v, what, vq_wait(q, &head, &len), "a request is not answered");
	need(v, what, !(vdev_status(v) & S_NEEDS_RESET), "it asks for a reset");
	say("%s: %s\n", v->name, what);
}

static void no_such_queue(struct vdev *v)
{
	const char *what = "queue 65535";

	need(v, what, vdev_begin(v, 0), "FEATURES_OK is refused");
	for (unsigned n = v->queues; n <= FAR_QUEUE; n = n < 64 ? n + 1 : n * 2 + 1) {
		vq_select(v, n);
		vq_set_size(v, 8);
		vq_set_rings(v, 0x1000, 0x2000, 0x3000);
		vq_enable(v);
		need(v, what, vq_max(v) == 0, "it has a size");
		if (v->mmio) {
			need(v, what, *mmio32(v->regs + MMIO_QUEUE_READY) == 0, "it is ready");
			continue;
		}
		need(v, what, msix_assign(v, (int)n, 0) == NO_VECTOR, "it has a vector");
		need(v, what, *mmio16(v->common + PCI_QUEUE_ENABLE) == 0, "it is enabled");
		for (unsigned i = 0; i < 6; i++)
			need(v, what, *mmio32(v->common + PCI_QUEUE_DESC + 4 * i) == 0,
			     "it has an address");
	}
	victim_works(v, what);
	say("%s: %s\n", v->name, what);
}

/* --- notifications [12] --- */

static void storm(struct vdev *v)
{
	const char *what = "storm of notifications";

	vdev_open(v, 0);
	for (unsigned i = 0; i < STORM; i++) {
		struct vq *q = &v->q[i % v->queues];
		uint16_t n = q->n;

		if (i % 7 == 0)
			q->n = (uint16_t)(0xffff - i);
		vq_notify(q);
		q->n = n;
	}
	victim_works(v, what);
	victim_others(v, what);
	say("%s: %s\n", v->name, what);
}

/* --- the window: every register, every width --- */

static void touch(uint32_t at)
{
	static volatile uint32_t sink;

	sink += *mmio8(at) + *mmio16(at) + *mmio32(at);
	sink += *mmio16(at + 1) + *mmio32(at + 1) + *mmio32(at + 2) + *mmio32(at + 3);
}

static void scribble(uint32_t at)
{
	*mmio32(at) = 0xffffffff;
	*mmio32(at + 1) = 0xa5a5a5a5;
	*mmio16(at + 1) = 0x5a5a;
	*mmio8(at + 3) = 0xff;
	*mmio32(at) = 0;
}

/* All of the first part, and then some of the rest: each access is an exit. */
static void window(struct vdev *v)
{
	const char *what = "every register";
	uint32_t base = v->mmio ? v->regs : v->bar, size = v->mmio ? PAGE : v->bar_size;

	vdev_open(v, 0);
	for (uint32_t off = 0; off < size - 8; off += off % PAGE < 0x140 ? 4 : 252)
		touch(base + off);
	for (uint32_t off = 0; off < size - 8; off += off % PAGE < 0x140 ? 4 : 252)
		scribble(base + off);
	for (uint32_t page = PAGE; page <= size; page += PAGE) /* across the end of each page */
		touch(base + page - 4);
	vdev_reset(v);
	victim_works(v, what);
	victim_others(v, what);
	say("%s: %s\n", v->name, what);
}

/* Only the balloon lets its driver write to its configuration. */
static void configuration(struct vdev *v)
{
	const char *what = "configuration";
	uint32_t was[16];

	vdev_open(v, 0);
	for (unsigned i = 0; i < 16; i++)
		was[i] = *mmio32(v->config + 4 * i);
	for (unsigned i = 0; i < 16; i++) {
		*mmio32(v->config + 4 * i) = ~was[i];
		*mmio8(v->config + 4 * i + 1) = 0x77;
	}
	for (unsigned i = 0; i < 16; i++)
		if (v->id != ID_BALLOON || i != 1)
			need(v, what, *mmio32(v->config + 4 * i) == was[i], "it changed");
	victim_works(v, what);
	say("%s: %s\n", v->name, what);
}

/* --- MSI-X [8 and 9] --- */

static void bad_vectors(struct vdev *v)
{
	static const uint16_t bad[] = {0xfffe, 0x8000, 2048, 32};
	const char *what = "vectors that are not there";
	struct vq *q = victim_queue(v);

	interrupts = 0;
	for (unsigned i = 0; i < v->msix_vectors; i++)
		msix_set(v, i, 0, VECTOR);
	msix_enable(v, true);
	need(v, what, vdev_begin(v, 0), "FEATURES_OK is refused");
	vq_select(v, q->n);
	vq_setup(q, vq_max(v));
	need(v, what, msix_assign(v, (int)q->n, 0) == 0, "a good one is refused");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		need(v, what, msix_assign(v, (int)q->n, bad[i]) == NO_VECTOR, "taken by a queue");
		need(v, what, msix_assign(v, -1, bad[i]) == NO_VECTOR, "taken");
	}
	need(v, what, msix_assign(v, (int)q->n, (uint16_t)v->msix_vectors) == NO_VECTOR,
	     "the first beyond the table is taken");
	vdev_set_status(v, S_READY | S_DRIVER_OK);
	victim_put(v, 0);
	vq_notify(q);
	irq_on();
	wait_us(20000);
	irq_off();
	need(v, what, q->used->idx == 1, "a request is not answered");
	need(v, what, interrupts == 0, "an interrupt came");
	msix_enable(v, false);
	victim_works(v, what);
	say("%s: %s\n", v->name, what);
}

/* What a mask holds back comes when it goes: once. */
static void masked_vector(struct vdev *v)
{
	const char *what = "masked vector";
	struct vq *q = victim_queue(v);
	uint32_t control = v->msix_table + 12, head, len;

	interrupts = 0;
	msix_set(v, 0, 0, VECTOR);
	*mmio32(control) = 1;
	msix_enable(v, true);
	need(v, what, vdev_begin(v, 0), "FEATURES_OK is refused");
	vq_select(v, q->n);
	vq_setup(q, vq_max(v));
	need(v, what, msix_assign(v, (int)q->n, 0) == 0, "it is refused");
	vdev_set_status(v, S_READY | S_DRIVER_OK);
	for (unsigned i = 0; i < 3; i++) {
		victim_put(v, 0);
		vq_notify(q);
		need(v, what, vq_wait(q, &head, &len), "a request is not answered");
	}
	irq_on();
	wait_us(10000);
	need(v, what, interrupts == 0, "it comes through the mask");
	need(v, what, *mmio32(v->msix_pba) == 1, "it is not pending");
	*mmio32(control) = 0;
	wait_us(10000);
	irq_off();
	need(v, what, interrupts == 1, "it does not come once when the mask goes");
	need(v, what, *mmio32(v->msix_pba) == 0, "it is still pending");
	msix_enable(v, false);
	victim_works(v, what);
	say("%s: %s\n", v->name, what);
}

static void msix_widths(struct vdev *v)
{
	const char *what = "widths of the MSI-X table";
	uint32_t t = v->msix_table, end = t + 16 * v->msix_vectors;

	for (unsigned i = 0; i < 4; i++)
		*mmio32(t + 4 * i) = 0x11110000 * (i < 3) + i % 2;
	for (unsigned i = 0; i < 16; i++) {
		*mmio8(t + i) = 0xff;
		*mmio16(t + i) = 0xffff;
		if (i % 4)
			*mmio32(t + i) = 0xffffffff;
	}
	for (unsigned i = 0; i < 4; i++)
		need(v, what, *mmio32(t + 4 * i) == 0x11110000 * (i < 3) + i % 2,
		     "an entry changed");
	for (unsigned i = 0; i < 16; i++) {
		*mmio32(end + 4 * i) = 0xffffffff;
		need(v, what, *mmio32(end + 4 * i) == 0, "there is something beyond the table");
		*mmio32(v->msix_pba + 4 * i) = 0xffffffff;
		need(v, what, *mmio32(v->msix_pba + 4 * i) == 0, "a pending bit can be set");
	}
	victim_works(v, what);
	say("%s: %s\n", v->name, what);
}

/* --- PCI configuration space [22] --- */

static void bar_to(struct vdev *v, uint32_t at)
{
	pci_config_set(v->devfn, CMD_REG, 0);
	pci_config_set(v->devfn, BAR_REG, at);
	pci_config_set(v->devfn, CMD_REG, CMD_MEMORY);
}

static void bar_moves(struct vdev *v)
{
	const char *what = "BAR over RAM, APICs and others";
	uint32_t *ram = take(v->bar_size, v->bar_size), id = lapic_read(LAPIC_ID);
	uint32_t version = ioapic_read(IOAPIC_VER), other = victims[0].bar;
	uint32_t elsewhere = 0xd0000000u;

	vdev_open(v, 0);
	ram[0] = 0x12345678;
	bar_to(v, (uint32_t)ram);
	need(v, what, *(volatile uint32_t *)ram == 0x12345678, "it hides RAM");
	*(volatile uint32_t *)ram = 7;
	bar_to(v, LAPIC);
	need(v, what, lapic_read(LAPIC_ID) == id, "it hides the LAPIC");
	bar_to(v, IOAPIC);
	need(v, what, ioapic_read(IOAPIC_VER) == version, "it hides the IOAPIC");
	bar_to(v, 0xffffffff);
	bar_to(v, 0);
	bar_to(v, other == v->bar ? 0xc0001000 : other);
	*mmio32(other);
	bar_to(v, elsewhere);
	need(v, what, *mmio16(elsewhere + v->common - v->bar + PCI_NUM_QUEUES) == v->queues,
	     "it does not decode where it was put");
	need(v, what, *mmio32(v->bar) == 0xffffffff, "it still decodes where it was");
	bar_to(v, v->bar);
	need(v, what, *(volatile uint32_t *)ram == 7, "RAM changed");
	need(v, what, vdev_status(v) == (S_READY | S_DRIVER_OK), "the device noticed");
	victim_works(v, what);
	victim_others(v, what);
	say("%s: %s\n", v->name, what);
}

/* The PCI_CFG window: 0 when there is none. */
static unsigned window_capability(struct vdev *v)
{
	for (unsigned cap = pci_config(v->devfn, 0x34) & 0xfc; cap;
	     cap = pci_config(v->devfn, cap) >> 8 & 0xfc)
		if ((pci_config(v->devfn, cap) & 0xff) == 9 && pci_config(v->devfn, cap) >> 24 == 5)
			return cap;
	return 0;
}

static void config_window(struct vdev *v)
{
	static const uint32_t offsets[] = {0, 0x14, 0x3ffe, 0x3fff, 0x4000, 0x7fffffff, 0xfffffffc};
	static const uint32_t lengths[] = {0, 1, 2, 3, 4, 8, 0x80000000};
	const char *what = "PCI_CFG window";
	unsigned cap = window_capability(v);

	need(v, what, cap, "there is none");
	vdev_open(v, 0);
	for (unsigned bar = 0; bar < 8; bar++)
		for (unsigned i = 0; i < 49; i++) {
			pci_config_set(v->devfn, cap + 4, bar * 0x25);
			pci_config_set(v->devfn, cap + 8, offsets[i / 7]);
			pci_config_set(v->devfn, cap + 12, lengths[i % 7]);
			pci_config(v->devfn, cap + 16);
			if (bar)
				pci_config_set(v->devfn, cap + 16, 0xffffffff);
		}
	pci_config_set(v->devfn, cap + 4, 0);
	pci_config_set(v->devfn, cap + 8, v->common - v->bar + PCI_STATUS);
	pci_config_set(v->devfn, cap + 12, 1);
	need(v, what, (pci_config(v->devfn, cap + 16) & 0xff) == (S_READY | S_DRIVER_OK),
	     "it does not show the status");
	pci_config_set(v->devfn, cap + 12, 0);
	victim_works(v, what);
	say("%s: %s\n", v->name, what);
}

static void config_space(struct vdev *v)
{
	const char *what = "configuration space";
	uint32_t was[64];

	vdev_open(v, 0);
	for (unsigned reg = 0; reg < 256; reg += 4) {
		was[reg / 4] = pci_config(v->devfn, reg);
		for (unsigned i = 0; i < 4; i++)
			in8((uint16_t)(PORT_PCI_DATA + i));
		pci_config_set(v->devfn, reg, 0xffffffff);
		pci_config_set(v->devfn, reg, 0);
		out16(PORT_PCI_DATA + 1, 0x5a5a);
		pci_config_set(v->devfn, reg, was[reg / 4]);
	}
	for (unsigned reg = 0; reg < 256; reg += 4)
		need(v, what, pci_config(v->devfn, reg) == was[reg / 4],
		     "a register cannot be put back");
	victim_works(v, what);
	victim_others(v, what);
	say("%s: %s\n", v->name, what);
}

void main(void)
{
	pic_init(0);
	lapic_init(false);
	on_vector(VECTOR, interrupt);
	victims_find();
	for (unsigned i = 0; i < victim_count; i++) {
		struct vdev *v = &victims[i];

		features(v);
		queue_sizes(v);
		changes_too_late(v);
		no_such_queue(v);
		storm(v);
		window(v);
		configuration(v);
		if (v->mmio)
			continue;
		bad_vectors(v);
		masked_vector(v);
		msix_widths(v);
		bar_moves(v);
		config_window(v);
		config_space(v);
	}
}
