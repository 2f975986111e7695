/* pit_test.c - behaviours of the 8254: counting, loading, latches, gates and the edges of OUT0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/pc/pit.h"
#include "../../lib/steps.h"

/* The nanosecond at which tick `n` of 1193182 Hz begins: the clock started at 0. */
// clang-format off
#define T(n)       (((n) * 1000000000ull + 1193181) / 1193182)
#define AT_TICK(n) {AT, 0, T(n)}

/* A table starts at tick 0, so a count written first is loaded at tick 1. */
#define GATE2(v) {SET, 2, (v)}
#define OUT2     X0 /* expect output of counter 2 */
#define JUMP     X1 /* advance the clock by val ns, nothing ticked */

#define STATUS(i) {WR, 0x43, 0xe0 | 2 << (i)} /* read-back: latch status of counter i */
// clang-format on

static struct pit pit;
static struct rig rig;

static void set_gate(void *dev, unsigned n, bool level, uint64_t now)
{
	pit_gate2(dev, level, now);
}

static uint64_t op(struct rig *r, const struct step *s)
{
	if (s->op == OUT2)
		return pit_out2(r->dev, r->now);
	r->now += s->val;
	return s->val;
}

static int setup(void **state)
{
	rig = (struct rig){.dev = &pit,
			   .base = 0x40,
			   .read = pit_read,
			   .write = pit_write,
			   .deadline = pit_deadline,
			   .tick = pit_tick,
			   .set = set_gate,
			   .op = op};
	pit_init(&pit, rig_line(&rig, 0));
	return 0;
}

// clang-format off
static void idle_after_init(void **state)
{
	static const struct step t[] = {
		{ARMED, 0, NEVER}, {LINE, 0, 0},
		{WR, 0x43, 0xee}, /* status of all three: nothing loaded, word access, mode 0 */
		{RD, 0x40, 0x70}, {RD, 0x41, 0x70}, {RD, 0x42, 0x70},
		{TICK, 0, 1000000000}, {EDGES, 0, 0}, {OUT2, 0, 0},
	};
	RUN(&rig, t);
}

static void nothing_runs_before_the_whole_count(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {LINE, 0, 1}, {EDGES, 0, 1}, /* mode 2 raises OUT [Mode 2] */
		{ARMED, 0, NEVER},
		{WR, 0x40, 0x9c}, {ARMED, 0, NEVER},
		{WR, 0x40, 0x2e}, {ARMED, 0, 10000989}, /* tick 11933 */
	};
	RUN(&rig, t);
}

static void control_word_stops_counter_0(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {WR, 0x40, 0x9c}, {WR, 0x40, 0x2e}, {EDGES, 0, 1},
		AT_TICK(5000),
		{WR, 0x43, 0x34}, {ARMED, 0, NEVER}, AT_TICK(100000), {EDGES, 0, 0},
	};
	RUN(&rig, t);
}

static void rate_generator_is_periodic(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {WR, 0x40, 0x9c}, {WR, 0x40, 0x2e}, {EDGES, 0, 1}, /* 11932 */
		AT_TICK(1 + 5966), {WR, 0x43, 0x00}, {RD, 0x40, 0x4e}, {RD, 0x40, 0x17},
		AT_TICK(1 + 11932), {EDGES, 0, 1}, {ARMED, 0, T(1 + 2 * 11932)},
		{AT, 0, 1000000000}, {EDGES, 0, 98}, /* 99 periods in 1193181 ticks */
	};
	RUN(&rig, t);
}

static void edges_do_not_drift(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {WR, 0x40, 0xa9}, {WR, 0x40, 0x04}, {EDGES, 0, 1}, /* 1193 */
		{AT, 0, 1000000000000}, /* 1000 s: 1193182000 ticks, 1000152 periods and 663 */
		{EDGES, 0, 1000152}, {ARMED, 0, T(1 + 1000153ull * 1193)},
	};
	RUN(&rig, t);
}

static void exact_after_ten_years(void **state)
{
	static const struct step t[] = {
		{JUMP, 0, 315360000000000000}, /* 376281875520000 ticks: past 64-bit products */
		{WR, 0x43, 0x34}, {WR, 0x40, 0}, {WR, 0x40, 0},
		{ARMED, 0, 315360000054926240}, /* 65537 ticks are 54926239.25 ns */
		{TICK, 0, 54926239}, {EDGES, 0, 1}, {TICK, 0, 1}, {EDGES, 0, 1},
	};
	RUN(&rig, t);
}

