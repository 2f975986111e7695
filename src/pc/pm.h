/*
 * pm.h - ACPI registers of the PIIX4 power management function at PORT_PM: PM1 events and control
 * (S5 powers off), PM timer, GPE0. Board lock held by the caller of everything here.
 *
 * What the FADT has to say is here: the blocks' offsets and lengths, and a timer of 24 bits, so
 * TMR_VAL_EXT is clear. SCI_EN is set from the start and there is no SMI_CMD. There is a power
 * button with fixed registers (PWR_BUTTON clear), no sleep button (SLP_BUTTON set), and the RTC
 * does not wake through PM1 (FIX_RTC set).
 */
#pragma once
#include "../irq/line.h"

#define PM_TIMER_HZ   3579545u
#define PM_TIMER_BITS 24u
#define PM_LEN        64u

/* Register blocks [PIIX4 PMSTS, PMCNTRL, PMTMR, GPSTS]. */
#define PM_EVT      0x0u /* PM1a event: 2 bytes of status, 2 of enable */
#define PM_EVT_LEN  4u
#define PM_CNT      0x4u /* PM1a control */
#define PM_CNT_LEN  2u
#define PM_TMR      0x8u
#define PM_TMR_LEN  4u
#define PM_GPE0     0xcu /* 2 bytes of status, 2 of enable */
#define PM_GPE0_LEN 4u

#define PM_SLP_TYP_S5 0u /* what _S5 must name */

struct pm {
	uint16_t pm1_sts, pm1_en, pm1_cnt;
	uint16_t gpe_sts, gpe_en;
	/*
	 * Next toggle of timer bit 23 not yet folded in; 0 before the first access, which finds
	 * out where the timer is.
	 */
	uint64_t overflow_ns;
	struct irq_line sci;
	struct power_line power;
};

/* Ends with SCI_EN set, no event pending or enabled. */
void pm_init(struct pm *p, struct irq_line sci, struct power_line power);
/*
 * `off` 0..63, any size and alignment: a register may be accessed by bytes or with its neighbours.
 * Registers that are not modelled read 0, bytes beyond the 64 read all-ones. The timer counts
 * `now`.
 */
uint32_t pm_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void pm_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/* Next timer toggle in ns while TMR_EN and SCI_EN are set and TMR_STS clear; else NEVER. */
uint64_t pm_deadline(const void *dev);
void pm_tick(void *dev, uint64_t now);
/* The power button: sets PWRBTN_STS. */
void pm_power_button(struct pm *p);
