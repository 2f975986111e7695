/* pic_test.c - the 8259A pair as its datasheet and the PIIX3's ELCR describe it. */
#include "../../../src/irq/pic.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../../lib/steps.h"

/* X0 INTA, val is the vector; X1 level of INTR; X2 does input addr listen; X3 slave withdraws */
#define INTA    X0, 0
#define INTR    X1, 0
#define LISTENS X2

enum { M0 = 0x20, M1, S0 = 0xa0, S1, ELCR1 = 0x4d0, ELCR2 };

static struct pic pic;

static uint32_t ports_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	switch (off) {
	case M0:
	case M1: return pic_master_read(dev, off - M0, size, now);
	case S0:
	case S1: return pic_slave_read(dev, off - S0, size, now);
	default: return pic_elcr_read(dev, off - ELCR1, size, now);
	}
}

static void ports_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	switch (off) {
	case M0:
	case M1: pic_master_write(dev, off - M0, size, val, now); break;
	case S0:
	case S1: pic_slave_write(dev, off - S0, size, val, now); break;
	default: pic_elcr_write(dev, off - ELCR1, size, val, now); break;
	}
}

static void input_set(void *dev, unsigned n, bool level, uint64_t now)
{
	pic_set(dev, n, level);
}

static uint64_t pic_op(struct rig *r, const struct step *s)
{
	switch (s->op) {
	case X0: return pic_inta(r->dev);
	case X1: return pic_intr(r->dev);
	case X2: return pic_listens(r->dev, (unsigned)s->addr);
	default: /* the slave drops its request behind the master's back, as between INTA cycles */
		((struct pic *)r->dev)->chip[1].irr = 0;
		return s->val;
	}
}

static struct rig power_on(void)
{
	return (struct rig){
		.dev = &pic,
		.read = ports_read,
		.write = ports_write,
		.set = input_set,
		.op = pic_op,
	};
}

/* Version 14 dies on tables with several steps a line. */
// clang-format off
/* The state of a PC after its initialisation: bases 20h and 28h, cascade on IR2, unmasked. */
static const struct step pc_init[] = {
	{WR, M0, 0x11}, {WR, M1, 0x20}, {WR, M1, 0x04}, {WR, M1, 0x01},
	{WR, S0, 0x11}, {WR, S1, 0x28}, {WR, S1, 0x02}, {WR, S1, 0x01},
};

#define POWER_ON                                                                                   \
	struct rig rig = power_on();                                                               \
	pic_init(&pic, rig_line(&rig, 0))
#define PC                                                                                         \
	POWER_ON;                                                                                  \
	RUN(&rig, pc_init)

static void power_on_masks_everything(void **state)
{
	static const struct step t[] = {
		{RD, M1, 0xff}, {RD, S1, 0xff}, {RD, M0, 0}, {RD, S0, 0},
		{RD, ELCR1, 0}, {RD, ELCR2, 0}, {SET, 1, 1}, {INTR, 0}, {LINE, 0, 0},
		{WR, M1, 0xfd}, {INTR, 1}, {INTA, 1}, /* ready without ICWs, base 0 */
	};

	POWER_ON;
	RUN(&rig, t);
}

/* Linux takes the chip for absent if the mask register does not hold its value. */
static void mask_register_reads_back(void **state)
{
	static const struct step t[] = {
		{WR, S1, 0xff}, {WR, M1, 0xfb}, {RD, M1, 0xfb}, {RD, S1, 0xff}, {WR, M1, 0x5a},
		{RD, M1, 0x5a},
	};

	PC;
	RUN(&rig, t);
}

static void edge_interrupts_and_ends_with_eoi(void **state)
{
	static const struct step t[] = {
		{SET, 4, 1}, {LINE, 0, 1}, {INTR, 1}, {RD, M0, 0x10}, {INTA, 0x24},
		{LINE, 0, 0}, {INTR, 0}, {RD, M0, 0}, {WR, M0, 0x0b}, {RD, M0, 0x10},
		{WR, M0, 0x20}, {RD, M0, 0}, {INTR, 0}, /* still high: no second edge */
	};

	PC;
	RUN(&rig, t);
}

