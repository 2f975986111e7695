/* ioapic_test.c - the 82093AA, and which routes it asks for so that EOIs are reported. */
#include "../../../src/irq/ioapic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/steps.h"

/* X0 EOI of vector addr; X1 address of the route of GSI addr; X2 does pin addr listen; X3 the sink
 * answers val from now on; X4 calls of route and unroute since last asked; X5 sends addr EOIs of
 * vector 77h, val is how many messages they gave */
#define EOI(v)   X0, v, 0
#define RADDR    X1
#define LISTENS  X2
#define ANSWER   X3, 0
#define ROUTINGS X4, 0
#define STORM    X5

#define BASE 0xfec00000
#define WIN  (BASE + 0x10)
#define EOIR (BASE + 0x40)

/* Registers, the halves of an entry, and bits of the low one. */
// clang-format off
#define WREG(r, v)   {WR4, BASE, r}, {WR4, WIN, v}
#define RREG(r, v)   {WR4, BASE, r}, {RD4, WIN, v}
#define LO(pin)      (0x10 + 2 * (pin))
#define HI(pin)      (0x11 + 2 * (pin))
#define RTE(p, h, l) WREG(HI(p), h), WREG(LO(p), l)
#define LEVEL        0x8000
#define MASKED       0x10000
#define RIRR         0x4000
#define LOGICAL      0x800
#define PULSE(p)     {SET, p, 1}, {SET, p, 0}
// clang-format on

#define CPU(n)  (0xfee00000 | (n) << 12)
#define DEST(n) ((uint32_t)(n) << 24)
#define MS      1000000ull

struct fixture {
	struct rig rig; /* first: X steps get it back from the rig */
	struct ioapic chip;
	struct irq_sink sink; /* the rig's, with the routings counted */
	unsigned routings, last_gsi;
};

static void count_route(void *ctx, unsigned gsi, uint64_t addr, uint32_t data)
{
	struct fixture *f = ctx;

	assert_true(gsi < IOAPIC_GSIS);
	assert_true((data & 0xff) >= 0x10); /* never vector 0 */
	assert_true(data & LEVEL);          /* never an edge */
	f->routings++;
	f->last_gsi = gsi;
	f->rig.sink.route(f->rig.sink.ctx, gsi, addr, data);
}

static void count_unroute(void *ctx, unsigned gsi)
{
	struct fixture *f = ctx;

	assert_true(gsi < IOAPIC_GSIS);
	assert_true(f->rig.route[gsi].set);
	f->routings++;
	f->last_gsi = gsi;
	f->rig.sink.unroute(f->rig.sink.ctx, gsi);
}

/* A level message has its route by the time that it is sent, or its EOI could be missed. */
static int pass_msi(void *ctx, uint64_t addr, uint32_t data)
{
	struct fixture *f = ctx;
	bool routed = !(data & LEVEL) || (data & 0x600); /* edges, also those of NMI and the like */

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		if (f->rig.route[pin].set && f->rig.route[pin].addr == addr &&
		    f->rig.route[pin].data == data)
			routed = true;
	assert_true(routed);
	return f->rig.sink.msi(f->rig.sink.ctx, addr, data);
}

static void pin_set(void *dev, unsigned n, bool level, uint64_t now)
{
	ioapic_set(dev, n, level);
}

static uint64_t deadline(const void *dev)
{
	return ioapic_deadline(dev);
}

static void tick(void *dev, uint64_t now)
{
	ioapic_tick(dev, now);
}

static uint64_t storm(struct fixture *f, uint64_t eois)
{
	unsigned before = f->rig.msi_in;

	while (eois--)
		ioapic_eoi(&f->chip, 0x77, f->rig.now);
	f->rig.msi_out = f->rig.msi_in;
	return f->rig.msi_in - before;
}

static uint64_t chip_op(struct rig *r, const struct step *s)
{
	struct fixture *f = (struct fixture *)r;
	uint64_t got = s->val;

	switch (s->op) {
	case X0: ioapic_eoi(&f->chip, (uint8_t)s->addr, r->now); break;
	case X1: return r->route[s->addr].addr;
	case X2: return ioapic_listens(&f->chip, (unsigned)s->addr);
	case X3: r->msi_result = (int)s->val; break;
	case X4:
		got = f->routings;
		f->routings = 0;
		break;
	default: return storm(f, s->addr);
	}
	return got;
}

static struct fixture *reset(void)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.rig = (struct rig){
		.dev = &f.chip,
		.base = BASE,
		.read = ioapic_read,
		.write = ioapic_write,
		.deadline = deadline,
		.tick = tick,
		.set = pin_set,
		.op = chip_op,
	};
	f.sink = *rig_sink(&f.rig);
	f.sink.ctx = &f;
	f.sink.msi = pass_msi;
	f.sink.route = count_route;
	f.sink.unroute = count_unroute;
	ioapic_init(&f.chip, 2, &f.sink);
	return &f;
}

