/*
 * pci.h - configuration mechanism 1 at CF8h-CFFh, the 440FX host bridge (00:00.0), the PIIX3 ISA
 * bridge (00:01.0) with PIRQ routing, the PIIX4 PM function (00:01.3), and a bus for more functions
 * from 00:02.0 on. Board lock held by the caller.
 */
#pragma once
#include "../irq/line.h"

#define PCI_SLOTS 32u
#define PCI_CFG   256u
#define PCI_PIRQS 4u

/* One function. Its owner fills cfg, wmask and w1c once; the bus merges every write by them. */
struct pci_fn {
	uint8_t cfg[PCI_CFG];
	uint8_t wmask[PCI_CFG]; /* writable bits */
	uint8_t w1c[PCI_CFG];   /* bits that a written 1 clears */
	/* Both may be NULL. `off` and `size` (1, 2, 4) lie inside the 256 bytes. */
	void (*read)(struct pci_fn *f, unsigned off, unsigned size);    /* before cfg is read */
	void (*written)(struct pci_fn *f, unsigned off, unsigned size); /* after the merge */
	void *owner;
};

struct pci {
	uint32_t confadd;
	struct pci_fn host, isa, pm; /* 440FX, PIIX3, PIIX4 PM */
	struct pci_fn *slot[PCI_SLOTS]; /* function 0 of slots 2..31; NULL = empty */
	uint32_t intx[PCI_PIRQS];    /* bus level: one bit a slot */
	struct irq_line gsi[16];     /* where PIRQRC may route; the wires of unused IRQs are unset */
};

/*
 * `line[n]` is the wire of IRQ n, for the n that PIRQRC can name (3-7, 9-12, 14, 15). Ends in the
 * state that firmware leaves: PAM 33h, PIRQ A,B=10 and C,D=11, PMBASE enabled.
 */
void pci_init(struct pci *p, const struct irq_line line[16]);
/* Puts `f` at 00:`slot`.0 (2..31). Fills Interrupt Line for INTA when cfg names a pin. */
void pci_add(struct pci *p, unsigned slot, struct pci_fn *f);
/* INTA of `slot`. */
void pci_intx(struct pci *p, unsigned slot, bool level);

/* CF8h: `off` 0..3, dword access at 0 alone counts. CFCh: `off` 0..3. */
uint32_t pci_addr_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void pci_addr_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
uint32_t pci_data_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void pci_data_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
