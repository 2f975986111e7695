/* balloon_test.c - behaviours of the memory balloon: what it drops, and what it does not believe.
 */
#include "../../../src/virtio/balloon.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../../lib/driver.h"
#include "../said.h"

#define PAGE      4096ull
#define LOW       (16 * MIB)
#define HIGH      (4 * MIB)
#define TAKEN     (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)
#define STATS     BIT(1)
#define OOM       BIT(2)
#define REPORTING BIT(5)
#define INFLATE   0
#define DEFLATE   1
#define CALLS_MAX 2048

static struct ram ram;
static struct driver drv[BALLOON_QUEUES];
static struct driver_host host;
static struct balloon balloon;

/* The calls that were made, in guest-physical addresses; pages are zeroed as the kernel would. */
static struct {
	uint64_t gpa, len;
} call[CALLS_MAX];
static unsigned calls;
static size_t page_size; /* of the host's mapping: what else is asked for is EINVAL */
static int call_err;

int madvise(void *addr, size_t len, int advice)
{
	uint64_t off = (uint64_t)((uint8_t *)addr - ram.host);

	assert_int_equal(advice, MADV_DONTNEED);
	assert_true(off < LOW + HIGH && len <= LOW + HIGH - off && len);
	assert_true(calls < CALLS_MAX);
	call[calls].gpa = off < LOW ? off : off - LOW + GPA_4G;
	call[calls++].len = len;
	if (call_err || (uintptr_t)addr % page_size || len % page_size) {
		errno = call_err ? call_err : EINVAL;
		return -1;
	}
	memset(addr, 0, len);
	return 0;
}

static void assert_call(unsigned n, uint64_t gpa, uint64_t len)
{
	assert_true(n < calls);
	assert_int_equal(call[n].gpa, gpa);
	assert_int_equal(call[n].len, len);
}

/* A device, and a driver that takes `features` beside the usual with `queues` queues. */
static void start(const struct balloon_conf *conf, uint64_t features, unsigned queues)
{
	balloon_init(&balloon, conf, &host.host, &ram);
	for (unsigned i = 0; i < BALLOON_QUEUES; i++)
		driver_init(&drv[i], &ram, 0x1000 + i * 0x100000, 64, TAKEN | features);
	assert_true(driver_bring_up(&host, &balloon.dev, drv, queues, TAKEN | features));
}

static int setup(void **state)
{
	/* Aligned as ram_map() does it. */
	ram = (struct ram){.low = LOW, .high = HIGH};
	assert_int_equal(posix_memalign((void **)&ram.host, 2 * MIB, LOW + HIGH), 0);
	memset(ram.host, 0x5a, LOW + HIGH);
	driver_host_init(&host);
	calls = said_lines = 0;
	call_err = 0;
	page_size = PAGE;
	start(&(struct balloon_conf){0}, 0, 2);
	return 0;
}

static int teardown(void **state)
{
	driver_ram_free(&ram);
	return 0;
}

/* One chain in queue n, answered. */
static void ask(unsigned n, const struct driver_buf *buf, unsigned bufs)
{
	struct driver_done done;
	int head = driver_add(&drv[n], buf, bufs);

	assert_true(head >= 0);
	driver_kick(&drv[n], &balloon.dev);
	assert_true(driver_used(&drv[n], &done));
	assert_int_equal(done.head, head);
	assert_int_equal(done.len, 0);
}

static uint64_t put_pfns(unsigned n, const uint32_t *pfn, unsigned count)
{
	uint64_t gpa = driver_alloc(&drv[n], 4 * count);

	memcpy(driver_at(&drv[n], gpa, 4 * count), pfn, 4 * count);
	return gpa;
}

static void ask_pfns(unsigned n, const uint32_t *pfn, unsigned count)
{
	ask(n, &(struct driver_buf){put_pfns(n, pfn, count), 4 * count, false}, 1);
}

