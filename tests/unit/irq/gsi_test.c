/* gsi_test.c - where each GSI arrives, and how its sources share it; with the real controllers. */
#include "../../../src/irq/gsi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/steps.h"

/* SET n drives source n % 32 of GSI n / 32, and makes it at first use; X0 IRR of the 8259 pair as
 * 16 bits; X1 input lines of the I/O APIC; X2 does GSI addr listen; X3 the sink answers val */
#define IRR       X0, 0
#define PINS      X1, 0
#define LISTENS   X2
#define SRC(g, n) (32 * (g) + (n))

enum { M0 = 0x20, M1, S0 = 0xa0, S1 };
#define IOAPIC_BASE 0xfec00000u

/* Version 14 dies on tables with several steps a line, and spreads such macros over six. */
// clang-format off
#define RTE(pin, lo) {WR4, IOAPIC_BASE, 0x10 + 2 * (pin)}, {WR4, IOAPIC_BASE + 0x10, lo}
// clang-format on

struct fixture {
	struct rig rig; /* first: X steps get it back from the rig */
	struct pic pic;
	struct ioapic ioapic;
	struct gsi gsi;
	struct irq_line wire[GSI_N][GSI_SOURCES];
};

static uint32_t bus_read(void *dev, uint32_t addr, unsigned size, uint64_t now)
{
	return 0;
}

static void bus_write(void *dev, uint32_t addr, unsigned size, uint32_t val, uint64_t now)
{
	struct fixture *f = dev;

	if (addr >= IOAPIC_BASE)
		ioapic_write(&f->ioapic, addr - IOAPIC_BASE, size, val, now);
	else if (addr >= S0)
		pic_slave_write(&f->pic, addr - S0, size, val, now);
	else
		pic_master_write(&f->pic, addr - M0, size, val, now);
}

static void wire_set(void *dev, unsigned n, bool level, uint64_t now)
{
	struct fixture *f = dev;
	unsigned gsi = n / GSI_SOURCES, source = n % GSI_SOURCES;

	while (f->gsi.sources[gsi] <= source) {
		unsigned made = f->gsi.sources[gsi];

		f->wire[gsi][made] = gsi_line(&f->gsi, gsi);
	}
	irq_set(&f->wire[gsi][source], level);
}

static uint64_t gsi_op(struct rig *r, const struct step *s)
{
	struct fixture *f = (struct fixture *)r;

	switch (s->op) {
	case X0: return f->pic.chip[0].irr | (uint64_t)f->pic.chip[1].irr << 8;
	case X1: return f->ioapic.line;
	case X2: return gsi_listens(&f->gsi, (unsigned)s->addr);
	default: r->msi_result = (int)s->val; return s->val;
	}
}

static struct fixture *reset(void)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.rig = (struct rig){
		.dev = &f,
		.read = bus_read,
		.write = bus_write,
		.set = wire_set,
		.op = gsi_op,
	};
	pic_init(&f.pic, rig_line(&f.rig, 0));
	ioapic_init(&f.ioapic, 0, rig_sink(&f.rig));
	gsi_init(&f.gsi, &f.pic, &f.ioapic);
	return &f;
}

#define CHECK(table) RUN(&reset()->rig, table)

// clang-format off

static void isa_gsi_drives_both_controllers(void **state)
{
	static const struct step t[] = {
		{SET, SRC(4, 0), 1}, {IRR, 0x0010}, {PINS, 0x000010}, {SET, SRC(4, 0), 0},
		{PINS, 0}, {SET, SRC(15, 0), 1}, {IRR, 0x8010}, {PINS, 0x008000},
	};

	CHECK(t);
}

static void gsi_above_15_has_no_8259_input(void **state)
{
	static const struct step t[] = {
		{SET, SRC(16, 0), 1}, {SET, SRC(23, 0), 1}, {IRR, 0}, {PINS, 0x810000},
	};

	CHECK(t);
}

