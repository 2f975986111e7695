/* rtc_test.c - behaviours of the MC146818: calendar, formats, update cycle, interrupts, CMOS. */
#include "../../../src/pc/rtc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/steps.h"

// clang-format off
#define S  1000000000ull
#define MS 1000000ull

/* A register read through the two ports, expected to be v; a register written. */
#define IS(reg, v)           {WR, 0x70, (reg)}, {RD, 0x71, (v)}
#define REG(reg, v)          {WR, 0x70, (reg)}, {WR, 0x71, (v)}
#define HMS(h, m, s)         IS(4, h), IS(2, m), IS(0, s)
#define DATE(c, y, m, d)     IS(0x32, c), IS(9, y), IS(8, m), IS(7, d)
#define REG_HMS(h, m, s)     REG(4, h), REG(2, m), REG(0, s)
#define REG_DATE(c, y, m, d) REG(0x32, c), REG(9, y), REG(8, m), REG(7, d)
#define ALARM(h, m, s)       REG(5, h), REG(3, m), REG(1, s)
#define JUMP X0 /* advance the clock by val ns, nothing ticked */
// clang-format on

/* Seconds since 1970 of some days. */
#define FEB_28_2024 1709078400ll
#define JAN_1_2000  946684800ll

static struct rtc rtc;
static struct rig rig;

static uint64_t op(struct rig *r, const struct step *s)
{
	r->now += s->val;
	return s->val;
}

/* The clock shows `utc_ns` at time 0. */
static void start(int64_t utc_ns)
{
	rig = (struct rig){.dev = &rtc, .base = 0x70, .op = op};
	rig.read = rtc_read;
	rig.write = rtc_write;
	rig.deadline = rtc_deadline;
	rig.tick = rtc_tick;
	memset(&rtc, 0xa5, sizeof(rtc)); /* init owes nothing to what was there */
	rtc_init(&rtc, rig_line(&rig, 8), utc_ns, 0);
}

static int setup(void **state)
{
	start((FEB_28_2024 + 86398) * (int64_t)S); /* 23:59:58 on a Wednesday */
	return 0;
}

// clang-format off
static void registers_after_init(void **state)
{
	static const struct step t[] = {
		IS(0x0a, 0x26), IS(0x0b, 0x02), IS(0x0c, 0x00), IS(0x0d, 0x80), IS(0x0e, 0), IS(0x7f, 0),
		{ARMED, 0, NEVER}, {LINE, 8, 0},
	};
	RUN(&rig, t);
}

static void shows_utc_in_24_hour_bcd(void **state)
{
	static const struct step t[] = {HMS(0x23, 0x59, 0x58), DATE(0x20, 0x24, 0x02, 0x28), IS(6, 4)};

	RUN(&rig, t);
}

static void leap_day_follows_february_28(void **state)
{
	static const struct step t[] = {
		{AT, 0, 2 * S - 1}, HMS(0x23, 0x59, 0x59), {AT, 0, 2 * S}, HMS(0, 0, 0),
		DATE(0x20, 0x24, 0x02, 0x29), IS(6, 5),
		{AT, 0, 86402 * S}, HMS(0, 0, 0), DATE(0x20, 0x24, 0x03, 0x01), IS(6, 6),
	};
	RUN(&rig, t);
}

static void century_turns_with_the_year(void **state)
{
	static const struct step t[] = {
		DATE(0x19, 0x99, 0x12, 0x31), HMS(0x23, 0x59, 0x59), IS(6, 6),
		{AT, 0, S}, DATE(0x20, 0x00, 0x01, 0x01), HMS(0, 0, 0), IS(6, 7), /* a Saturday */
	};
	start((JAN_1_2000 - 1) * (int64_t)S);
	RUN(&rig, t);
}