static void zero_counts_65536(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {WR, 0x40, 0}, {WR, 0x40, 0}, {ARMED, 0, T(65537)},
		AT_TICK(1), {RD, 0x40, 0}, {RD, 0x40, 0},
		AT_TICK(2), {RD, 0x40, 0xff}, {RD, 0x40, 0xff},
		AT_TICK(65536), {RD, 0x40, 1}, {RD, 0x40, 0}, {EDGES, 0, 1},
		AT_TICK(65537), {RD, 0x40, 0}, {RD, 0x40, 0}, {EDGES, 0, 1},
	};
	RUN(&rig, t);
}

static void missed_periods_give_one_edge(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {WR, 0x40, 0xe8}, {WR, 0x40, 0x03}, {EDGES, 0, 1}, /* 1000 */
		{JUMP, 0, T(1 + 10500)}, {TICK, 0, 0}, {EDGES, 0, 1},
		{ARMED, 0, T(1 + 11000)}, /* still on the grid of the load */
		{JUMP, 0, 3153600000000000000}, {TICK, 0, 0}, {EDGES, 0, 1}, /* 100 years */
	};
	RUN(&rig, t);
}

static void early_tick_does_nothing(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {WR, 0x40, 0xe8}, {WR, 0x40, 0x03}, {EDGES, 0, 1},
		{JUMP, 0, T(1001) - 1}, {TICK, 0, 0}, {EDGES, 0, 0},
		{JUMP, 0, 1}, {TICK, 0, 0}, {EDGES, 0, 1},
	};
	RUN(&rig, t);
	pit_tick(&pit, rig.now);
	assert_int_equal(rig.line[0].rises, 0);
	pit_tick(&pit, rig.now / 2); /* a clock that steps back */
	assert_int_equal(rig.line[0].rises, 0);
	assert_true(pit_deadline(&pit) == T(2001));
}

static void due_edge_comes_before_a_write(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {WR, 0x40, 0xe8}, {WR, 0x40, 0x03}, {EDGES, 0, 1},
		{JUMP, 0, T(1001)}, {WR, 0x43, 0x30}, {EDGES, 0, 1}, {LINE, 0, 0},
	};
	RUN(&rig, t);
}

static void lsb_access_takes_one_byte(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x18}, {EDGES, 0, 1}, /* counter 0, LSB, mode 4 as FreeBSD's one-shots */
		{WR, 0x40, 250}, {ARMED, 0, T(1 + 250 + 1)},
		AT_TICK(101), {RD, 0x40, 150}, {RD, 0x40, 150},
		{WR, 0x43, 0x00}, {RD, 0x40, 150}, AT_TICK(102), {RD, 0x40, 149}, /* one read */
	};
	RUN(&rig, t);
}

static void msb_access_takes_one_byte(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x24}, {WR, 0x40, 0x12}, {ARMED, 0, T(1 + 0x1200)},
		AT_TICK(1 + 0x101), {RD, 0x40, 0x10}, /* 10ffh */
		{WR, 0x43, 0x00}, AT_TICK(1 + 0x401), {RD, 0x40, 0x10}, {RD, 0x40, 0x0d},
	};
	RUN(&rig, t);
}

static void unlatched_word_reads_are_live(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0xb4}, GATE2(1), {WR, 0x42, 0xff}, {WR, 0x42, 0xff},
		AT_TICK(1), {RD, 0x42, 0xff}, {RD, 0x42, 0xff},
		AT_TICK(1 + 0x0ff), {RD, 0x42, 0x00}, /* ff00h */
		AT_TICK(1 + 0x100), {RD, 0x42, 0xfe}, /* the high byte has moved on: feffh */
		{RD, 0x42, 0xff}, {RD, 0x42, 0xfe},
	};
	RUN(&rig, t);
}

static void latch_holds_until_both_bytes_are_read(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x74}, {WR, 0x41, 0x00}, {WR, 0x41, 0x80},
		AT_TICK(1 + 0x10), {WR, 0x43, 0x40}, AT_TICK(1 + 0x1000), {RD, 0x41, 0xf0},
		AT_TICK(1 + 0x2000), {RD, 0x41, 0x7f},
		{RD, 0x41, 0x00}, {RD, 0x41, 0x60},
	};
	RUN(&rig, t);
}

static void latch_twice_keeps_the_first(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x74}, {WR, 0x41, 0x00}, {WR, 0x41, 0x80},
		AT_TICK(1 + 0x10), {WR, 0x43, 0x40},
		AT_TICK(1 + 0x20), {WR, 0x43, 0x40}, {RD, 0x41, 0xf0},
		{WR, 0x43, 0x40}, {RD, 0x41, 0x7f}, /* between the bytes too */
	};
	RUN(&rig, t);
}

