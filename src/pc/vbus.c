/*
 * vbus.c - where the virtio devices answer in memory. A device is found by arithmetic in the area
 * of the windows, and elsewhere by a walk over the bases of the functions that there are.
 */
#include "vbus.h"

#include "../mem/layout.h"

_Static_assert(GPA_VIRTIO_MMIO + VBUS_WINDOWS * VMMIO_SIZE <= VIRTIO_MMIO_END, "room for windows");

/* Below 16 first, which `noapic` guests reach; none of those that another chip has. */
static const uint8_t window_gsi[] = {5, 6, 7, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

unsigned vbus_gsi(unsigned n)
{
	return window_gsi[n % ARRAY_SIZE(window_gsi)];
}

uint64_t vbus_gpa(unsigned n)
{
	return GPA_VIRTIO_MMIO + (uint64_t)n * VMMIO_SIZE;
}

void vbus_add_pci(struct vbus *s, struct vpci *v)
{
	if (s->bars == ARRAY_SIZE(s->bar))
		return;
	s->bar[s->bars].v = v;
	s->bar[s->bars].base = v->bar;
	s->bars++;
}

void vbus_add_mmio(struct vbus *s, unsigned n, struct vmmio *m)
{
	s->window[n] = m;
}

bool vbus_find(const struct vbus *s, uint64_t gpa, struct vbus_hit *hit)
{
	uint64_t window = (gpa - GPA_VIRTIO_MMIO) / VMMIO_SIZE;

	*hit = (struct vbus_hit){.off = (uint32_t)(gpa % VMMIO_SIZE)};
	if (gpa >= GPA_VIRTIO_MMIO && gpa < VIRTIO_MMIO_END) {
		hit->mmio = window < VBUS_WINDOWS ? s->window[window] : NULL;
		return hit->mmio;
	}
	if (gpa >= GPA_LAPIC && gpa < GPA_LAPIC + LAPIC_SIZE)
		return false; /* it comes here while the LAPIC is off or an x2APIC */
	for (unsigned i = 0; i < s->bars; i++) {
		if (!s->bar[i].base || gpa - s->bar[i].base >= VPCI_BAR_SIZE)
			continue;
		hit->pci = s->bar[i].v;
		hit->off = (uint32_t)(gpa - s->bar[i].base);
		return true;
	}
	return false;
}

void vbus_count(const struct vbus_hit *hit)
{
	if (hit->pci)
		hit->pci->accesses++;
	else
		hit->mmio->accesses++;
}

uint32_t vbus_read(const struct vbus_hit *hit, unsigned size)
{
	if (hit->pci)
		return vpci_read(hit->pci, hit->off, size);
	return vmmio_read(hit->mmio, hit->off, size);
}

void vbus_write(const struct vbus_hit *hit, unsigned size, uint32_t val)
{
	if (hit->pci)
		vpci_write(hit->pci, hit->off, size, val);
	else
		vmmio_write(hit->mmio, hit->off, size, val);
}

bool vbus_moved(struct vbus *s)
{
	bool moved = false;

	for (unsigned i = 0; i < s->bars; i++) {
		moved = moved || s->bar[i].base != s->bar[i].v->bar;
		s->bar[i].base = s->bar[i].v->bar;
	}
	return moved;
}

/* All of them: a BAR that moves may have hidden another, or hide one now. */
void vbus_settle(struct vbus *s)
{
	for (unsigned i = 0; i < s->bars; i++)
		vpci_settle(s->bar[i].v);
}

struct vpci *vbus_window(const struct vbus *s, const struct pci_fn *fn, unsigned reg,
			 struct vbus_hit *hit, unsigned *size)
{
	for (unsigned i = 0; i < s->bars; i++) {
		*hit = (struct vbus_hit){.pci = s->bar[i].v};
		if (&s->bar[i].v->fn == fn)
			return vpci_window(s->bar[i].v, reg, &hit->off, size) ? hit->pci : NULL;
	}
	return NULL;
}

const char *vbus_row(const struct vbus *s, unsigned row, uint64_t *count)
{
	if (row < s->bars) {
		*count = s->bar[row].v->accesses;
		return s->bar[row].v->dev->ops->name;
	}
	row -= s->bars;
	for (unsigned n = 0; n < VBUS_WINDOWS; n++) {
		if (!s->window[n] || row--)
			continue;
		*count = s->window[n]->accesses;
		return s->window[n]->dev->ops->name;
	}
	return NULL;
}
