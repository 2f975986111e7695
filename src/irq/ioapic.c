/*
 * ioapic.c - 82093AA I/O APIC [82093AA] with 24 pins, local APICs in KVM (split irqchip), and the
 * EOI register that parts of version 20h have [ICH9 EOIR].
 * Modelled: all registers; edges, lost while masked; levels, delivered once an assertion and again
 * at EOI while the line is high; fixed, lowest priority, SMI, NMI and INIT delivery.
 * Not modelled: delivery status (idle: messages do not queue), polarity (true is asserted), ExtINT
 * (the 8259A pair reaches vCPU 0 by a wire of its own), the arbitration protocol.
 *
 * Messages leave through sink.msi, from the thread that did the access. A route only makes KVM
 * report the EOI of a level vector, so edges have none; setting one waits for readers of the old
 * table in KVM, so the sink is told of changes only. Board lock held by the caller.
 */
#include "ioapic.h"

#include <string.h>

#define IOAPIC_IOREGSEL 0x00u /* offsets of the registers in memory [82093AA 3.1] */
#define IOAPIC_IOWIN    0x10u
#define IOAPIC_EOIR     0x40u

#define IOAPIC_REG_ID     0x00u /* values of IOREGSEL [82093AA 3.2] */
#define IOAPIC_REG_VER    0x01u
#define IOAPIC_REG_ARB    0x02u
#define IOAPIC_REG_REDTBL 0x10u /* two a pin, low half first */

#define IOAPIC_ID_ID       MASK(27, 24)
#define IOAPIC_VER_VERSION MASK(7, 0)
#define IOAPIC_VER_ENTRIES MASK(23, 16) /* index of the last one */
#define IOAPIC_VERSION     0x20u        /* has an EOIR */

#define IOAPIC_RTE_INTVEC  MASK(7, 0)
#define IOAPIC_RTE_DELMOD  MASK(10, 8)
#define IOAPIC_RTE_DESTMOD BIT(11) /* logical */
#define IOAPIC_RTE_INTPOL  BIT(13)
#define IOAPIC_RTE_RIRR    BIT(14) /* Remote IRR, RO: accepted by a local APIC, EOI to come */
#define IOAPIC_RTE_TRIGGER BIT(15) /* level */
#define IOAPIC_RTE_MASKED  BIT(16)
#define IOAPIC_RTE_DEST    MASK(63, 56)
#define IOAPIC_RTE_MSG                                                                             \
	(IOAPIC_RTE_INTVEC | IOAPIC_RTE_DELMOD | IOAPIC_RTE_DESTMOD | IOAPIC_RTE_TRIGGER |         \
	 IOAPIC_RTE_DEST)
#define IOAPIC_RTE_RW (IOAPIC_RTE_MSG | IOAPIC_RTE_INTPOL | IOAPIC_RTE_MASKED)

enum {
	IOAPIC_DELMOD_FIXED = 0,
	IOAPIC_DELMOD_LOWEST = 1,
	IOAPIC_DELMOD_SMI = 2,
	IOAPIC_DELMOD_NMI = 4,
	IOAPIC_DELMOD_INIT = 5,
	IOAPIC_DELMOD_EXTINT = 7,
};

#define IOAPIC_VECTOR_MIN 0x10u /* a local APIC refuses those below [SDM 3A, Valid Vectors] */

/* A message to the local APICs [SDM 3A, Message Signalled Interrupts]; no redirection hint, which
 * KVM takes as lowest priority. */
#define IOAPIC_MSI_ADDR         0xfee00000u
#define IOAPIC_MSI_ADDR_DESTMOD BIT(2)
#define IOAPIC_MSI_ADDR_DEST    MASK(19, 12)
#define IOAPIC_MSI_DATA_VECTOR  MASK(7, 0)
#define IOAPIC_MSI_DATA_DELMOD  MASK(10, 8)
#define IOAPIC_MSI_DATA_TRIGGER BIT(15)

/* A handler that leaves its line high would never let its vCPU go on: as in KVM's own I/O APIC,
 * every STORM_MAX-th re-injection in a row comes late. */
#define IOAPIC_STORM_MAX     10000u
#define IOAPIC_STORM_HOLD_NS (10 * NSEC / 1000)

static uint64_t rte_addr(uint64_t e)
{
	return IOAPIC_MSI_ADDR | PUT(IOAPIC_MSI_ADDR_DEST, GET(IOAPIC_RTE_DEST, e)) |
	       (e & IOAPIC_RTE_DESTMOD ? IOAPIC_MSI_ADDR_DESTMOD : 0);
}

