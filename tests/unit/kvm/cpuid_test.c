/*
 * cpuid_test.c - the guest's CPUID over tables as KVM gives them on an Intel and on an AMD host
 * [SDM 2A CPUID; APM 3 appendix E]. Expected values are computed by hand from those pages.
 */
#include "../../../src/kvm/cpuid.h"

#include <errno.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "../said.h"

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static struct {
	struct kvm_cpuid2 t;
	struct kvm_cpuid_entry2 room[CPUID_MAX];
} table;

// clang-format off
/* A server core: L1 shared by 2 threads, L3 by 64 IDs, 16 cores; x2APIC IDs of the host in 0Bh. */
static const struct kvm_cpuid_entry2 intel[] = {
	{.function = 0, .eax = 0x1f, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69},
	{.function = 1, .eax = 0x606a6, .ebx = 0x05400800, .ecx = 0x5efa3223, .edx = 0x1fabfbff},
	{.function = 4, .index = 0, .flags = INDEXED, .eax = 0x3c004121, .ebx = 0x02c0003f},
	{.function = 4, .index = 1, .flags = INDEXED, .eax = 0x3c004122, .ebx = 0x01c0003f},
	{.function = 4, .index = 2, .flags = INDEXED, .eax = 0x3c004143, .ebx = 0x04c0003f},
	{.function = 4, .index = 3, .flags = INDEXED, .eax = 0x3c0fc163, .ebx = 0x02c0003f},
	{.function = 4, .index = 4, .flags = INDEXED, .eax = 0},
	{.function = 7, .index = 0, .flags = INDEXED, .eax = 2, .ebx = 0xf1bf07ab, .ecx = 0x405fce},
	{.function = 7, .index = 1, .flags = INDEXED, .ebx = 0x7},
	{.function = 0xb, .index = 0, .flags = INDEXED, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 5},
	{.function = 0xb, .index = 1, .flags = INDEXED, .eax = 6, .ebx = 64, .ecx = 0x201, .edx = 5},
	{.function = 0xd, .index = 0, .flags = INDEXED, .eax = 0x2e7, .ebx = 0xa88},
	{.function = 0x15, .eax = 2, .ebx = 0xfa, .ecx = 25000000},
	{.function = 0x1f, .index = 0, .flags = INDEXED, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 5},
	{.function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b},
	{.function = 0x40000001, .eax = 0x01007efb},
	{.function = 0x80000000, .eax = 0x80000008},
	{.function = 0x80000001, .ecx = 0x121, .edx = 0x2c100800},
	{.function = 0x80000008, .eax = 0x3039},
};

static const struct kvm_cpuid_entry2 amd[] = {
	{.function = 0, .eax = 0x10, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65},
	{.function = 1, .eax = 0xa00f11, .ebx = 0x07100800, .ecx = 0x7efa3203, .edx = 0x178bfbff},
	{.function = 7, .index = 0, .flags = INDEXED, .ebx = 0x219c91a9},
	{.function = 0xb, .index = 0, .flags = INDEXED, .eax = 1, .ebx = 2, .ecx = 0x100, .edx = 7},
	{.function = 0xb, .index = 1, .flags = INDEXED, .eax = 7, .ebx = 16, .ecx = 0x201, .edx = 7},
	{.function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b},
	{.function = 0x40000001, .eax = 0x01007efb},
	{.function = 0x80000000, .eax = 0x80000021},
	{.function = 0x80000001, .ecx = 0x75c237ff & ~0x2u, .edx = 0x2fd3fbff},
	{.function = 0x80000008, .eax = 0x3030, .ebx = 0x111ed205, .ecx = 0x400f},
	{.function = 0x8000000a, .eax = 1, .ebx = 8, .edx = 0x9},
	{.function = 0x8000001d, .index = 0, .flags = INDEXED, .eax = 0x4121, .ebx = 0x01c0003f},
	{.function = 0x8000001d, .index = 1, .flags = INDEXED, .eax = 0x4122, .ebx = 0x01c0003f},
	{.function = 0x8000001d, .index = 2, .flags = INDEXED, .eax = 0x4143, .ebx = 0x01c0003f},
	{.function = 0x8000001d, .index = 3, .flags = INDEXED, .eax = 0x3c163, .ebx = 0x03c0003f},
	{.function = 0x8000001d, .index = 4, .flags = INDEXED, .eax = 0},
	{.function = 0x8000001e, .eax = 7, .ebx = 0x103, .ecx = 0x1},
};
// clang-format on

