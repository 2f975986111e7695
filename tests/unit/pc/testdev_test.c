/* testdev_test.c - what kvm-unit-tests relies on: latches, lines, exit, fw_cfg, the byte store. */
#include "../../../src/pc/testdev.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/steps.h"

#define LATCH  0xe0
#define FLUSH  0xe4
#define BYTES  0xe8 /* the latch again */
#define EXIT   0xf4
#define KEY    0x510
#define VALUE  0x511
#define LINES  0x2000
#define STORE  0xff000000u
#define NOPAGE 1u /* no flush has been asked for */

#define FLUSHED X0 /* expect the page of the last flush, or NOPAGE; asked once */
#define EXITED  X1 /* expect exit status val + 1, or 0 for none; asked once */

static struct {
	struct rig rig;
	struct testdev dev;
	uint8_t store[TEST_MMIO_SIZE];
	uint64_t page;
	unsigned status;
} t;

static void flush_page(void *ctx, uint64_t gpa)
{
	assert_ptr_equal(ctx, &t);
	t.page = gpa;
}

static void ended(void *ctx, uint8_t status)
{
	assert_ptr_equal(ctx, &t);
	t.status = status + 1u;
}

static uint64_t op(struct rig *r, const struct step *s)
{
	uint64_t got = s->op == FLUSHED ? t.page : t.status;

	if (s->op == FLUSHED)
		t.page = NOPAGE;
	else
		t.status = 0;
	return got;
}

