/*
 * rtc.h - MC146818 real-time clock with 128 bytes of CMOS at 70h-71h, IRQ 8. Board lock held by the
 * caller of everything here.
 */
#pragma once
#include "../irq/line.h"

#define RTC_CMOS_SIZE 128u

/* The bytes of `cmos` are the clock itself: seconds that have passed are added at the next look. */
struct rtc {
	uint8_t cmos[RTC_CMOS_SIZE]; /* time and registers A-D included */
	uint8_t index;
	uint64_t second_ns; /* when the second that the bytes show began: the divider's phase */
	uint64_t period_ns; /* next periodic edge; NEVER while there is none */
	struct irq_line irq8;
};

/*
 * 24-hour BCD, all interrupts off. `utc_ns`: nanoseconds since 1970 at monotonic time `now`; a time
 * before 1970 counts as 1970. `irq8` is taken to be low.
 */
void rtc_init(struct rtc *r, struct irq_line irq8, int64_t utc_ns, uint64_t now);
/* Sets a CMOS byte as firmware would (memory sizes); ignored for the clock's own registers. */
void rtc_set_cmos(struct rtc *r, uint8_t index, uint8_t val);
/* `off` is from 70h. The index has no read: all-ones. */
uint32_t rtc_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void rtc_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/* Next edge in ns that an enabled interrupt needs whose flag is clear; NEVER while there is none.
 */
uint64_t rtc_deadline(const void *dev);
/* Brings clock, flags and IRQ 8 up to `now`, in constant time. */
void rtc_tick(void *dev, uint64_t now);