#define PFNS(n, ...)                                                                               \
	do {                                                                                       \
		static const uint32_t pfn_[] = {__VA_ARGS__};                                      \
		ask_pfns(n, pfn_, ARRAY_SIZE(pfn_));                                               \
	} while (0)

static uint32_t config(unsigned off, unsigned size)
{
	uint32_t v;

	virtio_lock(&balloon.dev);
	v = virtio_config_read(&balloon.dev, off, size);
	virtio_unlock(&balloon.dev);
	return v;
}

static void config_set(unsigned off, unsigned size, uint32_t val)
{
	virtio_lock(&balloon.dev);
	virtio_config_write(&balloon.dev, off, size, val);
	virtio_unlock(&balloon.dev);
}

/* --- what it is --- */

static void features_and_queues_are_those_asked_for(void **state)
{
	static const struct {
		struct balloon_conf conf;
		uint64_t features;
		unsigned queues;
	} t[] = {
		{{0},		      0,                       2},
		{{.deflate_on_oom = true}, OOM,                     2},
		{{.stats_interval_s = 1},  STATS,                   3},
		{{.reporting = true},      REPORTING,               5},
		{{3, true, 1, true},       OOM | STATS | REPORTING, 5},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		balloon_init(&balloon, &t[i].conf, &host.host, &ram);
		assert_int_equal(balloon.dev.ops->id, 5);
		assert_int_equal(balloon.dev.offered, TAKEN | t[i].features);
		assert_int_equal(balloon.dev.queues, t[i].queues);
	}
}

static void configuration_tells_the_target_in_pages(void **state)
{
	start(&(struct balloon_conf){.target_mib = 5}, 0, 2);
	assert_int_equal(config(0, 4), 5 * 256);
	assert_int_equal(config(4, 4), 0);
	assert_int_equal(config(8, 4), 0);
}

static void target_is_at_most_all_ram(void **state)
{
	start(&(struct balloon_conf){.target_mib = UINT32_MAX}, 0, 2);
	assert_int_equal(config(0, 4), (LOW + HIGH) / PAGE);
	balloon_set_target(&balloon, 21);
	assert_int_equal(config(0, 4), (LOW + HIGH) / PAGE);
}

static void new_target_is_a_configuration_change(void **state)
{
	uint8_t generation = balloon.dev.generation;

	balloon_set_target(&balloon, 3);
	assert_int_equal(config(0, 4), 3 * 256);
	assert_int_equal(host.config_irqs, 1);
	assert_int_not_equal(balloon.dev.generation, generation);
}

static void only_actual_can_be_written(void **state)
{
	config_set(0, 4, 77);
	config_set(3, 2, 0xffff);
	config_set(7, 2, 0xffff);
	config_set(8, 4, 77);
	assert_int_equal(config(0, 4), 0);
	assert_int_equal(config(4, 4), 0);
	config_set(4, 4, 0x12345678);
	config_set(5, 2, 0xaaaa);
	config_set(7, 1, 0xbb);
	assert_int_equal(config(4, 4), 0xbbaaaa78);
	assert_int_equal(config(0, 4), 0);
}

static void actual_is_told_as_it_is_and_relied_on_by_nothing(void **state)
{
	struct balloon_stats s;

	config_set(4, 4, UINT32_MAX);
	balloon_stats(&balloon, &s);
	assert_int_equal(s.actual_pages, UINT32_MAX);
	assert_int_equal(s.target_pages, 0);
	PFNS(INFLATE, 0x800);
	assert_int_equal(calls, 1);
}

static void reset_empties_it(void **state)
{
	config_set(4, 4, 99);
	assert_true(driver_reset(&balloon.dev));
	assert_int_equal(config(4, 4), 0);
}

/* --- inflate --- */

static void inflated_page_is_given_to_the_host(void **state)
{
	PFNS(INFLATE, 0x800);
	assert_int_equal(calls, 1);
	assert_call(0, 0x800000, PAGE);
	assert_int_equal(ram.host[0x800000], 0);
	assert_int_equal(ram.host[0x800fff], 0);
	assert_int_equal(ram.host[0x7fffff], 0x5a);
	assert_int_equal(ram.host[0x801000], 0x5a);
	assert_int_equal(balloon.inflated, 1);
	assert_int_equal(balloon.dropped, 1);
}

