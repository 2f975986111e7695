/* pm_test.c - ACPI fixed registers: events and SCI, sleep control, the timer. */
#include "../../../src/pc/pm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/steps.h"

#define BASE 0x600
#define STS  (BASE + 0)
#define EN   (BASE + 2)
#define CNT  (BASE + 4)
#define TMR  (BASE + 8)
#define GSTS (BASE + 0xc)
#define GEN  (BASE + 0xe)
#define SCI  9

/* Toggles of bit 23 at 3.579545 MHz: n * 2^23 ticks, rounded up to the next ns. */
#define TOGGLE1 2343484438ull
#define TOGGLE2 4686968875ull
#define TOGGLE3 7030453312ull

#define BUTTON X0 /* the power button is pressed */
#define GPE    X1 /* raise the events in val, as a hot-plug device would */
#define PRESS                                                                                      \
	{                                                                                          \
		BUTTON, 0, 0                                                                       \
	}

static struct {
	struct rig rig;
	struct pm pm;
} t;

static uint64_t op(struct rig *r, const struct step *s)
{
	if (s->op == BUTTON)
		pm_power_button(&t.pm);
	else
		t.pm.gpe_sts |= (uint16_t)s->val;
	return s->val;
}

static int setup(void **state)
{
	memset(&t, 0, sizeof(t));
	memset(&t.pm, 0xa5, sizeof(t.pm)); /* init owes nothing to what was there */
	pm_init(&t.pm, rig_line(&t.rig, SCI), rig_power(&t.rig));
	t.rig.dev = &t.pm;
	t.rig.base = BASE;
	t.rig.read = pm_read;
	t.rig.write = pm_write;
	t.rig.deadline = pm_deadline;
	t.rig.tick = pm_tick;
	t.rig.op = op;
	return 0;
}

