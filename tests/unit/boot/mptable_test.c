/*
 * mptable_test.c - finds the floating pointer as a kernel does and walks the table by the entry
 * sizes and offsets of [MPS 4].
 */
#include "../../../src/boot/mptable.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MEM   (2 * MIB)
#define DIRT  0xa5
#define WORST 32u

enum { CPU, BUS, IOAPIC, INT, LINT };

static uint8_t mem[MEM] __attribute__((aligned(0x1000)));
static const struct ram ram = {.host = mem, .low = MEM};

static uint64_t get(uint64_t gpa, unsigned size)
{
	uint64_t v = 0;

	assert_true(gpa + size <= MEM);
	memcpy(&v, mem + gpa, size);
	return v;
}

static unsigned sum(uint64_t gpa, uint64_t len)
{
	unsigned s = 0;

	for (uint64_t i = 0; i < len; i++)
		s += mem[gpa + i];
	return s & 0xff;
}

static void build(unsigned cpus)
{
	memset(mem, DIRT, sizeof(mem));
	assert_int_equal(mptable_build(&ram, cpus), 0);
}

/* Linux looks on 16-byte boundaries of the last KiB below 640 KiB. */
static uint64_t pointer(void)
{
	for (uint64_t at = 639 * KIB; at < 640 * KIB; at += 16)
		if (!memcmp(mem + at, "_MP_", 4))
			return at;
	fail_msg("no floating pointer");
	return 0;
}

static uint64_t config(void)
{
	return get(pointer() + 4, 4);
}

/* The `n`th entry of `type`; 0 if there are fewer. Fails on one that ends outside. */
static uint64_t entry(unsigned type, unsigned n)
{
	uint64_t c = config(), end = c + get(c + 4, 2);

	for (uint64_t e = c + 44; e < end;) {
		unsigned len = mem[e] == CPU ? 20 : 8;

		assert_true(mem[e] <= LINT && e + len <= end);
		if (mem[e] == type && n-- == 0)
			return e;
		e += len;
	}
	return 0;
}

/* The I/O interrupt of `irq` on `bus`; 0 if there is none. */
static uint64_t source(unsigned bus, unsigned irq)
{
	uint64_t e;

	for (unsigned n = 0; (e = entry(INT, n)) != 0; n++)
		if (mem[e + 4] == bus && mem[e + 5] == irq)
			return e;
	return 0;
}

static void assert_isa(unsigned irq, unsigned pin, unsigned flags)
{
	uint64_t e = source(1, irq);

	assert_true(e);
	assert_int_equal(mem[e + 1], 0); /* INT */
	assert_int_equal(get(e + 2, 2), flags);
	assert_int_equal(mem[e + 7], pin);
}

static void pointer_is_in_the_ebda_and_names_the_table(void **state)
{
	build(1);
	assert_int_equal(pointer(), 0x9fc00);
	assert_int_equal(config(), GPA_MPTABLE);
	assert_memory_equal(mem + config(), "PCMP", 4);
}

static void pointer_is_one_paragraph_of_version_4_that_sums_to_zero(void **state)
{
	build(1);
	assert_int_equal(mem[pointer() + 8], 1);
	assert_int_equal(mem[pointer() + 9], 4);
	assert_int_equal(sum(pointer(), 16), 0);
}

static void pointer_says_virtual_wire_and_no_default_configuration(void **state)
{
	build(1);
	for (unsigned i = 11; i < 16; i++)
		assert_int_equal(mem[pointer() + i], 0);
}

static void table_sums_to_zero(void **state)
{
	for (unsigned cpus = 1; cpus <= WORST; cpus++) {
		build(cpus);
		assert_int_equal(sum(config(), get(config() + 4, 2)), 0);
	}
}

static void table_is_of_version_4_and_has_the_local_apic(void **state)
{
	build(1);
	assert_int_equal(mem[config() + 6], 4);
	assert_int_equal(get(config() + 36, 4), 0xfee00000);
}

static void table_names_the_maker_padded_with_spaces(void **state)
{
	build(1);
	assert_memory_equal(mem + config() + 8, "MINNOW  ", 8);
	assert_memory_equal(mem + config() + 16, "MICROVM     ", 12);
}

static void table_has_neither_oem_nor_extended_part(void **state)
{
	build(1);
	assert_int_equal(get(config() + 28, 4), 0);
	assert_int_equal(get(config() + 32, 2), 0);
	assert_int_equal(get(config() + 40, 4), 0);
}