static void edge_while_masked_fires_on_unmask(void **state)
{
	static const struct step t[] = {
		{WR, M1, 0x10}, {SET, 4, 1}, {SET, 4, 0}, {INTR, 0}, {RD, M0, 0x10},
		{WR, M1, 0x00}, {INTR, 1}, {INTA, 0x24},
	};

	PC;
	RUN(&rig, t);
}

static void edge_stays_latched_when_the_line_falls(void **state)
{
	static const struct step t[] = {
		{SET, 3, 1}, {SET, 3, 0}, {RD, M0, 0x08}, {INTR, 1}, {INTA, 0x23}, {RD, M0, 0},
	};

	PC;
	RUN(&rig, t);
}

static void high_line_set_again_is_no_edge(void **state)
{
	static const struct step t[] = {
		{SET, 3, 1}, {INTA, 0x23}, {WR, M0, 0x20}, {SET, 3, 1}, {INTR, 0},
		{SET, 3, 0}, {SET, 3, 1}, {INTR, 1}, {EDGES, 0, 2},
	};

	PC;
	RUN(&rig, t);
}

static void level_request_follows_the_line(void **state)
{
	static const struct step t[] = {
		{WR, ELCR1, 0x20}, {SET, 5, 1}, {INTR, 1}, {RD, M0, 0x20}, {SET, 5, 0},
		{INTR, 0}, {RD, M0, 0},
	};

	PC;
	RUN(&rig, t);
}

static void level_still_high_at_eoi_interrupts_again(void **state)
{
	static const struct step t[] = {
		{WR, ELCR1, 0x20}, {SET, 5, 1}, {INTA, 0x25}, {RD, M0, 0x20}, {INTR, 0},
		{WR, M0, 0x20}, {INTR, 1}, {INTA, 0x25}, {SET, 5, 0}, {WR, M0, 0x20}, {INTR, 0},
	};

	PC;
	RUN(&rig, t);
}

static void elcr_keeps_the_fixed_edges(void **state)
{
	static const struct step t[] = {
		{WR, ELCR1, 0xff}, {RD, ELCR1, 0xf8}, {WR, ELCR2, 0xff}, {RD, ELCR2, 0xde},
		{WR, ELCR2, 0x0c}, {RD, ELCR2, 0x0c}, {RD, ELCR1, 0xf8}, /* plain stores */
		{WR, ELCR2, 0x0c}, {RD, ELCR2, 0x0c}, {WR, ELCR1, 0}, {RD, ELCR1, 0},
	};

	PC;
	RUN(&rig, t);
}

static void elcr_turns_a_high_input_into_a_request(void **state)
{
	static const struct step t[] = {
		{SET, 10, 1}, {INTA, 0x2a}, {WR, S0, 0x20}, {WR, M0, 0x20}, {INTR, 0},
		{WR, ELCR2, 0x04}, {INTR, 1}, {SET, 10, 0}, {INTR, 0},
		{WR, ELCR2, 0}, {SET, 11, 1}, {SET, 11, 0}, {INTR, 1}, /* latched edge */
		{WR, ELCR2, 0x08}, {INTR, 0}, /* as a level it is gone */
	};

	PC;
	RUN(&rig, t);
}

static void slave_interrupts_through_ir2(void **state)
{
	static const struct step t[] = {
		{SET, 8, 1}, {INTR, 1}, {RD, M0, 0x04}, {RD, S0, 0x01}, {INTA, 0x28},
		{WR, M0, 0x0b}, {RD, M0, 0x04}, {WR, S0, 0x0b}, {RD, S0, 0x01}, {INTR, 0},
	};

	PC;
	RUN(&rig, t);
}