static void latch_starts_at_the_low_byte(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x74}, {WR, 0x41, 0x00}, {WR, 0x41, 0x80},
		AT_TICK(1 + 0x10), {RD, 0x41, 0xf0}, /* half of a live read */
		{WR, 0x43, 0x40}, {RD, 0x41, 0xf0}, {RD, 0x41, 0x7f},
	};
	RUN(&rig, t);
}

static void control_word_drops_latches_and_flip_flops(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x74}, {WR, 0x41, 0x34}, {WR, 0x41, 0x12},
		AT_TICK(10), {WR, 0x43, 0xc4}, {RD, 0x41, 0xb4}, /* status; half of the count is left */
		{RD, 0x41, 0x2b}, {WR, 0x41, 0x55}, {WR, 0x43, 0xe4},
		{WR, 0x43, 0x74}, {WR, 0x41, 0x78}, {WR, 0x41, 0x56}, /* low byte first again */
		AT_TICK(11), {RD, 0x41, 0x78}, {RD, 0x41, 0x56},
	};
	RUN(&rig, t);
}

static void latch_of_one_counter_leaves_the_others(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x54}, {WR, 0x41, 200}, {WR, 0x43, 0x14}, {WR, 0x40, 100},
		AT_TICK(11), {WR, 0x43, 0x00}, AT_TICK(21), {RD, 0x40, 90}, {RD, 0x41, 180},
	};
	RUN(&rig, t);
}

static void read_back_bits_are_active_low(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {WR, 0x40, 0}, {WR, 0x40, 0},
		AT_TICK(2), {WR, 0x43, 0xd2}, /* count alone, as SeaBIOS reads the time */
		AT_TICK(900), {RD, 0x40, 0xff}, {RD, 0x40, 0xff},
		{WR, 0x43, 0xe2}, {RD, 0x40, 0xb4}, /* status alone, then live */
		{RD, 0x40, 0x7d}, {RD, 0x40, 0xfc},
		{WR, 0x43, 0xf2}, {RD, 0x40, 0x7d}, {RD, 0x40, 0xfc}, /* neither */
	};
	RUN(&rig, t);
}

static void read_back_of_both_gives_status_first(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {WR, 0x40, 0}, {WR, 0x40, 0},
		AT_TICK(2), {WR, 0x43, 0xc2}, AT_TICK(900),
		{RD, 0x40, 0xb4}, {RD, 0x40, 0xff}, {RD, 0x40, 0xff}, {RD, 0x40, 0x7d},
	};
	RUN(&rig, t);
}

static void read_back_latches_all_chosen_counters(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x14}, {WR, 0x40, 100}, {WR, 0x43, 0x56}, {WR, 0x41, 50},
		{WR, 0x43, 0x94}, {WR, 0x42, 30}, GATE2(1),
		AT_TICK(11), {WR, 0x43, 0xdc}, AT_TICK(12), /* counts of 1 and 2 */
		{RD, 0x40, 89}, {RD, 0x41, 30}, {RD, 0x42, 20},
	};
	RUN(&rig, t);
}

static void status_twice_keeps_the_first(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x30}, {WR, 0x40, 5}, {WR, 0x40, 0},
		AT_TICK(1), STATUS(0), AT_TICK(6), STATUS(0), {RD, 0x40, 0x30},
		STATUS(0), {RD, 0x40, 0xb0},
	};
	RUN(&rig, t);
}

static void null_count_until_the_load(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, STATUS(0), {RD, 0x40, 0xf4},
		{WR, 0x40, 0x10}, STATUS(0), {RD, 0x40, 0xf4},
		{WR, 0x40, 0x00}, STATUS(0), {RD, 0x40, 0xf4},
		AT_TICK(1), STATUS(0), {RD, 0x40, 0xb4},
		{WR, 0x40, 0x20}, STATUS(0), {RD, 0x40, 0xb4}, /* first byte: not yet */
		{WR, 0x40, 0x00}, STATUS(0), {RD, 0x40, 0xf4}, /* waits for the period's end */
		AT_TICK(17), STATUS(0), {RD, 0x40, 0xb4},
	};
	RUN(&rig, t);
}

static void status_has_the_mode_as_written(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x1d}, STATUS(0), {RD, 0x40, 0xdd}, /* LSB, mode 6, BCD */
		{WR, 0x43, 0x6e}, STATUS(1), {RD, 0x41, 0xee}, /* MSB, mode 7 */
	};
	RUN(&rig, t);
}

