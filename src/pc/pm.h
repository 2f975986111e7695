/*
 * pm.h - ACPI registers of the PIIX4 power management function at PORT_PM: PM1 events and control
 * (S5 powers off), PM timer, GPE0. Board lock held by the caller.
 */
#pragma once
#include "../irq/line.h"

#define PM_TIMER_HZ 3579545u
#define PM_LEN      64u

struct pm {
	uint16_t pm1_sts, pm1_en, pm1_cnt;
	uint8_t gpe_sts[4], gpe_en[4];
	uint64_t overflow_ns; /* next toggle of timer bit 23 not yet folded in */
	struct irq_line sci;
	struct power_line power;
};

void pm_init(struct pm *p, struct irq_line sci, struct power_line power);
/* PM1: 2-byte registers, also by bytes. Timer at +8: 4 bytes, also by parts. */
uint32_t pm_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void pm_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/* Next timer toggle while TMR_EN is set and TMR_STS clear; else NEVER. */
uint64_t pm_deadline(const void *dev);
void pm_tick(void *dev, uint64_t now);
/* The power button: sets PWRBTN_STS. */
void pm_power_button(struct pm *p);