static void slave_interrupt_needs_both_eois(void **state)
{
	static const struct step t[] = {
		{SET, 12, 1}, {INTA, 0x2c}, {SET, 13, 1}, {SET, 3, 1}, {INTR, 0},
		{WR, S0, 0x20}, {INTR, 0}, /* IR2 is in service still */
		{WR, M0, 0x20}, {INTR, 1}, {INTA, 0x2d}, {WR, M0, 0x20}, {INTR, 1}, {INTA, 0x23},
	};

	PC;
	RUN(&rig, t);
}

static void slave_ranks_between_ir1_and_ir3(void **state)
{
	static const struct step t[] = {
		{SET, 3, 1}, {SET, 15, 1}, {SET, 1, 1}, {INTA, 0x21}, {WR, M0, 0x20},
		{INTA, 0x2f}, {WR, S0, 0x20}, {WR, M0, 0x20}, {INTA, 0x23},
	};

	PC;
	RUN(&rig, t);
}

static void cascade_and_unknown_inputs_are_ignored(void **state)
{
	static const struct step t[] = {
		{SET, 2, 1}, {INTR, 0}, {RD, M0, 0}, {SET, 16, 1}, {SET, 0xffffffff, 1},
		{INTR, 0}, {LISTENS, 2, 0}, {LISTENS, 16, 0},
	};

	PC;
	RUN(&rig, t);
}

static void request_withdrawn_by_the_slave_leaves_the_master(void **state)
{
	static const struct step t[] = {
		{SET, 9, 1}, {INTR, 1}, {WR, S1, 0x02}, {INTR, 0}, {RD, M0, 0}, {WR, S1, 0},
		{INTR, 1}, {INTA, 0x29},
	};

	PC;
	RUN(&rig, t);
}

static void spurious_inta_gives_ir7_without_service(void **state)
{
	static const struct step t[] = {
		{INTA, 0x27}, {WR, M0, 0x0b}, {RD, M0, 0}, {INTR, 0}, {SET, 7, 1}, {INTA, 0x27},
		{RD, M0, 0x80}, /* a real one has its ISR bit */
	};

	PC;
	RUN(&rig, t);
}

static void spurious_slave_inta_leaves_ir2_in_service(void **state)
{
	static const struct step t[] = {
		{SET, 14, 1}, {INTR, 1}, {X3, 0, 0}, {INTA, 0x2f}, {WR, M0, 0x0b}, {RD, M0, 0x04},
		{WR, S0, 0x0b}, {RD, S0, 0}, {WR, M0, 0x20}, {RD, M0, 0},
	};

	PC;
	RUN(&rig, t);
}

static void service_blocks_equal_and_lower_levels(void **state)
{
	static const struct step t[] = {
		{SET, 4, 1}, {INTA, 0x24}, {SET, 5, 1}, {INTR, 0}, {SET, 4, 0}, {SET, 4, 1},
		{INTR, 0}, {SET, 1, 1}, {INTR, 1}, {INTA, 0x21}, {WR, M0, 0x20}, {INTR, 0},
		{WR, M0, 0x20}, {INTA, 0x24}, {WR, M0, 0x20}, {INTA, 0x25},
	};

	PC;
	RUN(&rig, t);
}

static void icw1_resets_all_but_levels(void **state)
{
	static const struct step t[] = {
		{WR, ELCR1, 0x20}, {SET, 3, 1}, {SET, 1, 1}, {SET, 5, 1}, {INTA, 0x21},
		{WR, M1, 0xf0}, {WR, M0, 0xc2}, {WR, M0, 0x6b}, /* mask, IR2 lowest, SMM, ISR */
		{WR, M0, 0x11}, {RD, M0, 0x20},                 /* IRR again: the level, no edge */
		{WR, M1, 0x40}, {WR, M1, 0x04}, {WR, M1, 0x01}, {RD, M1, 0}, {INTA, 0x45},
		{SET, 6, 1}, {INTR, 0}, {SET, 4, 1}, {INTR, 1}, /* priorities from IR0 again */
		{SET, 3, 0}, {SET, 3, 1}, {INTA, 0x43},         /* a new edge counts */
	};

	PC;
	RUN(&rig, t);
}

