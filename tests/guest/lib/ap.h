/*
 * ap.h - the other CPUs: brought from INIT to flat 32-bit mode, each on a stack of its own, where
 * the guest's ap_main() takes them. It must not return.
 */
#pragma once
#include "guest.h"

#define ICR_OTHERS 0xc0000 /* all but this one */
#define ICR_FIXED  0x4000

_Noreturn void ap_main(unsigned id);
/* INIT and two start-up IPIs to all of them. LAPIC on. */
void ap_start(void);
/* A command to all of them. */
void ap_ipi(uint32_t command);