static void neighbours_in_any_order_are_one_call(void **state)
{
	PFNS(INFLATE, 0x803, 0x801, 0x805, 0x800, 0x802, 0x900, 0x804);
	assert_int_equal(calls, 2);
	assert_call(0, 0x800000, 6 * PAGE);
	assert_call(1, 0x900000, PAGE);
	assert_int_equal(balloon.dropped, 7);
}

static void full_list_of_descending_pages_is_one_call(void **state)
{
	uint32_t pfn[256];

	for (unsigned i = 0; i < 256; i++)
		pfn[i] = 0xa00 + 255 - i;
	ask_pfns(INFLATE, pfn, 256);
	assert_int_equal(calls, 1);
	assert_call(0, 0xa00000, 256 * PAGE);
}

static void long_lists_in_no_order_are_sorted(void **state)
{
	uint32_t pfn[512];

	for (unsigned i = 0; i < 512; i++)
		pfn[i] = 0xa00 + i * 211 % 512; /* prime to 512: each once */
	ask_pfns(INFLATE, pfn, 512);
	assert_int_equal(calls, 1);
	assert_call(0, 0xa00000, 512 * PAGE);
	assert_int_equal(balloon.skipped, 0);
}

static void page_named_twice_is_dropped_once(void **state)
{
	PFNS(INFLATE, 0x800, 0x801, 0x800, 0x800);
	assert_int_equal(calls, 1);
	assert_call(0, 0x800000, 2 * PAGE);
	assert_int_equal(balloon.skipped, 2);
	assert_int_equal(said_lines, 1);
}

static void pages_that_are_not_ram_are_skipped(void **state)
{
	/* The first beyond low RAM, the LAPIC's, the last before 4 GiB, beyond high RAM, the last.
	 */
	PFNS(INFLATE, LOW / PAGE, 0xfee00, 0xfffff, (GPA_4G + HIGH) / PAGE, 0xffffffff, 0xc0001);
	assert_int_equal(calls, 0);
	assert_int_equal(balloon.skipped, 6);
	assert_int_equal(said_lines, 1);
	assert_non_null(strstr(said, "6 pages"));
}

static void good_pages_among_bad_ones_are_dropped(void **state)
{
	PFNS(INFLATE, 0xfee00, LOW / PAGE - 1, LOW / PAGE, 0x100000, 0x1003ff, 0x100400);
	assert_int_equal(balloon.skipped, 3);
	/* The last page below the hole and the first above it are neighbours in the host. */
	assert_int_equal(calls, 2);
	assert_call(0, LOW - PAGE, 2 * PAGE);
	assert_call(1, GPA_4G + HIGH - PAGE, PAGE);
}

static void half_a_number_at_the_end_is_none(void **state)
{
	static const uint32_t pfn[] = {0x800, 0x900};
	uint64_t at = put_pfns(INFLATE, pfn, 2);

	ask(INFLATE, &(struct driver_buf){at, 7, false}, 1);
	assert_int_equal(calls, 1);
	assert_call(0, 0x800000, PAGE);
	ask(INFLATE, &(struct driver_buf){at, 3, false}, 1);
	assert_int_equal(calls, 1);
	assert_int_equal(balloon.inflated, 1);
}

static void numbers_may_lie_across_buffers(void **state)
{
	static const uint32_t pfn[] = {0x800, 0x900};
	uint64_t at = put_pfns(INFLATE, pfn, 2);
	const struct driver_buf buf[] = {
		{at,     3, false},
                {at + 3, 3, false},
                {at + 6, 2, false},
                {at,     4, true }
        };

	ask(INFLATE, buf, 4);
	assert_int_equal(calls, 2);
	assert_call(0, 0x800000, PAGE);
	assert_call(1, 0x900000, PAGE);
}