static void fraction_of_the_first_second_counts(void **state)
{
	static const struct step t[] = {
		IS(0, 0x00), {AT, 0, S / 4 - 1}, IS(0, 0x00), {AT, 0, S / 4}, IS(0, 0x01),
	};
	start(JAN_1_2000 * (int64_t)S + (int64_t)(3 * S / 4));
	RUN(&rig, t);
}

static void time_before_1970_is_1970(void **state)
{
	static const struct step t[] = {DATE(0x19, 0x70, 0x01, 0x01), HMS(0, 0, 0), IS(6, 5)};

	start(INT64_MIN);
	RUN(&rig, t);
}

static void latest_time_of_init(void **state)
{
	static const struct step t[] = { /* 2^63 - 1 ns */
		DATE(0x22, 0x62, 0x04, 0x11), HMS(0x23, 0x47, 0x16),
	};
	start(INT64_MAX);
	RUN(&rig, t);
}

static void index_cannot_be_read(void **state)
{
	static const struct step t[] = {{WR, 0x70, 0x0d}, {RD, 0x70, 0xff}, {RD, 0x71, 0x80}};

	RUN(&rig, t);
}

static void nmi_bit_is_not_part_of_the_index(void **state)
{
	static const struct step t[] = {{WR, 0x70, 0x8d}, {RD, 0x71, 0x80}};

	RUN(&rig, t);
}

static void ram_keeps_bytes(void **state)
{
	static const struct step t[] = {
		REG(0x0e, 0x12), REG(0x0f, 0x0a), REG(0x31, 0x34), REG(0x33, 0x56), REG(0x7f, 0x78),
		{TICK, 0, 10 * S},
		IS(0x0e, 0x12), IS(0x0f, 0x0a), IS(0x31, 0x34), IS(0x33, 0x56), IS(0x7f, 0x78),
	};
	RUN(&rig, t);
}

static void registers_c_and_d_are_read_only(void **state)
{
	static const struct step t[] = {
		REG(0x0c, 0xff), IS(0x0c, 0), REG(0x0d, 0), IS(0x0d, 0x80), {LINE, 8, 0},
	};
	RUN(&rig, t);
}

static void firmware_sets_ram_but_not_the_clock(void **state)
{
	static const struct step t[] = {
		IS(0x34, 0xab), IS(0x0f, 0x0f), IS(0, 0x58), IS(0x0b, 0x02), IS(0x32, 0x20),
	};
	rtc_set_cmos(&rtc, 0x34, 0xab);
	rtc_set_cmos(&rtc, 0x0f, 0x0f);
	rtc_set_cmos(&rtc, 0x00, 0x11);
	rtc_set_cmos(&rtc, 0x0b, 0xff);
	rtc_set_cmos(&rtc, 0x32, 0x19);
	rtc_set_cmos(&rtc, 0x80, 0x77);
	RUN(&rig, t);
}

static void binary_mode(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x06), HMS(23, 59, 58), DATE(20, 24, 2, 28), {AT, 0, 2 * S}, HMS(0, 0, 0),
		DATE(20, 24, 2, 29),
	};
	RUN(&rig, t);
}

static void twelve_hour_bcd(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x00), HMS(0x91, 0x59, 0x58), /* 11 PM */
		{AT, 0, 2 * S}, IS(4, 0x12),             /* midnight is 12 AM */
		{AT, 0, 3602 * S}, IS(4, 0x01),
		{AT, 0, (2 + 12 * 3600) * S - 1}, IS(4, 0x11),
		{AT, 0, (2 + 12 * 3600) * S}, IS(4, 0x92), /* noon is 12 PM */
		{AT, 0, (2 + 13 * 3600) * S}, IS(4, 0x81),
	};
	RUN(&rig, t);
}

static void twelve_hour_binary(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x04), HMS(0x8b, 59, 58), {AT, 0, 2 * S}, IS(4, 12),
		{AT, 0, (2 + 12 * 3600) * S}, IS(4, 0x8c),
	};
	RUN(&rig, t);
}

