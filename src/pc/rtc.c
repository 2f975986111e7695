/*
 * rtc.c - MC146818 real-time clock and CMOS RAM [MC146818, Motorola].
 * Modelled: BCD and binary, 12 and 24 hours, century at 32h, update cycle with UIP, SET, divider
 * reset, alarm with don't-care, periodic, alarm and update-ended interrupts, battery good.
 * Not modelled: square wave, daylight saving, other crystals than 32768 Hz and the test dividers
 * (they count as that one), NMI mask in bit 7 of the index. Impossible dates become the day that
 * arithmetic gives, and the weekday follows the date, at the next update. A change of format
 * converts the running time, but not the alarm.
 * Board lock held by the caller.
 */
#include "rtc.h"

#define RTC_INDEX 0u /* offsets of the two ports */
#define RTC_DATA  1u

// clang-format off
enum {
	RTC_SECONDS, RTC_SECONDS_ALARM, RTC_MINUTES, RTC_MINUTES_ALARM, RTC_HOURS, RTC_HOURS_ALARM,
	RTC_WEEKDAY, RTC_DAY, RTC_MONTH, RTC_YEAR, RTC_REG_A, RTC_REG_B, RTC_REG_C, RTC_REG_D,
	RTC_RAM,
	RTC_CENTURY = 0x32, /* the FADT says so */
};
// clang-format on

#define RTC_INDEX_KEPT MASK(6, 0)

#define RTC_A_UIP BIT(7)
#define RTC_A_DV  MASK(6, 4) /* 2: 32768 Hz; 6 and 7: held in reset */
#define RTC_A_RS  MASK(3, 0)
#define RTC_A_RST (PUT(RTC_A_DV, 2) | PUT(RTC_A_RS, 6))

#define RTC_B_SET BIT(7)
#define RTC_B_PIE BIT(6) /* enables: the same bits as their flags in register C */
#define RTC_B_AIE BIT(5)
#define RTC_B_UIE BIT(4)
#define RTC_B_DM  BIT(2) /* binary */
#define RTC_B_24H BIT(1)

#define RTC_C_IRQF BIT(7)
#define RTC_C_PF   BIT(6)
#define RTC_C_AF   BIT(5)
#define RTC_C_UF   BIT(4)

#define RTC_D_VRT BIT(7)

#define RTC_DV_RESET     6u
#define RTC_HOUR_PM      BIT(7)
#define RTC_HOUR_12      MASK(6, 0)
#define RTC_ALARM_ANY    0xc0u   /* and above: don't care */
#define RTC_UIP_NS       244000u /* UIP precedes the update by this [MC146818 Update Cycle] */
#define RTC_CLK_HZ       32768u
#define RTC_PERIOD_LEAST 8u      /* of RTC_CLK_HZ: 244 us, the first rate above 200 us */
#define RTC_DAY_1970     865565u /* days from 1 March -400 */
#define RTC_DAY_S        86400ull

/* Register B's view of a number below 100. */
static uint8_t rtc_pack(const struct rtc *r, unsigned v)
{
	if (r->cmos[RTC_REG_B] & RTC_B_DM)
		return (uint8_t)v;
	return (uint8_t)((v / 10 % 10) << 4 | v % 10);
}

static unsigned rtc_unpack(const struct rtc *r, uint8_t v)
{
	if (r->cmos[RTC_REG_B] & RTC_B_DM)
		return v;
	return (v >> 4) * 10u + (v & 15);
}

/* Hours 0-23; noon and midnight are 12 in the 12-hour format. */
static uint8_t rtc_pack_hour(const struct rtc *r, unsigned h)
{
	uint8_t pm = h >= 12 ? RTC_HOUR_PM : 0;

	if (r->cmos[RTC_REG_B] & RTC_B_24H)
		return rtc_pack(r, h);
	return rtc_pack(r, h % 12 ? h % 12 : 12) | pm;
}

static unsigned rtc_unpack_hour(const struct rtc *r, uint8_t v)
{
	if (r->cmos[RTC_REG_B] & RTC_B_24H)
		return rtc_unpack(r, v);
	return rtc_unpack(r, v & RTC_HOUR_12) % 12 + (v & RTC_HOUR_PM ? 12 : 0);
}

/*
 * Days from 1 March -400 to a day of the Gregorian calendar, month 1-12: years begin in March, so
 * that the odd day ends one, and so far back that nothing here goes below zero.
 */