/* The ranges of the machine, as the board has them. */
static const struct {
	uint32_t base, len;
	uint32_t (*read)(void *dev, uint32_t off, unsigned size, uint64_t now);
	void (*write)(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
} range[] = {
  // clang-format off
	{LATCH, 4,              testdev_latch_read, testdev_latch_write},
	{FLUSH, 4,              testdev_flush_read, testdev_flush_write},
	{BYTES, 4,              testdev_latch_read, testdev_latch_write},
	{EXIT,  4,              testdev_exit_read,  testdev_exit_write },
	{KEY,   2,              testdev_fwcfg_read, testdev_fwcfg_write},
	{LINES, TESTDEV_LINES,  testdev_line_read,  testdev_line_write },
	{STORE, TEST_MMIO_SIZE, testdev_mmio_read,  testdev_mmio_write },
  // clang-format on
};

static uint32_t read_any(void *dev, uint32_t addr, unsigned size, uint64_t now)
{
	for (unsigned i = 0; i < ARRAY_SIZE(range); i++)
		if (addr - range[i].base < range[i].len)
			return range[i].read(dev, addr - range[i].base, size, now);
	fail_msg("no such address: %#x", addr);
	return 0;
}

static void write_any(void *dev, uint32_t addr, unsigned size, uint32_t val, uint64_t now)
{
	for (unsigned i = 0; i < ARRAY_SIZE(range); i++)
		if (addr - range[i].base < range[i].len) {
			range[i].write(dev, addr - range[i].base, size, val, now);
			return;
		}
	fail_msg("no such address: %#x", addr);
}

static int setup(void **state)
{
	struct testdev_config c = {.ctx = &t,
				   .flush_page = flush_page,
				   .exit = ended,
				   .ram_bytes = 0x123456789abcdef0,
				   .cpus = 0x0104,
				   .store = t.store};

	memset(&t, 0, sizeof(t));
	memset(&t.dev, 0xa5, sizeof(t.dev)); /* init owes nothing to what was there */
	t.page = NOPAGE;
	for (unsigned n = 0; n < TESTDEV_LINES; n++)
		c.line[n] = rig_line(&t.rig, n);
	testdev_init(&t.dev, &c);
	t.rig.dev = &t.dev;
	t.rig.read = read_any;
	t.rig.write = write_any;
	t.rig.op = op;
	return 0;
}

#define TEST(name)                                                                                 \
	static void name(void **state)                                                             \
	{                                                                                          \
		RUN(&t.rig, name##_steps);                                                         \
	}

// clang-format off
/* Latch */

static const struct step latch_starts_zero_and_keeps_a_dword_steps[] = {
	{RD4, LATCH, 0}, {WR4, LATCH, 0x12345678}, {RD4, LATCH, 0x12345678},
};
TEST(latch_starts_zero_and_keeps_a_dword)

static const struct step latch_is_accessed_by_parts_steps[] = {
	{WR4, LATCH, 0x12345678},
	{RD, LATCH, 0x78}, {RD, LATCH + 1, 0x56}, {RD, LATCH + 2, 0x34}, {RD, LATCH + 3, 0x12},
	{RD2, LATCH, 0x5678}, {RD2, LATCH + 2, 0x1234}, {RD2, LATCH + 1, 0x3456},
	{WR, LATCH + 3, 0xff}, {RD4, LATCH, 0xff345678}, {WR2, LATCH, 0xabcd},
	{RD4, LATCH, 0xff34abcd}, {WR2, LATCH + 1, 0}, {RD4, LATCH, 0xff0000cd},
};
TEST(latch_is_accessed_by_parts)

static const struct step latch_is_the_same_at_e8_steps[] = {
	{WR4, LATCH, 0x12345678}, {RD, BYTES + 1, 0x56}, {RD4, BYTES, 0x12345678},
	{WR, BYTES, 0xff}, {RD4, LATCH, 0x123456ff},
};
TEST(latch_is_the_same_at_e8)

static const struct step latch_is_clipped_at_its_end_steps[] = {
	{WR4, LATCH, 0x12345678}, {RD4, LATCH + 2, 0xffff1234}, {RD2, LATCH + 3, 0xff12},
	{WR4, LATCH + 3, 0}, {RD4, LATCH, 0x00345678},
};
TEST(latch_is_clipped_at_its_end)

/* Page flush */

static const struct step flush_names_the_page_of_the_address_steps[] = {
	{FLUSHED, 0, NOPAGE}, {WR4, FLUSH, 0x00401234}, {FLUSHED, 0, 0x00401000},
	{WR4, FLUSH, 0xffffffff}, {FLUSHED, 0, 0xfffff000}, {WR4, FLUSH, 0}, {FLUSHED, 0, 0},
};
TEST(flush_names_the_page_of_the_address)

static const struct step flush_takes_dwords_alone_steps[] = {
	{WR, FLUSH, 0x10}, {WR2, FLUSH, 0x1000}, {WR4, FLUSH + 1, 0x1000}, {FLUSHED, 0, NOPAGE},
};
TEST(flush_takes_dwords_alone)

static const struct step flush_reads_all_ones_steps[] = {
	{RD4, FLUSH, 0xffffffff}, {RD, FLUSH + 3, 0xff}, {FLUSHED, 0, NOPAGE},
};
TEST(flush_reads_all_ones)

/* Interrupt lines */

static const struct step byte_drives_the_line_of_its_port_steps[] = {
	{WR, LINES + 0, 1}, {LINE, 0, 1}, {WR, LINES + 23, 1}, {LINE, 23, 1}, {LINE, 22, 0},
	{WR, LINES + 23, 0}, {LINE, 23, 0}, {LINE, 0, 1}, {EDGES, 23, 1},
};
TEST(byte_drives_the_line_of_its_port)

static const struct step any_value_but_zero_is_high_steps[] = {
	{WR, LINES + 14, 0x80}, {LINE, 14, 1}, {WR, LINES + 14, 2}, {LINE, 14, 1},
	{EDGES, 14, 1}, {WR, LINES + 14, 0}, {LINE, 14, 0},
};
TEST(any_value_but_zero_is_high)

static const struct step wide_write_drives_a_line_a_byte_steps[] = {
	/* realmode writes a dword at 200Bh */
	{WR4, LINES + 11, 0x01000001},
	{LINE, 11, 1}, {LINE, 12, 0}, {LINE, 13, 0}, {LINE, 14, 1}, {LINE, 15, 0}, {LINE, 10, 0},
	{WR2, LINES + 11, 0x0100}, {LINE, 11, 0}, {LINE, 12, 1},
};
TEST(wide_write_drives_a_line_a_byte)

static const struct step wide_write_stops_at_line_23_steps[] = {
	{WR4, LINES + 22, 0x01010101}, {LINE, 22, 1}, {LINE, 23, 1}, {WR4, LINES + 23, 0},
	{LINE, 23, 0},
};
TEST(wide_write_stops_at_line_23)

static const struct step lines_read_all_ones_steps[] = {
	{RD, LINES + 5, 0xff}, {RD2, LINES, 0xffff}, {RD4, LINES + 20, 0xffffffff},
};
TEST(lines_read_all_ones)

/* Exit */

static const struct step exit_status_is_odd_steps[] = {
	{EXITED, 0, 0}, {WR, EXIT, 0}, {EXITED, 0, 1 + 1}, {WR, EXIT, 1}, {EXITED, 0, 3 + 1},
	{WR, EXIT, 38}, {EXITED, 0, 77 + 1},
};
TEST(exit_status_is_odd)

static const struct step exit_status_is_a_byte_steps[] = {
	{WR4, EXIT, 0x12345678}, {EXITED, 0, 0xf1 + 1}, {WR2, EXIT, 0x00ff}, {EXITED, 0, 0xff + 1},
	{WR4, EXIT, 0xffffff80}, {EXITED, 0, 0x01 + 1},
};
TEST(exit_status_is_a_byte)

static const struct step exit_reads_zero_steps[] = {
	{RD, EXIT, 0}, {RD2, EXIT, 0}, {RD4, EXIT, 0}, {EXITED, 0, 0},
};
TEST(exit_reads_zero)

/* fw_cfg */

static const struct step fwcfg_3_is_the_ram_size_steps[] = {
	{WR2, KEY, 3},
	{RD, VALUE, 0xf0}, {RD, VALUE, 0xde}, {RD, VALUE, 0xbc}, {RD, VALUE, 0x9a},
	{RD, VALUE, 0x78}, {RD, VALUE, 0x56}, {RD, VALUE, 0x34}, {RD, VALUE, 0x12},
};
TEST(fwcfg_3_is_the_ram_size)

static const struct step fwcfg_5_is_the_number_of_cpus_steps[] = {
	{WR2, KEY, 5}, {RD, VALUE, 0x04}, {RD, VALUE, 0x01},
};
TEST(fwcfg_5_is_the_number_of_cpus)

static const struct step fwcfg_reads_zero_after_the_end_steps[] = {
	{WR2, KEY, 5}, {RD, VALUE, 0x04}, {RD, VALUE, 0x01},
	{RD, VALUE, 0}, {RD, VALUE, 0}, {RD, VALUE, 0}, {RD, VALUE, 0}, {RD, VALUE, 0},
};
TEST(fwcfg_reads_zero_after_the_end)

static const struct step fwcfg_key_starts_over_steps[] = {
	{WR2, KEY, 3}, {RD, VALUE, 0xf0}, {RD, VALUE, 0xde}, {WR2, KEY, 3}, {RD, VALUE, 0xf0},
	{WR2, KEY, 5}, {RD, VALUE, 0x04}, {WR2, KEY, 3}, {RD, VALUE, 0xf0},
};
TEST(fwcfg_key_starts_over)

static const struct step fwcfg_unknown_keys_read_zero_steps[] = {
	{RD, VALUE, 0},
	{WR2, KEY, 0x11}, {RD, VALUE, 0}, {RD, VALUE, 0}, {WR2, KEY, 0}, {RD, VALUE, 0},
	{WR2, KEY, 0xffff}, {RD, VALUE, 0}, {WR2, KEY, 0x0103}, {RD, VALUE, 0},
};
TEST(fwcfg_unknown_keys_read_zero)

static const struct step fwcfg_other_accesses_are_nothing_steps[] = {
	{WR2, KEY, 5}, {WR, KEY, 3}, {WR, VALUE, 3}, {WR2, VALUE, 3}, {WR4, KEY, 3},
	{RD, KEY, 0xff}, {RD2, KEY, 0xffff}, {RD2, VALUE, 0xffff}, {RD4, KEY, 0xffffffff},
	{RD, VALUE, 0x04},
};
TEST(fwcfg_other_accesses_are_nothing)

/* Byte store */

static const struct step store_keeps_bytes_words_and_dwords_steps[] = {
	{RD4, STORE, 0}, {WR4, STORE, 0x12345678}, {RD4, STORE, 0x12345678},
	{RD, STORE + 1, 0x56}, {RD2, STORE + 2, 0x1234}, {RD4, STORE + 1, 0x00123456},
	{WR, STORE + 4, 0xff}, {RD4, STORE + 1, 0xff123456},
	{WR2, STORE + 0x8001, 0xabcd}, {RD4, STORE + 0x8000, 0x00abcd00},
};
TEST(store_keeps_bytes_words_and_dwords)

static const struct step store_is_clipped_at_its_end_steps[] = {
	{WR4, STORE + 0xfffc, 0x12345678}, {RD4, STORE + 0xfffc, 0x12345678},
	{RD4, STORE + 0xfffe, 0xffff1234}, {RD2, STORE + 0xffff, 0xff12},
	{WR4, STORE + 0xffff, 0}, {RD4, STORE + 0xfffc, 0x00345678},
};
TEST(store_is_clipped_at_its_end)

static const struct step missing_store_steps[] = {
	{WR4, STORE, 0}, {RD4, STORE, 0xffffffff}, {RD, STORE + 0xffff, 0xff},
};

static const struct step nothing_connected_steps[] = {
	{WR4, FLUSH, 0x1000}, {WR, EXIT, 0}, {WR4, LINES, 0x01010101}, {WR4, LATCH, 7},
	{RD4, LATCH, 7}, {WR2, KEY, 3}, {RD, VALUE, 0}, {FLUSHED, 0, NOPAGE}, {EXITED, 0, 0},
};
// clang-format on

static void missing_store_reads_all_ones(void **state)
{
	t.dev.config.store = NULL;
	RUN(&t.rig, missing_store_steps);
}

static void nothing_connected_is_harmless(void **state)
{
	static const struct testdev_config none;

	testdev_init(&t.dev, &none);
	RUN(&t.rig, nothing_connected_steps);
}

static void fwcfg_read_for_ever_stays_zero(void **state)
{
	testdev_fwcfg_write(&t.dev, 0, 2, 3, 0);
	for (unsigned i = 0; i < 8; i++)
		testdev_fwcfg_read(&t.dev, 1, 1, 0);
	for (unsigned i = 0; i < 200000; i++)
		assert_int_equal(testdev_fwcfg_read(&t.dev, 1, 1, 0), 0);
}

static void every_offset_and_width_is_survived(void **state)
{
	static const uint32_t val[] = {0, 1, 3, 5, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(range); i++)
		for (uint32_t n = 0; n < 3 * 70000; n++) {
			uint32_t off = n / 3 < 69990 ? n / 3 : UINT32_MAX - n / 3 % 10;
			unsigned size = 1u << n % 3;

			range[i].write(&t.dev, off, size, val[n % ARRAY_SIZE(val)], 0);
			assert_true(range[i].read(&t.dev, off, size, 0) <= all_ones(size));
		}
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(latch_starts_zero_and_keeps_a_dword),
		T(latch_is_accessed_by_parts),
		T(latch_is_the_same_at_e8),
		T(latch_is_clipped_at_its_end),
		T(flush_names_the_page_of_the_address),
		T(flush_takes_dwords_alone),
		T(flush_reads_all_ones),
		T(byte_drives_the_line_of_its_port),
		T(any_value_but_zero_is_high),
		T(wide_write_drives_a_line_a_byte),
		T(wide_write_stops_at_line_23),
		T(lines_read_all_ones),
		T(exit_status_is_odd),
		T(exit_status_is_a_byte),
		T(exit_reads_zero),
		T(fwcfg_3_is_the_ram_size),
		T(fwcfg_5_is_the_number_of_cpus),
		T(fwcfg_reads_zero_after_the_end),
		T(fwcfg_key_starts_over),
		T(fwcfg_unknown_keys_read_zero),
		T(fwcfg_other_accesses_are_nothing),
		T(store_keeps_bytes_words_and_dwords),
		T(store_is_clipped_at_its_end),
		T(missing_store_reads_all_ones),
		T(nothing_connected_is_harmless),
		T(fwcfg_read_for_ever_stays_zero),
		T(every_offset_and_width_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
