/*
 * cpuid.c - CPUID of the guest [SDM 2A CPUID; APM 3 appendix E; KVM cpuid.rst]. Pure: tables in,
 * tables out, so that both vendors are tested on any machine.
 */
#include "cpuid.h"

#include <errno.h>
#include <string.h>

#include <linux/kvm.h>

#include "../log.h"

#define L1_ECX_VMX          BIT(5)
#define L1_ECX_X2APIC       BIT(21)
#define L1_ECX_TSC_DEADLINE BIT(24)
#define L1_ECX_OSXSAVE      BIT(27)
#define L1_ECX_HYPERVISOR   BIT(31)
#define L1_EDX_HTT          BIT(28)
#define L1_EBX_LOGICAL      MASK(23, 16)
#define L1_EBX_APIC_ID      MASK(31, 24)
#define L4_EAX_LEVEL        MASK(7, 5)
#define L4_EAX_SHARING      MASK(25, 14) /* also 8000001Dh */
#define L4_EAX_CORES        MASK(31, 26)
#define LB_ECX_SMT          (1u << 8)
#define LB_ECX_CORE         (2u << 8)
#define E1_ECX_CMP_LEGACY   BIT(1)
#define E1_ECX_SVM          BIT(2)
#define E8_ECX_NC           MASK(7, 0)
#define E8_ECX_ID_SIZE      MASK(15, 12)
#define LEAF_KVM            0x40000000u
#define LEAF_KVM_TIMING     0x40000010u /* EAX TSC kHz, EBX LAPIC bus kHz */
#define LEAF_TSC            0x15u
#define LAPIC_HZ            1000000000u /* KVM's LAPIC timer counts nanoseconds */

enum reg { EAX, EBX, ECX, EDX };

struct flag {
	const char *name;
	uint32_t leaf, sub;
	enum reg reg;
	uint8_t bit;
};

/* Names as QEMU writes them; those that somebody turns on or off, not every bit there is. */
// clang-format off
static const struct flag flags[] = {
	{"pcid",         1,            0, ECX, 17},
	{"x2apic",       1,            0, ECX, 21},
	{"tsc-deadline", 1,            0, ECX, 24},
	{"vmx",          1,            0, ECX, 5 },
	{"rdrand",       1,            0, ECX, 30},
	{"tsc_adjust",   7,            0, EBX, 1 },
	{"smep",         7,            0, EBX, 7 },
	{"invpcid",      7,            0, EBX, 10},
	{"rtm",          7,            0, EBX, 11},
	{"hle",          7,            0, EBX, 4 },
	{"smap",         7,            0, EBX, 20},
	{"avx512f",      7,            0, EBX, 16},
	{"umip",         7,            0, ECX, 2 },
	{"pku",          7,            0, ECX, 3 },
	{"la57",         7,            0, ECX, 16},
	{"spec-ctrl",    7,            0, EDX, 26},
	{"svm",          0x80000001,   0, ECX, 2 },
	{"pdpe1gb",      0x80000001,   0, EDX, 26},
	{"npt",          0x8000000a,   0, EDX, 0 },
	{"kvmclock",     LEAF_KVM + 1, 0, EAX, 3 },
};
// clang-format on

static struct kvm_cpuid_entry2 *leaf(struct kvm_cpuid2 *t, uint32_t fn, uint32_t sub)
{
	for (unsigned i = 0; i < t->nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entries[i];

		if (e->function == fn &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == sub))
			return e;
	}
	return NULL;
}

static uint32_t *leaf_reg(struct kvm_cpuid_entry2 *e, enum reg r)
{
	return r == EAX ? &e->eax : r == EBX ? &e->ebx : r == ECX ? &e->ecx : &e->edx;
}

static void drop(struct kvm_cpuid2 *t, uint32_t fn)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->nent; i++)
		if (t->entries[i].function != fn)
			t->entries[n++] = t->entries[i];
	t->nent = n;
}

