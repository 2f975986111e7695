/*
 * pm.c - power management registers of the PIIX4 [PIIX4 290562; ACPI 4.8].
 * Modelled: PM1 events and enables, SCI, control with S5, the 24-bit timer, GPE0 without a source.
 * Not modelled: sleep states but S5, processor control, SMI and the registers behind it. Timer and
 * power button are the only events that come: BM_STS, GBL_STS, RTC_STS and WAK_STS stay 0.
 * The timer does not tick: its count is derived from `now`. Board lock held by the caller.
 */
#include "pm.h"

/* PM1 status and enable [PIIX4 PMSTS, PMEN; ACPI 4.8.4.1] */
#define PM_PM1_TMR    BIT(0)
#define PM_PM1_GBL    BIT(5)
#define PM_PM1_PWRBTN BIT(8)
#define PM_PM1_RTC    BIT(10)
#define PM_PM1_EN_RW  (PM_PM1_TMR | PM_PM1_GBL | PM_PM1_PWRBTN | PM_PM1_RTC)

/* PM1 control [PIIX4 PMCNTRL; ACPI 4.8.4.2]; GBL_RLS, bit 2, is written only and unheard */
#define PM_CNT_SCI_EN  BIT(0)
#define PM_CNT_BM_RLD  BIT(1)
#define PM_CNT_SLP_TYP MASK(12, 10)
#define PM_CNT_SLP_EN  BIT(13) /* written only */
#define PM_CNT_RW      (PM_CNT_SCI_EN | PM_CNT_BM_RLD | PM_CNT_SLP_TYP)

#define PM_TMR_MASK   MASK(PM_TIMER_BITS - 1, 0)
#define PM_TMR_TOGGLE BIT(PM_TIMER_BITS - 1) /* TMR_STS is set when this bit changes */

static uint64_t pm_ticks(uint64_t now)
{
	return mul_div(now, PM_TIMER_HZ, NSEC);
}

/* The first nanosecond after `now` at which the top bit of the timer changes. */
static uint64_t pm_next_toggle(uint64_t now)
{
	uint64_t ticks = (pm_ticks(now) / PM_TMR_TOGGLE + 1) * PM_TMR_TOGGLE;
	uint64_t at = mul_div(ticks, NSEC, PM_TIMER_HZ);

	return pm_ticks(at) < ticks ? at + 1 : at;
}

static void pm_update(struct pm *p)
{
	bool event = (p->pm1_sts & p->pm1_en) || (p->gpe_sts & p->gpe_en);

	irq_set(&p->sci, event && (p->pm1_cnt & PM_CNT_SCI_EN));
}

/* Makes TMR_STS what it is at `now`: any number of missed toggles sets it once. */
static void pm_fold(struct pm *p, uint64_t now)
{
	if (now < p->overflow_ns)
		return;
	if (p->overflow_ns)
		p->pm1_sts |= (uint16_t)PM_PM1_TMR;
	p->overflow_ns = pm_next_toggle(now);
	pm_update(p);
}

void pm_init(struct pm *p, struct irq_line sci, struct power_line power)
{
	*p = (struct pm){.pm1_cnt = PM_CNT_SCI_EN, .sci = sci, .power = power};
}

/* Byte `n` of the register block; all registers are made of bytes, so any access is. */
static uint8_t pm_byte(const struct pm *p, uint32_t n, uint64_t now)
{
	uint32_t reg;

	if (n >= PM_LEN)
		return UINT8_MAX;
	switch (n / 4 * 4) {
	case PM_EVT: reg = p->pm1_sts | (uint32_t)p->pm1_en << 16; break;
	case PM_CNT: reg = p->pm1_cnt; break;
	case PM_TMR: reg = (uint32_t)(pm_ticks(now) & PM_TMR_MASK); break;
	case PM_GPE0: reg = p->gpe_sts | (uint32_t)p->gpe_en << 16; break;
	default: reg = 0; break;
	}
	return (uint8_t)(reg >> (n % 4 * 8));
}

uint32_t pm_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	struct pm *p = dev;
	uint32_t val = 0;

	pm_fold(p, now);
	for (unsigned i = 0; i < size; i++)
		val |= (uint32_t)pm_byte(p, off + i, now) << (8 * i);
	return val;
}

/* Replaces the byte of `reg` at bit `shift` by `b`, as far as `rw` lets it. */
static uint16_t merge(uint16_t reg, unsigned shift, uint8_t b, uint64_t rw)
{
	rw &= (uint64_t)UINT8_MAX << shift;
	return (uint16_t)((reg & ~rw) | ((uint64_t)b << shift & rw));
}

static void pm_cnt_write(struct pm *p, unsigned shift, uint8_t b)
{
	bool sleep = ((uint64_t)b << shift & PM_CNT_SLP_EN) != 0;

	p->pm1_cnt = merge(p->pm1_cnt, shift, b, PM_CNT_RW);
	if (sleep && GET(PM_CNT_SLP_TYP, p->pm1_cnt) == PM_SLP_TYP_S5)
		power_signal(&p->power, POWER_OFF);
}

static void pm_byte_write(struct pm *p, uint32_t n, uint8_t b)
{
	unsigned shift = n % 2 * 8;

	switch (n / 2 * 2) {
	case PM_EVT: CLEAR(p->pm1_sts, b << shift); break;
	case PM_EVT + 2: p->pm1_en = merge(p->pm1_en, shift, b, PM_PM1_EN_RW); break;
	case PM_CNT: pm_cnt_write(p, shift, b); break;
	case PM_GPE0: CLEAR(p->gpe_sts, b << shift); break;
	case PM_GPE0 + 2: p->gpe_en = merge(p->gpe_en, shift, b, UINT16_MAX); break;
	default: break; /* the timer is read-only */
	}
}

void pm_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct pm *p = dev;

	pm_fold(p, now);
	for (unsigned i = 0; i < size; i++)
		pm_byte_write(p, off + i, (uint8_t)(val >> (8 * i)));
	pm_update(p);
}

uint64_t pm_deadline(const void *dev)
{
	const struct pm *p = dev;

	if (!(p->pm1_en & PM_PM1_TMR) || !(p->pm1_cnt & PM_CNT_SCI_EN) || (p->pm1_sts & PM_PM1_TMR))
		return NEVER;
	return p->overflow_ns;
}

void pm_tick(void *dev, uint64_t now)
{
	pm_fold(dev, now);
}

void pm_power_button(struct pm *p)
{
	p->pm1_sts |= (uint16_t)PM_PM1_PWRBTN;
	pm_update(p);
}
