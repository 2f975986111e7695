/*
 * rtc.h - MC146818 real-time clock with 128 bytes of CMOS at 70h-71h, IRQ 8. Board lock held by the
 * caller of everything here.
 */
#pragma once
#include "../irq/line.h"

#define RTC_CMOS_SIZE 128u

struct rtc {
	uint8_t cmos[RTC_CMOS_SIZE]; /* registers A-D included; time bytes are filled on read */
	uint8_t index;
	int64_t offset_ns;   /* UTC since 1970 = now + offset_ns, while the clock runs */
	uint64_t frozen_ns;  /* UTC at which SET or the divider reset stopped it */
	uint64_t update_ns;  /* next end of an update cycle that has not been folded in */
	uint64_t period_ns;  /* next periodic edge; NEVER while the rate is 0 */
	struct irq_line irq8;
};

/* `utc_ns`: nanoseconds since 1970 at monotonic time `now`. */
void rtc_init(struct rtc *r, struct irq_line irq8, int64_t utc_ns, uint64_t now);
/* Sets a CMOS byte as firmware would (memory sizes); not for the clock's own registers. */
void rtc_set_cmos(struct rtc *r, uint8_t index, uint8_t val);
uint32_t rtc_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void rtc_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/* Next edge that an enabled interrupt needs; NEVER while none is enabled. */
uint64_t rtc_deadline(const void *dev);
void rtc_tick(void *dev, uint64_t now);
