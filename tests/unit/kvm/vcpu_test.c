/*
 * vcpu_test.c - the first vCPU's registers against the checks that VMX makes on a guest's state
 * before it enters [SDM 3C 26.3.1]. Hosts with AMD's SVM check far less, so a mistake here would
 * show on the others only.
 */
#include "../../../src/kvm/vcpu.h"

#include <errno.h>

#include <linux/kvm.h>

#include "../../../src/boot/entry.h"
#include "../../../src/kvm/cpuid.h"
#include "../said.h"

/* What vcpu.c calls when it runs; nothing here runs. */
// clang-format off
uint32_t board_pio_read(struct board *b, uint16_t port, unsigned size, uint64_t now) { return 0; }
void board_pio_write(struct board *b, uint16_t port, unsigned size, uint32_t val, uint64_t now) {}
uint64_t board_mmio_read(struct board *b, uint64_t gpa, unsigned size, uint64_t now) { return 0; }
void board_mmio_write(struct board *b, uint64_t gpa, unsigned size, uint64_t val, uint64_t now) {}
void board_eoi(struct board *b, uint8_t vector, uint64_t now) {}
bool board_inta(struct board *b, uint8_t *vector, uint64_t now) { return false; }
void board_wake(struct board *b) {}
void vm_end(struct vm *vm, enum vm_end end, int detail) {}
void log_thread(const char *name) {}
const char *vm_exit_name(unsigned reason) { return NULL; }
void cpuid_set_apic_id(struct kvm_cpuid2 *t, unsigned apic_id) {}
// clang-format on

#define CR0_PE    BIT(0)
#define CR0_NE    BIT(5)
#define CR0_NW    BIT(29)
#define CR0_CD    BIT(30)
#define CR0_PG    BIT(31)
#define CR4_PAE   BIT(5)
#define CR4_VMXE  BIT(13)
#define CR4_PCIDE BIT(17)
#define EFER_LME  BIT(8)
#define EFER_LMA  BIT(10)

#define TYPE_ACCESSED 1
#define TYPE_WRITE    2 /* of data; of code: readable */
#define TYPE_CODE     8
#define TYPE_BUSY_TSS 11 /* 64-bit, or 32-bit outside IA-32e mode */
#define TYPE_LDT      2

static const enum boot_mode modes[] = {BOOT_MODE_PROT32, BOOT_MODE_LONG64};

/* Filled with garbage first: every field has to be set. */
static struct kvm_sregs entry_sregs(enum boot_mode mode)
{
	struct kvm_sregs s;

	memset(&s, 0xa5, sizeof(s));
	vcpu_entry_sregs(&s, mode);
	return s;
}

/* In both modes; `s` is the state. */
#define FOR_MODES(s)                                                                               \
	for (unsigned m_ = 0; m_ < ARRAY_SIZE(modes); m_++)                                        \
		for (struct kvm_sregs s = entry_sregs(modes[m_]), *once_ = &s; once_; once_ = NULL)

static bool is_long(const struct kvm_sregs *s)
{
	return s->efer & EFER_LMA;
}

static void control_registers_agree(void **state)
{
	FOR_MODES(s)
	{
		/* [26.3.1.1] PG needs PE; NE is fixed to 1; NW without CD is refused */
		assert_true(s.cr0 & CR0_PE);
		assert_true(s.cr0 & CR0_NE);
		assert_false(s.cr0 & (CR0_NW | CR0_CD));
		assert_int_equal(s.cr0 >> 32, 0);
		assert_false(s.cr4 & CR4_VMXE); /* KVM adds it for itself */
		assert_false(s.cr4 & CR4_PCIDE);
		assert_false(s.cr4 & ~CR4_PAE);
		assert_false(s.efer & ~(EFER_LME | EFER_LMA)); /* reserved bits */
		assert_int_equal(s.cr8, 0);
		assert_int_equal(s.cr2, 0);
	}
}

static void ia32e_mode_is_on_as_a_whole_or_not_at_all(void **state)
{
	FOR_MODES(s)
	{
		/* [26.3.1.1] LMA equals the IA-32e control and, with paging, LME; it needs PG, PAE
		 */
		bool on = modes[m_] == BOOT_MODE_LONG64;

		assert_int_equal(!!(s.cr0 & CR0_PG), on);
		assert_int_equal(!!(s.cr4 & CR4_PAE), on);
		assert_int_equal(!!(s.efer & EFER_LME), on);
		assert_int_equal(!!(s.efer & EFER_LMA), on);
	}
}

static void cr3_points_to_the_tables_within_the_width(void **state)
{
	struct kvm_sregs s = entry_sregs(BOOT_MODE_LONG64);

	assert_int_equal(s.cr3, 0x9000); /* page aligned, no PCID bits, below 2^36 */
	assert_int_equal(entry_sregs(BOOT_MODE_PROT32).cr3, 0);
}

static void code_is_flat_ring_0_and_accessed(void **state)
{
	FOR_MODES(s)
	{
		assert_int_equal(s.cs.type,
				 TYPE_CODE | TYPE_WRITE | TYPE_ACCESSED); /* 9, 11, 13, 15 */
		assert_int_equal(s.cs.s, 1);
		assert_int_equal(s.cs.dpl, 0); /* equal to SS's for types 9 and 11 */
		assert_int_equal(s.cs.present, 1);
		assert_int_equal(s.cs.base, 0);
		assert_int_equal(s.cs.selector & 7, 0); /* GDT, RPL 0 */
		/* [26.3.1.2] in IA-32e mode, L and D/B are not both 1 */
		assert_int_equal(s.cs.l, is_long(&s));
		assert_int_equal(s.cs.db, !is_long(&s));
		assert_int_equal(s.cs.unusable, 0);
	}
}