static void table_counts_its_entries_and_sorts_them_by_type(void **state)
{
	static const unsigned counts[] = {1, 32};

	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
		build(counts[i]);
		uint64_t e = config() + 44, end = config() + get(config() + 4, 2);
		unsigned n = 0, type = CPU;

		for (; e < end; e += mem[e] == CPU ? 20 : 8, n++) {
			assert_true(mem[e] >= type);
			type = mem[e];
		}
		assert_int_equal(e, end);
		assert_int_equal(n, get(config() + 34, 2));
		/* buses, I/O APIC, ISA but the cascade, 30 slots, two local ones */
		assert_int_equal(n, counts[i] + 2 + 1 + 23 + 30 + 2);
	}
}

static void cpus_are_enabled_with_apic_ids_from_0_on(void **state)
{
	static const unsigned counts[] = {1, 2, 32};

	for (unsigned c = 0; c < ARRAY_SIZE(counts); c++) {
		build(counts[c]);
		for (unsigned i = 0; i < counts[c]; i++) {
			assert_true(entry(CPU, i));
			assert_int_equal(mem[entry(CPU, i) + 1], i);
			assert_true(mem[entry(CPU, i) + 3] & 1);
		}
		assert_false(entry(CPU, counts[c]));
	}
}

static void the_first_cpu_alone_is_the_boot_cpu(void **state)
{
	build(WORST);
	for (unsigned i = 0; i < WORST; i++)
		assert_int_equal(mem[entry(CPU, i) + 3], i == 0 ? 3 : 1);
}

static void cpus_have_the_apic_version_that_kvm_has(void **state)
{
	build(2);
	assert_int_equal(mem[entry(CPU, 0) + 2], 0x14);
	assert_int_equal(mem[entry(CPU, 1) + 2], 0x14);
}

static void cpus_have_family_6_fpu_cx8_and_apic(void **state)
{
	build(1);
	assert_int_equal(get(entry(CPU, 0) + 4, 4), 0x600);
	assert_int_equal(get(entry(CPU, 0) + 8, 4), 0x301);
	assert_int_equal(get(entry(CPU, 0) + 12, 8), 0);
}

static void bus_0_is_pci_and_bus_1_is_isa(void **state)
{
	build(1);
	assert_int_equal(mem[entry(BUS, 0) + 1], 0);
	assert_memory_equal(mem + entry(BUS, 0) + 2, "PCI   ", 6);
	assert_int_equal(mem[entry(BUS, 1) + 1], 1);
	assert_memory_equal(mem + entry(BUS, 1) + 2, "ISA   ", 6);
	assert_false(entry(BUS, 2));
}

static void io_apic_has_the_id_after_the_cpus(void **state)
{
	for (unsigned cpus = 1; cpus <= WORST; cpus += 31) {
		build(cpus);
		assert_int_equal(mem[entry(IOAPIC, 0) + 1], cpus < 15 ? cpus : 15);
		assert_int_equal(mem[entry(IOAPIC, 0) + 2], 0x20);
		assert_int_equal(mem[entry(IOAPIC, 0) + 3], 1);
		assert_int_equal(get(entry(IOAPIC, 0) + 4, 4), 0xfec00000);
		assert_false(entry(IOAPIC, 1));
	}
}

static void every_io_interrupt_goes_to_the_io_apic(void **state)
{
	uint64_t e;

	build(5);
	for (unsigned n = 0; (e = entry(INT, n)) != 0; n++) {
		assert_int_equal(mem[e + 1], 0);
		assert_int_equal(mem[e + 6], 5);
		assert_true(mem[e + 7] < 24);
	}
}

static void the_timer_is_at_pin_2_and_the_cascade_nowhere(void **state)
{
	build(1);
	assert_isa(0, 2, 0);
	assert_false(source(1, 2));
}

static void isa_irqs_have_their_pin_as_the_bus_has_it(void **state)
{
	static const unsigned irqs[] = {1, 3, 4, 5, 6, 7, 8, 12, 13, 14, 15};

	build(1);
	for (unsigned i = 0; i < ARRAY_SIZE(irqs); i++)
		assert_isa(irqs[i], irqs[i], 0);
}

static void the_sci_is_level_high_and_the_pirqs_level_low(void **state)
{
	build(1);
	assert_isa(9, 9, 0xd);
	assert_isa(10, 10, 0xf);
	assert_isa(11, 11, 0xf);
}

static void the_upper_pins_are_there_for_virtio_windows(void **state)
{
	build(1);
	for (unsigned pin = 16; pin < 24; pin++)
		assert_isa(pin, pin, 0);
	assert_false(source(1, 24));
}

static void inta_of_every_slot_goes_to_10_or_11(void **state)
{
	build(1);
	for (unsigned slot = 2; slot < 32; slot++) {
		uint64_t e = source(0, slot << 2);

		assert_true(e);
		assert_int_equal(get(e + 2, 2), 0xf);
		/* PIRQs of slots 2, 3, 4, 5: B, C, D, A */
		assert_int_equal(mem[e + 7], slot % 4 == 1 || slot % 4 == 2 ? 10 : 11);
	}
	assert_false(source(0, 1 << 2));
}