static int add(struct kvm_cpuid2 *t, const struct kvm_cpuid_entry2 *e)
{
	if (t->nent >= CPUID_MAX)
		return -E2BIG;
	t->entries[t->nent++] = *e;
	return 0;
}

static void put(uint32_t *reg, uint64_t mask, uint64_t val)
{
	*reg = (uint32_t)((*reg & ~mask) | PUT(mask, val));
}

/* Bits that an APIC ID needs to tell `cpus` cores apart. */
static unsigned id_bits(unsigned cpus)
{
	return cpus > 1 ? 32 - (unsigned)__builtin_clz(cpus - 1) : 0;
}

/* Cores share nothing below the third cache level. */
static void cache_topology(struct kvm_cpuid2 *t, uint32_t fn, unsigned cpus)
{
	for (unsigned i = 0; i < t->nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entries[i];

		if (e->function != fn || !(e->eax & MASK(4, 0)))
			continue;
		put(&e->eax, L4_EAX_SHARING, GET(L4_EAX_LEVEL, e->eax) >= 3 ? cpus - 1 : 0);
		if (fn == 4)
			put(&e->eax, L4_EAX_CORES, BIT(id_bits(cpus)) - 1);
	}
}

static int topology(struct kvm_cpuid2 *t, unsigned cpus)
{
	const struct kvm_cpuid_entry2 extended[] = {
		{.function = 0xb,
		 .index = 0,
		 .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		 .eax = 0,
		 .ebx = 1,
		 .ecx = LB_ECX_SMT     },
		{.function = 0xb,
		 .index = 1,
		 .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		 .eax = id_bits(cpus),
		 .ebx = cpus,
		 .ecx = LB_ECX_CORE | 1},
	};
	struct kvm_cpuid_entry2 *e;

	drop(t, 0xb);
	drop(t, 0x1f);
	if ((e = leaf(t, 0, 0)) && e->eax >= 0xb)
		for (unsigned i = 0; i < ARRAY_SIZE(extended); i++)
			if (add(t, &extended[i]))
				return -E2BIG;
	if ((e = leaf(t, 1, 0))) {
		put(&e->ebx, L1_EBX_LOGICAL, cpus);
		if (cpus > 1)
			e->edx |= L1_EDX_HTT;
		else
			CLEAR(e->edx, L1_EDX_HTT);
	}
	cache_topology(t, 4, cpus);
	cache_topology(t, 0x8000001d, cpus);
	if ((e = leaf(t, 0x80000001, 0)) && cpus > 1 && leaf(t, 0x8000001e, 0))
		e->ecx |= E1_ECX_CMP_LEGACY; /* AMD alone has 8000001Eh */
	if ((e = leaf(t, 0x80000008, 0)) && leaf(t, 0x8000001e, 0)) {
		put(&e->ecx, E8_ECX_NC, cpus - 1);
		put(&e->ecx, E8_ECX_ID_SIZE, id_bits(cpus));
	}
	return 0;
}

/*
 * The TSC as a ratio of a 1 GHz crystal: Linux takes the LAPIC timer's period from the crystal,
 * and KVM's runs at 1 GHz, whatever the host's does.
 */
static int frequencies(struct kvm_cpuid2 *t, unsigned tsc_khz)
{
	const struct kvm_cpuid_entry2 tsc = {
		.function = LEAF_TSC, .eax = 1000000, .ebx = tsc_khz, .ecx = LAPIC_HZ};
	const struct kvm_cpuid_entry2 timing = {
		.function = LEAF_KVM_TIMING, .eax = tsc_khz, .ebx = LAPIC_HZ / 1000};
	struct kvm_cpuid_entry2 *max;

	drop(t, LEAF_TSC);
	drop(t, LEAF_KVM_TIMING);
	if (!tsc_khz)
		return 0;
	if ((max = leaf(t, 0, 0)))
		max->eax = MAX(max->eax, LEAF_TSC);
	if ((max = leaf(t, LEAF_KVM, 0)))
		max->eax = MAX(max->eax, LEAF_KVM_TIMING);
	return add(t, &tsc) || add(t, &timing) ? -E2BIG : 0;
}