static uint64_t days_from_civil(uint32_t year, uint32_t month, uint32_t day)
{
	uint32_t y = year + 400 - (month <= 2), of_era = y % 400;

	return y / 400 * 146097ull + of_era * 365 + of_era / 4 - of_era / 100 +
	       (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
}

static void civil_from_days(uint64_t days, uint64_t *year, unsigned *month, unsigned *day)
{
	unsigned d = (unsigned)(days % 146097);
	unsigned y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
	unsigned of_year = d - (365 * y + y / 4 - y / 100);
	unsigned m = (5 * of_year + 2) / 153; /* 0: March */

	*day = of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = days / 146097 * 400 + y + (*month <= 2) - 400;
}

/* Seconds that the time bytes show, whatever the guest wrote there; from 1 March -400. */
static uint64_t rtc_seconds(const struct rtc *r)
{
	uint32_t year =
		rtc_unpack(r, r->cmos[RTC_CENTURY]) * 100 + rtc_unpack(r, r->cmos[RTC_YEAR]);
	uint32_t month = (rtc_unpack(r, r->cmos[RTC_MONTH]) + 11) % 12 + 1;
	uint32_t day = rtc_unpack(r, r->cmos[RTC_DAY]);

	return days_from_civil(year, month, MAX(day, 1u)) * RTC_DAY_S +
	       rtc_unpack_hour(r, r->cmos[RTC_HOURS]) * 3600ull +
	       rtc_unpack(r, r->cmos[RTC_MINUTES]) * 60ull + rtc_unpack(r, r->cmos[RTC_SECONDS]);
}

static void rtc_show(struct rtc *r, uint64_t s)
{
	uint64_t days = s / RTC_DAY_S, year;
	unsigned of_day = (unsigned)(s % RTC_DAY_S), month, day;

	civil_from_days(days, &year, &month, &day);
	r->cmos[RTC_SECONDS] = rtc_pack(r, of_day % 60);
	r->cmos[RTC_MINUTES] = rtc_pack(r, of_day / 60 % 60);
	r->cmos[RTC_HOURS] = rtc_pack_hour(r, of_day / 3600);
	r->cmos[RTC_WEEKDAY] = (uint8_t)((days + 3) % 7 + 1); /* 1 is Sunday */
	r->cmos[RTC_DAY] = rtc_pack(r, day);
	r->cmos[RTC_MONTH] = rtc_pack(r, month);
	r->cmos[RTC_YEAR] = rtc_pack(r, (unsigned)(year % 100));
	r->cmos[RTC_CENTURY] = rtc_pack(r, (unsigned)(year / 100 % 100));
}

static bool rtc_divider_reset(const struct rtc *r)
{
	return GET(RTC_A_DV, r->cmos[RTC_REG_A]) >= RTC_DV_RESET;
}

static bool rtc_running(const struct rtc *r)
{
	return !(r->cmos[RTC_REG_B] & RTC_B_SET) && !rtc_divider_reset(r);
}

/*
 * Seconds from `s` to the next one that matches the alarm, at least 1; NEVER if none can. The chip
 * compares bytes, so one that the clock never shows never matches.
 */
static uint64_t rtc_alarm_delay(const struct rtc *r, uint64_t s)
{
	const uint8_t *a = r->cmos;
	bool any_s = a[RTC_SECONDS_ALARM] >= RTC_ALARM_ANY;
	bool any_m = a[RTC_MINUTES_ALARM] >= RTC_ALARM_ANY;
	bool any_h = a[RTC_HOURS_ALARM] >= RTC_ALARM_ANY;
	unsigned sec = any_s ? 0 : rtc_unpack(r, a[RTC_SECONDS_ALARM]);
	unsigned min = any_m ? 0 : rtc_unpack(r, a[RTC_MINUTES_ALARM]);
	unsigned hour = any_h ? 0 : rtc_unpack_hour(r, a[RTC_HOURS_ALARM]);
	uint64_t t = s + 1, old;

	if (sec > 59 || (!any_s && rtc_pack(r, sec) != a[RTC_SECONDS_ALARM]) || min > 59 ||
	    (!any_m && rtc_pack(r, min) != a[RTC_MINUTES_ALARM]) || hour > 23 ||
	    (!any_h && rtc_pack_hour(r, hour) != a[RTC_HOURS_ALARM]))
		return NEVER;
	if (!any_s)
		t += (60 + sec - t % 60) % 60;
	old = t;
	if (!any_m)
		t += (60 + min - t / 60 % 60) % 60 * 60;
	if (t != old) /* a later minute: from its first second that matches */
		t += sec - t % 60;
	old = t;
	if (!any_h)
		t += (24 + hour - t / 3600 % 24) % 24 * 3600;
	if (t != old)
		t += min * 60 + sec - t % 3600;
	return t - s;
}

/* The periodic edge after `now`: the rates are taps of the divider that counts the second. */
static uint64_t rtc_next_period(const struct rtc *r, uint64_t now)
{
	unsigned rs = GET(RTC_A_RS, r->cmos[RTC_REG_A]);
	uint64_t phase = (now - r->second_ns) % NSEC, clocks, edge;

	if (!rs || rtc_divider_reset(r))
		return NEVER;
	clocks = BIT(rs > 2 ? rs - 1 : rs + 6); /* 1 and 2 are 8 and 9 [MC146818 Register A] */
	clocks = MAX(clocks, RTC_PERIOD_LEAST);
	edge = (phase * RTC_CLK_HZ / NSEC / clocks + 1) * clocks;
	return now - phase + (edge * NSEC + RTC_CLK_HZ - 1) / RTC_CLK_HZ;
}

/* IRQF and the wire follow the flags and their enables. */
static void rtc_update_irq(struct rtc *r)
{
	uint8_t c = r->cmos[RTC_REG_C] & (RTC_C_PF | RTC_C_AF | RTC_C_UF);
	bool irq = c & r->cmos[RTC_REG_B];

	r->cmos[RTC_REG_C] = irq ? c | RTC_C_IRQF : c;
	irq_set(&r->irq8, irq);
}

/* Adds `n` updates. */
static void rtc_advance(struct rtc *r, uint64_t n)
{
	uint64_t s = rtc_seconds(r);

	r->cmos[RTC_REG_C] |= RTC_C_UF;
	if (rtc_alarm_delay(r, s) <= n)
		r->cmos[RTC_REG_C] |= RTC_C_AF;
	rtc_show(r, s + n);
	r->second_ns += n * NSEC;
}

void rtc_tick(void *dev, uint64_t now)
{
	struct rtc *r = dev;
	uint64_t since = now - r->second_ns;
	bool update = rtc_running(r) && since >= NSEC && since <= INT64_MAX;

	if (!update && now < r->period_ns)
		return;
	if (update)
		rtc_advance(r, since / NSEC);
	if (now >= r->period_ns) {
		r->cmos[RTC_REG_C] |= RTC_C_PF;
		r->period_ns = rtc_next_period(r, now);
	}
	rtc_update_irq(r);
}

uint64_t rtc_deadline(const void *dev)
{
	const struct rtc *r = dev;
	unsigned wanted = r->cmos[RTC_REG_B] & ~(unsigned)r->cmos[RTC_REG_C];
	uint64_t d = wanted & RTC_B_PIE ? r->period_ns : NEVER, alarm;

	if (!rtc_running(r))
		return d;
	if (wanted & RTC_B_UIE)
		d = MIN(d, r->second_ns + NSEC);
	if (wanted & RTC_B_AIE) {
		alarm = rtc_alarm_delay(r, rtc_seconds(r));
		if (alarm != NEVER)
			d = MIN(d, r->second_ns + alarm * NSEC);
	}
	return d;
}

void rtc_init(struct rtc *r, struct irq_line irq8, int64_t utc_ns, uint64_t now)
{
	uint64_t utc = utc_ns > 0 ? (uint64_t)utc_ns : 0;

	*r = (struct rtc){.second_ns = now - utc % NSEC, .period_ns = NEVER, .irq8 = irq8};
	r->cmos[RTC_REG_A] = RTC_A_RST;
	r->cmos[RTC_REG_B] = RTC_B_24H;
	r->cmos[RTC_REG_D] = RTC_D_VRT;
	rtc_show(r, RTC_DAY_1970 * RTC_DAY_S + utc / NSEC);
	r->period_ns = rtc_next_period(r, now);
}

void rtc_set_cmos(struct rtc *r, uint8_t index, uint8_t val)
{
	if (index >= RTC_RAM && index < RTC_CMOS_SIZE && index != RTC_CENTURY)
		r->cmos[index] = val;
}

static void rtc_write_a(struct rtc *r, uint8_t v, uint64_t now)
{
	bool was_reset = rtc_divider_reset(r);

	r->cmos[RTC_REG_A] = CLEAR(v, RTC_A_UIP);
	/* The first update comes half a second after the divider is let go. */
	if (was_reset && !rtc_divider_reset(r))
		r->second_ns = now - NSEC / 2;
	r->period_ns = rtc_next_period(r, now);
}

static void rtc_write_b(struct rtc *r, uint8_t v, uint64_t now)
{
	uint8_t old = r->cmos[RTC_REG_B];
	uint64_t s = rtc_seconds(r);

	if (v & RTC_B_SET)
		CLEAR(v, RTC_B_UIE);
	r->cmos[RTC_REG_B] = v;
	if (!((v | old) & RTC_B_SET) && ((v ^ old) & (RTC_B_DM | RTC_B_24H)))
		rtc_show(r, s);
	if ((old & ~(unsigned)v) & RTC_B_SET) /* the divider went on: its phase holds */
		r->second_ns = now - (now - r->second_ns) % NSEC;
	rtc_update_irq(r);
}

uint32_t rtc_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	struct rtc *r = dev;
	uint8_t v;

	if (off != RTC_DATA)
		return all_ones(size);
	rtc_tick(r, now);
	v = r->cmos[r->index];
	if (r->index == RTC_REG_A && rtc_running(r) && now - r->second_ns >= NSEC - RTC_UIP_NS)
		v |= RTC_A_UIP;
	if (r->index == RTC_REG_C) {
		r->cmos[RTC_REG_C] = 0;
		rtc_update_irq(r);
	}
	return v;
}

void rtc_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct rtc *r = dev;

	if (off == RTC_INDEX)
		r->index = val & RTC_INDEX_KEPT;
	if (off != RTC_DATA)
		return;
	rtc_tick(r, now);
	switch (r->index) {
	case RTC_REG_A: rtc_write_a(r, (uint8_t)val, now); break;
	case RTC_REG_B: rtc_write_b(r, (uint8_t)val, now); break;
	case RTC_REG_C:
	case RTC_REG_D: break; /* read-only */
	default: r->cmos[r->index] = (uint8_t)val; break;
	}
}