static void chain_without_numbers_is_given_back(void **state)
{
	ask(INFLATE, &(struct driver_buf){driver_alloc(&drv[0], 16), 16, true}, 1);
	assert_int_equal(calls, 0);
}

static void long_chain_takes_several_turns(void **state)
{
	const unsigned n = 3 * 4096 + 5;
	uint64_t at = driver_alloc(&drv[INFLATE], 4 * n);
	uint32_t *pfn = driver_at(&drv[INFLATE], at, 4 * n);
	struct driver_done done;

	for (unsigned i = 0; i < n; i++)
		pfn[i] = 0x800 + i % 512;
	assert_true(driver_add(&drv[INFLATE], &(struct driver_buf){at, 4 * n, false}, 1) >= 0);
	driver_publish(&drv[INFLATE]);
	virtio_service(&balloon.dev);
	assert_int_equal(balloon.inflated, 4096);
	assert_true(balloon.dev.again);
	assert_false(driver_used(&drv[INFLATE], &done));
	assert_int_equal(driver_serve(&balloon.dev), 3);
	assert_true(driver_used(&drv[INFLATE], &done));
	assert_int_equal(balloon.inflated, n);
	assert_int_equal(balloon.dropped, n);
	/* And the next chain is begun at its beginning. */
	PFNS(INFLATE, 0xc00);
	assert_call(calls - 1, 0xc00000, PAGE);
}

static void turn_ends_after_many_calls(void **state)
{
	uint32_t pfn[1024];
	uint64_t at;

	for (unsigned i = 0; i < 1024; i++)
		pfn[i] = 0x600 + 2 * i;
	at = put_pfns(INFLATE, pfn, 1024);
	assert_true(driver_add(&drv[INFLATE], &(struct driver_buf){at, 4096, false}, 1) >= 0);
	driver_publish(&drv[INFLATE]);
	virtio_service(&balloon.dev);
	assert_int_equal(calls, 512);
	assert_true(balloon.dev.again);
	driver_serve(&balloon.dev);
	assert_int_equal(calls, 1024);
}

static void reset_forgets_a_chain_half_done(void **state)
{
	uint64_t at = driver_alloc(&drv[INFLATE], 4 * 5000);

	assert_true(driver_add(&drv[INFLATE], &(struct driver_buf){at, 4 * 5000, false}, 1) >= 0);
	driver_publish(&drv[INFLATE]);
	virtio_service(&balloon.dev);
	assert_true(balloon.dev.again);
	assert_true(driver_reset(&balloon.dev));
	calls = 0;
	driver_init(&drv[INFLATE], &ram, 0x1000, 64, TAKEN);
	assert_true(driver_bring_up(&host, &balloon.dev, drv, 2, TAKEN));
	PFNS(INFLATE, 0x801);
	assert_call(0, 0x801000, PAGE);
}

static void many_chains_make_one_interrupt(void **state)
{
	static const uint32_t pfn[] = {0x800};
	uint64_t at = put_pfns(INFLATE, pfn, 1);
	struct driver_done done;

	host.irqs[INFLATE] = 0;
	for (unsigned i = 0; i < 10; i++)
		driver_add(&drv[INFLATE], &(struct driver_buf){at, 4, false}, 1);
	driver_kick(&drv[INFLATE], &balloon.dev);
	for (unsigned i = 0; i < 10; i++)
		assert_true(driver_used(&drv[INFLATE], &done));
	assert_int_equal(host.irqs[INFLATE], 1);
}

static void broken_ring_needs_a_reset(void **state)
{
	driver_put_avail_idx(&drv[INFLATE], 200);
	virtio_service(&balloon.dev);
	assert_int_equal(driver_status(&balloon.dev) & VIRTIO_S_NEEDS_RESET, VIRTIO_S_NEEDS_RESET);
	assert_false(balloon.dev.again);
	assert_true(driver_reset(&balloon.dev));
	start(&(struct balloon_conf){0}, 0, 2);
	PFNS(INFLATE, 0x800);
	assert_int_equal(calls, 1);
}