static void terminal_count_raises_out_once(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {EDGES, 0, 1}, {WR, 0x43, 0x30}, {LINE, 0, 0}, /* low at once */
		{WR, 0x40, 100}, {WR, 0x40, 0}, {ARMED, 0, T(101)}, {LINE, 0, 0},
		AT_TICK(100), {LINE, 0, 0}, STATUS(0), {RD, 0x40, 0x30},
		AT_TICK(101), {LINE, 0, 1}, STATUS(0), {RD, 0x40, 0xb0}, {ARMED, 0, NEVER},
		AT_TICK(102), {RD, 0x40, 0xff}, {RD, 0x40, 0xff}, /* goes on through ffffh */
		AT_TICK(200000), {EDGES, 0, 1}, {LINE, 0, 1},
	};
	RUN(&rig, t);
}

static void terminal_count_restarts_with_a_new_count(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x30}, {WR, 0x40, 100}, {WR, 0x40, 0},
		AT_TICK(151), {EDGES, 0, 1}, {RD, 0x40, 0xce}, {RD, 0x40, 0xff},
		{WR, 0x40, 100}, {LINE, 0, 0}, {ARMED, 0, NEVER}, /* stopped by the first byte */
		STATUS(0), {RD, 0x40, 0x30},
		AT_TICK(300), {RD, 0x40, 0xce}, {RD, 0x40, 0xff}, {EDGES, 0, 0},
		{WR, 0x40, 0}, {ARMED, 0, T(401)}, AT_TICK(401), {EDGES, 0, 1},
	};
	RUN(&rig, t);
}

static void terminal_count_with_one_byte_restarts(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x10}, {WR, 0x40, 10}, AT_TICK(11), {EDGES, 0, 1},
		{WR, 0x40, 20}, {LINE, 0, 0}, STATUS(0), {RD, 0x40, 0x50}, {ARMED, 0, T(32)},
		AT_TICK(32), {EDGES, 0, 1},
	};
	RUN(&rig, t);
}

static void gate_pauses_terminal_count(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0xb0}, {WR, 0x42, 100}, {WR, 0x42, 0},
		AT_TICK(50), {RD, 0x42, 100}, {RD, 0x42, 0}, /* loaded with the gate low */
		GATE2(1), AT_TICK(80), {RD, 0x42, 70}, {RD, 0x42, 0}, GATE2(0),
		AT_TICK(1000), {RD, 0x42, 70}, {RD, 0x42, 0}, {OUT2, 0, 0}, GATE2(1),
		AT_TICK(1069), {OUT2, 0, 0}, AT_TICK(1070), {OUT2, 0, 1}, GATE2(0), {OUT2, 0, 1},
		GATE2(1), {WR, 0x42, 9}, {OUT2, 0, 0}, GATE2(0), GATE2(1), /* half a count: stays */
		AT_TICK(2000), {OUT2, 0, 0}, {WR, 0x42, 0}, AT_TICK(2010), {OUT2, 0, 1},
	};
	RUN(&rig, t);
}

static void linux_calibrates_with_counter_2(void **state)
{
	static const struct step t[] = {
		GATE2(1), {WR, 0x43, 0xb0}, {WR, 0x42, 0xff}, {WR, 0x42, 0xff},
		{RD, 0x42, 0xff}, {RD, 0x42, 0xff}, {TICK, 0, 2000},
		{RD, 0x42, 0xfe}, {RD, 0x42, 0xff}, AT_TICK(1 + 255),
		{RD, 0x42, 0x00}, {RD, 0x42, 0xff}, {TICK, 0, 839}, {RD, 0x42, 0xff}, {RD, 0x42, 0xfe},
		{OUT2, 0, 0}, AT_TICK(65535), {OUT2, 0, 0}, AT_TICK(65536), {OUT2, 0, 1},
	};
	RUN(&rig, t);
}

static void one_shot_is_started_by_the_gate(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x92}, {OUT2, 0, 1}, {WR, 0x42, 50}, AT_TICK(100), {OUT2, 0, 1},
		STATUS(2), {RD, 0x42, 0xd2}, /* not loaded before a trigger */
		GATE2(1), AT_TICK(101), {OUT2, 0, 0}, {RD, 0x42, 50},
		GATE2(0), AT_TICK(150), {OUT2, 0, 0}, {RD, 0x42, 1}, /* the level does not matter */
		AT_TICK(151), {OUT2, 0, 1}, {RD, 0x42, 0}, AT_TICK(152), {RD, 0x42, 0xff},
		GATE2(1), AT_TICK(180), {OUT2, 0, 0}, GATE2(0), GATE2(1), /* retriggered */
		AT_TICK(230), {OUT2, 0, 0}, AT_TICK(231), {OUT2, 0, 1},
		{WR, 0x42, 10}, AT_TICK(300), {OUT2, 0, 1}, GATE2(0), GATE2(1), /* new count */
		AT_TICK(301), {OUT2, 0, 0}, AT_TICK(310), {OUT2, 0, 0}, AT_TICK(311), {OUT2, 0, 1},
	};
	RUN(&rig, t);
}