static void icw2_ignores_its_low_bits(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x11}, {WR, M1, 0x77}, {WR, M1, 4}, {WR, M1, 1}, {SET, 0, 1}, {INTA, 0x70},
	};

	PC;
	RUN(&rig, t);
}

static void icw4_is_skipped_without_ic4(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x11}, {WR, M1, 0x20}, {WR, M1, 4}, {WR, M1, 0x13}, /* AEOI and SFNM */
		{WR, M0, 0x10}, {WR, M1, 0x30}, {WR, M1, 4}, {WR, M1, 0x80}, {RD, M1, 0x80},
		{SET, 1, 1}, {INTA, 0x31}, {WR, M0, 0x0b}, {RD, M0, 0x02}, /* no automatic EOI */
	};

	PC;
	RUN(&rig, t);
}

static void icw3_is_skipped_by_a_single_chip(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x13}, {WR, M1, 0x30}, {WR, M1, 0x01}, {WR, M1, 0xfd}, {RD, M1, 0xfd},
		{WR, M0, 0x12}, {WR, M1, 0x38}, {WR, M1, 0xfe}, {RD, M1, 0xfe}, /* nor ICW4 */
		{SET, 0, 1}, {INTA, 0x38},
	};

	PC;
	RUN(&rig, t);
}

static void mask_writes_work_again_after_icw4_with_aeoi(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x11}, {WR, M1, 0x20}, {WR, M1, 4}, {WR, M1, 0x03}, {WR, M1, 0xa5},
		{RD, M1, 0xa5},
	};

	PC;
	RUN(&rig, t);
}

static void unfinished_initialisation_raises_nothing(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x11}, {SET, 1, 1}, {SET, 9, 1}, {INTR, 0}, {INTA, 0x27},
		{WR, M1, 0x50}, {INTR, 0}, {WR, M1, 0x04}, {INTR, 0}, {WR, M1, 0x01}, {INTR, 1},
		{INTA, 0x51}, {WR, M0, 0x20}, {WR, S0, 0x11}, {INTR, 0}, {WR, S1, 0x58},
		{SET, 9, 0}, {SET, 9, 1}, {INTR, 0}, {WR, S1, 2}, {WR, S1, 1}, {INTA, 0x59},
	};

	PC;
	RUN(&rig, t);
}

static void non_specific_eoi_ends_the_highest(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x0b}, {SET, 6, 1}, {INTA, 0x26}, {SET, 1, 1}, {INTA, 0x21},
		{RD, M0, 0x42}, {WR, M0, 0x20}, {RD, M0, 0x40}, {WR, M0, 0x20}, {RD, M0, 0},
		{WR, M0, 0x20}, {RD, M0, 0},
	};

	PC;
	RUN(&rig, t);
}

static void specific_eoi_ends_the_named_level(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x0b}, {SET, 6, 1}, {INTA, 0x26}, {SET, 1, 1}, {INTA, 0x21},
		{WR, M0, 0x66}, {RD, M0, 0x02}, {WR, M0, 0x60}, {RD, M0, 0x02}, {WR, M0, 0x61},
		{RD, M0, 0},
	};

	PC;
	RUN(&rig, t);
}

static void set_priority_names_the_lowest_level(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0xc4}, /* IR4 lowest: the order is 5 6 7 0 1 2 3 4 */
		{SET, 4, 1}, {SET, 0, 1}, {SET, 5, 1}, {SET, 3, 1}, {INTA, 0x25}, {WR, M0, 0x20},
		{INTA, 0x20}, {WR, M0, 0x20}, {INTA, 0x23}, {WR, M0, 0x20}, {INTA, 0x24},
	};

	PC;
	RUN(&rig, t);
}

static void non_specific_eoi_honours_rotation(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x0b}, {SET, 1, 1}, {INTA, 0x21}, {WR, M0, 0xc4}, /* 5 before 1 now */
		{SET, 5, 1}, {INTA, 0x25}, {RD, M0, 0x22}, {WR, M0, 0x20}, {RD, M0, 0x02},
	};

	PC;
	RUN(&rig, t);
}

