/*
 * pic.c - 8259A programmable interrupt controllers [8259A], master and slave, with the edge/level
 * control registers of the PIIX3 [PIIX3 ELCR].
 * Modelled: initialisation with and without ICW3 and ICW4, all of OCW1 to OCW3: every EOI and
 * rotation, automatic EOI, special mask mode, special fully nested mode, poll.
 * Not modelled: MCS-80 mode (ICW4's uPM is taken as set), buffered mode, LTIM (the ELCR decides,
 * as in the PIIX3), ICW3 (the slave is wired to IR2 whatever it says). An edge stays latched when
 * its input falls before INTA; the 8259A would answer that INTA with IR7. Board lock held by the
 * caller.
 */
#include "pic.h"

#include <string.h>

#define PIC_ICW1_IC4  BIT(0) /* ICW4 follows */
#define PIC_ICW1_SNGL BIT(1) /* no ICW3 */
#define PIC_ICW1      BIT(4) /* tells ICW1 from OCW2 and OCW3 at A0 = 0 */
#define PIC_ICW2_BASE MASK(7, 3)
#define PIC_ICW4_AEOI BIT(1)
#define PIC_ICW4_SFNM BIT(4)

#define PIC_OCW2_LEVEL MASK(2, 0)
#define PIC_OCW2_EOI   BIT(5)
#define PIC_OCW2_SL    BIT(6) /* LEVEL counts */
#define PIC_OCW2_R     BIT(7) /* rotate */
#define PIC_OCW2_OP    (PIC_OCW2_R | PIC_OCW2_SL | PIC_OCW2_EOI)

#define PIC_OCW3_RIS  BIT(0) /* ISR, not IRR; if RR */
#define PIC_OCW3_RR   BIT(1)
#define PIC_OCW3_P    BIT(2) /* poll command */
#define PIC_OCW3      BIT(3) /* tells OCW3 from OCW2 */
#define PIC_OCW3_SMM  BIT(5) /* if ESMM */
#define PIC_OCW3_ESMM BIT(6)

#define PIC_POLL_INT BIT(7) /* poll byte: a request was taken, its IR is in bits 2:0 */

/* IRQ 0, 1 and 2, 8 and 13 are always edges: bits that read 0 [PIIX3 ELCR] */
#define PIC_ELCR1_RW MASK(7, 3)
#define PIC_ELCR2_RW (MASK(7, 6) | MASK(4, 1))

enum { PIC_MASTER, PIC_SLAVE };

#define PIC_INPUTS  8u
#define PIC_CASCADE 2u /* master's input where the slave's INT arrives */
#define PIC_DEFAULT 7u /* IR of the vector that answers an INTA without a request */
#define PIC_NONE    8u

/* 0 is the highest priority, 7 that of `lowest`. */
static unsigned pic_rank(const struct pic_chip *c, unsigned ir)
{
	return (ir - c->lowest - 1) % PIC_INPUTS;
}

/* The IR of the highest priority among `bits`, or PIC_NONE. */
static unsigned pic_top(const struct pic_chip *c, unsigned bits)
{
	for (unsigned i = 1; i <= PIC_INPUTS; i++) {
		unsigned ir = (c->lowest + i) % PIC_INPUTS;

		if (bits & BIT(ir))
			return ir;
	}
	return PIC_NONE;
}

/* In-service levels that count: in special mask mode the masked ones do not. */
static unsigned pic_in_service(const struct pic_chip *c)
{
	return c->smm ? c->isr & ~c->imr : c->isr;
}

/*
 * The IR for which chip `n` raises INT, or PIC_NONE. A level in service holds off itself and all
 * below; in special fully nested mode the master's IR2 passes itself, so that the slave can nest
 * [8259A Special Fully Nested Mode]. An unfinished initialisation raises nothing.
 */
