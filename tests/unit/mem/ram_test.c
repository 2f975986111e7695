/* ram_test.c - guest RAM: sizes, alignment, page kinds and the door ram_at(). */
#include "../../../src/mem/ram.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "../said.h"

/* The two calls that ram.c makes, with faults put in. */
static int mmap_err, mmap_flags;
static unsigned mmap_fail_at; /* which call fails, from 1; 0 none */
static unsigned mmap_calls;
static uintptr_t mmap_skew; /* what the first mapping is off a multiple of 2 MiB */
static int madvise_refuses; /* advice; -1 none */

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	uintptr_t p;

	mmap_flags = flags;
	mmap_calls++;
	if (mmap_calls == mmap_fail_at) {
		errno = mmap_err;
		return MAP_FAILED;
	}
	if (mmap_skew == 0 || addr)
		return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, off);
	p = (uintptr_t)syscall(SYS_mmap, NULL, len + 4 * MIB, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	p = align_up(p, 2 * MIB) + mmap_skew;
	return (void *)syscall(SYS_mmap, p, len, prot, flags | MAP_FIXED, fd, off);
}

int madvise(void *addr, size_t len, int advice)
{
	if (advice == madvise_refuses) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_madvise, addr, len, advice);
}

static int setup(void **state)
{
	mmap_fail_at = mmap_calls = said_lines = 0;
	mmap_skew = 0;
	madvise_refuses = -1;
	return 0;
}

static bool has_flag(const void *addr, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long lo, hi;
	char line[512];
	bool in = false, found = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2)
			in = (uintptr_t)addr >= lo && (uintptr_t)addr < hi;
		else if (in && !strncmp(line, "VmFlags:", 8))
			found = found || strstr(line, flag);
	}
	fclose(f);
	return found;
}

static void small_ram_is_all_below_3_gib(void **state)
{
	struct ram r;

	assert_int_equal(ram_map(&r, 128 * MIB, RAM_PAGES_DEFAULT), 0);
	assert_int_equal(r.low, 128 * MIB);
	assert_int_equal(r.high, 0);
	ram_unmap(&r);
}

static void ram_of_3_gib_has_no_high_part(void **state)
{
	struct ram r;

	assert_int_equal(ram_map(&r, 3 * GIB, RAM_PAGES_DEFAULT), 0);
	assert_int_equal(r.low, 3 * GIB);
	assert_int_equal(r.high, 0);
	ram_unmap(&r);
}

static void ram_above_3_gib_continues_at_4_gib(void **state)
{
	struct ram r;

	assert_int_equal(ram_map(&r, 5 * GIB, RAM_PAGES_DEFAULT), 0);
	assert_int_equal(r.low, 0xc0000000);
	assert_int_equal(r.high, 2 * GIB);
	assert_ptr_equal(ram_at(&r, 0x100000000, 1), r.host + 0xc0000000);
	*(uint8_t *)ram_at(&r, 0x17fffffff, 1) = 1;
	ram_unmap(&r);
}

static void the_mapping_is_aligned_to_2_mib(void **state)
{
	for (uint64_t size = RAM_MIN; size < 64 * MIB; size += 2 * MIB) {
		struct ram r;

		assert_int_equal(ram_map(&r, size, RAM_PAGES_DEFAULT), 0);
		assert_int_equal((uintptr_t)r.host % (2 * MIB), 0);
		ram_unmap(&r);
	}
}

static void an_unaligned_mapping_is_replaced_and_trimmed(void **state)
{
	static const uintptr_t skew[] = {0x1000, 0x100000, 0x1ff000};

	for (unsigned i = 0; i < ARRAY_SIZE(skew); i++) {
		struct ram r;
		unsigned char vec;

		mmap_skew = skew[i];
		assert_int_equal(ram_map(&r, 32 * MIB, RAM_PAGES_DEFAULT), 0);
		assert_int_equal((uintptr_t)r.host % (2 * MIB), 0);
		memset(r.host, 1, 32 * MIB); /* all of it is there */
		/* and nothing after it: mincore() of what is not mapped is ENOMEM */
		assert_int_equal(mincore(r.host + 32 * MIB, 4096, &vec), -1);
		ram_unmap(&r);
	}
}

