/* entry_test.c - the page tables, walked as the CPU does [SDM 3A 4.5], and the GDT. */
#include "fixture.h"

#include "../../../src/boot/entry.h"

/* What a virtual address maps to, with the flags of the last entry; NEVER when not present. */
static uint64_t walk(const struct ram *r, uint64_t va, uint64_t *flags)
{
	uint64_t e = peek(r, 0x9000 + (va >> 39) % 512 * 8, 8);

	if (!(e & 1))
		return NEVER;
	e = peek(r, (e & 0xffffffffff000) + (va >> 30) % 512 * 8, 8);
	if (!(e & 1))
		return NEVER;
	assert_int_equal(e & 0x80, 0); /* no 1 GiB pages: not every CPU has them */
	e = peek(r, (e & 0xffffffffff000) + (va >> 21) % 512 * 8, 8);
	if (!(e & 1))
		return NEVER;
	assert_int_equal(e & 0x80, 0x80);
	*flags = e & 0xfff;
	return (e & 0xfffffffe00000) + va % 0x200000;
}

static void assert_identity(const struct ram *r, uint64_t va)
{
	uint64_t flags = 0;

	assert_int_equal(walk(r, va, &flags), va);
	assert_int_equal(flags & 0x67, 0x63); /* present, writable, supervisor, accessed, dirty */
}

static void ram_is_mapped_one_to_one(void **state)
{
	struct ram r = ram_new(3 * GIB);

	assert_int_equal(entry_long64(&r), 0);
	for (uint64_t va = 0; va < 3 * GIB; va += 2 * MIB)
		assert_identity(&r, va + 0x1234);
	ram_free(&r);
}

static void the_chips_are_mapped_with_any_ram_size(void **state)
{
	struct ram r = ram_new(16 * MIB);

	assert_int_equal(entry_long64(&r), 0);
	assert_identity(&r, 0xc0000000);
	assert_identity(&r, 0xfec00000);
	assert_identity(&r, 0xfee00000);
	assert_identity(&r, 0xffffffff);
	ram_free(&r);
}

static void nothing_is_mapped_above_4_gib(void **state)
{
	struct ram r = ram_new(5 * GIB);
	uint64_t flags;

	assert_int_equal(entry_long64(&r), 0);
	assert_int_equal(walk(&r, 0x100000000, &flags), NEVER);
	assert_int_equal(walk(&r, 1ull << 39, &flags), NEVER);
	ram_free(&r);
}

static void a_gib_without_ram_and_chips_costs_no_page(void **state)
{
	struct ram r = ram_new(GIB);
	uint64_t flags;

	assert_int_equal(entry_long64(&r), 0);
	assert_int_equal(walk(&r, GIB, &flags), NEVER);
	assert_true(is_zero(&r, 0xc000, 0x2000));
	ram_free(&r);
	r = ram_new(GIB + 2 * MIB);
	assert_int_equal(entry_long64(&r), 0);
	assert_identity(&r, GIB);
	assert_int_equal(walk(&r, 2 * GIB, &flags), NEVER);
	ram_free(&r);
}

static void the_gdt_has_linux_selectors(void **state)
{
	struct ram r = ram_new(16 * MIB);

	assert_int_equal(entry_long64(&r), 0);
	assert_int_equal(peek(&r, GPA_GDT, 8), 0);
	/* [SDM 3A 3.4.5]: P, S, type Bh (execute, read, accessed), L without D */
	assert_int_equal(peek(&r, GPA_GDT + 0x10 + 5, 1), 0x9b);
	assert_int_equal(peek(&r, GPA_GDT + 0x10 + 6, 1) & 0x60, 0x20);
	assert_int_equal(peek(&r, GPA_GDT + 0x18 + 5, 1), 0x93); /* read, write, accessed */
	assert_int_equal(peek(&r, GPA_GDT + 0x18 + 6, 1), 0xcf); /* G, B, limit 4 GiB */
	assert_int_equal(peek(&r, GPA_GDT + 0x20 + 5, 1), 0x8b); /* busy TSS: VM entry demands it */
	assert_int_equal(peek(&r, GPA_GDT + 0x20, 2), 0x67);
	assert_int_equal(peek(&r, GPA_GDT + 0x28, 8), 0);
	ram_free(&r);
}

static void ram_that_ends_below_the_tables_is_refused(void **state)
{
	struct ram r = ram_new(64 * KIB);

	r.low = 0xf000;
	assert_fails(entry_long64(&r), E2BIG, "too small");
	r.low = 0xf030;
	assert_int_equal(entry_long64(&r), 0);
	r.low = 64 * KIB;
	ram_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram_is_mapped_one_to_one),
		cmocka_unit_test(the_chips_are_mapped_with_any_ram_size),
		cmocka_unit_test(nothing_is_mapped_above_4_gib),
		cmocka_unit_test(a_gib_without_ram_and_chips_costs_no_page),
		cmocka_unit_test(the_gdt_has_linux_selectors),
		cmocka_unit_test(ram_that_ends_below_the_tables_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