#define CHECK(table) RUN(&reset()->rig, table)

/* Version 14 dies on tables with several steps a line. */
// clang-format off

static void reset_masks_every_pin(void **state)
{
	struct fixture *f = reset();

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		const struct step t[] = {
			RREG(LO(pin), MASKED), RREG(HI(pin), 0), {LISTENS, pin, 0}, PULSE(pin),
			{NOMSI, 0, 0}, {ROUTE, pin, NEVER},
		};

		RUN(&f->rig, t);
	}
}

static void id_has_four_bits(void **state)
{
	static const struct step t[] = {
		RREG(0, 0x02000000), WREG(0, 0xffffffff), RREG(0, 0x0f000000),
		WREG(0, 0xf5ffffff), RREG(0, 0x05000000),
	};

	CHECK(t);
}

static void version_is_read_only(void **state)
{
	static const struct step t[] = {
		RREG(1, 0x00170020), WREG(1, 0), RREG(1, 0x00170020), WREG(1, 0xffe8ffdf),
		RREG(1, 0x00170020),
	};

	CHECK(t);
}

static void arbitration_id_mirrors_the_id(void **state)
{
	static const struct step t[] = {
		WREG(0, 0x0f000000), RREG(2, 0x0f000000), WREG(2, 0), RREG(2, 0x0f000000),
		RREG(0, 0x0f000000),
	};

	CHECK(t);
}

static void select_register_has_eight_bits(void **state)
{
	static const struct step t[] = {
		{WR4, BASE, 0xabcdef01}, {RD4, BASE, 0x01}, {RD, BASE, 0x01}, {WR, BASE, 0x02},
		{RD4, WIN, 0x02000000}, {WR2, BASE, 0xff01}, {RD4, WIN, 0x00170020},
		{RD2, BASE, 0x01},
	};

	CHECK(t);
}

static void unknown_registers_read_zero(void **state)
{
	static const struct step t[] = {
		RREG(3, 0), RREG(0x0f, 0), RREG(0x40, 0), RREG(0x41, 0), RREG(0xff, 0),
		WREG(3, 0xffffffff), WREG(0x0f, 0xffffffff), WREG(0x40, 0xffffffff),
		WREG(0xff, 0xffffffff), RREG(0x0f, 0), RREG(0x40, 0), RREG(0x3f, 0),
		RREG(0x3e, MASKED),
	};

	CHECK(t);
}

static void window_is_four_bytes_wide(void **state)
{
	static const struct step t[] = {
		{WR4, BASE, 0}, {WR, WIN, 0xff}, {WR2, WIN, 0xffff}, {RD4, WIN, 0x02000000},
		{WR4, BASE, LO(4)}, {WR, WIN, 0x31}, {RD4, WIN, MASKED}, {RD, WIN, 0}, {RD2, WIN, 0},
	};

	CHECK(t);
}

static void other_offsets_are_ignored(void **state)
{
	static const struct step t[] = {
		{WR4, BASE, LO(4)}, {WR4, BASE + 4, 0}, {WR4, BASE + 0x14, 0x31},
		{WR4, BASE + 0x11, 0x31}, {WR4, BASE + 0xffc, 0x31}, {RD4, BASE, LO(4)},
		{RD4, WIN, MASKED}, {RD4, BASE + 4, 0}, {RD4, EOIR, 0}, {RD4, BASE + 0xffc, 0},
	};

	CHECK(t);
}

static void reserved_and_status_bits_stay_clear(void **state)
{
	static const struct step t[] = {
		WREG(HI(7), 0xffffffff), RREG(HI(7), 0xff000000), WREG(LO(7), 0xffffffff),
		RREG(LO(7), 0x1afff), /* all but delivery status and Remote IRR */
	};

	CHECK(t);
}

static void edge_sends_once_a_rise(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x76), {SET, 14, 1}, {MSI, CPU(0), 0x76}, {SET, 14, 1}, {NOMSI, 0, 0},
		{SET, 14, 0}, {NOMSI, 0, 0}, {SET, 14, 1}, {MSI, CPU(0), 0x76}, {NOMSI, 0, 0},
		RREG(LO(14), 0x76),
	};

	CHECK(t);
}

static void edge_needs_no_eoi(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x76), PULSE(14), PULSE(14), {MSI, CPU(0), 0x76}, {MSI, CPU(0), 0x76},
		{EOI(0x76)}, {NOMSI, 0, 0}, {ROUTINGS, 0},
	};

	CHECK(t);
}