static void trigger_without_a_count_does_nothing(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0xb2}, GATE2(1), AT_TICK(10), {OUT2, 0, 1}, {RD, 0x42, 0}, {RD, 0x42, 0},
		GATE2(0), {WR, 0x42, 5}, {WR, 0x42, 0}, AT_TICK(20), {OUT2, 0, 1},
	};
	RUN(&rig, t);
}

static void rate_generator_is_low_for_one_tick(void **state)
{
	static const struct step t[] = {
		GATE2(1), {WR, 0x43, 0x94}, {OUT2, 0, 1}, {WR, 0x42, 4},
		AT_TICK(1), {RD, 0x42, 4}, {OUT2, 0, 1}, AT_TICK(3), {RD, 0x42, 2}, {OUT2, 0, 1},
		AT_TICK(4), {RD, 0x42, 1}, {OUT2, 0, 0}, AT_TICK(5), {RD, 0x42, 4}, {OUT2, 0, 1},
		AT_TICK(4004), {OUT2, 0, 0}, AT_TICK(4005), {OUT2, 0, 1},
	};
	RUN(&rig, t);
}

static void gate_restarts_the_rate_generator(void **state)
{
	static const struct step t[] = {
		GATE2(1), {WR, 0x43, 0x94}, {WR, 0x42, 100},
		AT_TICK(41), {RD, 0x42, 60}, GATE2(0), AT_TICK(500), {RD, 0x42, 60}, {OUT2, 0, 1},
		GATE2(1), AT_TICK(501), {RD, 0x42, 100}, AT_TICK(600), {OUT2, 0, 0},
		GATE2(0), {OUT2, 0, 1}, /* at once */
		{WR, 0x42, 10}, AT_TICK(700), {RD, 0x42, 1}, STATUS(2), {RD, 0x42, 0xd4},
		GATE2(1), AT_TICK(701), {RD, 0x42, 10},
	};
	RUN(&rig, t);
}

static void falling_gate_puts_off_the_reload(void **state)
{
	static const struct step t[] = {
		GATE2(1), {WR, 0x43, 0x94}, {WR, 0x42, 100}, AT_TICK(41), {WR, 0x42, 10}, GATE2(0),
		AT_TICK(500), {RD, 0x42, 60}, GATE2(1), AT_TICK(501), {RD, 0x42, 10},
	};
	RUN(&rig, t);
}

static void new_rate_starts_with_the_next_period(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {WR, 0x40, 0xe8}, {WR, 0x40, 0x03}, {EDGES, 0, 1}, /* 1000 */
		AT_TICK(2501), {EDGES, 0, 2},
		{WR, 0x40, 0xf4}, {RD, 0x40, 0xf4}, {RD, 0x40, 0x01}, {WR, 0x40, 0x01}, /* 500 */
		{ARMED, 0, T(3001)}, {RD, 0x40, 0xf4}, {RD, 0x40, 0x01}, /* 500 of 1000 left */
		AT_TICK(3001), {EDGES, 0, 1}, {ARMED, 0, T(3501)}, {RD, 0x40, 0xf4}, {RD, 0x40, 1},
		AT_TICK(4001), {EDGES, 0, 2},
	};
	RUN(&rig, t);
}

static void square_wave_counts_by_twos(void **state)
{
	static const struct step t[] = {
		GATE2(1), {WR, 0x43, 0x96}, {WR, 0x42, 6},
		AT_TICK(1), {RD, 0x42, 6}, AT_TICK(3), {RD, 0x42, 2}, {OUT2, 0, 1},
		AT_TICK(4), {RD, 0x42, 6}, {OUT2, 0, 0}, AT_TICK(6), {RD, 0x42, 2}, {OUT2, 0, 0},
		AT_TICK(7), {RD, 0x42, 6}, {OUT2, 0, 1},
	};
	RUN(&rig, t);
}

static void odd_square_wave_is_high_one_tick_longer(void **state)
{
	static const struct step t[] = {
		GATE2(1), {WR, 0x43, 0x96}, {WR, 0x42, 5},
		AT_TICK(1), {RD, 0x42, 4}, AT_TICK(2), {RD, 0x42, 2},
		AT_TICK(3), {RD, 0x42, 0}, {OUT2, 0, 1}, AT_TICK(4), {RD, 0x42, 4}, {OUT2, 0, 0},
		AT_TICK(5), {RD, 0x42, 2}, {OUT2, 0, 0}, AT_TICK(6), {RD, 0x42, 4}, {OUT2, 0, 1},
	};
	RUN(&rig, t);
}

