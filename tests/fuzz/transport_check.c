/*
 * transport_check.c - what holds between any two accesses to virtio devices on the board, computed
 * by other ways than theirs.
 */
#include <string.h>

#include "fuzz.h"
#include "transport.h"

#define NOTIFY_OFF   0x1000u
#define COMMAND_MEM  0x0002u
#define COMMAND_INTX 0x0400u /* disabled */
#define STATUS_INTX  0x0008u
#define MSIX_CONTROL 0x42u
#define STATUS_BITS  0xcfu

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get32(const uint8_t *at)
{
	return get16(at) | (uint32_t)get16(at + 2) << 16;
}

/* Where function `n` decodes; 0: nowhere. */
static uint64_t bar_of(const struct plugs *p, unsigned n)
{
	const uint8_t *cfg = p->vpci[n].fn.cfg;

	return get16(cfg + 4) & COMMAND_MEM ? get32(cfg + 0x10) : 0;
}

static bool within(uint64_t at, uint64_t from, uint64_t to)
{
	return at >= from && at < to;
}

/* Does an access to the bell of function `n` reach it? */
static uint64_t bell_of(const struct plugs *p, unsigned n)
{
	uint64_t bar = bar_of(p, n), bell = bar + NOTIFY_OFF;

	if (!bar || bell < 256 * MIB || within(bell, 0xc0000000, 0xc0100000) ||
	    within(bell, 0xfec00000, 0xfec01000) || within(bell, 0xfee00000, 0xfee01000))
		return 0;
	return n == PCI_B && bar == bar_of(p, PCI_A) ? 0 : bell;
}

/* Bits that nobody may write are as they were; but for Interrupt Status. */
static void check_config(const struct plugs *p, unsigned n)
{
	const struct pci_fn *f = &p->vpci[n].fn;

	for (unsigned i = 0; i < PCI_CFG; i++) {
		uint8_t fixed = (uint8_t)~f->wmask[i];

		if (i == 6)
			CLEAR(fixed, STATUS_INTX);
		CHECK((f->cfg[i] & fixed) == (p->plug[n].initial[i] & fixed));
	}
	CHECK(get32(f->cfg + 0x10) % VPCI_BAR_SIZE == 0);
}

static void check_pci(const struct plugs *p, unsigned n)
{
	const struct board *b = &p->w.board;
	const struct vpci *v = &p->vpci[n];
	const uint8_t *cfg = v->fn.cfg;
	bool msix = get16(cfg + MSIX_CONTROL) & 0x8000, quiet = get16(cfg + MSIX_CONTROL) & 0x4000;
	bool asks = v->isr && !msix, cut = get16(cfg + 4) & COMMAND_INTX;
	unsigned slot = PLUG_SLOT + n;

	check_config(p, n);
	CHECK(v->bar == bar_of(p, n) && b->vbus.bar[n].base == v->bar);
	CHECK(p->plug[n].dev.bell == bell_of(p, n));
	CHECK(v->isr <= 3);
	CHECK(!!(get16(cfg + 6) & STATUS_INTX) == asks);
	CHECK((b->pci.intx[(slot - 1) % 4] >> slot & 1) == (asks && !cut));
	CHECK(v->config_vector <= PLUG_QUEUES || v->config_vector == 0xffff);
	for (unsigned i = 0; i < MSIX_VECTORS; i++) {
		CHECK(!(v->msix.pending >> i & 1) ||
		      (i <= PLUG_QUEUES && (quiet || !msix || (v->msix.table[i][3] & 1))));
		CHECK(v->msix.table[i][0] % 4 == 0 && v->msix.table[i][3] <= 1);
	}
}

static void check_mmio(const struct plugs *p, unsigned n)
{
	const struct vmmio *m = &p->vmmio[n - MMIO_A];
	uint64_t gpa = 0xc0001000 + (n == MMIO_A ? 0 : PLUG_SHARED * 0x1000ull);

	CHECK(m->isr <= 3);
	CHECK(m->dev->bell == gpa + 0x50);
	/* A pulse is over when the access is. */
	CHECK(!p->w.board.gsi.level[m->gsi]);
}

static void check_ring(const struct plugs *p, uint64_t gpa, const uint8_t *at, uint64_t len)
{
	CHECK(gpa < PLUG_RAM && len <= PLUG_RAM - gpa && at == p->mem + gpa);
}

static void check_queue(const struct plugs *p, const struct virtio_dev *d, const struct queue *q)
{
	CHECK(q->max == PLUG_SIZE && q->size && q->size <= q->max && !(q->size & (q->size - 1)));
	CHECK(q->vector <= PLUG_QUEUES || q->vector == 0xffff);
	CHECK(!q->started || (d->started && q->enabled));
	if (!q->started)
		return;
	CHECK(q->mask == q->size - 1);
	check_ring(p, q->desc, q->desc_at, 16 * q->size);
	check_ring(p, q->avail, q->avail_at, 4 + 2 * q->size);
	check_ring(p, q->used, q->used_at, 4 + 8 * q->size);
}

/* What a reset leaves: nothing. */
static void check_reset(const struct plugs *p, unsigned n)
{
	const struct virtio_dev *d = &p->plug[n].dev;

	CHECK(!d->started && !d->fresh && !d->stopping && !d->broken);
	CHECK(!p->plug[n].began && !p->plug[n].draining);
}

static void check_device(const struct plugs *p, unsigned n)
{
	const struct plug *g = &p->plug[n];
	const struct virtio_dev *d = &g->dev;

	CHECK(!(d->status & ~STATUS_BITS));
	CHECK(!(d->status & 4) || (d->status & 8));
	CHECK(!(d->status & 8) || ((d->acked & VIRTIO_F_VERSION_1) && !(d->acked & ~d->offered)));
	CHECK(!(d->status & 0x40) == !d->broken);
	CHECK(!d->started || (d->status & 4));
	CHECK(!g->began || (d->started && !d->fresh));
	CHECK(!g->draining || d->stopping);
	CHECK(d->bell_set == g->bell);
	if (!d->status)
		check_reset(p, n);
	for (unsigned i = 0; i < PLUG_QUEUES; i++)
		check_queue(p, d, &d->queue[i]);
}

/* Nothing that the loop was to be told of was forgotten. */
static void check_quiet(const struct plugs *p, unsigned n)
{
	const struct plug *g = &p->plug[n];
	const struct virtio_dev *d = &g->dev;

	CHECK(!d->fresh && (!d->stopping || g->draining));
	CHECK(g->bell == (d->started && !d->stopping && !d->broken ? d->bell : 0));
	CHECK(g->began == (d->started && !d->stopping));
}

void plugs_check(const struct plugs *p, bool quiet)
{
	for (unsigned n = 0; n < DEVICES; n++) {
		check_device(p, n);
		if (n < MMIO_A)
			check_pci(p, n);
		else
			check_mmio(p, n);
		if (quiet)
			check_quiet(p, n);
	}
}
