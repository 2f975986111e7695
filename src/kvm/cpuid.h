/*
 * cpuid.h - what the guest's CPUID says: what KVM supports, with the topology of this VM, one
 * thread a core and all cores in one package, and frequencies that spare the guest calibration.
 */
#pragma once
#include <stdbool.h>

struct kvm_cpuid2;

#define CPUID_MAX 256u /* entries that a table here has room for */

struct cpuid_conf {
	unsigned cpus;
	unsigned tsc_khz;  /* 0: unknown, then no frequency is told */
	bool tsc_deadline; /* KVM_CAP_TSC_DEADLINE_TIMER */
	const char *flags; /* "+name,-name", or NULL */
};

/*
 * Turns what KVM_GET_SUPPORTED_CPUID gave (room for CPUID_MAX entries) into the table of vCPU 0.
 * 0, or -EINVAL with the unknown flag logged, -E2BIG.
 */
int cpuid_build(struct kvm_cpuid2 *t, const struct cpuid_conf *c);
/* Is this a list for cpuid_conf.flags? 0, or -EINVAL with the word that is wrong logged. */
int cpuid_check_flags(const char *list);
/* Makes it the table of the vCPU with this APIC ID. */
void cpuid_set_apic_id(struct kvm_cpuid2 *t, unsigned apic_id);