static void twelve_hour_time_is_understood(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x80), REG_HMS(0x12, 0x59, 0x59), REG(0x0b, 0x00), /* 12:59:59 AM */
		{AT, 0, S}, HMS(0x01, 0, 0),
		REG(0x0b, 0x80), REG_HMS(0x92, 0x59, 0x59), REG(0x0b, 0x00), /* PM */
		{AT, 0, 2 * S}, HMS(0x81, 0, 0),
	};
	RUN(&rig, t);
}

static void uip_pulses_before_each_update(void **state)
{
	static const struct step t[] = {
		{AT, 0, S - 244001}, IS(0x0a, 0x26), {AT, 0, S - 244000}, IS(0x0a, 0xa6),
		{AT, 0, S - 1}, IS(0x0a, 0xa6), {AT, 0, S}, IS(0x0a, 0x26),
		{AT, 0, 5 * S - 1}, IS(0x0a, 0xa6), {AT, 0, 5 * S}, IS(0x0a, 0x26),
	};
	RUN(&rig, t);
}

static void uip_cannot_be_written(void **state)
{
	static const struct step t[] = {REG(0x0a, 0xa6), IS(0x0a, 0x26), REG(0x0a, 0x2f), IS(0x0a, 0x2f)};

	RUN(&rig, t);
}

static void set_freezes_the_time(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x82), {AT, 0, 100 * S + S - 1}, HMS(0x23, 0x59, 0x58),
		IS(0x0a, 0x26), /* no update: no UIP */
		IS(0x0c, 0x40), /* nor its flags; the divider's taps go on */
		REG(0x0b, 0x02), HMS(0x23, 0x59, 0x58),
		{AT, 0, 101 * S}, HMS(0x23, 0x59, 0x59), /* in the old phase */
	};
	RUN(&rig, t);
}

static void set_clears_uie(void **state)
{
	static const struct step t[] = {REG(0x0b, 0xf2), IS(0x0b, 0xe2)};

	RUN(&rig, t);
}

static void time_is_set(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x82), REG_HMS(0x12, 0x34, 0x56), REG_DATE(0x20, 0x38, 0x01, 0x19),
		REG(0x0b, 0x02), {AT, 0, 4 * S}, HMS(0x12, 0x35, 0x00), DATE(0x20, 0x38, 0x01, 0x19),
		IS(6, 3), /* a Tuesday */
	};
	RUN(&rig, t);
}

static void time_may_be_written_without_set(void **state)
{
	static const struct step t[] = {
		REG(7, 0x31), REG(8, 0x03), REG_HMS(0x01, 0x02, 0x03), /* passes 31 February */
		{AT, 0, S}, HMS(0x01, 0x02, 0x04), DATE(0x20, 0x24, 0x03, 0x31),
	};
	RUN(&rig, t);
}

static void divider_reset_stops_the_clock(void **state)
{
	static const struct step t[] = {
		{AT, 0, S / 10}, IS(0x0c, 0x40), REG(0x0a, 0x66), {AT, 0, 50 * S}, HMS(0x23, 0x59, 0x58),
		IS(0x0c, 0), /* no periodic edge either */
		REG(0x0a, 0x76), {AT, 0, 60 * S + S - 1}, IS(0x0a, 0x76), IS(0, 0x58),
	};
	RUN(&rig, t);
}

static void first_update_half_a_second_after_divider_reset(void **state)
{
	static const struct step t[] = {
		{AT, 0, S / 10}, REG(0x0a, 0x76), {AT, 0, 50 * S + S / 10}, REG(0x0a, 0x26),
		{AT, 0, 50 * S + 6 * S / 10 - 1}, IS(0, 0x58), IS(0x0a, 0xa6),
		{AT, 0, 50 * S + 6 * S / 10}, IS(0, 0x59),
		{AT, 0, 51 * S + 6 * S / 10}, IS(0, 0x00),
	};
	RUN(&rig, t);
}