/* --- the host's answers --- */

static void huge_pages_are_dropped_whole(void **state)
{
	uint32_t pfn[512];

	page_size = 2 * MIB;
	PFNS(INFLATE, 0x801);
	assert_int_equal(calls, 1); /* the kernel refused; and it names no whole page */
	assert_true(balloon.huge);
	assert_int_equal(balloon.dropped, 0);
	for (unsigned i = 0; i < 512; i++)
		pfn[i] = 0x800 + i;
	ask_pfns(INFLATE, pfn, 512);
	assert_int_equal(calls, 2);
	assert_call(1, 0x800000, 2 * MIB);
	assert_int_equal(ram.host[0x801000], 0);
	assert_int_equal(balloon.dropped, 512);
	assert_int_equal(said_lines, 0);
}

static void first_range_of_huge_pages_is_tried_again(void **state)
{
	start(&(struct balloon_conf){.reporting = true}, REPORTING, 3);
	page_size = 2 * MIB;
	ask(2, &(struct driver_buf){8 * MIB - PAGE, (uint32_t)(4 * MIB), true}, 1);
	assert_int_equal(calls, 2);
	assert_call(0, 8 * MIB - PAGE, 4 * MIB);
	assert_call(1, 8 * MIB, 2 * MIB);
	assert_int_equal(ram.host[8 * MIB], 0);
	assert_int_equal(ram.host[8 * MIB - 1], 0x5a);
}

static void host_that_takes_nothing_back_is_asked_no_more(void **state)
{
	start(&(struct balloon_conf){.reporting = true}, REPORTING, 3);
	call_err = EINVAL;
	for (unsigned i = 0; i < 3; i++)
		ask(2, &(struct driver_buf){8 * MIB, (uint32_t)(2 * MIB), true}, 1);
	assert_int_equal(calls, 2);
	assert_int_equal(said_lines, 1);
	assert_non_null(strstr(said, "no effect"));
	assert_int_equal(balloon.dropped, 0);
}

static void other_failures_are_counted(void **state)
{
	call_err = ENOMEM;
	PFNS(INFLATE, 0x800);
	PFNS(INFLATE, 0x801);
	assert_int_equal(calls, 2);
	assert_int_equal(balloon.dev.errors, 2);
	assert_int_equal(balloon.dropped, 0);
	assert_false(balloon.huge);
}

/* --- deflate --- */

static void deflating_is_only_counted(void **state)
{
	PFNS(DEFLATE, 0x800, 0xffffffff);
	assert_int_equal(calls, 0);
	assert_int_equal(balloon.deflated, 2);
	assert_int_equal(said_lines, 0);
}

/* --- free page reporting --- */

static void reported_ranges_are_dropped(void **state)
{
	const struct driver_buf buf[] = {
		{0x800000, 0x10000, true},
                {0xa00000, 0x2000,  true},
                {0xa02000, 0x1000,  true}
        };

	start(&(struct balloon_conf){.reporting = true}, REPORTING, 3);
	ask(2, buf, 3);
	assert_int_equal(calls, 2);
	assert_call(0, 0x800000, 0x10000);
	assert_call(1, 0xa00000, 0x3000);
	assert_int_equal(balloon.reported, 19);
	assert_int_equal(balloon.dropped, 19);
}

static void only_whole_pages_of_a_report_are_dropped(void **state)
{
	const struct driver_buf buf[] = {
		{0x800001, 0x1ffe, true},
                {0x900000, 0xfff,  true},
                {0xa00fff, 0x1002, true}
        };

	start(&(struct balloon_conf){.reporting = true}, REPORTING, 3);
	ask(2, buf, 3);
	assert_int_equal(calls, 1);
	assert_call(0, 0xa01000, PAGE);
}