#define TEST(name)                                                                                 \
	static void name(void **state)                                                             \
	{                                                                                          \
		RUN(&t.rig, name##_steps);                                                         \
	}

// clang-format off
static const struct step starts_in_acpi_mode_with_nothing_pending_steps[] = {
	{RD2, STS, 0}, {RD2, EN, 0}, {RD2, CNT, 1}, {RD4, GSTS, 0}, {LINE, SCI, 0},
	{ARMED, 0, NEVER},
};
TEST(starts_in_acpi_mode_with_nothing_pending)

/* Timer */

static const struct step timer_counts_at_3_579545_mhz_steps[] = {
	{RD4, TMR, 0}, {AT, 0, 279}, {RD4, TMR, 0}, {AT, 0, 280}, {RD4, TMR, 1}, /* 279.4 ns each */
	{AT, 0, 1000000000}, {RD4, TMR, 3579545},
};
TEST(timer_counts_at_3_579545_mhz)

static const struct step timer_wraps_at_24_bits_steps[] = {
	{AT, 0, TOGGLE2 - 1}, {RD4, TMR, 0xffffff}, {AT, 0, TOGGLE2}, {RD4, TMR, 0},
	{AT, 0, 10000000000}, {RD4, TMR, 35795450 - 2 * 16777216},
};
TEST(timer_wraps_at_24_bits)

static const struct step timer_is_exact_after_ten_years_steps[] = {
	/* 315360000 s * 3579545 = 402ADC7C7CB00h */
	{AT, 0, 315360000000000000}, {RD4, TMR, 0xc7cb00},
};
TEST(timer_is_exact_after_ten_years)

static const struct step timer_is_read_by_parts_steps[] = {
	{AT, 0, 1000000000},                                  /* 369E99h */
	{RD, TMR, 0x99}, {RD, TMR + 1, 0x9e}, {RD, TMR + 2, 0x36}, {RD, TMR + 3, 0},
	{RD2, TMR, 0x9e99}, {RD2, TMR + 2, 0x0036}, {RD2, TMR + 1, 0x369e},
};
TEST(timer_is_read_by_parts)

static const struct step timer_is_read_only_steps[] = {
	{AT, 0, 1000000000}, {WR4, TMR, 0}, {WR, TMR + 1, 0xff}, {RD4, TMR, 0x369e99},
};
TEST(timer_is_read_only)

static const struct step toggle_of_bit_23_sets_tmr_sts_steps[] = {
	{RD2, STS, 0}, {AT, 0, TOGGLE1 - 1}, {RD4, TMR, 0x7fffff}, {RD2, STS, 0},
	{AT, 0, TOGGLE1}, {RD2, STS, 1}, {RD4, TMR, 0x800000},
};
TEST(toggle_of_bit_23_sets_tmr_sts)

static const struct step both_toggles_of_bit_23_set_tmr_sts_steps[] = {
	{RD2, STS, 0}, {AT, 0, TOGGLE1}, {RD2, STS, 1}, {WR2, STS, 1}, {RD2, STS, 0},
	{AT, 0, TOGGLE2 - 1}, {RD2, STS, 0}, {AT, 0, TOGGLE2}, {RD2, STS, 1},
};
TEST(both_toggles_of_bit_23_set_tmr_sts)

static const struct step clearing_tmr_sts_folds_missed_toggles_in_first_steps[] = {
	{RD2, STS, 0}, {AT, 0, TOGGLE3}, {WR2, STS, 1}, {RD2, STS, 0},
	{AT, 0, 9373937749}, {RD2, STS, 0}, {AT, 0, 9373937750}, {RD2, STS, 1},
};
TEST(clearing_tmr_sts_folds_missed_toggles_in_first)

static const struct step first_access_of_a_late_start_sees_no_toggle_steps[] = {
	{AT, 0, 100 * TOGGLE1}, {RD2, STS, 0},
};
TEST(first_access_of_a_late_start_sees_no_toggle)

static const struct step timer_interrupts_when_enabled_steps[] = {
	{WR2, EN, 1}, {ARMED, 0, TOGGLE1}, {AT, 0, TOGGLE1 - 1}, {LINE, SCI, 0},
	{AT, 0, TOGGLE1}, {LINE, SCI, 1}, {RD2, STS, 1}, {ARMED, 0, NEVER},
	{WR2, STS, 1}, {LINE, SCI, 0}, {ARMED, 0, TOGGLE2},
	{AT, 0, TOGGLE3}, {EDGES, SCI, 2}, {LINE, SCI, 1},
};
TEST(timer_interrupts_when_enabled)

static const struct step timer_without_a_listener_is_not_armed_steps[] = {
	{WR2, EN, 0x0520}, {ARMED, 0, NEVER},
	{WR2, EN, 1}, {ARMED, 0, TOGGLE1},
	{WR2, CNT, 0}, {ARMED, 0, NEVER}, {WR2, CNT, 1}, {ARMED, 0, TOGGLE1},
	{AT, 0, TOGGLE1}, {ARMED, 0, NEVER},
};
TEST(timer_without_a_listener_is_not_armed)

static const struct step read_raises_an_interrupt_whose_tick_is_late_steps[] = {
	{WR2, EN, 1}, {X2, 0, TOGGLE1 + 5}, {LINE, SCI, 0}, {RD4, TMR, 0x800000}, {LINE, SCI, 1},
};

static const struct step tick_before_its_time_does_nothing_steps[] = {
	{WR2, EN, 1}, {X3, 0, TOGGLE1 - 1}, {LINE, SCI, 0}, {ARMED, 0, TOGGLE1},
};

/* Events */

static const struct step status_is_cleared_by_writing_ones_steps[] = {
	PRESS, {RD2, STS, 0x0100}, {WR2, STS, 0xfeff}, {RD2, STS, 0x0100},
	{WR2, STS, 0x0000}, {RD2, STS, 0x0100}, {WR2, STS, 0x0100}, {RD2, STS, 0},
};
TEST(status_is_cleared_by_writing_ones)

static const struct step status_bits_cannot_be_set_by_the_guest_steps[] = {
	{WR2, STS, 0xffff}, {RD2, STS, 0}, {WR4, STS, 0xffffffff}, {RD2, STS, 0},
};
TEST(status_bits_cannot_be_set_by_the_guest)

static const struct step enable_keeps_defined_bits_steps[] = {
	{WR2, EN, 0xffff}, {RD2, EN, 0x0521}, /* TMR, GBL, PWRBTN, RTC */
	{WR2, EN, 0}, {RD2, EN, 0},
};
TEST(enable_keeps_defined_bits)

static const struct step power_button_interrupts_when_enabled_steps[] = {
	{WR2, EN, 0x0100}, PRESS, {LINE, SCI, 1}, {RD2, STS, 0x0100},
	{WR2, STS, 0x0100}, {LINE, SCI, 0}, PRESS, {EDGES, SCI, 2},
};
TEST(power_button_interrupts_when_enabled)

static const struct step enabling_a_pending_event_interrupts_at_once_steps[] = {
	PRESS, {LINE, SCI, 0}, {WR2, EN, 0x0100}, {LINE, SCI, 1}, {WR2, EN, 0}, {LINE, SCI, 0},
};
TEST(enabling_a_pending_event_interrupts_at_once)

static const struct step sci_needs_sci_en_steps[] = {
	{WR2, CNT, 0}, {RD2, CNT, 0}, {WR2, EN, 0x0100}, PRESS, {LINE, SCI, 0},
	{WR2, CNT, 1}, {LINE, SCI, 1}, {WR2, CNT, 0}, {LINE, SCI, 0},
};
TEST(sci_needs_sci_en)

static const struct step sci_stays_for_the_other_event_steps[] = {
	{WR2, EN, 0x0101}, PRESS, {AT, 0, TOGGLE1}, {RD2, STS, 0x0101},
	{WR2, STS, 0x0001}, {LINE, SCI, 1}, {WR2, STS, 0x0100}, {LINE, SCI, 0}, {EDGES, SCI, 1},
};
TEST(sci_stays_for_the_other_event)

static const struct step registers_are_written_by_bytes_steps[] = {
	{WR, EN, 0xff}, {RD2, EN, 0x0021}, {WR, EN + 1, 0xff}, {RD2, EN, 0x0521},
	PRESS, {LINE, SCI, 1}, {WR, STS, 0xff}, {RD, STS + 1, 0x01},
	{WR, STS + 1, 0x01}, {RD, STS + 1, 0}, {LINE, SCI, 0},
};
TEST(registers_are_written_by_bytes)

static const struct step status_and_enable_go_together_in_a_dword_steps[] = {
	PRESS, {WR4, STS, 0x01000000}, {RD4, STS, 0x01000100}, {LINE, SCI, 1},
	{WR4, STS, 0x01000100}, {RD4, STS, 0x01000000}, {LINE, SCI, 0}, {EDGES, SCI, 1},
};
TEST(status_and_enable_go_together_in_a_dword)

static const struct step gpe_interrupts_when_enabled_steps[] = {
	{GPE, 0, 0x0002}, {RD2, GSTS, 0x0002}, {LINE, SCI, 0},
	{WR2, GEN, 0x0002}, {LINE, SCI, 1}, {RD4, GSTS, 0x00020002},
	{WR2, GSTS, 0xfffd}, {LINE, SCI, 1}, {WR2, GSTS, 0x0002}, {LINE, SCI, 0}, {RD2, GSTS, 0},
};
TEST(gpe_interrupts_when_enabled)

static const struct step gpe_registers_are_accessed_by_bytes_steps[] = {
	/* ACPICA does: the block is two registers of a byte each, then their enables */
	{GPE, 0, 0x8001}, {RD, GSTS, 0x01}, {RD, GSTS + 1, 0x80},
	{WR, GEN + 1, 0x80}, {RD2, GEN, 0x8000}, {LINE, SCI, 1},
	{WR, GSTS, 0xff}, {RD2, GSTS, 0x8000}, {LINE, SCI, 1}, {WR, GSTS + 1, 0xff}, {LINE, SCI, 0},
};
TEST(gpe_registers_are_accessed_by_bytes)

/* Control */

static const struct step s5_powers_off_steps[] = {
	{WR2, CNT, 0x0001}, {OFF, POWER_OFF, 0}, {WR2, CNT, 0x2001}, {OFF, POWER_OFF, 1},
	{OFF, POWER_RESET, 0},
};
TEST(s5_powers_off)

static const struct step s5_powers_off_by_its_byte_alone_steps[] = {
	{WR, CNT, 0xff}, {OFF, POWER_OFF, 0}, {WR, CNT + 1, 0x20}, {OFF, POWER_OFF, 1},
};
TEST(s5_powers_off_by_its_byte_alone)

static const struct step s5_powers_off_by_a_dword_steps[] = {
	{WR4, CNT, 0x00002001}, {OFF, POWER_OFF, 1},
};
TEST(s5_powers_off_by_a_dword)

static const struct step other_sleep_types_are_ignored_steps[] = {
	{WR2, CNT, 0x2401}, {WR2, CNT, 0x2801}, {WR2, CNT, 0x3c01}, {WR, CNT + 1, 0x34},
	{OFF, POWER_OFF, 0}, {OFF, POWER_RESET, 0},
};
TEST(other_sleep_types_are_ignored)

static const struct step sleep_enable_reads_zero_steps[] = {
	{WR2, CNT, 0x3c01}, {RD2, CNT, 0x1c01}, {WR2, CNT, 0x2001}, {RD2, CNT, 0x0001},
};
TEST(sleep_enable_reads_zero)

static const struct step global_release_and_reserved_bits_read_zero_steps[] = {
	{WR2, CNT, 0xdfff}, {RD2, CNT, 0x1c03}, {OFF, POWER_OFF, 0}, {RD2, STS, 0},
};
TEST(global_release_and_reserved_bits_read_zero)

/* Around the registers */

static const struct step what_is_not_modelled_reads_zero_steps[] = {
	{WR4, BASE + 0x10, 0xffffffff}, {RD4, BASE + 0x10, 0}, {RD, BASE + 0x14, 0},
	{WR2, BASE + 6, 0xffff}, {RD2, BASE + 6, 0}, {WR4, BASE + 0x3c, 0xffffffff},
	{RD4, BASE + 0x3c, 0}, {RD4, CNT, 1},
};
TEST(what_is_not_modelled_reads_zero)

static const struct step accesses_over_the_end_read_all_ones_there_steps[] = {
	{RD4, BASE + 0x3e, 0xffff0000}, {RD2, BASE + 0x3f, 0xff00}, {WR4, BASE + 0x3f, 0xffffffff},
	{RD4, BASE + 0x40, 0xffffffff},
};
TEST(accesses_over_the_end_read_all_ones_there)
// clang-format on

/* Moves the clock without ticks (X2), or ticks at a chosen time (X3). */
static uint64_t time_op(struct rig *r, const struct step *s)
{
	if (s->op == X2)
		r->now = s->val;
	else
		pm_tick(&t.pm, s->val);
	return s->val;
}

static void read_raises_an_interrupt_whose_tick_is_late(void **state)
{
	t.rig.op = time_op;
	RUN(&t.rig, read_raises_an_interrupt_whose_tick_is_late_steps);
}

static void tick_before_its_time_does_nothing(void **state)
{
	t.rig.op = time_op;
	RUN(&t.rig, tick_before_its_time_does_nothing_steps);
}

/* The deadline is the first nanosecond at which the count has reached the toggle. */
static void deadline_is_never_early_or_late(void **state)
{
	pm_write(&t.pm, 2, 2, 1, 0);
	for (unsigned n = 1; n <= 1000; n++) {
		uint64_t at = pm_deadline(&t.pm);

		assert_int_equal(pm_read(&t.pm, 8, 4, at - 1) & 0x7fffff, 0x7fffff);
		assert_int_equal(pm_read(&t.pm, 0, 2, at - 1), 0);
		pm_tick(&t.pm, at);
		assert_int_equal(pm_read(&t.pm, 8, 4, at), n & 1 ? 0x800000 : 0);
		assert_int_equal(pm_read(&t.pm, 0, 2, at), 1);
		pm_write(&t.pm, 0, 2, 1, at);
	}
}

static void every_offset_width_and_value_is_survived(void **state)
{
	static const uint32_t val[] = {0, 0xffffffff, 0x5a5aa5a5, 0x20002000, 0x00000100};
	static const uint64_t step[] = {0, 1, TOGGLE1, UINT64_MAX / 7};
	uint64_t now = 0;

	for (unsigned i = 0; i < 100000; i++) {
		uint32_t off = i % 67 == 66 ? UINT32_MAX - i % 5 : i % 67;
		unsigned size = 1u << i / 67 % 3;

		now += step[i % ARRAY_SIZE(step)];
		pm_write(&t.pm, off, size, val[i % ARRAY_SIZE(val)], now);
		assert_true(pm_read(&t.pm, off, size, now) <= all_ones(size));
		pm_tick(&t.pm, now);
		if (i % 11 == 0)
			pm_power_button(&t.pm);
	}
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(starts_in_acpi_mode_with_nothing_pending),
		T(timer_counts_at_3_579545_mhz),
		T(timer_wraps_at_24_bits),
		T(timer_is_exact_after_ten_years),
		T(timer_is_read_by_parts),
		T(timer_is_read_only),
		T(toggle_of_bit_23_sets_tmr_sts),
		T(both_toggles_of_bit_23_set_tmr_sts),
		T(clearing_tmr_sts_folds_missed_toggles_in_first),
		T(first_access_of_a_late_start_sees_no_toggle),
		T(timer_interrupts_when_enabled),
		T(timer_without_a_listener_is_not_armed),
		T(read_raises_an_interrupt_whose_tick_is_late),
		T(tick_before_its_time_does_nothing),
		T(status_is_cleared_by_writing_ones),
		T(status_bits_cannot_be_set_by_the_guest),
		T(enable_keeps_defined_bits),
		T(power_button_interrupts_when_enabled),
		T(enabling_a_pending_event_interrupts_at_once),
		T(sci_needs_sci_en),
		T(sci_stays_for_the_other_event),
		T(registers_are_written_by_bytes),
		T(status_and_enable_go_together_in_a_dword),
		T(gpe_interrupts_when_enabled),
		T(gpe_registers_are_accessed_by_bytes),
		T(s5_powers_off),
		T(s5_powers_off_by_its_byte_alone),
		T(s5_powers_off_by_a_dword),
		T(other_sleep_types_are_ignored),
		T(sleep_enable_reads_zero),
		T(global_release_and_reserved_bits_read_zero),
		T(what_is_not_modelled_reads_zero),
		T(accesses_over_the_end_read_all_ones_there),
		T(deadline_is_never_early_or_late),
		T(every_offset_width_and_value_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
