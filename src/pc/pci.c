/*
 * pci.c - PCI bus 0 behind a 440FX: configuration mechanism 1, the three functions that are always
 * there, INTx routing [440FX 290549; PIIX3 290550; PIIX4 290562; PCI 2.1].
 * Modelled: CONFADD and CONFDATA; identity, command and status of the functions; PAM as storage;
 * PIRQ routing. Other functions bring their registers as bytes with masks.
 * Not modelled: what PAM, SMRAM and DRAM registers do to the decoding; relocation of PMBASE; IDE,
 * USB, SMBus, DMA, SMI, X-Bus and APIC chip selects; the turbo reset at 93h. Their registers read
 * 0 and drop writes.
 * Board lock held by the caller.
 */
#include "pci.h"

#include "../mem/layout.h"

/* CONFADD [440FX CONFADD] */
#define PCI_CONFADD_ENABLE BIT(31)
#define PCI_CONFADD_BUS    MASK(23, 16)
#define PCI_CONFADD_SLOT   MASK(15, 11)
#define PCI_CONFADD_FN     MASK(10, 8)
#define PCI_CONFADD_DEVFN  (PCI_CONFADD_SLOT | PCI_CONFADD_FN)
#define PCI_CONFADD_REG    MASK(7, 2)
#define PCI_CONFADD_RW     (PCI_CONFADD_ENABLE | MASK(23, 2))

#define DEVFN(slot, fn) ((slot) << 3 | (fn))

/* 440FX */
#define HOST_PAM    0x59u /* seven bytes; a nibble a segment: bit 0 read, bit 1 write enable */
#define HOST_PAM0_F 0x30u /* F0000h; the low nibble of the first byte is reserved */
#define HOST_PAM_RW 0x33u

/* PIIX3 */
#define ISA_PIRQRC     0x60u
#define ISA_DLC        0x82u
#define ISA_DLC_PASSIV BIT(1) /* passive release; Linux turns it on, and says so, if it is off */
#define ISA_DLC_RW     MASK(3, 0)
#define ISA_PIRQRC_OFF BIT(7)
#define ISA_PIRQRC_IRQ MASK(3, 0)
#define ISA_PIRQRC_RW  (ISA_PIRQRC_OFF | ISA_PIRQRC_IRQ)
/* IRQs that PIRQRC can name; with another value the PIRQ goes nowhere. */
#define ISA_PIRQ_IRQS  (MASK(7, 3) | MASK(12, 9) | MASK(15, 14))
#define ISA_AB_IRQ     10u /* where firmware routes PIRQA and PIRQB */
#define ISA_CD_IRQ     11u

/* PIIX4, function 3 */
#define PM_PMBA      0x40u
#define PM_PMREGMISC 0x80u
#define PM_PMBA_IO   BIT(0) /* hardwired: an I/O range */
#define PM_PMIOSE    BIT(0) /* PMREGMISC: the range at PMBA is decoded */

#define INT_LINE_NONE 0xffu
#define INT_PIN_INTA  1u

struct preset {
	uint8_t off, size;
	uint32_t val, wmask, w1c;
};

#define VIRTUAL_BOARD 0x11001af4u /* SeaBIOS expects this subsystem ID of a virtual 440FX board */
#define STATUS        (PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MED)

// clang-format off
static const struct preset host_regs[] = {
	/* register        size  at the start                               writable, cleared by 1 */
	{PCI_REG_VENDOR,    4, 0x12378086,                                  0, 0},
	{PCI_REG_COMMAND,   2, PCI_COMMAND_MEM | PCI_COMMAND_MASTER,
	                       PCI_COMMAND_PERR | PCI_COMMAND_SERR,         0},
	{PCI_REG_STATUS,    2, STATUS,                                      0, PCI_STATUS_ERRORS},
	{PCI_REG_REVISION,  4, 0x06000002,                                  0, 0},
	{PCI_REG_SUBSYSTEM, 4, VIRTUAL_BOARD,                               0, 0},
	{HOST_PAM,          1, HOST_PAM0_F,                                 HOST_PAM0_F, 0},
	{HOST_PAM + 1,      2, HOST_PAM_RW * 0x0101,                        HOST_PAM_RW * 0x0101, 0},
	{HOST_PAM + 3,      4, HOST_PAM_RW * 0x01010101,                    HOST_PAM_RW * 0x01010101, 0},
};

