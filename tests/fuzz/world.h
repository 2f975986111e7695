/*
 * world.h - a whole board in a world made of counters: a clock, the loop's timer and its console,
 * an interrupt sink. After every step it checks what must hold whatever a guest does.
 *
 * Steps as in tests/lib/steps.h, with their own use of the chip-specific ones:
 *   WR..RD4   an access: ports below 10000h, memory from there on
 *   TICK      val ns pass and the loop comes in time; addr 1: it is held up and comes later
 *   SET       drives an input of the world: enum world_wire, or GSI addr through the test device
 *   X0        val: EOI of that vector, addr times and once more
 *   X1        INTA; gives the vector, or NEVER
 *   X2        val bytes of console input arrive
 *   X3        the console takes up to val bytes; addr 1: also what is not due yet
 *   X4        Ctrl-Alt-Del is pressed; addr 1: somebody wakes the loop
 *   X5        memory access at the low 48 bits of addr; size in bits 51:48, bit 52: a write
 *   OFF       the guest writes val bytes to THR in a row
 */
#pragma once
#include "../../src/pc/board.h"
#include "../lib/steps.h"

enum world_wire {
	WIRE_INTX = 32,   /* and up to 63: INTA of a PCI slot */
	WIRE_READER = 64, /* the console takes output whenever it is due */
	WIRE_SKEW = 65,   /* accesses carry times this much older than the latest, in ns */
	WIRE_MSI = 66, /* what sending an MSI gives: 0 delivered, 1 coalesced, 2 no such target */
};

#define X5_SIZE  MASK(51, 48)
#define X5_WRITE BIT(52)

struct world {
	struct board board;
	struct board_host host;
	uint64_t now, skew;
	uint64_t armed; /* the timer; NEVER once it fired */
	bool reader;
	uint64_t typed; /* bytes of input that the board has not taken yet */
	struct {
		bool used;
		uint64_t addr;
		uint32_t data;
	} route[IOAPIC_GSIS];
	bool intr;
	int msi_result;
	bool msi_lost;      /* some MSI was not delivered: pins may wait for the next event */
	uint8_t last_level; /* vector of the last level MSI */
	uint64_t msis, powers;
	/* every byte that was sent and has not come out, to compare */
	uint8_t sent[UART_TX_RING];
	uint32_t sent_head, sent_tail;
	uint32_t work; /* guest accesses and EOIs in rows so far: these are bounded */
	uint8_t test_mmio[TEST_MMIO_SIZE];
};

void world_init(struct world *w, bool test_device, unsigned cpus, uint64_t now);
/* Steps are printed as a table of tests/lib/steps.h. */
extern bool world_print;
/* Does the step and checks the board; returns what a table would expect as its val. */
uint64_t world_step(struct world *w, const struct step *s);
