/* e820_test.c - the memory map for RAM of several sizes. */
#include "../../../src/boot/e820.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct e820_entry map[E820_MAX];
static unsigned count;

static void build(uint64_t low, uint64_t high)
{
	const struct ram r = {.low = low, .high = high};

	count = e820_build(&r, map);
}

/* The type at an address; 0 where the map says nothing. */
static uint32_t type_at(uint64_t gpa)
{
	for (unsigned i = 0; i < count; i++)
		if (gpa - map[i].addr < map[i].size)
			return map[i].type;
	return 0;
}

static void conventional_memory_ends_at_the_ebda(void **state)
{
	build(128 * MIB, 0);
	assert_int_equal(type_at(0), E820_RAM);
	assert_int_equal(type_at(0x9fbff), E820_RAM);
	assert_int_equal(type_at(0x9fc00), E820_RESERVED);
	assert_int_equal(type_at(0x9ffff), E820_RESERVED);
}

static void video_memory_is_a_hole(void **state)
{
	build(128 * MIB, 0);
	assert_int_equal(type_at(0xa0000), 0);
	assert_int_equal(type_at(0xdffff), 0);
}

static void firmware_tables_are_reserved(void **state)
{
	build(128 * MIB, 0);
	assert_int_equal(type_at(0xe0000), E820_RESERVED);
	assert_int_equal(type_at(0xfffff), E820_RESERVED);
}

static void extended_memory_is_ram_to_the_end(void **state)
{
	build(128 * MIB, 0);
	assert_int_equal(type_at(0x100000), E820_RAM);
	assert_int_equal(type_at(128 * MIB - 1), E820_RAM);
	assert_int_equal(type_at(128 * MIB), 0);
}

static void windows_without_a_bios_are_reserved(void **state)
{
	build(128 * MIB, 0);
	assert_int_equal(type_at(0xbfffffff), 0);
	assert_int_equal(type_at(0xc0000000), E820_RESERVED);
	assert_int_equal(type_at(0xc00fffff), E820_RESERVED);
	assert_int_equal(type_at(0xc0100000), 0);
}

static void the_pci_window_is_a_hole(void **state)
{
	build(3 * GIB, GIB);
	assert_int_equal(type_at(0xc1000000), 0);
	assert_int_equal(type_at(0xfebfffff), 0);
}

static void kvm_s_own_pages_are_reserved_up_to_4_gib(void **state)
{
	build(128 * MIB, 0);
	assert_int_equal(type_at(0xfffbbfff), 0);
	assert_int_equal(type_at(0xfffbc000), E820_RESERVED);
	assert_int_equal(type_at(0xffffffff), E820_RESERVED);
}

static void high_ram_starts_at_4_gib(void **state)
{
	build(3 * GIB, 2 * GIB);
	assert_int_equal(type_at(0xbfffffff), E820_RAM);
	assert_int_equal(type_at(0x100000000), E820_RAM);
	assert_int_equal(type_at(0x17fffffff), E820_RAM);
	assert_int_equal(type_at(0x180000000), 0);
	assert_int_equal(map[count - 1].size, 2 * GIB);
}

static void without_high_ram_nothing_lies_above_4_gib(void **state)
{
	build(3 * GIB, 0);
	assert_int_equal(type_at(0x100000000), 0);
	assert_int_equal(map[count - 1].addr + map[count - 1].size, 0x100000000);
}

static void entries_are_in_order_disjoint_and_not_empty(void **state)
{
	static const struct {
		uint64_t low, high;
	} sizes[] = {
		{16 * MIB, 0         },
                {GIB,      0         },
                {3 * GIB,  0         },
                {3 * GIB,  2 * MIB   },
                {3 * GIB,  1021 * GIB}
        };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t end = 0, ram = 0;

		build(sizes[i].low, sizes[i].high);
		assert_in_range(count, 1, E820_MAX);
		for (unsigned n = 0; n < count; n++) {
			assert_true(map[n].addr >= end);
			assert_true(map[n].size > 0);
			end = map[n].addr + map[n].size;
			ram += map[n].type == E820_RAM ? map[n].size : 0;
		}
		/* All RAM but EBDA to 1 MiB is offered. */
		assert_int_equal(ram, sizes[i].low + sizes[i].high - (0x100000 - 0x9fc00));
	}
}

static void an_entry_is_20_bytes_as_the_protocols_have_it(void **state)
{
	assert_int_equal(sizeof(struct e820_entry), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conventional_memory_ends_at_the_ebda),
		cmocka_unit_test(video_memory_is_a_hole),
		cmocka_unit_test(firmware_tables_are_reserved),
		cmocka_unit_test(extended_memory_is_ram_to_the_end),
		cmocka_unit_test(windows_without_a_bios_are_reserved),
		cmocka_unit_test(the_pci_window_is_a_hole),
		cmocka_unit_test(kvm_s_own_pages_are_reserved_up_to_4_gib),
		cmocka_unit_test(high_ram_starts_at_4_gib),
		cmocka_unit_test(without_high_ram_nothing_lies_above_4_gib),
		cmocka_unit_test(entries_are_in_order_disjoint_and_not_empty),
		cmocka_unit_test(an_entry_is_20_bytes_as_the_protocols_have_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