static const struct preset isa_regs[] = {
	{PCI_REG_VENDOR,    4, 0x70008086,                                  0, 0},
	{PCI_REG_COMMAND,   2, PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER,
	                       PCI_COMMAND_SPECIAL,                         0},
	{PCI_REG_STATUS,    2, STATUS,                                      0, PCI_STATUS_ERRORS},
	{PCI_REG_REVISION,  4, 0x06010000,                                  0, 0},
	{PCI_REG_HEADER,    1, PCI_HEADER_MULTI,                            0, 0},
	{PCI_REG_SUBSYSTEM, 4, VIRTUAL_BOARD,                               0, 0},
	{ISA_PIRQRC,        2, ISA_AB_IRQ * 0x0101,                         ISA_PIRQRC_RW * 0x0101, 0},
	{ISA_PIRQRC + 2,    2, ISA_CD_IRQ * 0x0101,                         ISA_PIRQRC_RW * 0x0101, 0},
	{ISA_DLC,           1, ISA_DLC_PASSIV,                              ISA_DLC_RW, 0},
};

/* Revision 3: with a lower one Linux works around a fault of the PM timer and reads it thrice. */
static const struct preset pm_regs[] = {
	{PCI_REG_VENDOR,    4, 0x71138086,                                  0, 0},
	{PCI_REG_COMMAND,   2, 0,                                           PCI_COMMAND_IO, 0},
	{PCI_REG_STATUS,    2, STATUS,                                      0, PCI_STATUS_ERRORS},
	{PCI_REG_REVISION,  4, 0x06800003,                                  0, 0},
	{PCI_REG_SUBSYSTEM, 4, VIRTUAL_BOARD,                               0, 0},
	{PCI_REG_INT_LINE,  1, ACPI_SCI_IRQ,                                0xff, 0},
	{PCI_REG_INT_PIN,   1, INT_PIN_INTA,                                0, 0},
	{PM_PMBA,           4, PORT_PM | PM_PMBA_IO,                        0, 0},
	{PM_PMREGMISC,      1, PM_PMIOSE,                                   0, 0},
};
// clang-format on

static void fn_preset(struct pci_fn *f, const struct preset *r, size_t n)
{
	for (; n; n--, r++) {
		pci_put(&f->cfg[r->off], r->size, r->val);
		pci_put(&f->wmask[r->off], r->size, r->wmask);
		pci_put(&f->w1c[r->off], r->size, r->w1c);
	}
}

static uint32_t fn_read(struct pci_fn *f, unsigned off, unsigned size)
{
	if (f->read)
		f->read(f, off, size);
	return pci_get(&f->cfg[off], size);
}

/* The one place where what a guest wrote meets the masks. */
static void fn_write(struct pci_fn *f, unsigned off, unsigned size, uint32_t val)
{
	for (unsigned i = off; i < off + size; i++, val >>= 8) {
		uint8_t b = (uint8_t)val;

		f->cfg[i] = (uint8_t)((f->cfg[i] & ~f->wmask[i]) | (b & f->wmask[i]));
		CLEAR(f->cfg[i], b & f->w1c[i]);
	}
	if (f->written)
		f->written(f, off, size);
}

/* INTA of `slot`: pins are rotated by slot, so that slot 1 has A, slot 2 has B, and so on. */
static unsigned pirq_of(unsigned slot)
{
	return (slot - 1) % PCI_PIRQS;
}

/* IRQ to which `pirq` is routed; 0, which no PIRQ reaches, if it is not. */
static unsigned pirq_irq(const struct pci *p, unsigned pirq)
{
	uint8_t rc = p->isa.cfg[ISA_PIRQRC + pirq];
	unsigned irq = GET(ISA_PIRQRC_IRQ, rc);

	if ((rc & ISA_PIRQRC_OFF) || !(ISA_PIRQ_IRQS & BIT(irq)))
		return 0;
	return irq;
}

