/* load_test.c - claims on guest memory, and files put into the rest. */
#include "fixture.h"

#include "../../../src/boot/load.h"

static struct ram ram;
static struct boot_conf conf;
static struct load l;

static int setup(void **state)
{
	ram = ram_new(16 * MIB);
	conf = (struct boot_conf){.kernel = "K", .cmdline = ""};
	l = (struct load){
		.conf = &conf, .ram = &ram, .kernel = {.what = "kernel", .path = "K"}
        };
	return 0;
}

static int teardown(void **state)
{
	ram_free(&ram);
	return 0;
}

static void neighbours_do_not_overlap(void **state)
{
	assert_int_equal(load_take(&l, 0x200000, 0x1000, "it"), 0);
	assert_int_equal(load_take(&l, 0x201000, 0x1000, "it"), 0);
	assert_int_equal(load_take(&l, 0x1ff000, 0x1000, "it"), 0);
}

static void any_shared_byte_is_an_overlap(void **state)
{
	static const struct load_range bad[] = {
		{0x200fff, 1       },
		{0x1fffff, 2       },
		{0x200800, 1       },
		{0x100000, 0x200000},
		{0x200000, 0x1000  }
        };

	assert_int_equal(load_take(&l, 0x200000, 0x1000, "it"), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails(load_take(&l, bad[i].start, bad[i].end, "a segment"), ENOEXEC,
			     "overlaps 0x200000 to 0x201000");
	assert_int_equal(l.n, 1);
}

static void a_claim_outside_low_ram_is_refused(void **state)
{
	static const struct load_range bad[] = {
		{16 * MIB,       1           },
                {16 * MIB - 1,   2           },
                {0,              16 * MIB + 1},
                {UINT64_MAX,     1           },
		{1,              UINT64_MAX  },
                {0x100000000,    1           },
                {UINT64_MAX - 5, 10          }
        };

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails(load_take(&l, bad[i].start, bad[i].end, "a segment"), E2BIG,
			     "guest RAM ends at 0x1000000");
	assert_int_equal(load_take(&l, 0, 16 * MIB, "all"), 0);
}

static void the_lowest_gap_is_found(void **state)
{
	load_reserve(&l, 0x6000, 0x1000);
	load_reserve(&l, 0x8000, 0x800);
	assert_int_equal(load_find_low(&l, 0x6000, 0x1000, 16), 0x7000);
	assert_int_equal(load_find_low(&l, 0x6000, 0x1001, 16), 0x8800);
	assert_int_equal(load_find_low(&l, 0x6000, 0x1001, 4096), 0x9000);
	assert_int_equal(load_find_low(&l, 0x6001, 1, 4096), 0x7000);
	assert_int_equal(load_find_low(&l, 0x5000, 0x1000, 4096), 0x5000);
}

static void the_lowest_gap_does_not_depend_on_the_order_of_claims(void **state)
{
	load_reserve(&l, 0x8000, 0x1000);
	load_reserve(&l, 0x7000, 0x1000);
	load_reserve(&l, 0x6000, 0x1000);
	assert_int_equal(load_find_low(&l, 0x6000, 0x10, 16), 0x9000);
}

static void without_a_gap_there_is_no_lowest(void **state)
{
	load_reserve(&l, 0, 16 * MIB);
	assert_int_equal(load_find_low(&l, 0x6000, 1, 16), 0);
	l.n = 0;
	assert_int_equal(load_find_low(&l, 0x6000, 16 * MIB, 16), 0);
	assert_int_equal(load_find_low(&l, 0x6000, UINT64_MAX, 16), 0);
}

static void the_highest_gap_is_found(void **state)
{
	assert_int_equal(load_find_high(&l, UINT64_MAX, 1, 4096), 0xfff000);
	assert_int_equal(load_find_high(&l, UINT64_MAX, 0x1001, 4096), 0xffe000);
	load_reserve(&l, 0xff0000, 0x10000);
	load_reserve(&l, 0xfe0000, 0x8000);
	assert_int_equal(load_find_high(&l, UINT64_MAX, 0x8000, 4096), 0xfe8000);
	assert_int_equal(load_find_high(&l, UINT64_MAX, 0x8001, 4096), 0xfd7000);
}

static void the_limit_is_kept(void **state)
{
	assert_int_equal(load_find_high(&l, 0x800000, 0x1000, 4096), 0x7ff000);
	assert_int_equal(load_find_high(&l, 0x800fff, 0x1000, 4096), 0x7ff000);
	assert_int_equal(load_find_high(&l, 0x101000, 0x1000, 4096), 0x100000);
}

static void the_highest_gap_is_never_below_1_mib(void **state)
{
	assert_int_equal(load_find_high(&l, 0x100fff, 0x1000, 4096), 0);
	assert_int_equal(load_find_high(&l, 0x1017ff, 0x1000, 4096), 0x100000);
	assert_int_equal(load_find_high(&l, 0x1000, 0x1000, 4096), 0);
	assert_int_equal(load_find_high(&l, UINT64_MAX, UINT64_MAX, 4096), 0);
	load_reserve(&l, 0x101800, 15 * MIB);
	/* 1 MiB + 800h is aligned down to below 1 MiB + 0, which starts a page too low. */
	assert_int_equal(load_find_high(&l, UINT64_MAX, 0x1000, 4096), 0x100000);
	assert_int_equal(load_find_high(&l, UINT64_MAX, 0x1800, 0x10000), 0x100000);
}

static void info_lies_at_its_place_or_behind_what_is_there(void **state)
{
	uint64_t gpa;

	assert_int_equal(load_info(&l, 100, &gpa), 0);
	assert_int_equal(gpa, 0x6000);
	assert_int_equal(load_info(&l, 100, &gpa), 0);
	assert_int_equal(gpa, 0x6070); /* 64h rounded up to 16 */
}

static void no_room_for_info_is_said(void **state)
{
	uint64_t gpa;

	load_reserve(&l, 0, 16 * MIB);
	assert_fails(load_info(&l, 1, &gpa), E2BIG, "no room for boot information");
}

static void a_read_goes_to_its_address_and_no_further(void **state)
{
	struct file f = file_new("0123456789", 10);

	assert_int_equal(image_open(&l.kernel, "kernel", f.path), 0);
	assert_int_equal(load_read(&l, &l.kernel, 2, 0x300001, 3), 0);
	assert_memory_equal(ram_at(&ram, 0x300000, 5),
			    "\0"
			    "234",
			    5);
	image_close(&l.kernel);
	file_free(&f);
}

static void a_large_read_at_an_odd_address_is_whole(void **state)
{
	static uint8_t data[300000];
	struct file f;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	f = file_new(data, sizeof(data));
	assert_int_equal(image_open(&l.kernel, "kernel", f.path), 0);
	assert_int_equal(load_read(&l, &l.kernel, 0, 16 * MIB - sizeof(data), sizeof(data)), 0);
	assert_memory_equal(ram_at(&ram, 16 * MIB - sizeof(data), sizeof(data)), data,
			    sizeof(data));
	assert_int_equal(load_read(&l, &l.kernel, 0, 0x123, sizeof(data)), 0);
	assert_memory_equal(ram_at(&ram, 0x123, sizeof(data)), data, sizeof(data));
	image_close(&l.kernel);
	file_free(&f);
}

/* Bytes in [p, p + len) that were marked for huge pages ("hg" in smaps). */
static uint64_t marked(const uint8_t *p, uint64_t len)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long lo, hi;
	uint64_t sum = 0, start = 0, end = 0;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2) {
			start = MAX(lo, (uintptr_t)p);
			end = MIN(hi, (uintptr_t)p + len);
		}
		if (!strncmp(line, "VmFlags:", 8) && strstr(line, " hg") && start < end)
			sum += end - start;
	}
	fclose(f);
	return sum;
}