static void linux_sets_the_time(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x82), REG(0x0a, 0x76), REG_HMS(0x10, 0x20, 0x30), {TICK, 0, MS},
		REG(0x0b, 0x02), {TICK, 0, MS}, REG(0x0a, 0x26),
		{AT, 0, 2 * MS + S / 2 - 1}, IS(0, 0x30), {AT, 0, 2 * MS + S / 2}, IS(0, 0x31),
	};
	RUN(&rig, t);
}

static void update_ended_interrupt(void **state)
{
	static const struct step t[] = {
		{AT, 0, S / 2}, REG(0x0b, 0x12), {ARMED, 0, S}, {LINE, 8, 0},
		{AT, 0, S}, {LINE, 8, 1}, {EDGES, 8, 1}, {ARMED, 0, NEVER}, /* until it is read */
		{AT, 0, 5 * S + 1}, {EDGES, 8, 0},
		IS(0x0c, 0xf0), {LINE, 8, 0}, IS(0x0c, 0x00), {ARMED, 0, 6 * S}, /* AF: midnight was */
		{AT, 0, 6 * S}, {EDGES, 8, 1},
	};
	RUN(&rig, t);
}

static void flags_need_no_enable(void **state)
{
	static const struct step t[] = {
		{AT, 0, S}, IS(0x0c, 0x50), {LINE, 8, 0}, {EDGES, 8, 0}, IS(0x0c, 0),
	};
	RUN(&rig, t);
}

static void enabling_a_set_flag_raises_at_once(void **state)
{
	static const struct step t[] = {
		{AT, 0, S}, REG(0x0b, 0x12), {LINE, 8, 1}, {ARMED, 0, NEVER},
		REG(0x0b, 0x02), {LINE, 8, 0}, REG(0x0b, 0x12), {LINE, 8, 1},
		IS(0x0c, 0xd0), {LINE, 8, 0},
	};
	RUN(&rig, t);
}

static void alarm_at_a_time_of_day(void **state)
{
	static const struct step t[] = {
		ALARM(0x00, 0x01, 0x05), REG(0x0b, 0x22), {ARMED, 0, 67 * S}, /* 00:01:05 */
		{AT, 0, 67 * S - 1}, {LINE, 8, 0}, {AT, 0, 67 * S}, {LINE, 8, 1}, IS(0x0c, 0xf0),
		{ARMED, 0, (67 + 86400) * S}, {AT, 0, (67 + 86400) * S}, {EDGES, 8, 2},
	};
	RUN(&rig, t);
}

static void alarm_every_second(void **state)
{
	static const struct step t[] = {
		ALARM(0xff, 0xc0, 0xff), REG(0x0b, 0x22), {ARMED, 0, S},
		{AT, 0, S}, IS(0x0c, 0xf0), {ARMED, 0, 2 * S},
	};
	RUN(&rig, t);
}

static void alarm_every_minute_and_hour(void **state)
{
	static const struct step t[] = {
		ALARM(0xff, 0xff, 0x10), REG(0x0b, 0x22), {ARMED, 0, 12 * S},  /* 00:00:10 */
		ALARM(0xff, 0x30, 0x10), {ARMED, 0, 1812 * S},                  /* 00:30:10 */
		ALARM(0xff, 0x59, 0x58), {ARMED, 0, 3600 * S},                  /* 00:59:58 */
		ALARM(0xff, 0x59, 0x59), {ARMED, 0, S},
	};
	RUN(&rig, t);
}

static void alarm_with_open_minutes_or_seconds(void **state)
{
	static const struct step t[] = {
		ALARM(0x03, 0xff, 0xff), REG(0x0b, 0x22), {ARMED, 0, 10802 * S}, /* 03:00:00 */
		ALARM(0x03, 0xff, 0x20), {ARMED, 0, 10822 * S},
		ALARM(0x03, 0x15, 0xff), {ARMED, 0, 11702 * S},
		ALARM(0xff, 0x15, 0xff), {ARMED, 0, 902 * S},
		ALARM(0x23, 0x59, 0xff), {ARMED, 0, S}, ALARM(0x23, 0xff, 0xff), {ARMED, 0, S},
		ALARM(0x23, 0xff, 0x57), {ARMED, 0, 82859 * S}, /* 23:00:57 tomorrow */
		ALARM(0x23, 0x59, 0x58), {ARMED, 0, 86400 * S},
	};
	RUN(&rig, t);
}