static void rotate_on_non_specific_eoi_makes_it_lowest(void **state)
{
	static const struct step t[] = {
		{SET, 1, 1}, {INTA, 0x21}, {WR, M0, 0xa0}, /* the order is 2 3 4 5 6 7 0 1 */
		{SET, 1, 0}, {SET, 1, 1}, {SET, 0, 1}, {SET, 3, 1}, {INTA, 0x23}, {WR, M0, 0x20},
		{INTA, 0x20}, {WR, M0, 0x20}, {INTA, 0x21}, {WR, M0, 0x20},
		{WR, M0, 0xa0}, {SET, 0, 0}, {SET, 0, 1}, {SET, 7, 1}, /* none: no rotation */
		{INTA, 0x27},
	};

	PC;
	RUN(&rig, t);
}

static void rotate_on_specific_eoi_makes_it_lowest(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x0b}, {SET, 3, 1}, {INTA, 0x23}, {WR, M0, 0xe3}, {RD, M0, 0},
		{SET, 3, 0}, {SET, 3, 1}, {SET, 0, 1}, {SET, 4, 1}, {INTA, 0x24},
		{WR, M0, 0x20}, {INTA, 0x20}, {WR, M0, 0x20}, {INTA, 0x23},
	};

	PC;
	RUN(&rig, t);
}

static void no_operation_changes_nothing(void **state)
{
	static const struct step t[] = {
		{SET, 3, 1}, {INTA, 0x23}, {WR, M0, 0x43}, {WR, M0, 0x0b}, {RD, M0, 0x08},
		{SET, 4, 1}, {INTR, 0}, {WR, M0, 0x20}, {INTA, 0x24},
	};

	PC;
	RUN(&rig, t);
}

static const struct step aeoi[] = {
	{WR, M0, 0x11}, {WR, M1, 0x20}, {WR, M1, 0x04}, {WR, M1, 0x03},
};

static void automatic_eoi_never_sets_isr(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x0b}, {SET, 3, 1}, {INTA, 0x23}, {RD, M0, 0}, {SET, 4, 1},
		{INTR, 1}, {INTA, 0x24}, {INTR, 0},
	};

	PC;
	RUN(&rig, aeoi);
	RUN(&rig, t);
}

static void automatic_eoi_rotates_when_told(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x80}, {SET, 3, 1}, {INTA, 0x23}, {SET, 3, 0}, {SET, 3, 1}, {SET, 5, 1},
		{INTA, 0x25}, {INTA, 0x23}, /* 5 became the lowest: 6 7 0 1 2 3 4 5 */
		{WR, M0, 0x00}, {SET, 4, 1}, {INTA, 0x24}, {SET, 4, 0}, {SET, 4, 1},
		{SET, 7, 1}, {INTA, 0x24}, {INTA, 0x27}, /* 3 still the lowest: 4 is first */
	};

	PC;
	RUN(&rig, aeoi);
	RUN(&rig, t);
}

static void special_mask_mode_lets_lower_levels_pass(void **state)
{
	static const struct step t[] = {
		{SET, 1, 1}, {INTA, 0x21}, {SET, 4, 1}, {INTR, 0}, {WR, M1, 0x02},
		{INTR, 0}, {WR, M0, 0x68}, {INTR, 1}, {INTA, 0x24}, /* only IR1 is masked */
		{SET, 5, 1}, {INTR, 0},                             /* IR4 blocks as ever */
		{WR, M0, 0x20}, {WR, M0, 0x0b}, {RD, M0, 0x02},     /* not IR1 */
		{INTR, 1}, {WR, M0, 0x48}, {INTR, 0}, {WR, M0, 0x20}, {RD, M0, 0}, {INTR, 1},
	};

	PC;
	RUN(&rig, t);
}

static void special_mask_bit_counts_only_with_its_enable(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x28}, {SET, 1, 1}, {INTA, 0x21}, {WR, M1, 0x02}, {SET, 4, 1}, {INTR, 0},
	};

	PC;
	RUN(&rig, t);
}