static void edge_while_masked_is_lost(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x81 | MASKED), PULSE(14), WREG(LO(14), 0x81), {NOMSI, 0, 0},
		WREG(LO(14), 0x81 | MASKED), {SET, 14, 1}, WREG(LO(14), 0x81), {NOMSI, 0, 0},
		{SET, 14, 0}, {SET, 14, 1}, {MSI, CPU(0), 0x81},
	};

	CHECK(t);
}

static void polarity_is_stored_and_ignored(void **state)
{
	static const struct step t[] = {
		RTE(9, 0, 0x2051), RREG(LO(9), 0x2051), {SET, 9, 1}, {MSI, CPU(0), 0x51},
		{SET, 9, 0}, {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void message_carries_destination_and_modes(void **state)
{
	static const struct step t[] = {
		RTE(3, DEST(0x12), 0x41), PULSE(3), {MSI, 0xfee12000, 0x0041},
		RTE(3, DEST(0xff), 0x42 | LOGICAL), PULSE(3), {MSI, 0xfeeff004, 0x0042},
		RTE(3, DEST(0x0d), 0x43 | LOGICAL | 0x100), PULSE(3), {MSI, 0xfee0d004, 0x0143},
		RTE(3, DEST(1), 0x44 | LEVEL), {SET, 3, 1}, {MSI, 0xfee01000, 0x8044},
	};

	CHECK(t);
}

static void nmi_smi_and_init_are_edges(void **state)
{
	static const struct step t[] = {
		RTE(1, DEST(1), 0x400 | LEVEL), PULSE(1), PULSE(1), {MSI, CPU(1), 0x8400},
		{MSI, CPU(1), 0x8400}, RREG(LO(1), 0x400 | LEVEL), RTE(2, 0, 0x200), PULSE(2),
		{MSI, CPU(0), 0x200}, RTE(4, 0, 0x500), PULSE(4), {MSI, CPU(0), 0x500},
		{ROUTINGS, 0},
	};

	CHECK(t);
}

static void extint_and_reserved_modes_send_nothing(void **state)
{
	static const struct step t[] = {
		RTE(0, 0, 0x730), PULSE(0), RTE(0, 0, 0x330), PULSE(0), RTE(0, 0, 0x630), PULSE(0),
		RTE(0, 0, 0x730 | LEVEL), {SET, 0, 1}, {NOMSI, 0, 0}, {ROUTINGS, 0},
		{LISTENS, 0, 0}, RREG(LO(0), 0x730 | LEVEL),
	};

	CHECK(t);
}

static void vectors_below_16_are_neither_sent_nor_routed(void **state)
{
	static const struct step t[] = {
		RTE(5, 0, LEVEL), {SET, 5, 1}, RTE(6, 0, 0x0f), PULSE(6), {NOMSI, 0, 0},
		{ROUTINGS, 0}, {LISTENS, 6, 0}, WREG(LO(5), 0x10 | LEVEL), {MSI, CPU(0), 0x8010},
		{ROUTE, 5, 0x8010},
	};

	CHECK(t);
}

static void level_sets_remote_irr_until_eoi(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {MSI, CPU(0), 0x8077},
		RREG(LO(14), 0x77 | LEVEL | RIRR), {SET, 14, 0}, RREG(LO(14), 0x77 | LEVEL | RIRR),
		{EOI(0x77)}, RREG(LO(14), 0x77 | LEVEL), {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void level_coalesces_while_in_service(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x98 | LEVEL), {SET, 14, 1}, {MSI, CPU(0), 0x8098}, {SET, 14, 0},
		{SET, 14, 1}, {SET, 14, 0}, {NOMSI, 0, 0}, {EOI(0x98)}, {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void sequential_levels_send_twice(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x99 | LEVEL), {SET, 14, 1}, {MSI, CPU(0), 0x8099}, {SET, 14, 0},
		{EOI(0x99)}, {SET, 14, 1}, {MSI, CPU(0), 0x8099}, {SET, 14, 0}, {EOI(0x99)},
		{NOMSI, 0, 0},
	};

	CHECK(t);
}

static void level_still_high_at_eoi_sends_again(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x9a | LEVEL), {SET, 14, 1}, {MSI, CPU(0), 0x809a}, {EOI(0x9a)},
		{MSI, CPU(0), 0x809a}, RREG(LO(14), 0x9a | LEVEL | RIRR), {SET, 14, 0},
		{EOI(0x9a)}, {NOMSI, 0, 0}, RREG(LO(14), 0x9a | LEVEL),
	};

	CHECK(t);
}

static void level_asserted_while_masked_fires_on_unmask(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x82 | LEVEL | MASKED), {SET, 14, 1}, {NOMSI, 0, 0},
		WREG(LO(14), 0x82 | LEVEL), {MSI, CPU(0), 0x8082}, {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void level_gone_before_unmask_sends_nothing(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x82 | LEVEL | MASKED), PULSE(14), WREG(LO(14), 0x82 | LEVEL),
		{NOMSI, 0, 0},
	};

	CHECK(t);
}

static void masked_in_its_handler_fires_again_on_unmask(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x83 | LEVEL), {SET, 14, 1}, {MSI, CPU(0), 0x8083},
		WREG(LO(14), 0x83 | LEVEL | MASKED), RREG(LO(14), 0x83 | LEVEL | MASKED | RIRR),
		{EOI(0x83)}, {NOMSI, 0, 0}, RREG(LO(14), 0x83 | LEVEL | MASKED),
		WREG(LO(14), 0x83 | LEVEL), {MSI, CPU(0), 0x8083}, {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void remote_irr_is_read_only(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL | RIRR), RREG(LO(14), 0x77 | LEVEL), {SET, 14, 1},
		{MSI, CPU(0), 0x8077}, WREG(LO(14), 0x77 | LEVEL), {NOMSI, 0, 0},
		RREG(LO(14), 0x77 | LEVEL | RIRR), WREG(LO(14), 0x77 | LEVEL | MASKED),
		WREG(LO(14), 0x77 | LEVEL), {NOMSI, 0, 0}, RREG(LO(14), 0x77 | LEVEL | RIRR),
	};

	CHECK(t);
}

