/* bios_test.c - real-mode vectors and the code that they point to [SDM 3A 20.1.4]. */
#include "fixture.h"

#include "../../../src/boot/bios.h"

/* Physical address that real-mode vector `n` points to. */
static uint64_t target(const struct ram *r, unsigned n)
{
	return peek(r, 4 * n + 2, 2) * 16 + peek(r, 4 * n, 2);
}

static void every_vector_points_into_the_rom_area(void **state)
{
	struct ram r = ram_new(16 * MIB);

	assert_int_equal(bios_build(&r), 0);
	for (unsigned n = 0; n < 256; n++) {
		assert_true(target(&r, n) >= 0xff000);
		assert_true(target(&r, n) < 0x100000);
	}
	ram_free(&r);
}

/* The bytes at a vector's target, up to and with IRET. */
static unsigned code(const struct ram *r, unsigned n, uint8_t *to)
{
	unsigned len = 0;

	do
		to[len] = (uint8_t)peek(r, target(r, n) + len, 1);
	while (to[len++] != 0xcf && len < 16);
	return len;
}

static void a_vector_without_irq_returns_at_once(void **state)
{
	static const unsigned some[] = {0x00, 0x01, 0x06, 0x07, 0x10, 0x13, 0x6f, 0x78, 0xff};
	struct ram r = ram_new(16 * MIB);
	uint8_t c[16];

	assert_int_equal(bios_build(&r), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(some); i++)
		assert_int_equal(code(&r, some[i], c), 1);
	ram_free(&r);
}

static void irqs_0_to_7_are_ended_at_the_master(void **state)
{
	/* push ax; mov al, 20h; out 20h, al; pop ax; iret */
	static const uint8_t want[] = {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf};
	struct ram r = ram_new(16 * MIB);
	uint8_t c[16];

	assert_int_equal(bios_build(&r), 0);
	for (unsigned n = 0x08; n < 0x10; n++) {
		assert_int_equal(code(&r, n, c), sizeof(want));
		assert_memory_equal(c, want, sizeof(want));
	}
	ram_free(&r);
}

static void irqs_8_to_15_are_ended_at_both(void **state)
{
	/* the slave first: its EOI may raise the next request at the master */
	static const uint8_t want[] = {0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf};
	struct ram r = ram_new(16 * MIB);
	uint8_t c[16];

	assert_int_equal(bios_build(&r), 0);
	for (unsigned n = 0x70; n < 0x78; n++) {
		assert_int_equal(code(&r, n, c), sizeof(want));
		assert_memory_equal(c, want, sizeof(want));
	}
	ram_free(&r);
}

static void nothing_else_is_written(void **state)
{
	struct ram r = ram_new(16 * MIB);

	assert_int_equal(bios_build(&r), 0);
	assert_true(is_zero(&r, 0x400, 0xff000 - 0x400));
	assert_true(is_zero(&r, 0xff030, MIB - 0xff030));
	assert_true(is_zero(&r, MIB, MIB));
	ram_free(&r);
}

static void ram_that_ends_below_1_mib_is_refused(void **state)
{
	struct ram r = ram_new(2 * MIB);

	r.low = 0xff020;
	assert_int_equal(bios_build(&r), -ENOSPC);
	r.low = 0x200;
	assert_int_equal(bios_build(&r), -ENOSPC);
	r.low = 2 * MIB;
	assert_true(is_zero(&r, 0, 2 * MIB));
	ram_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_vector_points_into_the_rom_area),
		cmocka_unit_test(a_vector_without_irq_returns_at_once),
		cmocka_unit_test(irqs_0_to_7_are_ended_at_the_master),
		cmocka_unit_test(irqs_8_to_15_are_ended_at_both),
		cmocka_unit_test(nothing_else_is_written),
		cmocka_unit_test(ram_that_ends_below_1_mib_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