/* Linux takes a pin's trigger from the first entry that names the pin. */
static void entries_of_one_pin_agree_on_its_trigger(void **state)
{
	uint64_t e;

	build(1);
	for (unsigned slot = 2; slot < 32; slot++) {
		e = source(0, slot << 2);
		assert_int_equal(get(e + 2, 2), get(source(1, mem[e + 7]) + 2, 2));
	}
}

static void extint_is_at_lint0_of_the_boot_cpu(void **state)
{
	static const uint8_t want[] = {LINT, 3, 0, 0, 1, 0, 0, 0};

	build(4);
	assert_memory_equal(mem + entry(LINT, 0), want, sizeof(want));
}

static void nmi_is_at_lint1_of_every_cpu(void **state)
{
	static const uint8_t want[] = {LINT, 1, 0, 0, 1, 0, 0xff, 1};

	build(4);
	assert_memory_equal(mem + entry(LINT, 1), want, sizeof(want));
	assert_false(entry(LINT, 2));
}

static void the_table_is_one_page_and_the_pointer_16_bytes(void **state)
{
	build(WORST);
	for (uint64_t i = 0; i < MEM; i++) {
		bool ours = (i >= GPA_MPTABLE && i < GPA_MPTABLE + 0x1000) ||
			    (i >= GPA_EBDA && i < GPA_EBDA + 16);

		if (!ours)
			assert_int_equal(mem[i], DIRT);
	}
	assert_true(get(config() + 4, 2) <= 0x1000);
	for (uint64_t i = config() + get(config() + 4, 2); i < config() + 0x1000; i++)
		assert_int_equal(mem[i], DIRT);
}

static void assert_untouched(void)
{
	for (uint64_t i = 0; i < MEM; i++)
		assert_int_equal(mem[i], DIRT);
}

static void too_little_ram_is_refused(void **state)
{
	static const struct ram no_table = {.host = mem, .low = GPA_MPTABLE};
	static const struct ram no_ebda = {.host = mem, .low = GPA_EBDA};

	memset(mem, DIRT, sizeof(mem));
	assert_int_equal(mptable_build(&no_table, 1), -ENOSPC);
	assert_int_equal(mptable_build(&no_ebda, 1), -ENOSPC);
	assert_untouched();
}

static void too_many_cpus_are_refused(void **state)
{
	memset(mem, DIRT, sizeof(mem));
	assert_int_equal(mptable_build(&ram, MAX_CPUS + 1), -ENOSPC);
	assert_int_equal(mptable_build(&ram, UINT32_MAX), -ENOSPC);
	assert_untouched();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pointer_is_in_the_ebda_and_names_the_table),
		cmocka_unit_test(pointer_is_one_paragraph_of_version_4_that_sums_to_zero),
		cmocka_unit_test(pointer_says_virtual_wire_and_no_default_configuration),
		cmocka_unit_test(table_sums_to_zero),
		cmocka_unit_test(table_is_of_version_4_and_has_the_local_apic),
		cmocka_unit_test(table_names_the_maker_padded_with_spaces),
		cmocka_unit_test(table_has_neither_oem_nor_extended_part),
		cmocka_unit_test(table_counts_its_entries_and_sorts_them_by_type),
		cmocka_unit_test(cpus_are_enabled_with_apic_ids_from_0_on),
		cmocka_unit_test(the_first_cpu_alone_is_the_boot_cpu),
		cmocka_unit_test(cpus_have_the_apic_version_that_kvm_has),
		cmocka_unit_test(cpus_have_family_6_fpu_cx8_and_apic),
		cmocka_unit_test(bus_0_is_pci_and_bus_1_is_isa),
		cmocka_unit_test(io_apic_has_the_id_after_the_cpus),
		cmocka_unit_test(every_io_interrupt_goes_to_the_io_apic),
		cmocka_unit_test(the_timer_is_at_pin_2_and_the_cascade_nowhere),
		cmocka_unit_test(isa_irqs_have_their_pin_as_the_bus_has_it),
		cmocka_unit_test(the_sci_is_level_high_and_the_pirqs_level_low),
		cmocka_unit_test(the_upper_pins_are_there_for_virtio_windows),
		cmocka_unit_test(inta_of_every_slot_goes_to_10_or_11),
		cmocka_unit_test(entries_of_one_pin_agree_on_its_trigger),
		cmocka_unit_test(extint_is_at_lint0_of_the_boot_cpu),
		cmocka_unit_test(nmi_is_at_lint1_of_every_cpu),
		cmocka_unit_test(the_table_is_one_page_and_the_pointer_16_bytes),
		cmocka_unit_test(too_little_ram_is_refused),
		cmocka_unit_test(too_many_cpus_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
