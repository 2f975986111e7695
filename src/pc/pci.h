/*
 * pci.h - configuration mechanism 1 at CF8h-CFFh, the 440FX host bridge (00:00.0), the PIIX3 ISA
 * bridge (00:01.0) with PIRQ routing, the PIIX4 PM function (00:01.3), and a bus for more functions
 * from 00:02.0 on. Board lock held by the caller of everything here.
 *
 * PAM registers (59h-5Fh) are read and written, but change nothing: there is no ROM behind C0000h
 * to FFFFFh, only RAM, and it stays readable and writable. PMBASE is fixed at PORT_PM and enabled:
 * PMBA and PMREGMISC are read-only.
 */
#pragma once
#include "../irq/line.h"

#define PCI_SLOTS 32u
#define PCI_CFG   256u
#define PCI_PIRQS 4u

/* Registers of a type 0 header [PCI 2.1, 6.1]. */
#define PCI_REG_VENDOR    0x00u
#define PCI_REG_DEVICE    0x02u
#define PCI_REG_COMMAND   0x04u
#define PCI_REG_STATUS    0x06u
#define PCI_REG_REVISION  0x08u /* then three bytes of class code */
#define PCI_REG_HEADER    0x0eu
#define PCI_REG_BAR0      0x10u /* to 27h: six of them */
#define PCI_REG_SUBSYSTEM 0x2cu /* vendor, then ID */
#define PCI_REG_CAP       0x34u
#define PCI_REG_INT_LINE  0x3cu
#define PCI_REG_INT_PIN   0x3du

#define PCI_COMMAND_IO       BIT(0)
#define PCI_COMMAND_MEM      BIT(1)
#define PCI_COMMAND_MASTER   BIT(2)
#define PCI_COMMAND_SPECIAL  BIT(3)
#define PCI_COMMAND_PERR     BIT(6)
#define PCI_COMMAND_SERR     BIT(8)
#define PCI_COMMAND_INTX_OFF BIT(10)

#define PCI_STATUS_INTX       BIT(3)
#define PCI_STATUS_CAPS       BIT(4)
#define PCI_STATUS_FAST_BACK  BIT(7)
#define PCI_STATUS_DEVSEL_MED BIT(9)
#define PCI_STATUS_ERRORS     (MASK(15, 11) | BIT(8)) /* cleared by writing 1 */

#define PCI_HEADER_MULTI BIT(7)

/*
 * One function. Its owner fills cfg, wmask and w1c once; the bus merges every write by them. A bit
 * in neither is read-only, so a BAR that nobody set up reads 0 when it is sized.
 */
struct pci_fn {
	uint8_t cfg[PCI_CFG];
	uint8_t wmask[PCI_CFG]; /* writable bits */
	uint8_t w1c[PCI_CFG];   /* bits that a written 1 clears */
	/*
	 * Both may be NULL. `size` is 1, 2 or 4, `off` a multiple of it below 256: accesses that
	 * are not aligned arrive here byte by byte.
	 */
	void (*read)(struct pci_fn *f, unsigned off, unsigned size);    /* before cfg is read */
	void (*written)(struct pci_fn *f, unsigned off, unsigned size); /* after the merge */
	void *owner;
};

struct pci {
	uint32_t confadd;
	struct pci_fn host, isa, pm;    /* 440FX, PIIX3, PIIX4 PM */
	struct pci_fn *slot[PCI_SLOTS]; /* function 0 of slots 2..31; NULL = empty */
	uint32_t intx[PCI_PIRQS];       /* bus level: one bit a slot */
	uint16_t irqs;                  /* IRQs held high: the OR of the PIRQs routed to each */
	struct irq_line gsi[16];        /* where PIRQRC may route; wires it cannot name are unset */
};

/*
 * `line[n]` is the wire of IRQ n, for the n that PIRQRC can name (3-7, 9-12, 14, 15); one whose
 * `set` is NULL is not connected. Each IRQ needs one source only: the PIRQs that share it are ORed
 * here. Ends in the state that firmware leaves: PAM 33h, PIRQ A,B=10 and C,D=11, PMBASE enabled.
 * `p` must not move afterwards.
 */
void pci_init(struct pci *p, const struct irq_line line[16]);
/*
 * Puts `f` at 00:`slot`.0 (2..31; others are ignored). When cfg names an interrupt pin, Interrupt
 * Line becomes writable and gets the IRQ to which INTA of the slot is routed now.
 */
void pci_add(struct pci *p, unsigned slot, struct pci_fn *f);
/* Level of INTA of `slot` (0..31). Setting the level that it has is harmless. */
void pci_intx(struct pci *p, unsigned slot, bool level);

/*
 * The function that CONFADD names, and the register in *reg; NULL if there is none or configuration
 * is not enabled.
 */
struct pci_fn *pci_selected(struct pci *p, unsigned *reg);

/*
 * CF8h: `off` 0..3, dword access at 0 alone counts; others read all-ones and are dropped. The board
 * keeps the byte at CF9h, the reset control register, away from here. CFCh: `off` 0..3, any size;
 * bytes beyond CFFh read all-ones and are dropped.
 */
uint32_t pci_addr_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void pci_addr_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
uint32_t pci_data_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void pci_data_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);

/* What owners use to fill and read their registers: `size` bytes (1, 2, 4), little-endian. */
static inline void pci_put(uint8_t *at, unsigned size, uint32_t val)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(val >> (8 * i));
}

static inline uint32_t pci_get(const uint8_t *at, unsigned size)
{
	uint32_t val = 0;

	for (unsigned i = 0; i < size; i++)
		val |= (uint32_t)at[i] << (8 * i);
	return val;
}