static const struct step sfnm[] = {
	{WR, M0, 0x11}, {WR, M1, 0x20}, {WR, M1, 0x04}, {WR, M1, 0x11},
	{WR, S0, 0x11}, {WR, S1, 0x28}, {WR, S1, 0x02}, {WR, S1, 0x11},
};

static void fully_nested_slave_interrupts_itself(void **state)
{
	static const struct step t[] = {
		{SET, 12, 1}, {INTA, 0x2c}, {SET, 9, 1}, {INTR, 1}, {INTA, 0x29},
		{SET, 13, 1}, {INTR, 0}, {SET, 3, 1}, {INTR, 0}, {SET, 1, 1}, {INTR, 1},
		{INTA, 0x21}, {SET, 8, 1}, {INTR, 0}, {WR, M0, 0x20}, {INTR, 1}, {INTA, 0x28},
	};

	PC;
	RUN(&rig, sfnm);
	RUN(&rig, t);
}

static void fully_nested_mode_is_for_the_cascade_alone(void **state)
{
	static const struct step t[] = {
		{SET, 4, 1}, {INTA, 0x24}, {SET, 4, 0}, {SET, 4, 1}, {INTR, 0}, {WR, M0, 0x20},
		{INTA, 0x24}, {WR, M0, 0x20}, /* on the slave SFNM means nothing */
		{SET, 10, 1}, {INTA, 0x2a}, {SET, 10, 0}, {SET, 10, 1}, {INTR, 0},
	};

	PC;
	RUN(&rig, sfnm);
	RUN(&rig, t);
}

static void without_sfnm_the_slave_waits_for_the_master(void **state)
{
	static const struct step t[] = {
		{SET, 12, 1}, {INTA, 0x2c}, {SET, 9, 1}, {INTR, 0}, {WR, M0, 0x62}, {INTR, 1},
	};

	PC;
	RUN(&rig, t);
}

static void poll_is_an_inta(void **state)
{
	static const struct step t[] = {
		{SET, 5, 1}, {WR, M0, 0x0c}, {RD, M0, 0x85}, {INTR, 0}, {WR, M0, 0x0b},
		{RD, M0, 0x20}, {WR, M0, 0x20}, {RD, M0, 0}, {INTR, 0},
	};

	PC;
	RUN(&rig, t);
}

static void poll_of_nothing_reads_zero(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0x0c}, {RD, M0, 0}, {WR, S0, 0x0c}, {RD, S0, 0}, {WR, M0, 0x0b},
		{RD, M0, 0},
	};

	PC;
	RUN(&rig, t);
}

static void poll_answers_at_either_port_once(void **state)
{
	static const struct step t[] = {
		{WR, M1, 0x40}, {SET, 3, 1}, {SET, 4, 1}, {WR, M0, 0x0c}, {RD, M1, 0x83},
		{RD, M1, 0x40}, {RD, M0, 0x10}, /* the mask and IRR again */
	};

	PC;
	RUN(&rig, t);
}

static void poll_takes_cascade_and_slave_one_by_one(void **state)
{
	static const struct step t[] = {
		{SET, 11, 1}, {WR, M0, 0x0c}, {RD, M0, 0x82}, {WR, S0, 0x0c}, {RD, S0, 0x83},
		{WR, M0, 0x0b}, {WR, S0, 0x0b}, {RD, M0, 0x04}, {RD, S0, 0x08},
	};

	PC;
	RUN(&rig, t);
}

static void read_selection_sticks(void **state)
{
	static const struct step t[] = {
		{SET, 3, 1}, {INTA, 0x23}, {SET, 6, 1}, {RD, M0, 0x40}, {WR, M0, 0x0b},
		{RD, M0, 0x08}, {RD, M0, 0x08}, {WR, M0, 0x08}, {RD, M0, 0x08}, /* RR clear */
		{WR, M0, 0x20}, {RD, M0, 0}, {WR, M0, 0x0a}, {RD, M0, 0x40},
	};

	PC;
	RUN(&rig, t);
}