static void alarm_of_no_time_never_comes(void **state)
{
	static const struct step t[] = {
		ALARM(0xff, 0xff, 0x60), REG(0x0b, 0x22), {ARMED, 0, NEVER},
		ALARM(0xff, 0x60, 0xff), {ARMED, 0, NEVER}, ALARM(0x24, 0xff, 0xff), {ARMED, 0, NEVER},
		ALARM(0xff, 0xff, 0x0a), {ARMED, 0, NEVER}, /* 10, but the clock shows 10h */
		ALARM(0xff, 0x1f, 0xff), {ARMED, 0, NEVER}, ALARM(0x0f, 0xff, 0xff), {ARMED, 0, NEVER},
		{AT, 0, 200000 * S}, IS(0x0c, 0x50), {EDGES, 8, 0},
	};
	RUN(&rig, t);
}

static void alarm_in_12_hour_format(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x20), ALARM(0x12, 0x00, 0x00), {ARMED, 0, 2 * S},
		ALARM(0x92, 0x00, 0x00), {ARMED, 0, 43202 * S}, /* noon */
		ALARM(0x81, 0xff, 0xff), {ARMED, 0, 46802 * S}, /* 1 PM */
		ALARM(0x00, 0x00, 0x00), {ARMED, 0, NEVER}, ALARM(0x13, 0, 0), {ARMED, 0, NEVER},
	};
	RUN(&rig, t);
}

static void missed_alarm_sets_its_flag(void **state)
{
	static const struct step t[] = {
		ALARM(0x12, 0x00, 0x00), IS(0x0c, 0), {JUMP, 0, 40000 * S}, IS(0x0c, 0x50),
		{JUMP, 0, 3202 * S}, IS(0x0c, 0x70), {JUMP, 0, 86399 * S}, IS(0x0c, 0x50),
	};
	RUN(&rig, t);
}

static void no_alarm_while_set(void **state)
{
	static const struct step t[] = {
		ALARM(0xff, 0xff, 0xff), REG(0x0b, 0xa2), {ARMED, 0, NEVER}, {AT, 0, 3 * S},
		{LINE, 8, 0}, REG(0x0b, 0x22), {ARMED, 0, 4 * S},
	};
	RUN(&rig, t);
}

static void periodic_interrupt_at_1024_hz(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x42), {ARMED, 0, 976563}, /* 976562.5 ns */
		{AT, 0, 976562}, {LINE, 8, 0}, {AT, 0, 976563}, {LINE, 8, 1}, {ARMED, 0, NEVER},
		IS(0x0c, 0xc0), {LINE, 8, 0}, {ARMED, 0, 1953125},
		{JUMP, 0, 10 * MS}, IS(0x0c, 0xc0), {EDGES, 8, 2}, /* ten edges, one interrupt */
		{ARMED, 0, 11718750}, /* the twelfth */
	};
	RUN(&rig, t);
}

static void periodic_rates(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x42),
		REG(0x0a, 0x20), {ARMED, 0, NEVER},
		REG(0x0a, 0x2f), {ARMED, 0, 500 * MS}, REG(0x0a, 0x2e), {ARMED, 0, 250 * MS},
		REG(0x0a, 0x21), {ARMED, 0, 3906250}, REG(0x0a, 0x22), {ARMED, 0, 7812500},
		REG(0x0a, 0x28), {ARMED, 0, 3906250}, REG(0x0a, 0x24), {ARMED, 0, 244141},
	};
	RUN(&rig, t);
}

