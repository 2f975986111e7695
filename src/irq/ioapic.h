/*
 * ioapic.h - 82093AA I/O APIC with 24 pins, and the EOI register of version 20h; the local APICs
 * are in KVM (split irqchip). Board lock held by the caller of everything here. `now` is in ns.
 */
#pragma once
#include "line.h"

#define IOAPIC_PINS 24u
/* GSIs routed for EOI exits: `pin`, and `pin + IOAPIC_PINS` for a message it no longer sends. */
#define IOAPIC_GSIS (2 * IOAPIC_PINS)

struct ioapic {
	/* guest-visible state */
	uint64_t rte[IOAPIC_PINS];
	uint64_t
		sent[IOAPIC_PINS]; /* message in service: RTE bits, valid while Remote IRR is set */
	uint32_t line;             /* input levels */
	uint8_t id, select;
	/* storm guard: pins held back after too many re-injections at EOI, and until when */
	uint32_t held;
	uint64_t held_until;
	uint16_t storm[IOAPIC_PINS]; /* re-injections at consecutive EOIs */
	/* what the sink has: the message, as RTE bits, of each GSI routed for its EOI exits; 0 none
	 */
	uint64_t routed[IOAPIC_GSIS];
	const struct irq_sink *out;
};

/*
 * Reset: all pins masked and low, I/O APIC ID `id` (0..15). Takes it that `out` has no routes: who
 * resets a machine in place drops those of GSI 0 to IOAPIC_GSIS - 1.
 */
void ioapic_init(struct ioapic *s, uint8_t id, const struct irq_sink *out);
/* Input pin 0..23, others are ignored. Polarity is ignored: true is asserted. */
void ioapic_set(struct ioapic *s, unsigned pin, bool level);
/*
 * An EOI for `vector` reached user space (KVM_EXIT_IOAPIC_EOI, or the EOI register). One for a
 * vector of no pin, or a second one, does nothing.
 */
void ioapic_eoi(struct ioapic *s, uint8_t vector, uint64_t now);
/* Could a rising edge on `pin` be delivered now: sends, not masked, not a level pin in service. */
bool ioapic_listens(const struct ioapic *s, unsigned pin);
/* When held-back pins are to be delivered after all; NEVER if none. */
uint64_t ioapic_deadline(const struct ioapic *s);
/* Delivers what was held back until `now` or earlier; harmless before the deadline. */
void ioapic_tick(struct ioapic *s, uint64_t now);

/* IOREGSEL in any size (its low byte counts), IOWIN and EOIR in 4 bytes; else reads 0, dropped. */
uint32_t ioapic_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void ioapic_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