static void readable_part_of_a_report_is_not_dropped(void **state)
{
	const struct driver_buf buf[] = {
		{0x800000, 0x1000, false},
                {0x900000, 0x1000, true }
        };

	start(&(struct balloon_conf){.reporting = true}, REPORTING, 3);
	ask(2, buf, 2);
	assert_int_equal(calls, 1);
	assert_call(0, 0x900000, PAGE);
	ask(2, buf, 1);
	assert_int_equal(calls, 1);
}

static void large_report_takes_several_turns(void **state)
{
	struct driver_buf buf[8];
	struct driver_done done;

	start(&(struct balloon_conf){.reporting = true}, REPORTING, 3);
	for (unsigned i = 0; i < 8; i++)
		buf[i] = (struct driver_buf){6 * MIB, (uint32_t)(10 * MIB), true};
	driver_add(&drv[2], buf, 8);
	driver_publish(&drv[2]);
	virtio_service(&balloon.dev);
	assert_int_equal(balloon.reported, 32 * MIB / PAGE);
	assert_true(balloon.dev.again);
	assert_false(driver_used(&drv[2], &done));
	assert_int_equal(driver_serve(&balloon.dev), 2);
	assert_true(driver_used(&drv[2], &done));
	assert_int_equal(balloon.dropped, 80 * MIB / PAGE);
}

static void report_of_many_pieces_is_bounded_in_calls(void **state)
{
	struct driver_buf buf[64];

	start(&(struct balloon_conf){.reporting = true}, REPORTING, 3);
	for (unsigned i = 0; i < 64; i++)
		buf[i] = (struct driver_buf){0x600000 + i * 2 * PAGE, PAGE, true};
	for (unsigned i = 0; i < 10; i++)
		driver_add(&drv[2], buf, 64);
	driver_publish(&drv[2]);
	virtio_service(&balloon.dev);
	assert_in_range(calls, 512, 512 + 16);
	assert_true(balloon.dev.again);
	driver_serve(&balloon.dev);
	assert_int_equal(calls, 640);
}

static void report_queue_follows_the_statistics_queue(void **state)
{
	start(&(struct balloon_conf){.reporting = true, .stats_interval_s = 1}, REPORTING | STATS,
	      4);
	ask(3, &(struct driver_buf){0x800000, 0x1000, true}, 1);
	assert_int_equal(calls, 1);
}

static void report_queue_is_the_third_without_statistics(void **state)
{
	start(&(struct balloon_conf){.reporting = true, .stats_interval_s = 1}, REPORTING, 3);
	ask(2, &(struct driver_buf){0x800000, 0x1000, true}, 1);
	assert_int_equal(calls, 1);
}

static void report_queue_is_the_fifth_as_specified(void **state)
{
	balloon_init(&balloon, &(struct balloon_conf){.reporting = true}, &host.host, &ram);
	for (unsigned i = 0; i < BALLOON_QUEUES; i++)
		driver_init(&drv[i], &ram, 0x1000 + i * 0x100000, 64, TAKEN);
	drv[2].size = drv[3].size = 0;
	assert_true(driver_bring_up(&host, &balloon.dev, drv, 5, TAKEN | REPORTING));
	ask(4, &(struct driver_buf){0x800000, 0x1000, true}, 1);
	assert_int_equal(calls, 1);
}

static void queues_of_features_not_taken_are_dead(void **state)
{
	static const uint32_t word = 0;
	struct driver_done done;

	start(&(struct balloon_conf){.reporting = true, .stats_interval_s = 1}, 0, 5);
	for (unsigned n = 2; n < 5; n++) {
		driver_add(&drv[n], &(struct driver_buf){put_pfns(n, &word, 1), 4, n > 2}, 1);
		driver_kick(&drv[n], &balloon.dev);
		assert_false(driver_used(&drv[n], &done));
	}
	assert_int_equal(calls, 0);
	assert_int_equal(balloon.stats_updates, 0);
}

/* --- statistics --- */

struct stat {
	uint16_t tag;
	uint64_t val;
} __attribute__((packed));