static unsigned pic_pending(const struct pic *p, unsigned n)
{
	const struct pic_chip *c = &p->chip[n];
	unsigned ir = pic_top(c, c->irr & ~c->imr), busy = pic_top(c, pic_in_service(c));

	if (ir == PIC_NONE || c->icw)
		return PIC_NONE;
	if (busy == PIC_NONE || pic_rank(c, ir) < pic_rank(c, busy))
		return ir;
	if (n == PIC_MASTER && (c->icw4 & PIC_ICW4_SFNM) && ir == PIC_CASCADE && ir == busy)
		return ir;
	return PIC_NONE;
}

/*
 * Drives INT of both chips; called after every change of state. IR2 of the master follows the
 * slave's INT: a request that the slave withdraws does not become a spurious interrupt.
 */
static void pic_update(struct pic *p)
{
	struct pic_chip *m = &p->chip[PIC_MASTER];
	bool level;

	CLEAR(m->irr, BIT(PIC_CASCADE));
	if (pic_pending(p, PIC_SLAVE) != PIC_NONE)
		m->irr |= BIT(PIC_CASCADE);

	level = pic_pending(p, PIC_MASTER) != PIC_NONE;
	if (level != p->out) {
		p->out = level;
		irq_set(&p->intr, level);
	}
}

/*
 * One chip's INTA: takes the request of the highest priority into service and returns its IR, or
 * PIC_NONE. The caller calls pic_update().
 */
static unsigned pic_take(struct pic *p, unsigned n)
{
	struct pic_chip *c = &p->chip[n];
	unsigned ir = pic_pending(p, n);

	if (ir == PIC_NONE)
		return PIC_NONE;
	if (!(c->elcr & BIT(ir)))
		CLEAR(c->irr, BIT(ir));
	if (!(c->icw4 & PIC_ICW4_AEOI))
		c->isr |= BIT(ir);
	else if (c->rotate_aeoi)
		c->lowest = (uint8_t)ir;
	return ir;
}

/* The edge sense is reset: an input that is high must fall and rise again [8259A ICW1]. */
static void pic_icw1(struct pic_chip *c, uint8_t v)
{
	*c = (struct pic_chip){
		.irr = c->irr & c->elcr,
		.line = c->line,
		.elcr = c->elcr,
		.base = c->base,
		.lowest = PIC_INPUTS - 1,
		.icw = 2,
		.icw1 = v,
	};
}

/* ICW2 to ICW4: each says which is next, by what ICW1 announced. */
static void pic_icw(struct pic_chip *c, uint8_t v)
{
	uint8_t last = c->icw1 & PIC_ICW1_IC4 ? 4 : 0;

	switch (c->icw) {
	case 2:
		c->base = v & PIC_ICW2_BASE;
		c->icw = c->icw1 & PIC_ICW1_SNGL ? last : 3;
		break;
	case 3: c->icw = last; break;
	default:
		c->icw4 = v;
		c->icw = 0;
		break;
	}
}

static void pic_ocw2(struct pic_chip *c, uint8_t v)
{
	unsigned ir = GET(PIC_OCW2_LEVEL, v);

	switch (v & PIC_OCW2_OP) {
	case 0: c->rotate_aeoi = false; return;
	case PIC_OCW2_R: c->rotate_aeoi = true; return;
	case PIC_OCW2_SL: return; /* no operation */
	}
	/* A masked level is not found in special mask mode [8259A Special Mask Mode]. */
	if (!(v & PIC_OCW2_SL))
		ir = pic_top(c, pic_in_service(c));
	if (ir == PIC_NONE)
		return;
	if (v & PIC_OCW2_EOI)
		CLEAR(c->isr, BIT(ir));
	if (v & PIC_OCW2_R)
		c->lowest = (uint8_t)ir;
}

static void pic_ocw3(struct pic_chip *c, uint8_t v)
{
	if (v & PIC_OCW3_P)
		c->poll = true;
	if (v & PIC_OCW3_RR)
		c->read_isr = v & PIC_OCW3_RIS;
	if (v & PIC_OCW3_ESMM)
		c->smm = v & PIC_OCW3_SMM;
}

