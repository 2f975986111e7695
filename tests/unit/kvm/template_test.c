/* template_test.c - what a CPU template makes of KVM's tables. */
#include "../../../src/kvm/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "../said.h"

static struct {
	struct kvm_cpuid2 t;
	struct kvm_cpuid_entry2 room[3];
} cpuid;

static struct {
	struct kvm_msrs t;
	struct kvm_msr_entry room[3];
} msrs;

static int begin(void **state)
{
	memset(&cpuid, 0, sizeof(cpuid));
	cpuid.t.nent = 3;
	cpuid.t.entries[0] = (struct kvm_cpuid_entry2){
		.function = 1, .eax = 0x606a6, .ebx = 0xff, .ecx = 0xffffffff, .edx = 0};
	cpuid.t.entries[1] = (struct kvm_cpuid_entry2){.function = 7, .index = 0, .ebx = 0xf0f0};
	cpuid.t.entries[2] = (struct kvm_cpuid_entry2){.function = 7, .index = 1, .eax = 0x30};
	said_lines = 0;
	return 0;
}

static void a_later_change_has_the_last_word(void **state)
{
	struct template_bits b = {0x0f, 0x05};

	template_merge(&b, (struct template_bits){0x3c, 0x28});
	assert_int_equal(b.mask, 0x3f);
	assert_int_equal(b.value, 0x29);
}

static void registers_change_where_the_mask_is(void **state)
{
	struct template_leaf leaf[] = {
		{.leaf = 1,
		 .flags = 0,
		 .reg = {[TEMPLATE_EBX] = {0x0f, 0x05},
			 [TEMPLATE_ECX] = {0x80000000, 0},
			 [TEMPLATE_EDX] = {0xff, 0x81}}                        },
		{ .leaf = 7, .subleaf = 1, .flags = 1, .reg = {[TEMPLATE_EAX] = {0x10, 0}}},
	};
	const struct cpu_template t = {.leaves = 2, .leaf = leaf};

	assert_int_equal(cpu_template_cpuid(&t, &cpuid.t), 0);
	assert_int_equal(cpuid.t.entries[0].eax, 0x606a6);
	assert_int_equal(cpuid.t.entries[0].ebx, 0xf5);
	assert_int_equal(cpuid.t.entries[0].ecx, 0x7fffffff);
	assert_int_equal(cpuid.t.entries[0].edx, 0x81);
	assert_int_equal(cpuid.t.entries[0].flags, 0);
	assert_int_equal(cpuid.t.entries[1].ebx, 0xf0f0);
	assert_int_equal(cpuid.t.entries[2].eax, 0x20);
	assert_int_equal(cpuid.t.entries[2].flags, 1);
}

static void a_leaf_that_kvm_lacks_is_refused_before_anything_changes(void **state)
{
	struct template_leaf leaf[] = {
		{.leaf = 1,    .reg = {[TEMPLATE_EBX] = {0xff, 0}}},
		{.leaf = 0x1f, .subleaf = 0x12                    },
	};
	const struct cpu_template t = {.leaves = 2, .leaf = leaf};

	assert_fails(cpu_template_cpuid(&t, &cpuid.t), EINVAL,
		     "Template changes a CPUID entry not supported by KVM: Leaf: 1f, Subleaf: 12");
	assert_int_equal(cpuid.t.entries[0].ebx, 0xff);
	leaf[1] = (struct template_leaf){.leaf = 7, .subleaf = 2};
	assert_fails(cpu_template_cpuid(&t, &cpuid.t), EINVAL, "Leaf: 7, Subleaf: 2");
}

static void msrs_are_read_changed_and_written(void **state)
{
	struct template_msr msr[] = {
		{0x10a, {0xf0, 0x50}       },
                {0x122, {~0ull, 1ull << 63}}
        };
	const struct cpu_template t = {.msrs = 2, .msr = msr};

	memset(&msrs, 0xff, sizeof(msrs));
	cpu_template_msrs(&t, &msrs.t);
	assert_int_equal(msrs.t.nmsrs, 2);
	assert_int_equal(msrs.t.pad, 0);
	assert_int_equal(msrs.t.entries[0].index, 0x10a);
	assert_int_equal(msrs.t.entries[1].index, 0x122);
	assert_int_equal(msrs.t.entries[1].reserved, 0);
	msrs.t.entries[0].data = 0xabc;
	msrs.t.entries[1].data = 7;
	cpu_template_set(&t, &msrs.t);
	assert_int_equal(msrs.t.entries[0].data, 0xa5c);
	assert_true(msrs.t.entries[1].data == 1ull << 63);
	assert_int_equal(msrs.t.entries[2].data, -1); /* not ours */
}

static void nothing_to_change_asks_nothing_of_kvm(void **state)
{
	struct template_cap cap = {999, true};
	const struct cpu_template t = {.caps = 1, .cap = &cap};

	assert_int_equal(cpu_template_vcpu(&t, -1), 0);
	assert_int_equal(cpu_template_cpuid(&t, &cpuid.t), 0);
	assert_int_equal(cpu_template_caps(&t, -1), 0);
}

static void what_kvm_does_not_have_is_told(void **state)
{
	struct template_cap cap[] = {
		{1,   true },
                {999, false}
        };
	struct template_msr msr[] = {
		{0x10a, {1, 1}}
        };
	const struct cpu_template t = {.caps = 2, .cap = cap, .msrs = 1, .msr = msr};

	assert_fails(cpu_template_caps(&t, -1), ENOTSUP, "KVM capability 999");
	assert_fails(cpu_template_vcpu(&t, -1), EBADF, "the MSRs of the CPU template");
}

#define MSR_SYSENTER_CS 0x174
#define MSR_NONE        0xdead

static void msrs_of_a_real_vcpu_change(void **state)
{
	struct template_msr msr[] = {
		{MSR_SYSENTER_CS, {0xf0, 0x50}},
                {MSR_NONE,        {1, 1}      }
        };
	struct template_cap cap = {KVM_CAP_USER_MEMORY, false};
	struct cpu_template t = {.msrs = 1, .msr = msr, .caps = 1, .cap = &cap};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu;

	if (kvm < 0)
		skip();
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	assert_true(vcpu >= 0);
	assert_int_equal(cpu_template_caps(&t, kvm), 0);
	memset(&msrs, 0, sizeof(msrs));
	msrs.t.nmsrs = 1;
	msrs.t.entries[0] = (struct kvm_msr_entry){.index = MSR_SYSENTER_CS, .data = 0x88};
	assert_int_equal(ioctl(vcpu, KVM_SET_MSRS, &msrs), 1);
	assert_int_equal(cpu_template_vcpu(&t, vcpu), 0);
	assert_int_equal(ioctl(vcpu, KVM_GET_MSRS, &msrs), 1);
	assert_int_equal(msrs.t.entries[0].data, 0x58);
	t.msrs = 2;
	assert_fails(cpu_template_vcpu(&t, vcpu), EINVAL,
		     "Template changes an MSR entry not supported by KVM: Register Address: dead");
	close(vcpu);
	close(vm);
	close(kvm);
}

#define T(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_later_change_has_the_last_word),
		T(registers_change_where_the_mask_is),
		T(a_leaf_that_kvm_lacks_is_refused_before_anything_changes),
		T(msrs_are_read_changed_and_written),
		T(nothing_to_change_asks_nothing_of_kvm),
		T(what_kvm_does_not_have_is_told),
		T(msrs_of_a_real_vcpu_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