static struct balloon_stats told(void)
{
	struct balloon_stats s;

	balloon_stats(&balloon, &s);
	return s;
}

static uint64_t put_stats(const struct stat *s, unsigned n)
{
	uint64_t gpa = driver_alloc(&drv[2], sizeof(*s) * n);

	memcpy(driver_at(&drv[2], gpa, sizeof(*s) * n), s, sizeof(*s) * n);
	return gpa;
}

static void give_stats(const struct stat *s, unsigned n)
{
	driver_add(&drv[2], &(struct driver_buf){put_stats(s, n), (uint32_t)sizeof(*s) * n, false},
		   1);
	driver_kick(&drv[2], &balloon.dev);
}

static void start_stats(void)
{
	start(&(struct balloon_conf){.stats_interval_s = 2}, STATS, 3);
}

static void statistics_are_kept_by_tag(void **state)
{
	static const struct stat s[] = {
		{4,  1000      },
                {15, UINT64_MAX},
                {0,  7         }
        };

	start_stats();
	assert_int_equal(told().known, 0);
	give_stats(s, 3);
	assert_int_equal(told().known, BIT(BALLOON_S_MEMFREE) | BIT(BALLOON_S_DIRECT_RECLAIM) |
					       BIT(BALLOON_S_SWAP_IN));
	assert_int_equal(told().value[BALLOON_S_MEMFREE], 1000);
	assert_int_equal(told().value[BALLOON_S_DIRECT_RECLAIM], UINT64_MAX);
	assert_int_equal(told().value[BALLOON_S_SWAP_IN], 7);
	assert_int_equal(balloon.stats_updates, 1);
}

static void unknown_tags_are_skipped(void **state)
{
	static const struct stat s[] = {
		{16,     1},
                {0xffff, 2},
                {5,      3}
        };

	start_stats();
	give_stats(s, 3);
	assert_int_equal(told().known, BIT(BALLOON_S_MEMTOT));
	assert_int_equal(told().value[BALLOON_S_MEMTOT], 3);
}

static void half_an_entry_is_none(void **state)
{
	static const struct stat s[] = {
		{4, 1},
                {5, 2}
        };

	start_stats();
	driver_add(&drv[2], &(struct driver_buf){put_stats(s, 2), 19, false}, 1);
	driver_kick(&drv[2], &balloon.dev);
	assert_int_equal(told().known, BIT(4));
}

static void entries_beyond_sixty_four_are_not_read(void **state)
{
	struct stat s[80] = {0};

	s[63] = (struct stat){4, 1};
	s[64] = (struct stat){5, 2};
	start_stats();
	give_stats(s, 80);
	assert_int_equal(told().known, BIT(0) | BIT(4));
}

static void buffer_is_held_until_the_next_question(void **state)
{
	static const struct stat s[] = {
		{4, 1}
        };
	struct driver_done done;
	uint64_t due;

	start_stats();
	give_stats(s, 1);
	due = host.wake_at;
	assert_int_not_equal(due, NEVER);
	assert_false(driver_used(&drv[2], &done));
	assert_int_equal(virtio_tick(&balloon.dev, due - 1), due);
	assert_false(driver_used(&drv[2], &done));
	assert_int_equal(virtio_tick(&balloon.dev, due), NEVER); /* until the guest answers */
	assert_true(driver_used(&drv[2], &done));
	assert_int_equal(done.len, 0);
	assert_int_equal(host.irqs[2], 1);
	give_stats(
		(struct stat[]){
			{4, 2}
        },
		1);
	assert_int_equal(told().value[4], 2);
	assert_true(host.wake_at >= due);
}

static void second_buffer_waits_for_the_first(void **state)
{
	struct driver_done done;

	start_stats();
	give_stats(
		(struct stat[]){
			{4, 1}
        },
		1);
	give_stats(
		(struct stat[]){
			{4, 2}
        },
		1);
	assert_int_equal(told().value[4], 1);
	assert_false(balloon.dev.again);
	virtio_tick(&balloon.dev, host.wake_at);
	assert_true(driver_used(&drv[2], &done));
	assert_false(driver_used(&drv[2], &done));
	assert_int_equal(told().value[4], 2);
}