static void square_wave_is_periodic(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x36}, {WR, 0x40, 0xe8}, {WR, 0x40, 0x03}, {EDGES, 0, 1},
		{ARMED, 0, T(1001)}, AT_TICK(10001), {EDGES, 0, 10}, {ARMED, 0, T(11001)},
	};
	RUN(&rig, t);
}

static void new_square_wave_starts_with_the_next_half(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x36}, {WR, 0x40, 0xe8}, {WR, 0x40, 0x03}, {EDGES, 0, 1}, /* 1000 */
		AT_TICK(101), {WR, 0x40, 0x58}, {WR, 0x40, 0x02},             /* 600 */
		{ARMED, 0, T(1 + 500 + 300)}, {RD, 0x40, 0x20}, {RD, 0x40, 0x03}, /* 800 */
		AT_TICK(501), {RD, 0x40, 0x58}, {RD, 0x40, 0x02}, STATUS(0), {RD, 0x40, 0x36},
		AT_TICK(801), {EDGES, 0, 1}, {ARMED, 0, T(1401)},
		AT_TICK(1201), {WR, 0x40, 0xe8}, {WR, 0x40, 0x03}, {ARMED, 0, T(1401)}, /* low half */
		AT_TICK(1401), {EDGES, 0, 1}, {ARMED, 0, T(2401)},
	};
	RUN(&rig, t);
}

static void software_strobe_ends_one_tick_after_the_count(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x38}, {LINE, 0, 1}, {WR, 0x40, 0xe8}, {WR, 0x40, 0x03}, {EDGES, 0, 1},
		{ARMED, 0, T(1 + 1000 + 1)},
		AT_TICK(1000), STATUS(0), {RD, 0x40, 0xb8}, AT_TICK(1001), STATUS(0), {RD, 0x40, 0x38},
		AT_TICK(1002), {EDGES, 0, 1}, STATUS(0), {RD, 0x40, 0xb8}, {ARMED, 0, NEVER},
		{WR, 0x40, 0xe8}, {WR, 0x40, 0x03}, {ARMED, 0, T(2004)}, /* again */
		AT_TICK(3000), {EDGES, 0, 1},
	};
	RUN(&rig, t);
}

static void gate_pauses_the_software_strobe(void **state)
{
	static const struct step t[] = {
		GATE2(1), {WR, 0x43, 0x98}, {WR, 0x42, 20}, AT_TICK(11), GATE2(0),
		AT_TICK(100), {RD, 0x42, 10}, {OUT2, 0, 1}, GATE2(1),
		AT_TICK(109), {OUT2, 0, 1}, AT_TICK(110), {OUT2, 0, 0}, AT_TICK(111), {OUT2, 0, 1},
	};
	RUN(&rig, t);
}

static void hardware_strobe_follows_the_gate(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x9a}, {WR, 0x42, 20}, AT_TICK(50), {OUT2, 0, 1}, GATE2(1),
		AT_TICK(61), GATE2(0), AT_TICK(70), {OUT2, 0, 1}, AT_TICK(71), {OUT2, 0, 0},
		AT_TICK(72), {OUT2, 0, 1}, AT_TICK(100000), {OUT2, 0, 1},
	};
	RUN(&rig, t);
}

static void triggered_modes_of_counter_0_never_fire(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x32}, {WR, 0x40, 9}, {WR, 0x40, 0}, {EDGES, 0, 1}, {ARMED, 0, NEVER},
		{WR, 0x43, 0x3a}, {WR, 0x40, 9}, {WR, 0x40, 0}, {EDGES, 0, 0}, {ARMED, 0, NEVER},
	};
	RUN(&rig, t);
}

static void modes_6_and_7_are_2_and_3(void **state)
{
	static const struct step t[] = {
		GATE2(1), {WR, 0x43, 0x9c}, {WR, 0x42, 8}, AT_TICK(8), {RD, 0x42, 1}, {OUT2, 0, 0},
		{WR, 0x43, 0x9e}, {WR, 0x42, 8}, AT_TICK(12), {RD, 0x42, 2}, {OUT2, 0, 1},
		AT_TICK(13), {OUT2, 0, 0},
		{WR, 0x43, 0x3c}, {WR, 0x40, 0}, {WR, 0x40, 1}, {ARMED, 0, T(14 + 256)},
	};
	RUN(&rig, t);
}