static uint32_t rte_data(uint64_t e)
{
	return (uint32_t)(PUT(IOAPIC_MSI_DATA_VECTOR, GET(IOAPIC_RTE_INTVEC, e)) |
			  PUT(IOAPIC_MSI_DATA_DELMOD, GET(IOAPIC_RTE_DELMOD, e)) |
			  (e & IOAPIC_RTE_TRIGGER ? IOAPIC_MSI_DATA_TRIGGER : 0));
}

/* Sensitive to the level and ended by EOI; the other delivery modes are edges [82093AA 3.2.4]. */
static bool rte_level(uint64_t e)
{
	return (e & IOAPIC_RTE_TRIGGER) && GET(IOAPIC_RTE_DELMOD, e) <= IOAPIC_DELMOD_LOWEST;
}

/* Is there a message to send? Not for ExtINT, reserved modes and vectors that no one accepts. */
static bool rte_sends(uint64_t e)
{
	switch (GET(IOAPIC_RTE_DELMOD, e)) {
	case IOAPIC_DELMOD_FIXED:
	case IOAPIC_DELMOD_LOWEST: return GET(IOAPIC_RTE_INTVEC, e) >= IOAPIC_VECTOR_MIN;
	case IOAPIC_DELMOD_SMI:
	case IOAPIC_DELMOD_NMI:
	case IOAPIC_DELMOD_INIT: return true;
	default: return false;
	}
}

/* Gives `gsi` the message `msg`, RTE bits, or none. The only place that routes. */
static void ioapic_route(struct ioapic *s, unsigned gsi, uint64_t msg)
{
	if (s->routed[gsi] == msg)
		return;
	s->routed[gsi] = msg;
	if (msg)
		s->out->route(s->out->ctx, gsi, rte_addr(msg), rte_data(msg));
	else
		s->out->unroute(s->out->ctx, gsi);
}

/*
 * Routes what may still have its EOI to come. A pin masked in its handler keeps its route until
 * then: Linux masks before EOI. So does a message in service that the entry no longer describes;
 * it goes to the pin's second GSI, because kernels before 6.16 look for EOIs at current routes
 * only. It is routed there before the first GSI lets go of it, and back in that order too.
 */
static void ioapic_route_pin(struct ioapic *s, unsigned pin)
{
	uint64_t e = s->rte[pin], now = 0, old = 0;
	bool busy = e & IOAPIC_RTE_RIRR;

	if (rte_level(e) && rte_sends(e) && (busy || !(e & IOAPIC_RTE_MASKED)))
		now = e & IOAPIC_RTE_MSG;
	if (busy && s->sent[pin] != (e & IOAPIC_RTE_MSG))
		old = s->sent[pin];

	if (old)
		ioapic_route(s, pin + IOAPIC_PINS, old);
	ioapic_route(s, pin, now);
	if (!old)
		ioapic_route(s, pin + IOAPIC_PINS, 0);
}

/*
 * Sends the message of `pin`, whose line has risen or is high, if nothing forbids it. Remote IRR is
 * set only if a local APIC has accepted it [82093AA 3.2.4]: after a message to nobody no EOI would
 * come, and the pin would stay dead when the guest corrects the entry.
 */
static void ioapic_service(struct ioapic *s, unsigned pin)
{
	uint64_t *e = &s->rte[pin];

	if (!(s->line & BIT(pin)) || (s->held & BIT(pin)))
		return;
	if ((*e & (IOAPIC_RTE_MASKED | IOAPIC_RTE_RIRR)) || !rte_sends(*e))
		return;
	if (s->out->msi(s->out->ctx, rte_addr(*e), rte_data(*e)) > 0 && rte_level(*e)) {
		*e |= IOAPIC_RTE_RIRR;
		s->sent[pin] = *e & IOAPIC_RTE_MSG;
	}
}

/*
 * An entry that becomes an edge loses its Remote IRR: Linux relies on it to end an interrupt on
 * parts without EOIR. Then the route, then delivery, so that its EOI is not missed.
 */
static void ioapic_rte_write(struct ioapic *s, unsigned pin, bool high, uint32_t v)
{
	unsigned shift = high ? 32 : 0;
	uint64_t rw = IOAPIC_RTE_RW & ((uint64_t)UINT32_MAX << shift), *e = &s->rte[pin];

	*e = (*e & ~rw) | (((uint64_t)v << shift) & rw);
	if (!rte_level(*e)) {
		*e &= ~IOAPIC_RTE_RIRR;
		CLEAR(s->held, BIT(pin));
		s->storm[pin] = 0;
	}
	ioapic_route_pin(s, pin);
	if (rte_level(*e))
		ioapic_service(s, pin);
}