static void pic_write(struct pic *p, unsigned n, uint32_t off, uint8_t v)
{
	struct pic_chip *c = &p->chip[n];

	if (off && c->icw)
		pic_icw(c, v);
	else if (off)
		c->imr = v; /* OCW1 */
	else if (v & PIC_ICW1)
		pic_icw1(c, v);
	else if (v & PIC_OCW3)
		pic_ocw3(c, v);
	else
		pic_ocw2(c, v);
	pic_update(p);
}

/* The read after a poll command, of either port, is an INTA [8259A Poll Command]. */
static uint32_t pic_poll(struct pic *p, unsigned n)
{
	unsigned ir = pic_take(p, n);

	p->chip[n].poll = false;
	pic_update(p);
	return ir == PIC_NONE ? 0 : (uint32_t)(PIC_POLL_INT | ir);
}

static uint32_t pic_read(struct pic *p, unsigned n, uint32_t off)
{
	const struct pic_chip *c = &p->chip[n];

	if (c->poll)
		return pic_poll(p, n);
	if (off)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

void pic_init(struct pic *p, struct irq_line intr)
{
	memset(p, 0, sizeof(*p));
	for (unsigned n = 0; n < ARRAY_SIZE(p->chip); n++) {
		p->chip[n].imr = UINT8_MAX;
		p->chip[n].lowest = PIC_INPUTS - 1;
	}
	p->intr = intr;
}

void pic_set(struct pic *p, unsigned irq, bool level)
{
	struct pic_chip *c = &p->chip[irq / PIC_INPUTS % ARRAY_SIZE(p->chip)];
	uint8_t bit = (uint8_t)BIT(irq % PIC_INPUTS);
	bool rises = level && !(c->line & bit);

	if (irq == PIC_CASCADE || irq >= ARRAY_SIZE(p->chip) * PIC_INPUTS)
		return;
	CLEAR(c->line, bit);
	if (level)
		c->line |= bit;
	if (c->elcr & bit)
		CLEAR(c->irr, bit);
	if (rises || (c->elcr & c->line & bit))
		c->irr |= bit;
	pic_update(p);
}

uint8_t pic_inta(struct pic *p)
{
	unsigned n = PIC_MASTER, ir = pic_take(p, n);

	if (ir == PIC_CASCADE) {
		n = PIC_SLAVE;
		ir = pic_take(p, n);
	}
	pic_update(p);
	return (uint8_t)(p->chip[n].base | (ir == PIC_NONE ? PIC_DEFAULT : ir));
}

bool pic_intr(const struct pic *p)
{
	return p->out;
}

bool pic_listens(const struct pic *p, unsigned irq)
{
	const struct pic_chip *c = &p->chip[irq / PIC_INPUTS % ARRAY_SIZE(p->chip)];

	if (irq == PIC_CASCADE || irq >= ARRAY_SIZE(p->chip) * PIC_INPUTS)
		return false;
	if (irq >= PIC_INPUTS && (p->chip[PIC_MASTER].imr & BIT(PIC_CASCADE)))
		return false;
	return !((c->imr | c->irr) & BIT(irq % PIC_INPUTS));
}

uint32_t pic_master_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	return pic_read(dev, PIC_MASTER, off);
}

void pic_master_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	pic_write(dev, PIC_MASTER, off, (uint8_t)val);
}

uint32_t pic_slave_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	return pic_read(dev, PIC_SLAVE, off);
}

void pic_slave_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	pic_write(dev, PIC_SLAVE, off, (uint8_t)val);
}

uint32_t pic_elcr_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	const struct pic *p = dev;

	return p->chip[off ? PIC_SLAVE : PIC_MASTER].elcr;
}

/* A level-triggered request is the line itself, so it changes with the mode. */
void pic_elcr_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct pic *p = dev;
	struct pic_chip *c = &p->chip[off ? PIC_SLAVE : PIC_MASTER];

	c->elcr = (uint8_t)(val & (off ? PIC_ELCR2_RW : PIC_ELCR1_RW));
	c->irr = (uint8_t)((c->irr & ~c->elcr) | (c->line & c->elcr));
	pic_update(p);
}
