/*
 * vbus.h - where the virtio devices answer: the windows of those over MMIO, the BARs of those over
 * PCI. Board lock held by the caller, but where a function says otherwise: accesses are made
 * without it, since the devices have locks of their own, which come first.
 */
#pragma once
#include "vmmio.h"
#include "vpci.h"

#define VBUS_WINDOWS 32u /* as many as the DSDT can declare */

struct vbus {
	struct vmmio *window[VBUS_WINDOWS]; /* NULL = absent */
	unsigned bars;                      /* functions, in the order of their coming */
	struct {
		uint64_t base; /* where it decodes; of two at one place the first answers */
		struct vpci *v;
	} bar[PCI_SLOTS];
};

/* Who answers an access: one of the two, or neither. */
struct vbus_hit {
	struct vpci *pci;
	struct vmmio *mmio;
	uint32_t off;
};

/* The GSI of window `n`, as the DSDT says: a pulse each, shared from the fifteenth window on. */
unsigned vbus_gsi(unsigned n);
uint64_t vbus_gpa(unsigned n);

/* Before the guest runs. At most PCI_SLOTS functions; `n` below VBUS_WINDOWS. */
void vbus_add_pci(struct vbus *s, struct vpci *v);
void vbus_add_mmio(struct vbus *s, unsigned n, struct vmmio *m);

/* false: nobody answers at `gpa`. Windows and the LAPIC's page hide the BARs behind them. */
bool vbus_find(const struct vbus *s, uint64_t gpa, struct vbus_hit *hit);
void vbus_count(const struct vbus_hit *hit);
/* An access of 1, 2 or 4 bytes, aligned. NO lock held. */
uint32_t vbus_read(const struct vbus_hit *hit, unsigned size);
void vbus_write(const struct vbus_hit *hit, unsigned size, uint32_t val);

/* After a write to the configuration space: true if BARs moved, so that vbus_settle() is due. */
bool vbus_moved(struct vbus *s);
/* NO lock held. */
void vbus_settle(struct vbus *s);
/*
 * The PCI_CFG window of function `fn` if an access to register `reg` goes there; NULL otherwise.
 * Then *hit is what it goes to, *size bytes of it.
 */
struct vpci *vbus_window(const struct vbus *s, const struct pci_fn *fn, unsigned reg,
			 struct vbus_hit *hit, unsigned *size);

/* Names and counts of the devices, for the timeline: NULL past the end. */
const char *vbus_row(const struct vbus *s, unsigned row, uint64_t *count);