static void data_segments_are_flat_and_writable(void **state)
{
	FOR_MODES(s)
	{
		const struct kvm_segment *seg[] = {&s.ds, &s.es, &s.fs, &s.gs, &s.ss};

		for (unsigned i = 0; i < ARRAY_SIZE(seg); i++) {
			assert_int_equal(seg[i]->type, TYPE_WRITE | TYPE_ACCESSED); /* SS: 3 or 7 */
			assert_int_equal(seg[i]->s, 1);
			assert_int_equal(seg[i]->dpl, 0);
			assert_int_equal(seg[i]->present, 1);
			assert_int_equal(seg[i]->base, 0);
			assert_int_equal(seg[i]->limit, 0xffffffff);
			assert_int_equal(seg[i]->l, 0);
			assert_int_equal(seg[i]->unusable, 0);
			assert_int_equal(seg[i]->selector & 3,
					 s.cs.selector & 3); /* SS.RPL = CS.RPL */
		}
		assert_int_equal(s.ss.db, 1);
	}
}

static void granularity_agrees_with_the_limit(void **state)
{
	FOR_MODES(s)
	{
		const struct kvm_segment *seg[] = {&s.cs, &s.ds, &s.ss, &s.tr};

		/* [26.3.1.2] G 0 if bits 11:0 are not all ones, 1 if bits 31:20 are not all zero */
		for (unsigned i = 0; i < ARRAY_SIZE(seg); i++) {
			if ((seg[i]->limit & 0xfff) != 0xfff)
				assert_int_equal(seg[i]->g, 0);
			if (seg[i]->limit >> 20)
				assert_int_equal(seg[i]->g, 1);
		}
	}
}

static void tr_is_a_busy_tss_of_104_bytes(void **state)
{
	FOR_MODES(s)
	{
		/* [26.3.1.2] IA-32e mode: type 11; else 3 or 11. S 0, present, usable, TI 0 */
		assert_int_equal(s.tr.type, TYPE_BUSY_TSS);
		assert_int_equal(s.tr.s, 0);
		assert_int_equal(s.tr.present, 1);
		assert_int_equal(s.tr.unusable, 0);
		assert_int_equal(s.tr.selector & 4, 0);
		assert_int_equal(s.tr.limit, 0x67);
		assert_int_equal(s.tr.g, 0);
		assert_int_equal(s.tr.base, 0);
	}
}

static void there_is_no_ldt(void **state)
{
	FOR_MODES(s)
	{
		assert_int_equal(s.ldt.unusable, 1);
		assert_int_equal(s.ldt.type, TYPE_LDT);
		assert_int_equal(s.ldt.s, 0);
		assert_int_equal(s.ldt.selector & 4, 0);
	}
}

static void descriptor_tables_have_legal_limits(void **state)
{
	FOR_MODES(s)
	{
		/* [26.3.1.3] bases canonical, bits 31:16 of the limits 0 */
		assert_int_equal(s.gdt.base, 0xf000);
		assert_int_equal(s.gdt.limit, 0x2f);
		assert_int_equal(s.idt.base, 0xf038);
		assert_int_equal(s.idt.limit, 0);
	}
}

static void selectors_are_those_of_the_boot_gdt(void **state)
{
	FOR_MODES(s)
	{
		/* Linux relies on 10h and 18h [x86/boot.rst]; all lie within the limit */
		assert_int_equal(s.cs.selector, 0x10);
		assert_int_equal(s.ds.selector, 0x18);
		assert_int_equal(s.ss.selector, 0x18);
		assert_int_equal(s.tr.selector, 0x20);
		assert_true(s.tr.selector + 15u <= s.gdt.limit);
	}
}

static void the_lapic_is_enabled_where_the_map_has_it(void **state)
{
	FOR_MODES(s)
	{
		/* [SDM 3A 10.4.4] bit 8 BSP, bit 11 enable, base from bit 12; x2APIC (10) off */
		assert_int_equal(s.apic_base, 0xfee00000 | BIT(11) | BIT(8));
	}
}

static void no_interrupt_is_pending(void **state)
{
	FOR_MODES(s)
	for (unsigned i = 0; i < ARRAY_SIZE(s.interrupt_bitmap); i++)
		assert_int_equal(s.interrupt_bitmap[i], 0);
}

static void reserved_padding_is_zero(void **state)
{
	FOR_MODES(s)
	{
		assert_int_equal(s.cs.padding | s.tr.padding | s.ldt.padding, 0);
		assert_int_equal(s.cs.avl | s.ds.avl | s.tr.avl, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_registers_agree),
		cmocka_unit_test(ia32e_mode_is_on_as_a_whole_or_not_at_all),
		cmocka_unit_test(cr3_points_to_the_tables_within_the_width),
		cmocka_unit_test(code_is_flat_ring_0_and_accessed),
		cmocka_unit_test(data_segments_are_flat_and_writable),
		cmocka_unit_test(granularity_agrees_with_the_limit),
		cmocka_unit_test(tr_is_a_busy_tss_of_104_bytes),
		cmocka_unit_test(there_is_no_ldt),
		cmocka_unit_test(descriptor_tables_have_legal_limits),
		cmocka_unit_test(selectors_are_those_of_the_boot_gdt),
		cmocka_unit_test(the_lapic_is_enabled_where_the_map_has_it),
		cmocka_unit_test(no_interrupt_is_pending),
		cmocka_unit_test(reserved_padding_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