/* How Linux ends an interrupt on parts without EOIR: masked edge, then the entry as it was. */
static void edge_write_clears_remote_irr(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {MSI, CPU(0), 0x8077},
		WREG(LO(14), 0x77 | MASKED), RREG(LO(14), 0x77 | MASKED), {NOMSI, 0, 0},
		WREG(LO(14), 0x77 | LEVEL), {MSI, CPU(0), 0x8077}, RREG(LO(14), 0x77 | LEVEL | RIRR),
	};

	CHECK(t);
}

static void level_to_edge_with_a_high_line_sends_nothing(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {MSI, CPU(0), 0x8077}, WREG(LO(14), 0x77),
		{NOMSI, 0, 0}, {SET, 14, 0}, {SET, 14, 1}, {MSI, CPU(0), 0x77},
	};

	CHECK(t);
}

static void pins_that_share_a_vector_all_end(void **state)
{
	static const struct step t[] = {
		RTE(10, 0, 0x60 | LEVEL), RTE(11, DEST(1), 0x60 | LEVEL), RTE(12, 0, 0x61 | LEVEL),
		{SET, 10, 1}, {SET, 11, 1}, {SET, 12, 1}, {MSI, CPU(0), 0x8060},
		{MSI, CPU(1), 0x8060}, {MSI, CPU(0), 0x8061}, {SET, 10, 0}, {EOI(0x60)},
		{MSI, CPU(1), 0x8060}, {NOMSI, 0, 0}, RREG(LO(10), 0x60 | LEVEL),
		RREG(LO(11), 0x60 | LEVEL | RIRR), RREG(LO(12), 0x61 | LEVEL | RIRR),
	};

	CHECK(t);
}

static void second_eoi_is_harmless(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {MSI, CPU(0), 0x8077}, {SET, 14, 0},
		{EOI(0x77)}, {ROUTINGS, 1}, {EOI(0x77)}, {EOI(0x78)}, {EOI(0)}, {NOMSI, 0, 0},
		{ROUTINGS, 0}, RREG(LO(14), 0x77 | LEVEL),
	};

	CHECK(t);
}

static void eoi_register_ends_a_vector(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {MSI, CPU(0), 0x8077}, {SET, 14, 0},
		{WR, EOIR, 0x77}, {WR4, EOIR, 0x76}, RREG(LO(14), 0x77 | LEVEL | RIRR),
		{WR4, EOIR, 0xabcdef77}, RREG(LO(14), 0x77 | LEVEL), {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void routes_exist_for_unmasked_levels_alone(void **state)
{
	static const struct step t[] = {
		RTE(14, DEST(1), 0x77), {ROUTE, 14, NEVER}, WREG(LO(14), 0x77 | LEVEL | MASKED),
		{ROUTE, 14, NEVER}, {ROUTINGS, 0}, WREG(LO(14), 0x77 | LEVEL), {ROUTE, 14, 0x8077},
		{RADDR, 14, CPU(1)}, {ROUTINGS, 1}, WREG(LO(14), 0x77 | LEVEL | MASKED),
		{ROUTE, 14, NEVER}, {ROUTINGS, 1},
	};

	CHECK(t);
}

static void unchanged_messages_are_not_routed_again(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {ROUTINGS, 1}, RTE(14, 0, 0x77 | LEVEL),
		WREG(LO(14), 0x2077 | LEVEL), {SET, 14, 1}, {EOI(0x77)}, {SET, 14, 0}, {EOI(0x77)},
		WREG(LO(14), 0x77 | LEVEL | RIRR), {ROUTINGS, 0}, {ROUTE, 14, 0x8077},
	};

	CHECK(t);
}

static void changed_idle_message_replaces_the_route(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {ROUTINGS, 1}, WREG(HI(14), DEST(1)), {ROUTINGS, 1},
		{RADDR, 14, CPU(1)}, WREG(LO(14), 0x78 | LEVEL), {ROUTE, 14, 0x8078}, {ROUTINGS, 1},
		{ROUTE, 38, NEVER},
	};

	CHECK(t);
}