static int build(const struct kvm_cpuid_entry2 *e, unsigned n, const struct cpuid_conf *c)
{
	memset(&table, 0, sizeof(table));
	memcpy(table.t.entries, e, n * sizeof(*e));
	table.t.nent = n;
	said_lines = 0;
	return cpuid_build(&table.t, c);
}

#define BUILD(vendor, ...)                                                                         \
	assert_int_equal(build(vendor, ARRAY_SIZE(vendor), &(struct cpuid_conf){__VA_ARGS__}), 0)

/* The one entry of a function and index; none or two fail the test. */
static const struct kvm_cpuid_entry2 *entry(uint32_t fn, uint32_t index)
{
	const struct kvm_cpuid_entry2 *found = NULL;

	for (unsigned i = 0; i < table.t.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &table.t.entries[i];

		if (e->function == fn && e->index == index) {
			assert_null(found);
			found = e;
		}
	}
	if (!found)
		fail_msg("leaf %x:%x is missing", fn, index);
	return found;
}

static bool has(uint32_t fn)
{
	for (unsigned i = 0; i < table.t.nent; i++)
		if (table.t.entries[i].function == fn)
			return true;
	return false;
}

static void a_hypervisor_and_x2apic_are_told(void **state)
{
	BUILD(intel, .cpus = 1);
	assert_int_equal(entry(1, 0)->ecx >> 31, 1);
	assert_int_equal(entry(1, 0)->ecx >> 21 & 1, 1);
	BUILD(amd, .cpus = 1);
	assert_int_equal(entry(1, 0)->ecx >> 31, 1);
	assert_int_equal(entry(1, 0)->ecx >> 21 & 1, 1); /* the host's table has it clear */
}

static void tsc_deadline_follows_the_capability(void **state)
{
	BUILD(amd, .cpus = 1, .tsc_deadline = true);
	assert_int_equal(entry(1, 0)->ecx >> 24 & 1, 1);
	BUILD(amd, .cpus = 1, .tsc_deadline = false);
	assert_int_equal(entry(1, 0)->ecx >> 24 & 1, 0x7efa3203 >> 24 & 1);
}

static void nested_virtualization_is_off_unless_asked_for(void **state)
{
	BUILD(intel, .cpus = 1);
	assert_int_equal(entry(1, 0)->ecx >> 5 & 1, 0);
	BUILD(intel, .cpus = 1, .flags = "+vmx");
	assert_int_equal(entry(1, 0)->ecx >> 5 & 1, 1);
	BUILD(amd, .cpus = 1);
	assert_int_equal(entry(0x80000001, 0)->ecx >> 2 & 1, 0);
	BUILD(amd, .cpus = 1, .flags = "+svm");
	assert_int_equal(entry(0x80000001, 0)->ecx >> 2 & 1, 1);
}

static void osxsave_is_left_to_the_guest(void **state)
{
	BUILD(intel, .cpus = 1);
	assert_int_equal(entry(1, 0)->ecx >> 27 & 1, 0);
}

static void one_cpu_is_no_package_of_several(void **state)
{
	BUILD(intel, .cpus = 1);
	assert_int_equal(entry(1, 0)->ebx >> 16, 0x0001); /* APIC ID 0, one logical CPU */
	assert_int_equal(entry(1, 0)->edx >> 28 & 1, 0);  /* HTT */
	assert_int_equal(entry(4, 0)->eax, 0x00000121);   /* one core, one thread shares L1D */
	assert_int_equal(entry(4, 3)->eax, 0x00000163);
	assert_int_equal(entry(0xb, 1)->eax, 0); /* no bit of the ID is left to shift out */
	assert_int_equal(entry(0xb, 1)->ebx, 1);
	BUILD(amd, .cpus = 1);
	assert_int_equal(entry(1, 0)->edx >> 28 & 1, 0);
	assert_int_equal(entry(0x80000008, 0)->ecx, 0);
}