/* Mask, mask, EOI with the line high: the order of Linux's mask_and_ack_8259A. */
static void linux_masks_before_eoi(void **state)
{
	static const struct step t[] = {
		{WR, ELCR2, 0x08}, {SET, 11, 1}, {INTA, 0x2b}, {RD, S1, 0}, {WR, S1, 0x08},
		{WR, S0, 0x63}, {WR, M0, 0x62}, {INTR, 0}, {WR, S1, 0}, {INTR, 1}, {INTA, 0x2b},
		{SET, 11, 0}, {WR, S0, 0x63}, {WR, M0, 0x62}, {INTR, 0},
	};

	PC;
	RUN(&rig, t);
}

static void wire_is_driven_on_each_change(void **state)
{
	static const struct step t[] = {
		{SET, 3, 1}, {SET, 1, 1}, {LINE, 0, 1}, {EDGES, 0, 1}, {INTA, 0x21}, {LINE, 0, 0},
		{WR, M0, 0x20}, {LINE, 0, 1}, {EDGES, 0, 1}, {WR, M1, 0x08}, {LINE, 0, 0},
		{WR, M1, 0}, {LINE, 0, 1}, {SET, 0, 1}, {INTA, 0x20}, {LINE, 0, 0},
	};

	PC;
	RUN(&rig, t);
}

static void count_drives(void *ctx, unsigned n, bool level)
{
	++*(unsigned *)ctx;
}

/* Each drive may kick a vCPU. */
static void wire_is_not_driven_without_a_change(void **state)
{
	unsigned drives = 0;

	pic_init(&pic, (struct irq_line){.set = count_drives, .ctx = &drives});
	pic_set(&pic, 4, true);
	assert_int_equal(drives, 0);
	pic_master_write(&pic, 1, 1, 0x00, 0);
	pic_set(&pic, 3, true);
	pic_master_read(&pic, 0, 1, 0);
	assert_int_equal(drives, 1);
	pic_inta(&pic);
	pic_inta(&pic);
	assert_int_equal(drives, 2);
}

static void intr_stays_high_for_a_higher_request(void **state)
{
	static const struct step t[] = {
		{WR, M0, 0xc2}, {SET, 3, 1}, {INTA, 0x23}, {INTR, 0}, /* IR3 highest */
		{WR, M0, 0xc7}, {SET, 0, 1}, {SET, 1, 1}, {INTR, 1}, {INTA, 0x20}, {INTR, 0},
		{WR, M0, 0x20}, {INTR, 1}, {INTA, 0x21},
	};

	PC;
	RUN(&rig, t);
}

static void listens_unless_masked_or_requested(void **state)
{
	static const struct step t[] = {
		{LISTENS, 0, 1}, {LISTENS, 8, 1}, {WR, M1, 0x01}, {LISTENS, 0, 0}, {WR, M1, 0},
		{SET, 0, 1}, {LISTENS, 0, 0}, {INTA, 0x20}, {LISTENS, 0, 1}, /* even in service */
		{WR, M1, 0x04}, {LISTENS, 8, 0}, {LISTENS, 1, 1}, {WR, M1, 0}, {WR, S1, 0x01},
		{LISTENS, 8, 0}, {LISTENS, 9, 1},
	};

	PC;
	RUN(&rig, t);
}

/* A long pseudo-random walk over ports, values and inputs. INTR is what was driven last. */
static void no_write_sequence_breaks_it(void **state)
{
	static const uint16_t port[] = {M0, M1, S0, S1, ELCR1, ELCR2};
	uint32_t seed = 1;

	PC;
	for (unsigned i = 0; i < 400000; i++) {
		seed = seed * 1664525u + 1013904223u;
		ports_write(&pic, port[(seed >> 8) % ARRAY_SIZE(port)], 1, seed >> 24, 0);
		ports_read(&pic, port[(seed >> 12) % ARRAY_SIZE(port)], 1, 0);
		pic_set(&pic, seed >> 16 & 31, seed >> 21 & 1);
		assert_int_equal(pic_intr(&pic), rig.line[0].level);
		if (pic_intr(&pic) && (seed & BIT(22))) {
			unsigned base = pic_inta(&pic) & 0xf8;

			assert_true(base == pic.chip[0].base || base == pic.chip[1].base);
		}
		assert_true(pic.chip[0].lowest < 8 && pic.chip[1].lowest < 8);
	}
}