static void sizes_out_of_range_or_uneven_are_refused(void **state)
{
	static const uint64_t bad[] = {0,
				       1,
				       RAM_MIN - 2 * MIB,
				       RAM_MIN + MIB,
				       RAM_MIN + 1,
				       RAM_MAX + 2 * MIB,
				       UINT64_MAX,
				       1ull << 63};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ram r;

		said_lines = 0;
		assert_int_equal(ram_map(&r, bad[i], RAM_PAGES_DEFAULT), -EINVAL);
		assert_int_equal(said_lines, 1);
		assert_null(r.host);
		assert_int_equal(mmap_calls, 0);
	}
}

static void pages_are_private_and_not_reserved(void **state)
{
	struct ram r;

	assert_int_equal(ram_map(&r, 16 * MIB, RAM_PAGES_DEFAULT), 0);
	assert_int_equal(mmap_flags, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	ram_unmap(&r);
}

static void ram_is_kept_out_of_core_dumps(void **state)
{
	struct ram r;

	assert_int_equal(ram_map(&r, 16 * MIB, RAM_PAGES_DEFAULT), 0);
	assert_true(has_flag(r.host, " dd"));
	ram_unmap(&r);
}

static void ram_that_would_be_dumped_is_not_handed_out(void **state)
{
	struct ram r;

	madvise_refuses = MADV_DONTDUMP;
	assert_int_equal(ram_map(&r, 16 * MIB, RAM_PAGES_DEFAULT), -EINVAL);
	assert_int_equal(said_lines, 1);
	assert_null(r.host);
}

static void thp_is_asked_for(void **state)
{
	struct ram r;

	assert_int_equal(ram_map(&r, 16 * MIB, RAM_PAGES_THP), 0);
	if (access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0)
		assert_true(has_flag(r.host, " hg"));
	ram_unmap(&r);
}

static void thp_is_not_asked_for_by_default(void **state)
{
	struct ram r;

	assert_int_equal(ram_map(&r, 16 * MIB, RAM_PAGES_DEFAULT), 0);
	assert_false(has_flag(r.host, " hg"));
	ram_unmap(&r);
}

static void without_thp_in_the_host_it_goes_on_and_says_so(void **state)
{
	struct ram r;

	madvise_refuses = MADV_HUGEPAGE;
	assert_int_equal(ram_map(&r, 16 * MIB, RAM_PAGES_THP), 0);
	assert_int_equal(said_lines, 1);
	assert_non_null(strstr(said, "normal pages"));
	ram_unmap(&r);
}

static void hugetlb_asks_for_reserved_pages_of_2_mib(void **state)
{
	struct ram r;

	mmap_fail_at = 1;
	mmap_err = ENOMEM;
	assert_int_equal(ram_map(&r, 16 * MIB, RAM_PAGES_2M), -ENOMEM);
	assert_int_equal(mmap_flags, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << 26);
}

static void a_hugetlb_pool_that_is_too_small_is_said(void **state)
{
	struct ram r;

	/* 1 TiB of them no test machine has. */
	assert_int_equal(ram_map(&r, RAM_MAX, RAM_PAGES_2M), -ENOMEM);
	assert_int_equal(said_lines, 1);
	assert_non_null(strstr(said, "524288 huge pages of 2 MiB"));
	assert_non_null(strstr(said, "nr_hugepages"));
}

static void ram_that_cannot_be_mapped_is_said(void **state)
{
	struct ram r;

	mmap_fail_at = 1;
	mmap_err = ENOMEM;
	assert_int_equal(ram_map(&r, 64 * MIB, RAM_PAGES_DEFAULT), -ENOMEM);
	assert_int_equal(said_lines, 1);
	assert_non_null(strstr(said, "64 MiB"));
	assert_null(r.host);
}

static void a_failing_second_mapping_is_said(void **state)
{
	struct ram r;

	mmap_skew = 0x1000;
	mmap_fail_at = 2;
	mmap_err = ENOMEM;
	assert_int_equal(ram_map(&r, 64 * MIB, RAM_PAGES_DEFAULT), -ENOMEM);
	assert_int_equal(said_lines, 1);
}

static void unmapping_twice_or_nothing_is_harmless(void **state)
{
	struct ram r = {0};

	ram_unmap(&r);
	assert_int_equal(ram_map(&r, 16 * MIB, RAM_PAGES_DEFAULT), 0);
	ram_unmap(&r);
	assert_null(r.host);
	ram_unmap(&r);
}

static void ram_starts_zeroed(void **state)
{
	struct ram r;

	assert_int_equal(ram_map(&r, 16 * MIB, RAM_PAGES_DEFAULT), 0);
	assert_int_equal(r.host[0], 0);
	assert_memory_equal(r.host, r.host + 1, 4 * MIB);
	ram_unmap(&r);
}

/* The door, on numbers alone: there is no memory behind it. */
#define DOOR_HOST ((uint8_t *)0x200000000000)
static const struct ram door = {.host = DOOR_HOST, .low = 3 * GIB, .high = GIB};

static void ram_at_gives_ranges_inside_one_region(void **state)
{
	assert_ptr_equal(ram_at(&door, 0, 3 * GIB), door.host);
	assert_ptr_equal(ram_at(&door, 0xbfffffff, 1), door.host + 0xbfffffff);
	assert_ptr_equal(ram_at(&door, 4 * GIB, GIB), door.host + 3 * GIB);
	assert_ptr_equal(ram_at(&door, 5 * GIB - 1, 1), door.host + 4 * GIB - 1);
	assert_ptr_equal(ram_at(&door, 5, 0), door.host + 5);
}

static void ram_at_refuses_what_leaves_a_region(void **state)
{
	static const struct {
		uint64_t gpa, len;
	} bad[] = {
		{0,           3 * GIB + 1},
		{0xbfffffff,  2          },
		{3 * GIB,     1          },
		{3 * GIB,     0          },
		{4 * GIB - 1, 1          },
		{4 * GIB - 1, 2          },
		{4 * GIB,     GIB + 1    },
		{5 * GIB,     0          },
		{5 * GIB,     1          },
		{0,           UINT64_MAX },
		{1,           UINT64_MAX },
		{UINT64_MAX,  1          },
		{UINT64_MAX,  UINT64_MAX },
		{4 * GIB,     UINT64_MAX },
		{2 * GIB,     2 * GIB + 1},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(ram_at(&door, bad[i].gpa, bad[i].len));
}

static void ram_at_without_high_ram_ends_at_low(void **state)
{
	const struct ram r = {.host = DOOR_HOST, .low = 16 * MIB};

	assert_null(ram_at(&r, 16 * MIB, 0));
	assert_null(ram_at(&r, 4 * GIB, 0));
	assert_non_null(ram_at(&r, 16 * MIB - 1, 1));
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(small_ram_is_all_below_3_gib),
		T(ram_of_3_gib_has_no_high_part),
		T(ram_above_3_gib_continues_at_4_gib),
		T(the_mapping_is_aligned_to_2_mib),
		T(an_unaligned_mapping_is_replaced_and_trimmed),
		T(sizes_out_of_range_or_uneven_are_refused),
		T(pages_are_private_and_not_reserved),
		T(ram_is_kept_out_of_core_dumps),
		T(ram_that_would_be_dumped_is_not_handed_out),
		T(thp_is_asked_for),
		T(thp_is_not_asked_for_by_default),
		T(without_thp_in_the_host_it_goes_on_and_says_so),
		T(hugetlb_asks_for_reserved_pages_of_2_mib),
		T(a_hugetlb_pool_that_is_too_small_is_said),
		T(ram_that_cannot_be_mapped_is_said),
		T(a_failing_second_mapping_is_said),
		T(unmapping_twice_or_nothing_is_harmless),
		T(ram_starts_zeroed),
		T(ram_at_gives_ranges_inside_one_region),
		T(ram_at_refuses_what_leaves_a_region),
		T(ram_at_without_high_ram_ends_at_low),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