static void gsi_0_arrives_at_pin_2(void **state)
{
	static const struct step t[] = {
		{SET, SRC(0, 0), 1}, {IRR, 0x0001}, {PINS, 0x000004}, {SET, SRC(0, 0), 0}, {PINS, 0},
		RTE(2, 0x30), {SET, SRC(0, 0), 1}, {MSI, 0xfee00000, 0x30}, {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void gsi_2_shares_pin_2_and_has_no_8259_input(void **state)
{
	static const struct step t[] = {
		{SET, SRC(2, 0), 1}, {IRR, 0}, {PINS, 0x000004}, {SET, SRC(0, 0), 1},
		{SET, SRC(2, 0), 0}, {PINS, 0x000004}, {SET, SRC(2, 0), 1}, {SET, SRC(0, 0), 0},
		{PINS, 0x000004}, {SET, SRC(2, 0), 0}, {PINS, 0},
	};

	CHECK(t);
}

static void every_other_gsi_has_its_own_pin(void **state)
{
	struct fixture *f = reset();

	for (unsigned gsi = 1; gsi < GSI_N; gsi++) {
		const struct step t[] = {
			{SET, SRC(gsi, 0), 1}, {PINS, 1u << gsi}, {SET, SRC(gsi, 0), 0}, {PINS, 0},
		};

		RUN(&f->rig, t);
	}
}

static void shared_level_falls_with_its_last_source(void **state)
{
	static const struct step t[] = {
		{SET, SRC(10, 0), 1}, {SET, SRC(10, 1), 1}, {SET, SRC(10, 0), 0}, {PINS, 0x000400},
		{SET, SRC(10, 31), 1}, {SET, SRC(10, 1), 0}, {PINS, 0x000400},
		{SET, SRC(10, 31), 0}, {PINS, 0},
	};

	CHECK(t);
}

static void second_source_of_a_high_gsi_is_no_edge(void **state)
{
	static const struct step t[] = {
		RTE(5, 0x35), {SET, SRC(5, 0), 1}, {MSI, 0xfee00000, 0x35}, {SET, SRC(5, 1), 1},
		{NOMSI, 0, 0}, {SET, SRC(5, 0), 0}, {SET, SRC(5, 0), 1}, {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void source_set_twice_counts_once(void **state)
{
	static const struct step t[] = {
		RTE(5, 0x35), {SET, SRC(5, 0), 1}, {SET, SRC(5, 0), 1}, {MSI, 0xfee00000, 0x35},
		{NOMSI, 0, 0}, {SET, SRC(5, 0), 0}, {SET, SRC(5, 0), 0}, {PINS, 0},
		{SET, SRC(5, 1), 0}, {PINS, 0},
	};

	CHECK(t);
}

/* A chip drives its wire at every access; a message to nobody is not sent each time. */
static void unchanged_source_reaches_no_controller(void **state)
{
	static const struct step t[] = {
		RTE(11, 0x803b), {X3, 0, 0}, {SET, SRC(11, 0), 1}, {MSI, 0xfee00000, 0x803b},
		{SET, SRC(11, 0), 1}, {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void shared_level_interrupt_repeats_for_the_other_source(void **state)
{
	static const struct step t[] = {
		RTE(11, 0x803b), {SET, SRC(11, 0), 1}, {SET, SRC(11, 1), 1},
		{MSI, 0xfee00000, 0x803b}, {SET, SRC(11, 0), 0},
		{WR4, IOAPIC_BASE + 0x40, 0x3b}, {MSI, 0xfee00000, 0x803b}, {SET, SRC(11, 1), 0},
		{WR4, IOAPIC_BASE + 0x40, 0x3b}, {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void listens_by_either_controller(void **state)
{
	static const struct step t[] = {
		{LISTENS, 4, 0}, {WR, M1, 0xef}, {LISTENS, 4, 1}, {LISTENS, 5, 0}, {WR, M1, 0xff},
		{LISTENS, 4, 0}, RTE(4, 0x34), {LISTENS, 4, 1}, {LISTENS, 20, 0}, RTE(20, 0x44),
		{LISTENS, 20, 1},
	};

	CHECK(t);
}

static void gsi_0_listens_at_pin_2(void **state)
{
	static const struct step t[] = {
		RTE(0, 0x30), {LISTENS, 0, 0}, RTE(2, 0x32), {LISTENS, 0, 1}, RTE(2, 0x10032),
		{LISTENS, 0, 0}, {WR, M1, 0xfe}, {LISTENS, 0, 1}, {SET, SRC(0, 0), 1},
		{LISTENS, 0, 0}, /* one waits in the 8259 already */
	};

	CHECK(t);
}

// clang-format on

static void wires_beyond_the_last_share_its_bit(void **state)
{
	struct fixture *f = reset();
	struct irq_line l = {0};

	for (unsigned i = 0; i < 300; i++)
		l = gsi_line(&f->gsi, 23);
	irq_set(&l, true);
	assert_int_equal(f->ioapic.line, 1u << 23);
	assert_int_equal(f->gsi.level[23], 1u << 31);
	irq_set(&l, false);
	assert_int_equal(f->ioapic.line, 0);
}

static void wires_start_low(void **state)
{
	struct fixture *f = reset();

	for (unsigned gsi = 0; gsi < GSI_N; gsi++)
		gsi_line(&f->gsi, gsi);
	assert_int_equal(f->ioapic.line, 0);
	assert_int_equal(f->pic.chip[0].irr | f->pic.chip[1].irr, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(isa_gsi_drives_both_controllers),
		cmocka_unit_test(gsi_above_15_has_no_8259_input),
		cmocka_unit_test(gsi_0_arrives_at_pin_2),
		cmocka_unit_test(gsi_2_shares_pin_2_and_has_no_8259_input),
		cmocka_unit_test(every_other_gsi_has_its_own_pin),
		cmocka_unit_test(shared_level_falls_with_its_last_source),
		cmocka_unit_test(second_source_of_a_high_gsi_is_no_edge),
		cmocka_unit_test(source_set_twice_counts_once),
		cmocka_unit_test(unchanged_source_reaches_no_controller),
		cmocka_unit_test(shared_level_interrupt_repeats_for_the_other_source),
		cmocka_unit_test(listens_by_either_controller),
		cmocka_unit_test(gsi_0_listens_at_pin_2),
		cmocka_unit_test(wires_beyond_the_last_share_its_bit),
		cmocka_unit_test(wires_start_low),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