static const struct flag *flag_named(const char *name, size_t len)
{
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
		if (strlen(flags[i].name) == len && !memcmp(flags[i].name, name, len))
			return &flags[i];
	return NULL;
}

/* Which of the named features KVM offers: one bit for each row of flags[]. */
static uint32_t flags_offered(struct kvm_cpuid2 *t)
{
	uint32_t offered = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		struct kvm_cpuid_entry2 *e = leaf(t, flags[i].leaf, flags[i].sub);

		if (e && (*leaf_reg(e, flags[i].reg) & BIT(flags[i].bit)))
			offered |= (uint32_t)BIT(i);
	}
	return offered;
}

/* A feature that KVM does not offer stays away: a guest that sees it would fault on its use. */
static void apply_flag(struct kvm_cpuid2 *t, const struct flag *f, bool on, uint32_t offered)
{
	struct kvm_cpuid_entry2 *e = leaf(t, f->leaf, f->sub);

	if (on && !(offered & BIT(f - flags)))
		log_err("warning: --cpu-flags: this host's KVM does not offer %s", f->name);
	else if (e && on)
		*leaf_reg(e, f->reg) |= (uint32_t)BIT(f->bit);
	else if (e)
		CLEAR(*leaf_reg(e, f->reg), BIT(f->bit));
}

/* Each word of the list, applied to `t` unless that is NULL. */
static int each_flag(struct kvm_cpuid2 *t, const char *list, uint32_t offered)
{
	while (list && *list) {
		size_t len = strcspn(list, ",");
		const struct flag *f;

		if (len < 2 || (list[0] != '+' && list[0] != '-'))
			return log_fail(EINVAL, "--cpu-flags: \"%.*s\" is not +feature or -feature",
					(int)len, list);
		f = flag_named(list + 1, len - 1);
		if (!f)
			return log_fail(EINVAL, "--cpu-flags: unknown CPU feature \"%.*s\"",
					(int)len, list);
		if (t)
			apply_flag(t, f, list[0] == '+', offered);
		list += len + (list[len] == ',');
	}
	return 0;
}

int cpuid_check_flags(const char *list)
{
	return each_flag(NULL, list, 0);
}

int cpuid_build(struct kvm_cpuid2 *t, const struct cpuid_conf *c)
{
	struct kvm_cpuid_entry2 *e;
	uint32_t offered;
	int err;

	if ((e = leaf(t, 1, 0))) {
		e->ecx |= L1_ECX_HYPERVISOR | L1_ECX_X2APIC;
		if (c->tsc_deadline)
			e->ecx |= L1_ECX_TSC_DEADLINE;
		CLEAR(e->ecx, L1_ECX_OSXSAVE);
	}
	offered = flags_offered(t);
	if ((e = leaf(t, 1, 0)))
		CLEAR(e->ecx, L1_ECX_VMX); /* nested KVM only on request */
	if ((e = leaf(t, 0x80000001, 0)))
		CLEAR(e->ecx, E1_ECX_SVM);
	err = topology(t, c->cpus);
	if (!err)
		err = frequencies(t, c->tsc_khz);
	if (!err)
		err = each_flag(t, c->flags, offered);
	if (!err)
		cpuid_set_apic_id(t, 0);
	return err;
}

void cpuid_set_apic_id(struct kvm_cpuid2 *t, unsigned apic_id)
{
	for (unsigned i = 0; i < t->nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entries[i];

		switch (e->function) {
		case 1: put(&e->ebx, L1_EBX_APIC_ID, apic_id); break;
		case 0xb: e->edx = apic_id; break;
		case 0x8000001e: /* APM 3 E.4.19: extended APIC ID, core ID, one node */
			e->eax = apic_id;
			e->ebx = apic_id & 0xff;
			e->ecx = 0;
			break;
		default: break;
		}
	}
}