static void interval_can_be_shortened(void **state)
{
	uint64_t due;

	start_stats();
	balloon_set_stats_interval(&balloon, 3000000000u);
	assert_int_equal(host.wake_at, NEVER);
	give_stats(
		(struct stat[]){
			{4, 1}
        },
		1);
	due = host.wake_at;
	balloon_set_stats_interval(&balloon, 1);
	assert_true(host.wake_at < due - 2000000000ull * NSEC);
}

static void reset_forgets_the_held_buffer(void **state)
{
	struct driver_done done;

	start_stats();
	give_stats(
		(struct stat[]){
			{4, 1}
        },
		1);
	assert_true(driver_reset(&balloon.dev));
	for (unsigned i = 0; i < 3; i++)
		driver_init(&drv[i], &ram, 0x1000 + i * 0x100000, 64, TAKEN);
	assert_true(driver_bring_up(&host, &balloon.dev, drv, 3, TAKEN | STATS));
	virtio_lock(&balloon.dev);
	virtio_wake_at(&balloon.dev, 1);
	virtio_unlock(&balloon.dev);
	virtio_tick(&balloon.dev, NEVER - 1);
	assert_false(driver_used(&drv[2], &done));
	assert_int_equal(told().known, 0);
}

static void broken_statistics_queue_needs_a_reset(void **state)
{
	start_stats();
	driver_put_avail(&drv[2], 64);
	virtio_service(&balloon.dev);
	assert_true(driver_status(&balloon.dev) & VIRTIO_S_NEEDS_RESET);
	assert_false(balloon.dev.again);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(features_and_queues_are_those_asked_for),
		T(configuration_tells_the_target_in_pages),
		T(target_is_at_most_all_ram),
		T(new_target_is_a_configuration_change),
		T(only_actual_can_be_written),
		T(actual_is_told_as_it_is_and_relied_on_by_nothing),
		T(reset_empties_it),
		T(inflated_page_is_given_to_the_host),
		T(neighbours_in_any_order_are_one_call),
		T(full_list_of_descending_pages_is_one_call),
		T(long_lists_in_no_order_are_sorted),
		T(page_named_twice_is_dropped_once),
		T(pages_that_are_not_ram_are_skipped),
		T(good_pages_among_bad_ones_are_dropped),
		T(half_a_number_at_the_end_is_none),
		T(numbers_may_lie_across_buffers),
		T(chain_without_numbers_is_given_back),
		T(long_chain_takes_several_turns),
		T(turn_ends_after_many_calls),
		T(reset_forgets_a_chain_half_done),
		T(many_chains_make_one_interrupt),
		T(broken_ring_needs_a_reset),
		T(huge_pages_are_dropped_whole),
		T(first_range_of_huge_pages_is_tried_again),
		T(host_that_takes_nothing_back_is_asked_no_more),
		T(other_failures_are_counted),
		T(deflating_is_only_counted),
		T(reported_ranges_are_dropped),
		T(only_whole_pages_of_a_report_are_dropped),
		T(readable_part_of_a_report_is_not_dropped),
		T(large_report_takes_several_turns),
		T(report_of_many_pieces_is_bounded_in_calls),
		T(report_queue_follows_the_statistics_queue),
		T(report_queue_is_the_third_without_statistics),
		T(report_queue_is_the_fifth_as_specified),
		T(queues_of_features_not_taken_are_dead),
		T(statistics_are_kept_by_tag),
		T(unknown_tags_are_skipped),
		T(half_an_entry_is_none),
		T(entries_beyond_sixty_four_are_not_read),
		T(buffer_is_held_until_the_next_question),
		T(second_buffer_waits_for_the_first),
		T(interval_can_be_shortened),
		T(reset_forgets_the_held_buffer),
		T(broken_statistics_queue_needs_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