// clang-format on

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_on_masks_everything),
		cmocka_unit_test(mask_register_reads_back),
		cmocka_unit_test(edge_interrupts_and_ends_with_eoi),
		cmocka_unit_test(edge_while_masked_fires_on_unmask),
		cmocka_unit_test(edge_stays_latched_when_the_line_falls),
		cmocka_unit_test(high_line_set_again_is_no_edge),
		cmocka_unit_test(level_request_follows_the_line),
		cmocka_unit_test(level_still_high_at_eoi_interrupts_again),
		cmocka_unit_test(elcr_keeps_the_fixed_edges),
		cmocka_unit_test(elcr_turns_a_high_input_into_a_request),
		cmocka_unit_test(slave_interrupts_through_ir2),
		cmocka_unit_test(slave_interrupt_needs_both_eois),
		cmocka_unit_test(slave_ranks_between_ir1_and_ir3),
		cmocka_unit_test(cascade_and_unknown_inputs_are_ignored),
		cmocka_unit_test(request_withdrawn_by_the_slave_leaves_the_master),
		cmocka_unit_test(spurious_inta_gives_ir7_without_service),
		cmocka_unit_test(spurious_slave_inta_leaves_ir2_in_service),
		cmocka_unit_test(service_blocks_equal_and_lower_levels),
		cmocka_unit_test(icw1_resets_all_but_levels),
		cmocka_unit_test(icw2_ignores_its_low_bits),
		cmocka_unit_test(icw4_is_skipped_without_ic4),
		cmocka_unit_test(icw3_is_skipped_by_a_single_chip),
		cmocka_unit_test(mask_writes_work_again_after_icw4_with_aeoi),
		cmocka_unit_test(unfinished_initialisation_raises_nothing),
		cmocka_unit_test(non_specific_eoi_ends_the_highest),
		cmocka_unit_test(specific_eoi_ends_the_named_level),
		cmocka_unit_test(set_priority_names_the_lowest_level),
		cmocka_unit_test(non_specific_eoi_honours_rotation),
		cmocka_unit_test(rotate_on_non_specific_eoi_makes_it_lowest),
		cmocka_unit_test(rotate_on_specific_eoi_makes_it_lowest),
		cmocka_unit_test(no_operation_changes_nothing),
		cmocka_unit_test(automatic_eoi_never_sets_isr),
		cmocka_unit_test(automatic_eoi_rotates_when_told),
		cmocka_unit_test(special_mask_mode_lets_lower_levels_pass),
		cmocka_unit_test(special_mask_bit_counts_only_with_its_enable),
		cmocka_unit_test(fully_nested_slave_interrupts_itself),
		cmocka_unit_test(fully_nested_mode_is_for_the_cascade_alone),
		cmocka_unit_test(without_sfnm_the_slave_waits_for_the_master),
		cmocka_unit_test(poll_is_an_inta),
		cmocka_unit_test(poll_of_nothing_reads_zero),
		cmocka_unit_test(poll_answers_at_either_port_once),
		cmocka_unit_test(poll_takes_cascade_and_slave_one_by_one),
		cmocka_unit_test(read_selection_sticks),
		cmocka_unit_test(linux_masks_before_eoi),
		cmocka_unit_test(wire_is_driven_on_each_change),
		cmocka_unit_test(wire_is_not_driven_without_a_change),
		cmocka_unit_test(intr_stays_high_for_a_higher_request),
		cmocka_unit_test(listens_unless_masked_or_requested),
		cmocka_unit_test(no_write_sequence_breaks_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