/* Brings the IRQs up to the bus levels and the routes: an IRQ is the OR of the PIRQs on it. */
static void pirq_update(struct pci *p)
{
	uint16_t irqs = 0, changed;

	for (unsigned i = 0; i < PCI_PIRQS; i++)
		if (p->intx[i])
			irqs |= (uint16_t)BIT(pirq_irq(p, i));
	changed = irqs ^ p->irqs;
	p->irqs = irqs;
	for (unsigned n = 0; n < ARRAY_SIZE(p->gsi); n++)
		if ((changed & BIT(n)) && p->gsi[n].set)
			irq_set(&p->gsi[n], (irqs & BIT(n)) != 0);
}

static void isa_written(struct pci_fn *f, unsigned off, unsigned size)
{
	if (off < ISA_PIRQRC + PCI_PIRQS && off + size > ISA_PIRQRC)
		pirq_update(f->owner);
}

void pci_init(struct pci *p, const struct irq_line line[16])
{
	*p = (struct pci){0};
	for (unsigned n = 0; n < ARRAY_SIZE(p->gsi); n++)
		if (ISA_PIRQ_IRQS & BIT(n))
			p->gsi[n] = line[n];
	fn_preset(&p->host, host_regs, ARRAY_SIZE(host_regs));
	fn_preset(&p->isa, isa_regs, ARRAY_SIZE(isa_regs));
	fn_preset(&p->pm, pm_regs, ARRAY_SIZE(pm_regs));
	p->isa.written = isa_written;
	p->isa.owner = p;
}

void pci_add(struct pci *p, unsigned slot, struct pci_fn *f)
{
	unsigned irq = pirq_irq(p, pirq_of(slot));

	if (slot < 2 || slot >= PCI_SLOTS)
		return;
	p->slot[slot] = f;
	if (f->cfg[PCI_REG_INT_PIN]) {
		f->cfg[PCI_REG_INT_LINE] = irq ? (uint8_t)irq : INT_LINE_NONE;
		f->wmask[PCI_REG_INT_LINE] = UINT8_MAX;
	}
}

void pci_intx(struct pci *p, unsigned slot, bool level)
{
	uint32_t *bus = &p->intx[pirq_of(slot)];
	uint32_t bit = (uint32_t)BIT(slot % PCI_SLOTS);

	*bus = level ? *bus | bit : *bus & ~bit;
	pirq_update(p);
}

uint32_t pci_addr_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	const struct pci *p = dev;

	return off == 0 && size == 4 ? p->confadd : all_ones(size);
}

/* Narrower accesses belong to other ports at these addresses [440FX CONFADD]; Linux makes some. */
void pci_addr_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct pci *p = dev;

	if (off == 0 && size == 4)
		p->confadd = val & PCI_CONFADD_RW;
}

struct pci_fn *pci_selected(struct pci *p, unsigned *reg)
{
	*reg = (unsigned)(p->confadd & PCI_CONFADD_REG);
	if (!(p->confadd & PCI_CONFADD_ENABLE) || (p->confadd & PCI_CONFADD_BUS))
		return NULL;
	switch (GET(PCI_CONFADD_DEVFN, p->confadd)) {
	case DEVFN(0, 0): return &p->host;
	case DEVFN(1, 0): return &p->isa;
	case DEVFN(1, 3): return &p->pm;
	default: break;
	}
	if (p->confadd & PCI_CONFADD_FN)
		return NULL;
	return p->slot[GET(PCI_CONFADD_SLOT, p->confadd)];
}

/* Aligned accesses go to the function whole, others by bytes, as far as the register goes. */
uint32_t pci_data_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	struct pci *p = dev;
	unsigned reg;
	struct pci_fn *f = pci_selected(p, &reg);
	uint32_t val = all_ones(size);

	if (!f || off > 3)
		return val;
	if (off % size == 0)
		return fn_read(f, reg + off, size);
	for (unsigned i = 0; i < size && off + i < 4; i++) {
		CLEAR(val, MASK(8 * i + 7, 8 * i));
		val |= fn_read(f, reg + off + i, 1) << (8 * i);
	}
	return val;
}

void pci_data_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct pci *p = dev;
	unsigned reg;
	struct pci_fn *f = pci_selected(p, &reg);

	if (!f || off > 3)
		return;
	if (off % size == 0) {
		fn_write(f, reg + off, size, val);
		return;
	}
	for (unsigned i = 0; i < size && off + i < 4; i++)
		fn_write(f, reg + off + i, 1, val >> (8 * i) & UINT8_MAX);
}