static void bcd_counts_in_decades(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x31}, {WR, 0x40, 0x02}, {WR, 0x40, 0x10}, {ARMED, 0, T(1003)}, /* 1002 */
		AT_TICK(4), {RD, 0x40, 0x99}, {RD, 0x40, 0x09}, /* 999 */
		AT_TICK(1003), {RD, 0x40, 0}, {RD, 0x40, 0}, {EDGES, 0, 1},
		AT_TICK(1004), {RD, 0x40, 0x99}, {RD, 0x40, 0x99},
		{WR, 0x43, 0x35}, {WR, 0x40, 0}, {WR, 0x40, 0}, {ARMED, 0, T(1005 + 10000)},
		{WR, 0x43, 0x35}, {WR, 0x40, 0xff}, {WR, 0x40, 0xff}, /* no digits: 16665 */
		{ARMED, 0, T(1005 + 16665)},
	};
	RUN(&rig, t);
}

static void only_counter_0_has_the_wire(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x74}, {WR, 0x41, 18}, {WR, 0x41, 0}, GATE2(1),
		{WR, 0x43, 0xb6}, {WR, 0x42, 0xe8}, {WR, 0x42, 3},
		{ARMED, 0, NEVER}, {TICK, 0, 100000000}, {EDGES, 0, 0}, {LINE, 0, 0},
	};
	RUN(&rig, t);
}

static void fast_periods_are_clamped(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x14}, {WR, 0x40, 1}, {EDGES, 0, 1}, {ARMED, 0, T(239)},
		{TICK, 0, 1000000000}, {EDGES, 0, 4992}, /* 1193182 / 239: 200.3 us apart */
		{WR, 0x43, 0x16}, {WR, 0x40, 1}, {EDGES, 0, 0},
		{TICK, 0, 1000000000}, {EDGES, 0, 4992},
		{WR, 0x43, 0x14}, {WR, 0x40, 100}, {EDGES, 0, 0}, /* every third period */
		{TICK, 0, 1000000000}, {EDGES, 0, 3977},
		{WR, 0x43, 0x14}, {WR, 0x40, 240}, /* slow enough */
		{TICK, 0, 1000000000}, {EDGES, 0, 4971},
	};
	RUN(&rig, t);
}

static void late_ticks_do_not_thin_out_slow_periods(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x34}, {WR, 0x40, 0xe8}, {WR, 0x40, 0x03}, {EDGES, 0, 1},
		{JUMP, 0, T(1991)}, {TICK, 0, 0}, {EDGES, 0, 1}, {ARMED, 0, T(2001)},
	};
	RUN(&rig, t);
}

static void churn_of_modes_brings_no_storm(void **state)
{
	for (unsigned i = 0; i < 100000; i++) {
		pit_write(&pit, 3, 1, 0x14, rig.now);
		pit_write(&pit, 0, 1, 1, rig.now);
		assert_true(pit_deadline(&pit) >= rig.now + 199000);
		rig.now += 10000;
	}
	assert_int_equal(rig.line[0].rises, 1);
}

static void control_register_reads_all_ones(void **state)
{
	static const struct step t[] = {{RD, 0x43, 0xff}, {WR, 0x43, 0xc2}, {RD, 0x43, 0xff}};

	RUN(&rig, t);
}

static void time_before_the_load_is_no_time(void **state)
{
	static const struct step t[] = {
		{JUMP, 0, 1000000}, {WR, 0x43, 0x14}, {WR, 0x40, 100}, {JUMP, 0, 1000}, {RD, 0x40, 100},
	};
	RUN(&rig, t);
	assert_int_equal(pit_read(&pit, 0, 1, 0), 100);
}

static void far_edges_saturate(void **state)
{
	static const struct step t[] = {
		{JUMP, 0, NEVER - 1000}, {WR, 0x43, 0x34}, {WR, 0x40, 0}, {WR, 0x40, 0},
		{ARMED, 0, NEVER},
	};
	RUN(&rig, t);
}
// clang-format on