static void only_whole_blocks_of_dense_memory_become_huge(void **state)
{
	/* Where blocks start in guest addresses: the fixture's RAM is aligned to nothing. */
	uint64_t first = align_up((uintptr_t)ram.host, 2 * MIB) - (uintptr_t)ram.host;

	if (access("/sys/kernel/mm/transparent_hugepage", F_OK) < 0)
		skip();
	load_dense(&l, first + 1, 4 * MIB - 2); /* one byte short of a second block */
	assert_int_equal(marked(ram.host, ram.low), 0);
	load_dense(&l, first + 1, 6 * MIB - 2);
	assert_int_equal(marked(ram.host, ram.low), 2 * MIB);
	assert_int_equal(marked(ram.host + first + 2 * MIB, 2 * MIB), 2 * MIB);
	load_dense(&l, 8 * MIB, 9 * MIB); /* not RAM: nothing */
	assert_int_equal(marked(ram.host, ram.low), 2 * MIB);
}

static void a_read_outside_ram_is_refused(void **state)
{
	struct file f = file_new("0123456789", 10);

	assert_int_equal(image_open(&l.kernel, "kernel", f.path), 0);
	assert_fails(load_read(&l, &l.kernel, 0, 16 * MIB - 9, 10), E2BIG, "outside guest RAM");
	assert_fails(load_read(&l, &l.kernel, 0, UINT64_MAX, 10), E2BIG, "outside guest RAM");
	image_close(&l.kernel);
	file_free(&f);
}

/* Pages of [gpa, gpa + len) that are there. */
static unsigned resident(uint64_t gpa, uint64_t len)
{
	static unsigned char page[16 * MIB / 4096];
	unsigned n = 0;

	assert_int_equal(mincore(ram_at(&ram, gpa, len), len, page), 0);
	for (uint64_t i = 0; i < len / 4096; i++)
		n += page[i] & 1;
	return n;
}

static void a_read_beyond_the_file_makes_no_pages(void **state)
{
	struct file f = file_new("0123456789", 10);

	assert_int_equal(image_open(&l.kernel, "kernel", f.path), 0);
	assert_fails(load_read(&l, &l.kernel, 0, MIB, 8 * MIB), ENOEXEC, "truncated");
	assert_int_equal(resident(0, 16 * MIB), 0);
	image_close(&l.kernel);
	file_free(&f);
}

