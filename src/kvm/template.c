/*
 * template.c - CPU templates on KVM's tables [vmm/src/cpu_config/x86_64/mod.rs]. A template that
 * names what KVM does not have is refused, since its guests would not be the same everywhere.
 */
#include "template.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "../log.h"

void template_merge(struct template_bits *to, struct template_bits more)
{
	to->mask |= more.mask;
	to->value = (to->value & ~more.mask) | more.value;
}

static uint64_t changed(uint64_t val, const struct template_bits *b)
{
	return (val & ~b->mask) | b->value;
}

int cpu_template_caps(const struct cpu_template *t, int kvm)
{
	for (unsigned i = 0; i < t->caps; i++)
		if (!t->cap[i].remove && ioctl(kvm, KVM_CHECK_EXTENSION, t->cap[i].cap) <= 0)
			return log_fail(ENOTSUP,
					"the CPU template asks for KVM capability %u, which this "
					"host does not have",
					t->cap[i].cap);
	return 0;
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, const struct template_leaf *l)
{
	for (unsigned i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == l->leaf && cpuid->entries[i].index == l->subleaf)
			return &cpuid->entries[i];
	return NULL;
}

int cpu_template_cpuid(const struct cpu_template *t, struct kvm_cpuid2 *cpuid)
{
	for (unsigned i = 0; i < t->leaves; i++)
		if (!find(cpuid, &t->leaf[i]))
			return log_fail(EINVAL,
					"Template changes a CPUID entry not supported by KVM: "
					"Leaf: %x, Subleaf: %x",
					t->leaf[i].leaf, t->leaf[i].subleaf);
	for (unsigned i = 0; i < t->leaves; i++) {
		const struct template_leaf *l = &t->leaf[i];
		struct kvm_cpuid_entry2 *e = find(cpuid, l);

		e->flags = l->flags;
		e->eax = (uint32_t)changed(e->eax, &l->reg[TEMPLATE_EAX]);
		e->ebx = (uint32_t)changed(e->ebx, &l->reg[TEMPLATE_EBX]);
		e->ecx = (uint32_t)changed(e->ecx, &l->reg[TEMPLATE_ECX]);
		e->edx = (uint32_t)changed(e->edx, &l->reg[TEMPLATE_EDX]);
	}
	return 0;
}

void cpu_template_msrs(const struct cpu_template *t, struct kvm_msrs *msrs)
{
	memset(msrs, 0, sizeof(*msrs) + t->msrs * sizeof(msrs->entries[0]));
	msrs->nmsrs = t->msrs;
	for (unsigned i = 0; i < t->msrs; i++)
		msrs->entries[i].index = t->msr[i].index;
}

void cpu_template_set(const struct cpu_template *t, struct kvm_msrs *msrs)
{
	for (unsigned i = 0; i < t->msrs; i++)
		msrs->entries[i].data = changed(msrs->entries[i].data, &t->msr[i].bits);
}

/* KVM tells how many it took, and so which it does not know. */
static int msrs_done(const struct cpu_template *t, int done)
{
	if (done < 0)
		return log_fail(errno, "the MSRs of the CPU template: %s", strerror(errno));
	if ((unsigned)done < t->msrs)
		return log_fail(EINVAL,
				"Template changes an MSR entry not supported by KVM: Register "
				"Address: %x",
				t->msr[done].index);
	return 0;
}

int cpu_template_vcpu(const struct cpu_template *t, int vcpu)
{
	struct kvm_msrs *msrs;
	int err;

	if (!t->msrs)
		return 0;
	msrs = malloc(sizeof(*msrs) + t->msrs * sizeof(msrs->entries[0]));
	if (!msrs)
		return log_fail(ENOMEM, "no memory for the MSRs of the CPU template");
	cpu_template_msrs(t, msrs);
	err = msrs_done(t, ioctl(vcpu, KVM_GET_MSRS, msrs));
	cpu_template_set(t, msrs);
	if (!err)
		err = msrs_done(t, ioctl(vcpu, KVM_SET_MSRS, msrs));
	free(msrs);
	return err;
}