static void intel_cores_are_counted(void **state)
{
	BUILD(intel, .cpus = 4);
	assert_int_equal(entry(1, 0)->ebx >> 16 & 0xff, 4);
	assert_int_equal(entry(1, 0)->edx >> 28 & 1, 1);
	/* [SDM 2A, leaf 4] EAX 31:26 core IDs - 1, 25:14 IDs that share the cache - 1 */
	assert_int_equal(entry(4, 0)->eax, 3u << 26 | 0 << 14 | 0x121);
	assert_int_equal(entry(4, 1)->eax, 3u << 26 | 0 << 14 | 0x122);
	assert_int_equal(entry(4, 2)->eax, 3u << 26 | 0 << 14 | 0x143);
	assert_int_equal(entry(4, 3)->eax, 3u << 26 | 3 << 14 | 0x163); /* L3: all */
	assert_int_equal(entry(4, 4)->eax, 0);                          /* the end stays the end */
	assert_int_equal(entry(0xb, 0)->eax, 0);
	assert_int_equal(entry(0xb, 0)->ebx, 1);
	assert_int_equal(entry(0xb, 0)->ecx, 0x100); /* level 0: SMT */
	assert_int_equal(entry(0xb, 1)->eax, 2);     /* 2 bits of the ID tell 4 cores apart */
	assert_int_equal(entry(0xb, 1)->ebx, 4);
	assert_int_equal(entry(0xb, 1)->ecx, 0x201); /* level 1: core */
	assert_false(has(0x1f));
	assert_int_equal(entry(0x80000001, 0)->ecx, 0x121); /* CmpLegacy is AMD's */
	assert_int_equal(entry(0x80000008, 0)->ecx, 0);
}

static void amd_cores_are_counted(void **state)
{
	BUILD(amd, .cpus = 4);
	assert_int_equal(entry(1, 0)->ebx >> 16 & 0xff, 4);
	assert_int_equal(entry(1, 0)->edx >> 28 & 1, 1);
	assert_int_equal(entry(0x80000001, 0)->ecx >> 1 & 1, 1); /* CmpLegacy */
	/* [APM 3 E.4.7] ECX 15:12 ApicIdSize, 7:0 cores - 1 */
	assert_int_equal(entry(0x80000008, 0)->ecx, 0x2003);
	assert_int_equal(entry(0x8000001d, 0)->eax, 0x121);
	assert_int_equal(entry(0x8000001d, 3)->eax, 3 << 14 | 0x163);
	assert_int_equal(entry(0xb, 1)->ebx, 4);
	/* The rest of 80000008h is the host's. */
	assert_int_equal(entry(0x80000008, 0)->ebx, 0x111ed205);
}

static void ids_have_bits_for_odd_counts(void **state)
{
	static const struct {
		unsigned cpus, bits;
	} count[] = {
		{1,  0},
                {2,  1},
                {3,  2},
                {5,  3},
                {8,  3},
                {9,  4},
                {17, 5},
                {31, 5},
                {32, 5}
        };

	for (unsigned i = 0; i < ARRAY_SIZE(count); i++) {
		BUILD(intel, .cpus = count[i].cpus);
		assert_int_equal(entry(0xb, 1)->eax, count[i].bits);
		assert_int_equal(entry(0xb, 1)->ebx, count[i].cpus);
		assert_int_equal(entry(4, 0)->eax >> 26, (1u << count[i].bits) - 1);
		assert_int_equal(entry(1, 0)->ebx >> 16 & 0xff, count[i].cpus);
		BUILD(amd, .cpus = count[i].cpus);
		assert_int_equal(entry(0x80000008, 0)->ecx,
				 count[i].bits << 12 | (count[i].cpus - 1));
	}
}

static void each_vcpu_has_its_id(void **state)
{
	BUILD(intel, .cpus = 32);
	cpuid_set_apic_id(&table.t, 31);
	assert_int_equal(entry(1, 0)->ebx >> 24, 31);
	assert_int_equal(entry(1, 0)->ebx & 0xff00, 0x0800); /* CLFLUSH size stays */
	assert_int_equal(entry(0xb, 0)->edx, 31);
	assert_int_equal(entry(0xb, 1)->edx, 31);
	cpuid_set_apic_id(&table.t, 3);
	assert_int_equal(entry(1, 0)->ebx >> 24, 3);
	assert_int_equal(entry(0xb, 1)->edx, 3);
	BUILD(amd, .cpus = 32);
	assert_int_equal(entry(1, 0)->ebx >> 24, 0); /* of vCPU 0 as built */
	assert_int_equal(entry(0x8000001e, 0)->eax, 0);
	cpuid_set_apic_id(&table.t, 17);
	/* [APM 3 E.4.19] EAX ID; EBX 15:8 threads a core - 1, 7:0 core; ECX node 0 of 1 */
	assert_int_equal(entry(0x8000001e, 0)->eax, 17);
	assert_int_equal(entry(0x8000001e, 0)->ebx, 17);
	assert_int_equal(entry(0x8000001e, 0)->ecx, 0);
}

