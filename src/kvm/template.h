/*
 * template.h - a CPU template: what a guest's CPUID and MSRs are to differ in from what the host
 * offers, bit by bit, so that guests of a fleet see one CPU [Firecracker, docs/cpu_templates].
 */
#pragma once
#include "../util.h"

struct kvm_cpuid2;
struct kvm_msrs;

/* Of `mask`, which has all of `value`'s bits, a register gets `value`. */
struct template_bits {
	uint64_t mask, value;
};

enum template_reg { TEMPLATE_EAX, TEMPLATE_EBX, TEMPLATE_ECX, TEMPLATE_EDX, TEMPLATE_REGS };

struct template_leaf {
	uint32_t leaf, subleaf, flags; /* KVM_CPUID_FLAG_* */
	struct template_bits reg[TEMPLATE_REGS];
};

struct template_msr {
	uint32_t index;
	struct template_bits bits;
};

/* KVM_CAP_*: to be there, or not asked for. */
struct template_cap {
	uint32_t cap;
	bool remove;
};

struct cpu_template {
	unsigned leaves, msrs, caps;
	struct template_leaf *leaf;
	struct template_msr *msr; /* no index twice */
	struct template_cap *cap;
};

/* One more change of the same register: it has the last word where both speak. */
void template_merge(struct template_bits *to, struct template_bits more);

/* Are the capabilities there that it asks for? 0, or -ENOTSUP, logged. `kvm` is /dev/kvm. */
int cpu_template_caps(const struct cpu_template *t, int kvm);
/*
 * Changes what KVM_GET_SUPPORTED_CPUID gave: before cpuid_build(), which has the last word on the
 * topology. 0, or -EINVAL, logged: then the table is as before.
 */
int cpu_template_cpuid(const struct cpu_template *t, struct kvm_cpuid2 *cpuid);
/*
 * The MSRs that it changes: `msrs` gets their indices, for KVM_GET_MSRS; it needs room for t->msrs
 * entries. Then cpu_template_set() makes of the values there those for KVM_SET_MSRS.
 */
void cpu_template_msrs(const struct cpu_template *t, struct kvm_msrs *msrs);
void cpu_template_set(const struct cpu_template *t, struct kvm_msrs *msrs);
/* All three, on a vCPU that has its CPUID. 0, or -errno, logged. */
int cpu_template_vcpu(const struct cpu_template *t, int vcpu);