static void periodic_rate_is_clamped(void **state)
{
	static const struct step t[] = {
		REG(0x0a, 0x23), REG(0x0b, 0x42), {ARMED, 0, 244141}, /* not 122 us */
		{AT, 0, 244141}, IS(0x0c, 0xc0), {ARMED, 0, 488282},
	};
	RUN(&rig, t);
}

static void periodic_edges_do_not_drift(void **state)
{
	static const struct step enable[] = {REG(0x0b, 0x42), {WR, 0x70, 0x0c}};

	RUN(&rig, enable);
	for (uint64_t i = 1; i <= 100000; i++) {
		uint64_t edge = (i * S + 1023) / 1024;

		assert_true(rtc_deadline(&rtc) == edge);
		rtc_tick(&rtc, edge);
		assert_int_equal(rtc_read(&rtc, 1, 1, edge) & 0xc0, 0xc0);
	}
	assert_int_equal(rig.line[8].rises, 100000);
}

static void periodic_goes_on_while_set(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0xc2), {AT, 0, 976563}, {LINE, 8, 1}, IS(0x0c, 0xc0),
		{AT, 0, 100 * S}, IS(0x0c, 0xc0), {ARMED, 0, 100 * S + 976563},
	};
	RUN(&rig, t);
}

static void interrupts_share_the_line(void **state)
{
	static const struct step t[] = {
		REG(0x0a, 0x2f), ALARM(0xff, 0xff, 0xff), REG(0x0b, 0x72), {ARMED, 0, S / 2},
		{AT, 0, S / 2}, {ARMED, 0, S}, {AT, 0, S}, IS(0x0c, 0xf0), {EDGES, 8, 1},
		{ARMED, 0, 3 * S / 2},
	};
	RUN(&rig, t);
}

static void idle_clock_needs_no_wake_up(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x06), {ARMED, 0, NEVER}, {AT, 0, 3600 * S}, {ARMED, 0, NEVER},
		IS(0x0c, 0x70), {ARMED, 0, NEVER}, /* no flag is lost for it */
	};
	RUN(&rig, t);
}

static void february_31_becomes_march(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x82), REG_DATE(0x20, 0x23, 0x02, 0x31), REG(0x0b, 0x02),
		DATE(0x20, 0x23, 0x02, 0x31), {AT, 0, S}, DATE(0x20, 0x23, 0x03, 0x03),
	};
	RUN(&rig, t);
}

static void year_9999_ends(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x82), REG_DATE(0x99, 0x99, 0x12, 0x31), REG_HMS(0x23, 0x59, 0x59),
		REG(0x0b, 0x02), HMS(0x23, 0x59, 0x59), DATE(0x99, 0x99, 0x12, 0x31),
		{AT, 0, S}, HMS(0, 0, 0), DATE(0, 0, 0x01, 0x01),
		{AT, 0, 2 * S}, HMS(0, 0, 1), DATE(0, 0, 0x01, 0x01),
	};
	RUN(&rig, t);
}

static void garbage_becomes_a_date(void **state)
{
	static const struct step t[] = {
		REG(0x0b, 0x86), REG_DATE(0xff, 0xff, 0, 0), REG_HMS(0xff, 0xff, 0xff), REG(0x0b, 0x06),
		/* 25755, month 0 counts as December, day 0 as the 1st; 255 h 259 min 16 s later */
		{AT, 0, S}, DATE(57, 55, 12, 11), HMS(19, 19, 16),
	};
	RUN(&rig, t);
}

static void other_offsets_are_inert(void **state)
{
	static const struct step t[] = {{WR, 0x72, 0x55}, {RD, 0x72, 0xff}, {RD2, 0x73, 0xffff}};

	RUN(&rig, t);
}
// clang-format on

