/*
 * ioapic.h - 82093AA I/O APIC with 24 pins, and the EOI register of version 20h; the local APICs
 * are in KVM (split irqchip). Board lock held by the caller of everything here.
 */
#pragma once
#include "line.h"

#define IOAPIC_PINS 24u

struct ioapic {
	/* guest-visible state */
	uint64_t rte[IOAPIC_PINS];
	uint32_t line; /* input levels */
	uint8_t id, select;
	/* storm guard: pins held back after too many re-injections at EOI, and until when */
	uint32_t held;
	uint64_t held_until;
	uint16_t storm[IOAPIC_PINS];
	/* what the sink has: pins routed for their EOI exits, with which message */
	uint32_t routed;
	const struct irq_sink *out;
};

void ioapic_init(struct ioapic *s, uint8_t id, const struct irq_sink *out);
/* Input pin 0..23. Polarity is ignored: true is asserted. */
void ioapic_set(struct ioapic *s, unsigned pin, bool level);
/* An EOI for `vector` reached user space (KVM_EXIT_IOAPIC_EOI, or the EOI register). */
void ioapic_eoi(struct ioapic *s, uint8_t vector, uint64_t now);
/* Could a rising edge on `pin` be delivered now: not masked, not a level pin in service. */
bool ioapic_listens(const struct ioapic *s, unsigned pin);
/* When held-back pins are to be delivered after all; NEVER if none. */
uint64_t ioapic_deadline(const struct ioapic *s);
void ioapic_tick(struct ioapic *s, uint64_t now);

uint32_t ioapic_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void ioapic_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