static void without_initrd_nothing_is_done(void **state)
{
	assert_int_equal(load_initrd(&l, GIB), 0);
	assert_int_equal(l.initrd_size, 0);
	assert_int_equal(l.n, 0);
}

static void an_initrd_lies_page_aligned_at_the_top(void **state)
{
	struct file f = file_new("initrd!", 7);

	conf.initrd = f.path;
	assert_int_equal(load_initrd(&l, GIB), 0);
	assert_int_equal(l.initrd, 0xfff000);
	assert_int_equal(l.initrd_size, 7);
	assert_memory_equal(ram_at(&ram, 0xfff000, 8), "initrd!", 8);
	file_free(&f);
}

static void an_initrd_lies_below_its_limit(void **state)
{
	struct file f = file_new("initrd!", 7);

	conf.initrd = f.path;
	assert_int_equal(load_initrd(&l, 0x900000), 0);
	assert_int_equal(l.initrd, 0x8ff000);
	file_free(&f);
}

static void an_initrd_may_lie_low(void **state)
{
	struct file f = file_new("initrd!", 7);

	conf.initrd = f.path;
	load_reserve(&l, 0x100000, 0x1234);
	assert_int_equal(load_initrd(&l, 0), 0);
	assert_int_equal(l.initrd, 0x102000);
	file_free(&f);
}

static void an_initrd_avoids_the_kernel(void **state)
{
	struct file f = file_new("initrd!", 7);

	conf.initrd = f.path;
	load_reserve(&l, 0x100000, 15 * MIB - 0x800);
	assert_fails(load_initrd(&l, GIB), E2BIG, "no room for its 7 bytes");
	l.taken[0].start = 0x200000;
	assert_int_equal(load_initrd(&l, GIB), 0);
	assert_int_equal(l.initrd, 0x1ff000);
	file_free(&f);
}

static void a_missing_initrd_is_said(void **state)
{
	conf.initrd = "/nowhere/i";
	assert_fails(load_initrd(&l, GIB), ENOENT, "could not open initrd '/nowhere/i'");
}

static void the_command_line_is_copied_with_its_nul(void **state)
{
	conf.cmdline = "console=ttyS0";
	memset(ram_at(&ram, GPA_CMDLINE, 32), 0xff, 32);
	assert_int_equal(load_cmdline(&l, 13), 0);
	assert_string_equal(peek_str(&ram, GPA_CMDLINE), "console=ttyS0");
}

static void a_command_line_over_the_kernels_limit_is_refused(void **state)
{
	conf.cmdline = "console=ttyS0";
	assert_fails(load_cmdline(&l, 12), E2BIG, "has 13 bytes, and kernel K takes 12");
	assert_true(is_zero(&ram, GPA_CMDLINE, 16));
}

static void a_command_line_over_64_kib_is_refused_by_any_kernel(void **state)
{
	static char line[0x10001];

	memset(line, 'a', 0x10000);
	conf.cmdline = line;
	assert_fails(load_cmdline(&l, UINT32_MAX), E2BIG, "takes 65535");
	line[0xffff] = 0;
	assert_int_equal(load_cmdline(&l, UINT32_MAX), 0);
	assert_int_equal(peek(&ram, GPA_CMDLINE + 0xfffe, 2), 'a');
}

static void a_command_line_needs_ram(void **state)
{
	ram.low = 0x1000;
	assert_fails(load_cmdline(&l, 100), E2BIG, "RAM is too small");
	ram.low = 16 * MIB;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(neighbours_do_not_overlap),
		T(any_shared_byte_is_an_overlap),
		T(a_claim_outside_low_ram_is_refused),
		T(the_lowest_gap_is_found),
		T(the_lowest_gap_does_not_depend_on_the_order_of_claims),
		T(without_a_gap_there_is_no_lowest),
		T(the_highest_gap_is_found),
		T(the_limit_is_kept),
		T(the_highest_gap_is_never_below_1_mib),
		T(info_lies_at_its_place_or_behind_what_is_there),
		T(no_room_for_info_is_said),
		T(a_read_goes_to_its_address_and_no_further),
		T(a_large_read_at_an_odd_address_is_whole),
		T(only_whole_blocks_of_dense_memory_become_huge),
		T(a_read_outside_ram_is_refused),
		T(a_read_beyond_the_file_makes_no_pages),
		T(without_initrd_nothing_is_done),
		T(an_initrd_lies_page_aligned_at_the_top),
		T(an_initrd_lies_below_its_limit),
		T(an_initrd_may_lie_low),
		T(an_initrd_avoids_the_kernel),
		T(a_missing_initrd_is_said),
		T(the_command_line_is_copied_with_its_nul),
		T(a_command_line_over_the_kernels_limit_is_refused),
		T(a_command_line_over_64_kib_is_refused_by_any_kernel),
		T(a_command_line_needs_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