static void clock_that_steps_back_changes_nothing(void **state)
{
	rig.now = 100 * S;
	rtc_tick(&rtc, rig.now);
	rtc_tick(&rtc, 99 * S);
	assert_int_equal(rtc_read(&rtc, 1, 1, 99 * S), 0x38); /* 00:01:38 */
	assert_int_equal(rtc_read(&rtc, 1, 1, 100 * S), 0x38);
}

static unsigned month_days(unsigned y, unsigned m)
{
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	if (m == 2)
		return leap ? 29 : 28;
	return m == 4 || m == 6 || m == 9 || m == 11 ? 30 : 31;
}

static void set_time(const uint8_t *reg, const unsigned *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		rtc_write(&rtc, 0, 1, reg[i], rig.now);
		rtc_write(&rtc, 1, 1, v[i], rig.now);
	}
}

/* Day by day against a calendar that only counts. */
static void calendar_holds_until_9999(void **state)
{
	static const uint8_t reg[] = {0x0b, 0, 2, 4, 7, 8, 9, 0x32, 0x0b};
	unsigned y = 1970, m = 1, d = 1, weekday = 5;

	while (y < 10000) {
		if (d == 1 && m == 1 && y % 100 == 70) { /* the nanoseconds reach for 584 years */
			start(0);
			set_time(reg, (unsigned[]){0x86, 0, 0, 0, 1, 1, 70, y / 100, 6}, 9);
		}
		rtc_tick(&rtc, rig.now);
		if (rtc.cmos[7] != d || rtc.cmos[8] != m || rtc.cmos[9] != y % 100 ||
		    rtc.cmos[0x32] != y / 100)
			fail_msg("%u-%u-%u: got %u%02u-%u-%u", y, m, d, rtc.cmos[0x32], rtc.cmos[9],
				 rtc.cmos[8], rtc.cmos[7]);
		if (rig.now && rtc.cmos[6] != weekday)
			fail_msg("%u-%u-%u: weekday %u", y, m, d, rtc.cmos[6]);
		rig.now += 86400 * S;
		weekday = weekday % 7 + 1;
		d++;
		if (d > month_days(y, m)) {
			d = 1;
			m++;
		}
		if (m > 12) {
			m = 1;
			y++;
		}
	}
}

/* The next match against a search second by second, from 24 times of day on. */
static void alarm_is_the_first_match(void **state)
{
	static const uint8_t reg[] = {0x0b, 5, 3, 1};
	uint32_t x = 1;

	for (unsigned i = 0; i < 480; i++) {
		unsigned a[3], t = 0, n = 0;

		for (unsigned k = 0; k < 3; k++) {
			x = x * 1664525 + 1013904223;
			a[k] = i >> k & 1 ? 0xc0 : (x >> 16) % (k ? 60 : 24);
		}
		start((int64_t)(i * 3599 % 86400 * S));
		set_time(reg, (unsigned[]){0x26, a[0], a[1], a[2]}, 4);
		do {
			n++;
			t = (i * 3599 + n) % 86400;
		} while ((a[0] != 0xc0 && a[0] != t / 3600) ||
			 (a[1] != 0xc0 && a[1] != t / 60 % 60) || (a[2] != 0xc0 && a[2] != t % 60));
		assert_int_equal(rtc_deadline(&rtc), n * S);
	}
}