static void a_cpu_without_leaf_bh_gets_none(void **state)
{
	struct kvm_cpuid_entry2 old[] = {
		{.function = 0, .eax = 0xa,        .ebx = 0x756e6547},
		{.function = 1, .ebx = 0x00100800, .edx = 0x0fabfbff},
	};

	BUILD(old, .cpus = 2);
	assert_false(has(0xb));
	assert_int_equal(entry(1, 0)->ebx >> 16 & 0xff, 2);
}

static void the_tsc_is_a_ratio_of_a_1_ghz_crystal(void **state)
{
	BUILD(intel, .cpus = 1, .tsc_khz = 2899886);
	/* TSC Hz = ECX * EBX / EAX; Linux takes the LAPIC timer's frequency from ECX */
	assert_int_equal(entry(0x15, 0)->eax, 1000000);
	assert_int_equal(entry(0x15, 0)->ebx, 2899886);
	assert_int_equal(entry(0x15, 0)->ecx, 1000000000);
	assert_int_equal((uint64_t)entry(0x15, 0)->ecx * entry(0x15, 0)->ebx / entry(0x15, 0)->eax,
			 2899886000ull);
	assert_int_equal(entry(0, 0)->eax, 0x1f); /* was beyond it already */
	BUILD(amd, .cpus = 1, .tsc_khz = 2445406);
	assert_int_equal(entry(0x15, 0)->ebx, 2445406);
	assert_int_equal(entry(0, 0)->eax, 0x15); /* raised, or nobody would look */
}

static void the_kvm_timing_leaf_has_both_frequencies(void **state)
{
	BUILD(amd, .cpus = 1, .tsc_khz = 2445406);
	assert_int_equal(entry(0x40000010, 0)->eax, 2445406); /* kHz */
	assert_int_equal(entry(0x40000010, 0)->ebx, 1000000); /* LAPIC bus, kHz */
	assert_int_equal(entry(0x40000010, 0)->ecx, 0);
	assert_int_equal(entry(0x40000000, 0)->eax, 0x40000010);
}

static void an_unknown_frequency_is_not_told(void **state)
{
	BUILD(intel, .cpus = 1, .tsc_khz = 0);
	assert_false(has(0x15)); /* the host's crystal would be wrong for KVM's LAPIC */
	assert_false(has(0x40000010));
	assert_int_equal(entry(0x40000000, 0)->eax, 0x40000001);
	BUILD(amd, .cpus = 1, .tsc_khz = 0);
	assert_int_equal(entry(0, 0)->eax, 0x10);
}

static void features_are_added_and_taken(void **state)
{
	BUILD(intel, .cpus = 1, .flags = "-x2apic,-smap,+umip,-pku,-kvmclock,-pdpe1gb");
	assert_int_equal(entry(1, 0)->ecx >> 21 & 1, 0);
	assert_int_equal(entry(7, 0)->ebx, 0xf1bf07ab & ~(1u << 20));
	assert_int_equal(entry(7, 0)->ecx, (0x405fce | 1u << 2) & ~(1u << 3));
	assert_int_equal(entry(7, 1)->ebx, 0x7); /* other sub-leaves stay */
	assert_int_equal(entry(0x40000001, 0)->eax, 0x01007efb & ~(1u << 3));
	assert_int_equal(entry(0x80000001, 0)->edx, 0x2c100800 & ~(1u << 26));
}

static void a_feature_that_kvm_does_not_offer_stays_away(void **state)
{
	said_lines = 0;
	BUILD(amd, .cpus = 1, .flags = "+la57,+vmx");
	assert_int_equal(entry(1, 0)->ecx & 1u << 5, 0);
	assert_int_equal(entry(7, 0)->ecx & 1u << 16, 0);
	assert_int_equal(said_lines, 2);
	assert_string_equal(said, "warning: --cpu-flags: this host's KVM does not offer vmx");
	said_lines = 0;
}