/* Every control word with the counts that are edges of something, and ticks to its end. */
static void hostile_programming_is_bounded(void **state)
{
	static const uint8_t bytes[] = {0, 1, 2, 0x80, 0xff};

	for (unsigned i = 0; i < 256 * ARRAY_SIZE(bytes) * ARRAY_SIZE(bytes); i++) {
		unsigned cw = i % 256, lo = bytes[i / 256 % 5], hi = bytes[i / 256 / 5];

		pit_write(&pit, 3, 1, cw, rig.now);
		pit_write(&pit, cw >> 6, 1, lo, rig.now);
		rig.now += i * 7 % 1000;
		pit_gate2(&pit, i & 1, rig.now);
		pit_write(&pit, cw >> 6, 1, hi, rig.now);
		for (unsigned k = 0; k < 20; k++) {
			rig.now += i * k % 3000;
			if (pit_deadline(&pit) != NEVER && k % 3 == 0)
				rig.now = MAX(rig.now, pit_deadline(&pit));
			pit_tick(&pit, rig.now);
			assert_true(pit_deadline(&pit) > rig.now);
			pit_read(&pit, k % 4, 1, rig.now);
			pit_out2(&pit, rig.now);
			if (k % 5 == 0)
				pit_write(&pit, k % 4, 1, i * k, rig.now);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(idle_after_init, setup),
		cmocka_unit_test_setup(nothing_runs_before_the_whole_count, setup),
		cmocka_unit_test_setup(control_word_stops_counter_0, setup),
		cmocka_unit_test_setup(rate_generator_is_periodic, setup),
		cmocka_unit_test_setup(edges_do_not_drift, setup),
		cmocka_unit_test_setup(exact_after_ten_years, setup),
		cmocka_unit_test_setup(zero_counts_65536, setup),
		cmocka_unit_test_setup(missed_periods_give_one_edge, setup),
		cmocka_unit_test_setup(early_tick_does_nothing, setup),
		cmocka_unit_test_setup(due_edge_comes_before_a_write, setup),
		cmocka_unit_test_setup(lsb_access_takes_one_byte, setup),
		cmocka_unit_test_setup(msb_access_takes_one_byte, setup),
		cmocka_unit_test_setup(unlatched_word_reads_are_live, setup),
		cmocka_unit_test_setup(latch_holds_until_both_bytes_are_read, setup),
		cmocka_unit_test_setup(latch_twice_keeps_the_first, setup),
		cmocka_unit_test_setup(latch_starts_at_the_low_byte, setup),
		cmocka_unit_test_setup(control_word_drops_latches_and_flip_flops, setup),
		cmocka_unit_test_setup(latch_of_one_counter_leaves_the_others, setup),
		cmocka_unit_test_setup(read_back_bits_are_active_low, setup),
		cmocka_unit_test_setup(read_back_of_both_gives_status_first, setup),
		cmocka_unit_test_setup(read_back_latches_all_chosen_counters, setup),
		cmocka_unit_test_setup(status_twice_keeps_the_first, setup),
		cmocka_unit_test_setup(null_count_until_the_load, setup),
		cmocka_unit_test_setup(status_has_the_mode_as_written, setup),
		cmocka_unit_test_setup(terminal_count_raises_out_once, setup),
		cmocka_unit_test_setup(terminal_count_restarts_with_a_new_count, setup),
		cmocka_unit_test_setup(terminal_count_with_one_byte_restarts, setup),
		cmocka_unit_test_setup(gate_pauses_terminal_count, setup),
		cmocka_unit_test_setup(linux_calibrates_with_counter_2, setup),
		cmocka_unit_test_setup(one_shot_is_started_by_the_gate, setup),
		cmocka_unit_test_setup(trigger_without_a_count_does_nothing, setup),
		cmocka_unit_test_setup(rate_generator_is_low_for_one_tick, setup),
		cmocka_unit_test_setup(gate_restarts_the_rate_generator, setup),
		cmocka_unit_test_setup(falling_gate_puts_off_the_reload, setup),
		cmocka_unit_test_setup(new_rate_starts_with_the_next_period, setup),
		cmocka_unit_test_setup(square_wave_counts_by_twos, setup),
		cmocka_unit_test_setup(odd_square_wave_is_high_one_tick_longer, setup),
		cmocka_unit_test_setup(square_wave_is_periodic, setup),
		cmocka_unit_test_setup(new_square_wave_starts_with_the_next_half, setup),
		cmocka_unit_test_setup(software_strobe_ends_one_tick_after_the_count, setup),
		cmocka_unit_test_setup(gate_pauses_the_software_strobe, setup),
		cmocka_unit_test_setup(hardware_strobe_follows_the_gate, setup),
		cmocka_unit_test_setup(triggered_modes_of_counter_0_never_fire, setup),
		cmocka_unit_test_setup(modes_6_and_7_are_2_and_3, setup),
		cmocka_unit_test_setup(bcd_counts_in_decades, setup),
		cmocka_unit_test_setup(only_counter_0_has_the_wire, setup),
		cmocka_unit_test_setup(fast_periods_are_clamped, setup),
		cmocka_unit_test_setup(late_ticks_do_not_thin_out_slow_periods, setup),
		cmocka_unit_test_setup(churn_of_modes_brings_no_storm, setup),
		cmocka_unit_test_setup(control_register_reads_all_ones, setup),
		cmocka_unit_test_setup(time_before_the_load_is_no_time, setup),
		cmocka_unit_test_setup(far_edges_saturate, setup),
		cmocka_unit_test_setup(hostile_programming_is_bounded, setup),
	};

	return cmocka_run_group_tests_name("pit", tests, NULL, NULL);
}