/* Every value in every register, updates and deadlines between. */
static void hostile_writes_are_bounded(void **state)
{
	for (unsigned i = 0; i < 64 * 256 * 4; i++) {
		rtc_write(&rtc, 0, 1, i * 37 % 256, rig.now);
		rtc_write(&rtc, 1, 1, i / 64 % 256, rig.now);
		if (rtc_deadline(&rtc) != NEVER && i % 3 == 0)
			rig.now = rtc_deadline(&rtc);
		rig.now += i % 7 * (S / 3);
		rtc_tick(&rtc, rig.now);
		assert_true(rtc_deadline(&rtc) > rig.now);
		rtc_write(&rtc, 0, 1, i % 128, rig.now);
		rtc_read(&rtc, 1, 1, rig.now);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(registers_after_init, setup),
		cmocka_unit_test_setup(shows_utc_in_24_hour_bcd, setup),
		cmocka_unit_test_setup(leap_day_follows_february_28, setup),
		cmocka_unit_test_setup(century_turns_with_the_year, setup),
		cmocka_unit_test_setup(fraction_of_the_first_second_counts, setup),
		cmocka_unit_test_setup(time_before_1970_is_1970, setup),
		cmocka_unit_test_setup(latest_time_of_init, setup),
		cmocka_unit_test_setup(index_cannot_be_read, setup),
		cmocka_unit_test_setup(nmi_bit_is_not_part_of_the_index, setup),
		cmocka_unit_test_setup(ram_keeps_bytes, setup),
		cmocka_unit_test_setup(registers_c_and_d_are_read_only, setup),
		cmocka_unit_test_setup(firmware_sets_ram_but_not_the_clock, setup),
		cmocka_unit_test_setup(binary_mode, setup),
		cmocka_unit_test_setup(twelve_hour_bcd, setup),
		cmocka_unit_test_setup(twelve_hour_binary, setup),
		cmocka_unit_test_setup(twelve_hour_time_is_understood, setup),
		cmocka_unit_test_setup(uip_pulses_before_each_update, setup),
		cmocka_unit_test_setup(uip_cannot_be_written, setup),
		cmocka_unit_test_setup(set_freezes_the_time, setup),
		cmocka_unit_test_setup(set_clears_uie, setup),
		cmocka_unit_test_setup(time_is_set, setup),
		cmocka_unit_test_setup(time_may_be_written_without_set, setup),
		cmocka_unit_test_setup(divider_reset_stops_the_clock, setup),
		cmocka_unit_test_setup(first_update_half_a_second_after_divider_reset, setup),
		cmocka_unit_test_setup(linux_sets_the_time, setup),
		cmocka_unit_test_setup(update_ended_interrupt, setup),
		cmocka_unit_test_setup(flags_need_no_enable, setup),
		cmocka_unit_test_setup(enabling_a_set_flag_raises_at_once, setup),
		cmocka_unit_test_setup(alarm_at_a_time_of_day, setup),
		cmocka_unit_test_setup(alarm_every_second, setup),
		cmocka_unit_test_setup(alarm_every_minute_and_hour, setup),
		cmocka_unit_test_setup(alarm_with_open_minutes_or_seconds, setup),
		cmocka_unit_test_setup(alarm_of_no_time_never_comes, setup),
		cmocka_unit_test_setup(alarm_in_12_hour_format, setup),
		cmocka_unit_test_setup(missed_alarm_sets_its_flag, setup),
		cmocka_unit_test_setup(no_alarm_while_set, setup),
		cmocka_unit_test_setup(periodic_interrupt_at_1024_hz, setup),
		cmocka_unit_test_setup(periodic_rates, setup),
		cmocka_unit_test_setup(periodic_rate_is_clamped, setup),
		cmocka_unit_test_setup(periodic_edges_do_not_drift, setup),
		cmocka_unit_test_setup(periodic_goes_on_while_set, setup),
		cmocka_unit_test_setup(interrupts_share_the_line, setup),
		cmocka_unit_test_setup(idle_clock_needs_no_wake_up, setup),
		cmocka_unit_test_setup(february_31_becomes_march, setup),
		cmocka_unit_test_setup(year_9999_ends, setup),
		cmocka_unit_test_setup(garbage_becomes_a_date, setup),
		cmocka_unit_test_setup(other_offsets_are_inert, setup),
		cmocka_unit_test_setup(clock_that_steps_back_changes_nothing, setup),
		cmocka_unit_test_setup(calendar_holds_until_9999, setup),
		cmocka_unit_test_setup(alarm_is_the_first_match, setup),
		cmocka_unit_test_setup(hostile_writes_are_bounded, setup),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