static void the_last_word_on_a_feature_wins(void **state)
{
	BUILD(amd, .cpus = 1, .flags = "-npt,+npt");
	assert_int_equal(entry(0x8000000a, 0)->edx, 0x9);
	BUILD(amd, .cpus = 1, .flags = "+npt,-npt,");
	assert_int_equal(entry(0x8000000a, 0)->edx, 0x8);
}

static void a_feature_of_an_absent_leaf_changes_nothing(void **state)
{
	BUILD(intel, .cpus = 1, .flags = "+npt,-npt");
	assert_false(has(0x8000000a));
}

static void words_that_are_no_features_are_refused(void **state)
{
	static const char *const word[] = {"+warp", "-x2api", "+x2apic2", "+X2APIC"};
	static const char *const form[] = {"x2apic", "+",     "-",         "*x2apic",
					   ",+svm",  " +svm", "+svm,,+npt"};

	for (unsigned i = 0; i < ARRAY_SIZE(word); i++) {
		assert_fails(build(amd, ARRAY_SIZE(amd),
				   &(struct cpuid_conf){.cpus = 1, .flags = word[i]}),
			     EINVAL, "unknown CPU feature");
		assert_fails(cpuid_check_flags(word[i]), EINVAL, "unknown CPU feature");
	}
	for (unsigned i = 0; i < ARRAY_SIZE(form); i++)
		assert_fails(cpuid_check_flags(form[i]), EINVAL, "is not +feature or -feature");
	assert_int_equal(cpuid_check_flags(NULL), 0);
	assert_int_equal(cpuid_check_flags(""), 0);
	assert_int_equal(cpuid_check_flags("-x2apic,+svm"), 0);
	assert_int_equal(said_lines, 0);
}

static void a_full_table_is_refused_not_overrun(void **state)
{
	static struct kvm_cpuid_entry2 full[CPUID_MAX];

	for (unsigned missing = 0; missing < 4; missing++) {
		memset(full, 0, sizeof(full));
		full[0] = (struct kvm_cpuid_entry2){.function = 0, .eax = 0x20};
		for (unsigned i = 1; i < CPUID_MAX; i++)
			full[i].function = 0x100 + i;
		/* 0Bh takes two entries, 15h and 40000010h one each */
		assert_int_equal(build(full, CPUID_MAX - missing,
				       &(struct cpuid_conf){.cpus = 1, .tsc_khz = 1000}),
				 -E2BIG);
		assert_true(table.t.nent <= CPUID_MAX);
	}
	assert_int_equal(
		build(full, CPUID_MAX - 4, &(struct cpuid_conf){.cpus = 1, .tsc_khz = 1000}), 0);
	assert_int_equal(table.t.nent, CPUID_MAX);
}

static void an_empty_table_is_survived(void **state)
{
	assert_int_equal(build(table.room, 0, &(struct cpuid_conf){.cpus = 32, .tsc_khz = 1000}),
			 0);
	assert_int_equal(table.t.nent, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hypervisor_and_x2apic_are_told),
		cmocka_unit_test(tsc_deadline_follows_the_capability),
		cmocka_unit_test(nested_virtualization_is_off_unless_asked_for),
		cmocka_unit_test(osxsave_is_left_to_the_guest),
		cmocka_unit_test(one_cpu_is_no_package_of_several),
		cmocka_unit_test(intel_cores_are_counted),
		cmocka_unit_test(amd_cores_are_counted),
		cmocka_unit_test(ids_have_bits_for_odd_counts),
		cmocka_unit_test(each_vcpu_has_its_id),
		cmocka_unit_test(a_cpu_without_leaf_bh_gets_none),
		cmocka_unit_test(the_tsc_is_a_ratio_of_a_1_ghz_crystal),
		cmocka_unit_test(the_kvm_timing_leaf_has_both_frequencies),
		cmocka_unit_test(an_unknown_frequency_is_not_told),
		cmocka_unit_test(features_are_added_and_taken),
		cmocka_unit_test(a_feature_that_kvm_does_not_offer_stays_away),
		cmocka_unit_test(the_last_word_on_a_feature_wins),
		cmocka_unit_test(a_feature_of_an_absent_leaf_changes_nothing),
		cmocka_unit_test(words_that_are_no_features_are_refused),
		cmocka_unit_test(a_full_table_is_refused_not_overrun),
		cmocka_unit_test(an_empty_table_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