static void masked_pin_keeps_its_route_until_eoi(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {ROUTINGS, 1},
		WREG(LO(14), 0x77 | LEVEL | MASKED), {ROUTE, 14, 0x8077}, {ROUTINGS, 0},
		{EOI(0x77)}, {ROUTE, 14, NEVER}, {ROUTINGS, 1},
	};

	CHECK(t);
}

static void edge_write_in_service_drops_the_routes(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, WREG(HI(14), DEST(1)), {ROUTE, 38, 0x8077},
		WREG(LO(14), 0x77 | MASKED), {ROUTE, 14, NEVER}, {ROUTE, 38, NEVER},
	};

	CHECK(t);
}

static void route_is_set_before_the_message_is_sent(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL | MASKED), {SET, 14, 1}, WREG(LO(14), 0x78 | LEVEL),
		{MSI, CPU(0), 0x8078}, /* pass_msi() has looked */
		{EOI(0x78)}, {MSI, CPU(0), 0x8078}, WREG(LO(14), 0x79 | LEVEL), {EOI(0x78)},
		{MSI, CPU(0), 0x8079},
	};

	CHECK(t);
}

/* A handler that changes its own pin: the EOI of the old message has to be reported still. */
static void old_destination_stays_routed_until_eoi(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x84 | LEVEL), {SET, 14, 1}, {MSI, CPU(0), 0x8084}, {SET, 14, 0},
		RREG(LO(14), 0x84 | LEVEL | RIRR), {ROUTINGS, 1},
		WREG(HI(14), DEST(1)), {ROUTE, 38, 0x8084}, {RADDR, 38, CPU(0)},
		{ROUTE, 14, 0x8084}, {RADDR, 14, CPU(1)}, {ROUTINGS, 2},
		{EOI(0x84)}, RREG(LO(14), 0x84 | LEVEL), {ROUTE, 38, NEVER}, {RADDR, 14, CPU(1)},
		{ROUTINGS, 1}, {NOMSI, 0, 0},
		{SET, 14, 1}, {MSI, CPU(1), 0x8084}, {ROUTE, 38, NEVER}, {ROUTINGS, 0},
	};

	CHECK(t);
}

static void old_vector_ends_the_pin(void **state)
{
	static const struct step t[] = {
		RTE(23, 0, 0x84 | LEVEL), {SET, 23, 1}, {MSI, CPU(0), 0x8084},
		WREG(LO(23), 0x55 | LEVEL), {ROUTE, 47, 0x8084}, {ROUTE, 23, 0x8055}, {NOMSI, 0, 0},
		{EOI(0x84)}, {MSI, CPU(0), 0x8055}, {ROUTE, 47, NEVER},
		RREG(LO(23), 0x55 | LEVEL | RIRR), {EOI(0x84)}, {NOMSI, 0, 0},
		{SET, 23, 0}, {EOI(0x55)}, RREG(LO(23), 0x55 | LEVEL),
	};

	CHECK(t);
}

/* Linux writes the vector of the entry as it reads to EOIR. */
static void current_vector_ends_the_pin(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x84 | LEVEL), {SET, 14, 1}, {SET, 14, 0}, WREG(LO(14), 0x55 | LEVEL),
		{WR4, EOIR, 0x55}, RREG(LO(14), 0x55 | LEVEL), {ROUTE, 38, NEVER},
	};

	CHECK(t);
}

static void second_change_in_service_keeps_the_message_sent(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x84 | LEVEL), {SET, 14, 1}, WREG(HI(14), DEST(1)), WREG(HI(14), DEST(2)),
		{RADDR, 38, CPU(0)}, {RADDR, 14, CPU(2)}, {ROUTINGS, 4},
		WREG(HI(14), DEST(0)), {RADDR, 14, CPU(0)}, {ROUTE, 14, 0x8084}, {ROUTE, 38, NEVER},
		{ROUTINGS, 2},
	};

	CHECK(t);
}