static uint32_t ioapic_reg_read(const struct ioapic *s)
{
	unsigned half = s->select - IOAPIC_REG_REDTBL;

	switch (s->select) {
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARB: /* loaded with the ID [82093AA 3.2.3] */
		return (uint32_t)PUT(IOAPIC_ID_ID, s->id);
	case IOAPIC_REG_VER:
		return (uint32_t)(PUT(IOAPIC_VER_ENTRIES, IOAPIC_PINS - 1) |
				  PUT(IOAPIC_VER_VERSION, IOAPIC_VERSION));
	}
	if (half >= 2 * IOAPIC_PINS) /* also what is below: it wraps */
		return 0;
	return (uint32_t)(s->rte[half / 2] >> (half % 2 * 32));
}

static void ioapic_reg_write(struct ioapic *s, uint32_t v)
{
	unsigned half = s->select - IOAPIC_REG_REDTBL;

	if (s->select == IOAPIC_REG_ID)
		s->id = (uint8_t)GET(IOAPIC_ID_ID, v);
	else if (half < 2 * IOAPIC_PINS)
		ioapic_rte_write(s, half / 2, half % 2, v);
}

/* A level pin that is not, or no longer, in service: sends again if its line is still high. */
static void ioapic_retrigger(struct ioapic *s, unsigned pin, uint64_t now)
{
	if (!(s->line & BIT(pin)) || (s->rte[pin] & IOAPIC_RTE_MASKED)) {
		s->storm[pin] = 0;
		return;
	}
	if (s->held & BIT(pin))
		return;
	if (++s->storm[pin] < IOAPIC_STORM_MAX) {
		ioapic_service(s, pin);
		return;
	}
	s->storm[pin] = 0;
	if (!s->held) /* one deadline: a pin that joins waits less */
		s->held_until = now + IOAPIC_STORM_HOLD_NS;
	s->held |= BIT(pin);
}

/*
 * All pins of the vector end before any sends again, for pins may share it. A pin answers to the
 * vector that it sent, and to that of its entry: Linux writes the latter to EOIR.
 */
void ioapic_eoi(struct ioapic *s, uint8_t vector, uint64_t now)
{
	uint32_t ended = 0;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *e = &s->rte[pin];
		bool busy = *e & IOAPIC_RTE_RIRR;

		if (!rte_level(*e))
			continue;
		if (GET(IOAPIC_RTE_INTVEC, *e) == vector ||
		    (busy && GET(IOAPIC_RTE_INTVEC, s->sent[pin]) == vector)) {
			*e &= ~IOAPIC_RTE_RIRR;
			ended |= BIT(pin);
		}
	}
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (ended & BIT(pin)) {
			ioapic_route_pin(s, pin);
			ioapic_retrigger(s, pin, now);
		}
	}
}

void ioapic_init(struct ioapic *s, uint8_t id, const struct irq_sink *out)
{
	memset(s, 0, sizeof(*s));
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		s->rte[pin] = IOAPIC_RTE_MASKED;
	s->id = (uint8_t)GET(IOAPIC_ID_ID, PUT(IOAPIC_ID_ID, id));
	s->out = out;
}

/* A line that falls was served: its next assertion is not held back. */
void ioapic_set(struct ioapic *s, unsigned pin, bool level)
{
	bool rises;

	if (pin >= IOAPIC_PINS)
		return;
	rises = level && !(s->line & BIT(pin));
	if (level) {
		s->line |= BIT(pin);
	} else {
		CLEAR(s->line, BIT(pin));
		CLEAR(s->held, BIT(pin));
	}
	if (rises || rte_level(s->rte[pin]))
		ioapic_service(s, pin);
}

bool ioapic_listens(const struct ioapic *s, unsigned pin)
{
	if (pin >= IOAPIC_PINS)
		return false;
	return !(s->rte[pin] & (IOAPIC_RTE_MASKED | IOAPIC_RTE_RIRR)) && rte_sends(s->rte[pin]);
}

uint64_t ioapic_deadline(const struct ioapic *s)
{
	return s->held ? s->held_until : NEVER;
}

void ioapic_tick(struct ioapic *s, uint64_t now)
{
	uint32_t due = s->held;

	if (now < ioapic_deadline(s))
		return;
	s->held = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		if (due & BIT(pin))
			ioapic_service(s, pin);
}

uint32_t ioapic_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	const struct ioapic *s = dev;

	if (off == IOAPIC_IOREGSEL)
		return s->select;
	if (off == IOAPIC_IOWIN && size == sizeof(uint32_t))
		return ioapic_reg_read(s);
	return 0;
}

void ioapic_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct ioapic *s = dev;

	if (off == IOAPIC_IOREGSEL)
		s->select = (uint8_t)val;
	else if (off == IOAPIC_IOWIN && size == sizeof(uint32_t))
		ioapic_reg_write(s, val);
	else if (off == IOAPIC_EOIR && size == sizeof(uint32_t))
		ioapic_eoi(s, (uint8_t)val, now);
}