static void old_message_is_never_without_a_route(void **state)
{
	static const struct step there[] = {RTE(14, 0, 0x84 | LEVEL), {SET, 14, 1},
		WREG(HI(14), DEST(1))};
	static const struct step back[] = {WREG(HI(14), DEST(0))};
	struct fixture *f = reset();

	RUN(&f->rig, there);
	assert_int_equal(f->last_gsi, 14); /* 38 got the old one before 14 lost it */
	RUN(&f->rig, back);
	assert_int_equal(f->last_gsi, 38); /* and 14 has it again before 38 lost it */
}

static void entry_cleared_in_service_keeps_the_old_route(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x84 | LEVEL), {SET, 14, 1}, {SET, 14, 0}, {ROUTINGS, 1},
		WREG(LO(14), LEVEL | MASKED), {ROUTE, 14, NEVER}, {ROUTE, 38, 0x8084}, {EOI(0x84)},
		{ROUTE, 38, NEVER}, RREG(LO(14), LEVEL | MASKED),
	};

	CHECK(t);
}

/* The other pin's message waits in the local APIC while both are given new destinations. */
static void two_pins_reconfigured_in_one_handler(void **state)
{
	static const struct step t[] = {
		RTE(13, 0, 0x64 | LEVEL), RTE(14, 0, 0x84 | LEVEL), {SET, 13, 1}, {SET, 14, 1},
		{SET, 14, 0}, WREG(HI(14), DEST(1)), {SET, 13, 0}, WREG(HI(13), DEST(1)),
		{ROUTE, 37, 0x8064}, {ROUTE, 38, 0x8084}, {EOI(0x64)}, {ROUTE, 37, NEVER},
		{ROUTE, 38, 0x8084}, {EOI(0x84)}, {ROUTE, 38, NEVER}, RREG(LO(13), 0x64 | LEVEL),
		RREG(LO(14), 0x84 | LEVEL),
	};

	CHECK(t);
}

static void refused_level_message_leaves_remote_irr_clear(void **state)
{
	static const struct step t[] = {
		RTE(14, DEST(9), 0x77 | LEVEL), {ANSWER, (uint64_t)-1}, {SET, 14, 1},
		{MSI, CPU(9), 0x8077}, RREG(LO(14), 0x77 | LEVEL), {ANSWER, 0},
		WREG(HI(14), DEST(8)), {MSI, CPU(8), 0x8077}, RREG(LO(14), 0x77 | LEVEL),
		{ANSWER, 1}, WREG(HI(14), DEST(0)), {MSI, CPU(0), 0x8077}, /* corrected: arrives */
		RREG(LO(14), 0x77 | LEVEL | RIRR),
	};

	CHECK(t);
}

static void refused_level_message_is_tried_again_at_eoi(void **state)
{
	static const struct step t[] = {
		RTE(10, 0, 0x60 | LEVEL), RTE(11, DEST(1), 0x60 | LEVEL), {SET, 10, 1},
		{MSI, CPU(0), 0x8060}, {ANSWER, 0}, {SET, 11, 1}, {MSI, CPU(1), 0x8060},
		{ANSWER, 1}, {SET, 10, 0}, {EOI(0x60)}, {MSI, CPU(1), 0x8060}, {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void refused_edge_is_forgotten(void **state)
{
	static const struct step t[] = {
		RTE(14, DEST(9), 0x76), {ANSWER, (uint64_t)-1}, {SET, 14, 1}, {MSI, CPU(9), 0x76},
		{ANSWER, 1}, WREG(HI(14), 0), {SET, 14, 1}, {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void listens_unless_masked_or_in_service(void **state)
{
	static const struct step t[] = {
		RTE(2, 0, 0x30), {LISTENS, 2, 1}, {SET, 2, 1}, {LISTENS, 2, 1},
		WREG(LO(2), 0x30 | MASKED), {LISTENS, 2, 0}, RTE(10, 0, 0x31 | LEVEL),
		{LISTENS, 10, 1}, {SET, 10, 1}, {LISTENS, 10, 0}, {SET, 10, 0}, {LISTENS, 10, 0},
		{EOI(0x31)}, {LISTENS, 10, 1}, {LISTENS, 24, 0}, {LISTENS, 0xffffffff, 0},
	};

	CHECK(t);
}

static void unknown_pins_are_ignored(void **state)
{
	static const struct step t[] = {
		{SET, 24, 1}, {SET, 31, 1}, {SET, 32, 1}, {SET, 0xffffffff, 1}, {NOMSI, 0, 0},
	};

	CHECK(t);
}

static void storm_is_held_back_for_10_ms(void **state)
{
	static const struct step t[] = {
		{AT, 0, 5 * MS}, RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {MSI, CPU(0), 0x8077},
		{ARMED, 0, NEVER}, {STORM, 9999, 9999}, {ARMED, 0, NEVER},
		{STORM, 1, 0}, {ARMED, 0, 15 * MS}, RREG(LO(14), 0x77 | LEVEL),
		{STORM, 100, 0}, {SET, 14, 1}, WREG(LO(14), 0x77 | LEVEL), {NOMSI, 0, 0},
		{ARMED, 0, 15 * MS}, {AT, 0, 15 * MS - 1}, {NOMSI, 0, 0}, {TICK, 0, 1},
		{MSI, CPU(0), 0x8077}, {NOMSI, 0, 0}, {ARMED, 0, NEVER},
		{STORM, 9999, 9999}, {STORM, 1, 0}, {ARMED, 0, 25 * MS}, /* and so on */
	};

	CHECK(t);
}

static void early_tick_changes_nothing(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {STORM, 10000, 9999}, {ARMED, 0, 10 * MS},
	};
	struct fixture *f = reset();

	ioapic_tick(&f->chip, 1);
	RUN(&f->rig, t);
	ioapic_tick(&f->chip, 10 * MS - 1);
	assert_int_equal(f->rig.msi_in, f->rig.msi_out);
	ioapic_tick(&f->chip, 10 * MS);
	assert_int_equal(f->rig.msi_in, f->rig.msi_out + 1);
}

static void served_line_starts_the_count_again(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {STORM, 9999, 9999}, {SET, 14, 0},
		{STORM, 1, 0}, {SET, 14, 1}, {STORM, 9999, 9999}, {ARMED, 0, NEVER},
		{STORM, 1, 0}, {ARMED, 0, 10 * MS},
	};

	CHECK(t);
}

static void held_line_that_falls_is_free_at_once(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {STORM, 10000, 9999}, {SET, 14, 0},
		{ARMED, 0, NEVER}, {SET, 14, 1}, {MSI, CPU(0), 0x8077},
	};

	CHECK(t);
}

static void held_pin_made_an_edge_is_free(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {STORM, 10000, 9999}, WREG(LO(14), 0x77),
		{ARMED, 0, NEVER}, {SET, 14, 0}, {SET, 14, 1}, {MSI, CPU(0), 0x77},
	};

	CHECK(t);
}

static void held_pin_masked_at_its_deadline_waits_for_unmask(void **state)
{
	static const struct step t[] = {
		RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}, {STORM, 10000, 9999},
		WREG(LO(14), 0x77 | LEVEL | MASKED), {TICK, 0, 10 * MS}, {NOMSI, 0, 0},
		{ARMED, 0, NEVER}, WREG(LO(14), 0x77 | LEVEL), {MSI, CPU(0), 0x8077},
	};

	CHECK(t);
}

static void pins_held_together_share_the_first_deadline(void **state)
{
	static const struct step t[] = {
		RTE(10, 0, 0x77 | LEVEL), {SET, 10, 1}, {STORM, 10000, 9999},
		{TICK, 0, 4 * MS}, RTE(11, DEST(1), 0x77 | LEVEL), {SET, 11, 1},
		{MSI, CPU(1), 0x8077}, {STORM, 10000, 9999}, {ARMED, 0, 10 * MS}, {TICK, 0, 6 * MS},
		{MSI, CPU(0), 0x8077}, {MSI, CPU(1), 0x8077}, {ARMED, 0, NEVER},
	};

	CHECK(t);
}

static void stuck_line_with_eoi_register_storm_is_bounded(void **state)
{
	static const struct step before[] = {RTE(14, 0, 0x77 | LEVEL), {SET, 14, 1}};
	static const struct step after[] = {{ARMED, 0, 10 * MS}};
	struct fixture *f = reset();

	RUN(&f->rig, before);
	for (unsigned i = 0; i < 50000; i++)
		ioapic_write(&f->chip, EOIR - BASE, 4, 0x77, 0);
	assert_int_equal(f->rig.msi_in, 10000);
	RUN(&f->rig, after);
}

/* Every offset, size, register and bit, while lines toggle and the sink answers anything. */
static void no_access_sequence_breaks_it(void **state)
{
	struct fixture *f = reset();
	uint32_t seed = 1;

	for (uint32_t off = 0; off < 0x1000; off++)
		for (unsigned size = 1; size <= 4; size *= 2) {
			ioapic_write(&f->chip, off, size, 0xa5a5a5a5, 0);
			ioapic_read(&f->chip, off, size, 0);
		}
	for (unsigned i = 0; i < 400000; i++) {
		static const uint32_t off[] = {0x00, 0x10, 0x10, 0x40};

		seed = seed * 1664525u + 1013904223u;
		f->rig.msi_result = (int)(seed >> 28) - 4;
		ioapic_write(&f->chip, 0, 4, seed >> 20, 0);
		ioapic_write(&f->chip, off[seed >> 8 & 3], 4, seed * 2654435761u, i);
		ioapic_read(&f->chip, 0x10, 4, 0);
		ioapic_set(&f->chip, seed >> 10 & 31, seed >> 15 & 1);
		ioapic_eoi(&f->chip, (uint8_t)(seed >> 16), i);
		ioapic_tick(&f->chip, i);
		for (unsigned gsi = 0; gsi < IOAPIC_GSIS; gsi++)
			assert_int_equal(f->rig.route[gsi].set, f->chip.routed[gsi] != 0);
	}
}

// clang-format on

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_masks_every_pin),
		cmocka_unit_test(id_has_four_bits),
		cmocka_unit_test(version_is_read_only),
		cmocka_unit_test(arbitration_id_mirrors_the_id),
		cmocka_unit_test(select_register_has_eight_bits),
		cmocka_unit_test(unknown_registers_read_zero),
		cmocka_unit_test(window_is_four_bytes_wide),
		cmocka_unit_test(other_offsets_are_ignored),
		cmocka_unit_test(reserved_and_status_bits_stay_clear),
		cmocka_unit_test(edge_sends_once_a_rise),
		cmocka_unit_test(edge_needs_no_eoi),
		cmocka_unit_test(edge_while_masked_is_lost),
		cmocka_unit_test(polarity_is_stored_and_ignored),
		cmocka_unit_test(message_carries_destination_and_modes),
		cmocka_unit_test(nmi_smi_and_init_are_edges),
		cmocka_unit_test(extint_and_reserved_modes_send_nothing),
		cmocka_unit_test(vectors_below_16_are_neither_sent_nor_routed),
		cmocka_unit_test(level_sets_remote_irr_until_eoi),
		cmocka_unit_test(level_coalesces_while_in_service),
		cmocka_unit_test(sequential_levels_send_twice),
		cmocka_unit_test(level_still_high_at_eoi_sends_again),
		cmocka_unit_test(level_asserted_while_masked_fires_on_unmask),
		cmocka_unit_test(level_gone_before_unmask_sends_nothing),
		cmocka_unit_test(masked_in_its_handler_fires_again_on_unmask),
		cmocka_unit_test(remote_irr_is_read_only),
		cmocka_unit_test(edge_write_clears_remote_irr),
		cmocka_unit_test(level_to_edge_with_a_high_line_sends_nothing),
		cmocka_unit_test(pins_that_share_a_vector_all_end),
		cmocka_unit_test(second_eoi_is_harmless),
		cmocka_unit_test(eoi_register_ends_a_vector),
		cmocka_unit_test(routes_exist_for_unmasked_levels_alone),
		cmocka_unit_test(unchanged_messages_are_not_routed_again),
		cmocka_unit_test(changed_idle_message_replaces_the_route),
		cmocka_unit_test(masked_pin_keeps_its_route_until_eoi),
		cmocka_unit_test(edge_write_in_service_drops_the_routes),
		cmocka_unit_test(route_is_set_before_the_message_is_sent),
		cmocka_unit_test(old_destination_stays_routed_until_eoi),
		cmocka_unit_test(old_vector_ends_the_pin),
		cmocka_unit_test(current_vector_ends_the_pin),
		cmocka_unit_test(second_change_in_service_keeps_the_message_sent),
		cmocka_unit_test(old_message_is_never_without_a_route),
		cmocka_unit_test(entry_cleared_in_service_keeps_the_old_route),
		cmocka_unit_test(two_pins_reconfigured_in_one_handler),
		cmocka_unit_test(refused_level_message_leaves_remote_irr_clear),
		cmocka_unit_test(refused_level_message_is_tried_again_at_eoi),
		cmocka_unit_test(refused_edge_is_forgotten),
		cmocka_unit_test(listens_unless_masked_or_in_service),
		cmocka_unit_test(unknown_pins_are_ignored),
		cmocka_unit_test(storm_is_held_back_for_10_ms),
		cmocka_unit_test(early_tick_changes_nothing),
		cmocka_unit_test(served_line_starts_the_count_again),
		cmocka_unit_test(held_line_that_falls_is_free_at_once),
		cmocka_unit_test(held_pin_made_an_edge_is_free),
		cmocka_unit_test(held_pin_masked_at_its_deadline_waits_for_unmask),
		cmocka_unit_test(pins_held_together_share_the_first_deadline),
		cmocka_unit_test(stuck_line_with_eoi_register_storm_is_bounded),
		cmocka_unit_test(no_access_sequence_breaks_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
