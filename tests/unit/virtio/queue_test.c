/* queue_test.c - the device's side of a split virtqueue, honest drivers and lying ones. */
#include "../../../src/virtio/queue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../../lib/driver.h"

#define NEXT     1u
#define WRITE    2u
#define INDIRECT 4u
#define LOW      (2 * MIB) /* RAM of most tests: 2 MiB from 0, 1 MiB from 4 GiB */
#define HIGH     (4 * GIB)
#define HIGH_END (HIGH + MIB)
#define BUF      0x100000ull /* a megabyte that no ring is in */
#define TABLE    0x80000ull  /* and half of one for tables */
#define BOTH     (VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)

static struct ram ram;
static struct driver drv;
static struct queue q;
static struct chain chain;

/* A queue of its own on each call, so that a test can go through many. */
static void start(uint16_t size, uint64_t features)
{
	driver_init(&drv, &ram, 0x1000, size, features);
	queue_reset(&q, QUEUE_SIZE_MAX);
	driver_settings(&drv, &q);
	assert_true(queue_start(&q, &ram, drv.event_idx, features & VIRTIO_F_INDIRECT_DESC));
}

static int setup(void **state)
{
	ram = driver_ram(LOW, MIB);
	start(8, 0);
	return 0;
}

static int teardown(void **state)
{
	driver_ram_free(&ram);
	return 0;
}

static void desc(unsigned i, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
	driver_put_desc(&drv, i, addr, len, (uint16_t)flags, (uint16_t)next);
}

static void indirect(unsigned i, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
	driver_put_desc_at(&ram, TABLE, i, addr, len, (uint16_t)flags, (uint16_t)next);
}

/* The chain that begins at `head` now: taken, or breaks the ring for good. */
static bool takes(uint16_t head)
{
	int got;

	driver_put_avail(&drv, head);
	got = queue_pop(&q, &chain);
	assert_int_not_equal(got, 0);
	if (got < 0)
		assert_int_equal(queue_pop(&q, &chain), -1);
	return got > 0;
}

static void give_back(void)
{
	queue_push(&q, chain.head, 0);
	queue_flush(&q);
}

static void add(uint32_t len)
{
	assert_int_not_equal(driver_add(&drv, &(struct driver_buf){BUF, len, true}, 1), -1);
}

static void add_many(unsigned n)
{
	while (n--)
		add(1);
	driver_publish(&drv);
}

/* --- settings --- */

static void after_reset_it_is_off_and_as_large_as_can_be(void **state)
{
	memset(&q, 0xa5, sizeof(q));
	queue_reset(&q, 64);
	assert_int_equal(q.size, 64);
	assert_int_equal(q.max, 64);
	assert_int_equal(q.vector, QUEUE_NO_VECTOR);
	assert_false(q.enabled);
	assert_false(q.started);
	assert_int_equal(q.desc | q.avail | q.used, 0);
}

static void a_queue_that_is_not_enabled_does_nothing(void **state)
{
	queue_reset(&q, 64);
	q.size = 3; /* whatever else it says */
	q.desc = 1;
	assert_true(queue_start(&q, &ram, true, true));
	assert_false(q.started);
	assert_int_equal(queue_pop(&q, &chain), 0);
	assert_false(queue_pending(&q));
	assert_false(queue_flush(&q));
	queue_quiet(&q);
	assert_false(queue_listen(&q));
}

static bool starts(uint16_t size, uint64_t d, uint64_t a, uint64_t u)
{
	bool good;

	queue_reset(&q, 64);
	q.size = size;
	q.desc = d;
	q.avail = a;
	q.used = u;
	q.enabled = true;
	good = queue_start(&q, &ram, false, false);
	assert_true(q.started == good);
	return good;
}

static void sizes_other_than_powers_of_two_up_to_max_are_refused(void **state)
{
	static const uint16_t bad[] = {0, 3, 6, 63, 65, 128, 256, 0x8000, 0xffff};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(starts(bad[i], 0x10000, 0x20000, 0x30000));
	for (uint16_t n = 1; n <= 64; n *= 2)
		assert_true(starts(n, 0x10000, 0x20000, 0x30000));
}

static void no_queue_is_larger_than_a_chain_can_be(void **state)
{
	queue_reset(&q, 0x8000);
	q.enabled = true;
	q.desc = 0x10000;
	q.avail = 0x20000;
	q.used = 0x30000;
	q.size = 512;
	assert_false(queue_start(&q, &ram, false, false));
	q.size = 256;
	assert_true(queue_start(&q, &ram, false, false));
}

static void rings_that_are_not_aligned_are_refused(void **state)
{
	for (unsigned off = 1; off < 16; off++) {
		assert_false(starts(8, 0x10000 + off, 0x20000, 0x30000));
		assert_true(starts(8, 0x10000, 0x20000 + off, 0x30000) == !(off % 2));
		assert_true(starts(8, 0x10000, 0x20000, 0x30000 + off) == !(off % 4));
	}
}

/* Of 8 entries: 128, 22 and 70 bytes with the event words. */
static void rings_end_where_ram_ends(void **state)
{
	static const uint64_t end[] = {LOW, HIGH_END};

	for (unsigned i = 0; i < ARRAY_SIZE(end); i++) {
		assert_true(starts(8, end[i] - 128, 0x20000, 0x30000));
		assert_false(starts(8, end[i] - 112, 0x20000, 0x30000));
		assert_true(starts(8, 0x10000, end[i] - 22, 0x30000));
		assert_false(starts(8, 0x10000, end[i] - 20, 0x30000));
		assert_true(starts(8, 0x10000, 0x20000, end[i] - 72));
		assert_false(starts(8, 0x10000, 0x20000, end[i] - 68));
	}
}

static void rings_outside_ram_are_refused(void **state)
{
	// clang-format off
	static const uint64_t bad[] = {
		LOW, 0xc0000000, 0xfee00000, HIGH - 16, HIGH_END, HIGH + HIGH, LOW + HIGH, 1ull << 63,
		0ull - 64, 0ull - 16,
	};
	// clang-format on

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(starts(8, bad[i], 0x20000, 0x30000));
		assert_false(starts(8, 0x10000, bad[i], 0x30000));
		assert_false(starts(8, 0x10000, 0x20000, bad[i]));
	}
}

static void rings_that_overlap_are_refused(void **state)
{
	assert_false(starts(8, 0x10000, 0x10000, 0x30000));
	assert_false(starts(8, 0x10000, 0x20000, 0x10000));
	assert_false(starts(8, 0x10000, 0x20000, 0x20000));
	assert_false(starts(8, 0x10000, 0x1007e, 0x30000));
	assert_false(starts(8, 0x10010, 0x10000, 0x30000)); /* the avail ring's last entries */
	assert_false(starts(8, 0x10000, 0x20000, 0x1007c));
	assert_false(starts(8, 0x10000, 0x20000, 0x20014)); /* its event word */
	assert_false(starts(8, 0x10000, 0x20044, 0x20000)); /* the used ring's */
	assert_true(starts(8, 0x10000, 0x10080, 0x10098));
	assert_true(starts(8, 0x10080, 0x10000, 0x10018));
	assert_true(starts(8, 0x10020, 0x1000a, 0x30000));
	assert_false(starts(8, 0x10020, 0x1000c, 0x30000));
}

static void a_started_queue_no_longer_follows_its_settings(void **state)
{
	struct driver_done done;

	add_many(1);
	q.size = 0x8000;
	q.desc = q.avail = q.used = 0;
	q.enabled = false;
	assert_int_equal(queue_pop(&q, &chain), 1);
	give_back();
	assert_true(driver_used(&drv, &done));
	assert_false(takes(8)); /* there are 8 descriptors still */
}

static void a_restart_begins_at_zero(void **state)
{
	add_many(5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(queue_pop(&q, &chain), 1);
	give_back();
	driver_init(&drv, &ram, 0x1000, 8, 0);
	assert_true(queue_start(&q, &ram, false, false));
	assert_int_equal(queue_pop(&q, &chain), 0);
	assert_false(queue_flush(&q));
	add_many(1);
	assert_int_equal(queue_pop(&q, &chain), 1);
	assert_int_equal(chain.head, 0);
}

/* --- chains --- */

static void a_chain_goes_there_and_back(void **state)
{
	const uint64_t at = driver_alloc(&drv, 4096);
	const struct driver_buf buf[] = {
		{at,       16,  false},
                {at + 512, 512, true },
                {at,       1,   true }
        };
	struct driver_done done;
	int head = driver_add(&drv, buf, 3);

	assert_int_equal(queue_pop(&q, &chain), 0);
	assert_true(driver_publish(&drv));
	assert_int_equal(queue_pop(&q, &chain), 1);
	assert_int_equal(chain.head, head);
	assert_int_equal(chain.readable, 1);
	assert_int_equal(chain.writable, 2);
	assert_int_equal(chain.read_bytes, 16);
	assert_int_equal(chain.write_bytes, 513);
	for (unsigned i = 0; i < 3; i++) {
		assert_ptr_equal(chain.iov[i].iov_base, ram.host + buf[i].gpa);
		assert_int_equal(chain.iov[i].iov_len, buf[i].len);
	}
	assert_int_equal(queue_pop(&q, &chain), 0);
	queue_push(&q, (uint16_t)head, 513);
	assert_false(driver_used(&drv, &done));
	assert_true(queue_flush(&q));
	assert_true(driver_used(&drv, &done));
	assert_int_equal(done.head, head);
	assert_int_equal(done.len, 513);
	assert_false(queue_flush(&q));
}

static void chains_come_back_in_any_order(void **state)
{
	static const uint16_t order[] = {2, 0, 3, 1};
	struct driver_done done;

	add_many(4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(queue_pop(&q, &chain), 1);
	for (unsigned i = 0; i < 4; i++)
		queue_push(&q, order[i], i);
	queue_flush(&q);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(driver_used(&drv, &done));
		assert_int_equal(done.head, order[i]);
		assert_int_equal(done.len, i);
	}
	assert_false(driver_used(&drv, &done));
}

static void a_chain_that_was_put_back_comes_again(void **state)
{
	add_many(3);
	assert_int_equal(queue_pop(&q, &chain), 1);
	assert_int_equal(queue_pop(&q, &chain), 1);
	queue_unpop(&q);
	assert_true(queue_pending(&q));
	assert_int_equal(queue_pop(&q, &chain), 1);
	assert_int_equal(chain.head, 1);
	assert_int_equal(queue_pop(&q, &chain), 1);
	assert_int_equal(chain.head, 2);
	queue_unpop(&q); /* also the last that was seen */
	assert_int_equal(queue_pop(&q, &chain), 1);
	assert_int_equal(chain.head, 2);
	assert_int_equal(queue_pop(&q, &chain), 0);
}

static void a_chain_may_be_as_long_as_the_ring(void **state)
{
	struct driver_buf buf[QUEUE_SIZE_MAX];

	for (uint16_t size = 1; size <= QUEUE_SIZE_MAX; size *= 2) {
		start(size, 0);
		for (unsigned i = 0; i < size; i++)
			buf[i] = (struct driver_buf){BUF + 16 * i, i + 1, i >= size / 3};
		driver_add(&drv, buf, size);
		driver_publish(&drv);
		assert_int_equal(queue_pop(&q, &chain), 1);
		assert_int_equal(chain.readable, size / 3);
		assert_int_equal(chain.readable + chain.writable, size);
		assert_int_equal(chain.read_bytes + chain.write_bytes, size * (size + 1) / 2);
	}
}

static void buffers_may_be_anywhere_in_either_region(void **state)
{
	desc(0, 0, 1, NEXT, 1);
	desc(1, LOW - 1, 1, NEXT, 2);
	desc(2, HIGH, 1, NEXT, 3);
	desc(3, HIGH_END - 1, 1, NEXT, 4);
	desc(4, HIGH, MIB, 0, 0);
	assert_true(takes(0));
	assert_ptr_equal(chain.iov[0].iov_base, ram.host);
	assert_ptr_equal(chain.iov[1].iov_base, ram.host + LOW - 1);
	assert_ptr_equal(chain.iov[2].iov_base, ram.host + LOW);
	assert_ptr_equal(chain.iov[3].iov_base, ram.host + LOW + MIB - 1);
	assert_int_equal(chain.read_bytes, 4 + MIB);
}

static void buffers_outside_ram_break_the_ring(void **state)
{
	// clang-format off
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{LOW, 1}, {LOW - 1, 2}, {LOW - 1, UINT32_MAX}, {0, UINT32_MAX},
		{0xc0000000, 4096}, {0xfee00000, 4}, {HIGH - 1, 2}, {HIGH - 1, 1},
		{HIGH_END, 1}, {HIGH_END - 1, 2}, {HIGH, MIB + 1}, {UINT64_MAX, 1}, {UINT64_MAX, 2},
		{0ull - 4096, 8192}, /* the sum wraps to 4096 */
		{1ull << 63, 16}, {HIGH + HIGH, 16},
	};
	// clang-format on

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(8, 0);
		desc(0, bad[i].addr, bad[i].len, 0, 0);
		assert_false(takes(0));
	}
}

static void empty_buffers_break_the_ring(void **state)
{
	desc(0, BUF, 16, NEXT, 1);
	desc(1, BUF, 0, WRITE, 0);
	assert_false(takes(0));
}

static void readable_after_writable_breaks_the_ring(void **state)
{
	desc(0, BUF, 16, NEXT, 1);
	desc(1, BUF, 16, NEXT | WRITE, 2);
	desc(2, BUF, 16, 0, 0);
	assert_false(takes(0));
}

static void sums_beyond_32_bits_break_the_ring(void **state)
{
	struct ram big = {.low = 3 * GIB};
	struct ram small = ram;

	big.host = mmap(NULL, big.low, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(big.host, MAP_FAILED);
	ram = big;
	start(8, 0);
	desc(0, 0x100000, 0x80000000, NEXT, 1);
	desc(1, 0x100000, 0x7ffffffe, NEXT | WRITE, 2);
	desc(2, 0x100000, 1, WRITE, 0);
	assert_true(takes(0));
	assert_int_equal(chain.read_bytes, 0x80000000);
	assert_int_equal(chain.write_bytes, 0x7fffffff);
	give_back();
	desc(2, 0x100000, 2, WRITE, 0); /* of both parts together */
	assert_false(takes(0));
	start(8, 0);
	desc(0, 0x100000, 0x80000000, NEXT | WRITE, 1);
	desc(1, 0x100000, 0x80000000, WRITE, 0);
	assert_false(takes(0));
	munmap(big.host, big.low);
	ram = small;
}

static void heads_out_of_range_break_the_ring(void **state)
{
	static const uint16_t bad[] = {8, 9, 0x100, 0x8000, 0xffff};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(8, 0);
		assert_false(takes(bad[i]));
	}
}

static void next_out_of_range_breaks_the_ring(void **state)
{
	static const uint16_t bad[] = {8, 0x100, 0xffff};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(8, 0);
		desc(7, BUF, 1, NEXT, bad[i]);
		assert_false(takes(7));
	}
}

static void next_counts_only_with_its_flag(void **state)
{
	desc(0, BUF, 1, WRITE, 0xffff);
	assert_true(takes(0));
}

static void loops_break_the_ring(void **state)
{
	desc(3, BUF, 1, NEXT, 3);
	assert_false(takes(3));
	start(8, 0);
	desc(0, BUF, 1, NEXT, 1);
	desc(1, BUF, 1, NEXT, 0);
	assert_false(takes(0));
	start(256, 0); /* all 256 of them */
	for (unsigned i = 0; i < 256; i++)
		desc(i, BUF, 1, NEXT, (i + 1) % 256);
	assert_false(takes(0));
}

static void an_index_that_jumps_breaks_the_ring(void **state)
{
	static const uint16_t bad[] = {9, 10, 0x7fff, 0x8000, 0xffff};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(8, 0);
		driver_put_avail_idx(&drv, bad[i]);
		assert_true(queue_pending(&q));
		assert_int_equal(queue_pop(&q, &chain), -1);
		assert_int_equal(queue_pop(&q, &chain), -1);
	}
}

static void an_index_that_goes_back_breaks_the_ring(void **state)
{
	add_many(4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(queue_pop(&q, &chain), 1);
	driver_put_avail_idx(&drv, 3);
	assert_int_equal(queue_pop(&q, &chain), -1);
}

static void more_in_flight_than_descriptors_breaks_the_ring(void **state)
{
	add_many(8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(queue_pop(&q, &chain), 1);
	assert_int_equal(queue_pop(&q, &chain), 0);
	driver_put_avail_idx(&drv, 9);
	assert_int_equal(queue_pop(&q, &chain), -1);
	queue_push(&q, 0, 0); /* one came back, so one may follow */
	assert_int_equal(queue_pop(&q, &chain), 1);
	driver_put_avail_idx(&drv, 10);
	assert_int_equal(queue_pop(&q, &chain), -1);
}

static void a_broken_chain_stays_the_next_one(void **state)
{
	desc(0, BUF, 0, 0, 0);
	assert_false(takes(0));
	desc(0, BUF, 1, 0, 0);
	assert_int_equal(queue_pop(&q, &chain), 1);
	assert_int_equal(chain.head, 0);
}

/* --- indirect tables --- */

static void a_table_holds_a_chain(void **state)
{
	start(8, BOTH);
	indirect(0, BUF, 16, NEXT, 2);
	indirect(2, BUF + 16, 32, NEXT | WRITE, 1);
	indirect(1, BUF + 64, 1, WRITE, 77);
	desc(5, TABLE, 3 * 16, INDIRECT, 77);
	assert_true(takes(5));
	assert_int_equal(chain.head, 5);
	assert_int_equal(chain.readable, 1);
	assert_int_equal(chain.writable, 2);
	assert_int_equal(chain.read_bytes, 16);
	assert_int_equal(chain.write_bytes, 33);
	assert_ptr_equal(chain.iov[2].iov_base, ram.host + BUF + 64);
}

static void the_write_flag_of_a_table_means_nothing(void **state)
{
	start(8, BOTH);
	indirect(0, BUF, 16, 0, 0);
	desc(0, TABLE, 16, INDIRECT | WRITE, 0);
	assert_true(takes(0));
	assert_int_equal(chain.readable, 1);
}

static void tables_need_the_feature(void **state)
{
	indirect(0, BUF, 16, 0, 0);
	desc(0, TABLE, 16, INDIRECT, 0);
	assert_false(takes(0));
}

static void a_table_may_end_a_chain(void **state)
{
	start(8, BOTH);
	desc(0, BUF, 8, NEXT, 1);
	desc(1, BUF, 4, NEXT | WRITE, 2);
	desc(2, TABLE, 16, INDIRECT, 0);
	indirect(0, BUF, 2, WRITE, 0);
	assert_true(takes(0));
	assert_int_equal(chain.read_bytes, 8);
	assert_int_equal(chain.write_bytes, 6);
	give_back();
	indirect(0, BUF, 2, 0, 0); /* readable, after what was writable outside */
	assert_false(takes(0));
}

static void a_table_in_the_middle_breaks_the_ring(void **state)
{
	start(8, BOTH);
	indirect(0, BUF, 16, 0, 0);
	desc(0, TABLE, 16, INDIRECT | NEXT, 1);
	desc(1, BUF, 16, 0, 0);
	assert_false(takes(0));
}

static void a_table_in_a_table_breaks_the_ring(void **state)
{
	start(8, BOTH);
	indirect(0, BUF, 16, NEXT, 1);
	indirect(1, TABLE, 16, INDIRECT, 0);
	desc(0, TABLE, 32, INDIRECT, 0);
	assert_false(takes(0));
}

static void table_lengths_are_whole_entries_in_ram(void **state)
{
	// clang-format off
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{TABLE, 0}, {TABLE, 1}, {TABLE, 15}, {TABLE, 17}, {TABLE, UINT32_MAX}, {TABLE, 0u - 16},
		{TABLE, 16 * 65536}, /* more than `next` can reach */
		{LOW - 16, 32}, {LOW, 16}, {0xc0000000, 16}, {HIGH_END, 16}, {0ull - 16, 32},
	};
	// clang-format on

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(8, BOTH);
		indirect(0, BUF, 16, 0, 0);
		desc(0, bad[i].addr, bad[i].len, INDIRECT, 0);
		assert_false(takes(0));
	}
	start(8, BOTH);
	desc(0, TABLE, 16 * 65535, INDIRECT, 0);
	assert_true(takes(0));
}

static void next_stays_in_its_table(void **state)
{
	start(8, BOTH);
	indirect(0, BUF, 16, NEXT, 2);
	indirect(2, BUF, 16, 0, 0);
	desc(0, TABLE, 32, INDIRECT, 0);
	assert_false(takes(0));
}

static void a_loop_in_a_table_breaks_the_ring(void **state)
{
	start(8, BOTH);
	indirect(0, BUF, 16, NEXT, 1);
	indirect(1, BUF, 16, NEXT, 0);
	desc(0, TABLE, 32, INDIRECT, 0);
	assert_false(takes(0));
	start(8, BOTH); /* and does not turn 65535 times */
	desc(0, TABLE, 16 * 65535, INDIRECT, 0);
	assert_false(takes(0));
}

static void tables_may_be_longer_than_the_ring_but_not_endless(void **state)
{
	start(8, BOTH);
	for (unsigned i = 0; i < 300; i++)
		indirect(i, BUF + i, 1, i < 255 ? NEXT : 0, i + 1);
	desc(0, TABLE, 16 * 300, INDIRECT, 0);
	assert_true(takes(0));
	assert_int_equal(chain.readable, 256);
	give_back();
	indirect(255, BUF, 1, NEXT, 256);
	assert_false(takes(0));
	start(8, BOTH); /* with one before the table */
	indirect(255, BUF, 1, 0, 0);
	desc(0, BUF, 1, NEXT, 1);
	desc(1, TABLE, 16 * 300, INDIRECT, 0);
	assert_false(takes(0));
}

static void a_table_need_not_be_aligned(void **state)
{
	start(8, BOTH);
	driver_put_desc_at(&ram, TABLE + 3, 0, BUF, 16, WRITE, 0);
	desc(0, TABLE + 3, 16, INDIRECT, 0);
	assert_true(takes(0));
	assert_int_equal(chain.write_bytes, 16);
}

/* --- what changes while it is read --- */

static _Atomic bool racing;

/* A length that fits and one that does not, as fast as can be. */
static void *rewrite(void *arg)
{
	volatile uint32_t *len = arg;

	while (racing)
		*len = *len == 16 ? 0x7fffffff : 16;
	return NULL;
}

static void a_descriptor_is_read_once(void **state)
{
	unsigned good = 0;
	pthread_t thread;

	desc(0, LOW - 16, 16, 0, 0);
	driver_put_avail(&drv, 0);
	racing = true;
	assert_int_equal(pthread_create(&thread, NULL, rewrite, driver_at(&drv, drv.desc + 8, 4)),
			 0);
	for (unsigned i = 0; i < 500000; i++) {
		if (queue_pop(&q, &chain) != 1)
			continue;
		good++;
		assert_int_equal(chain.iov[0].iov_len, 16);
		assert_int_equal(chain.read_bytes, 16);
		queue_unpop(&q);
	}
	racing = false;
	pthread_join(thread, NULL);
	assert_int_not_equal(good, 0);
}

static void a_chain_is_a_copy(void **state)
{
	desc(0, BUF, 16, 0, 0);
	assert_true(takes(0));
	desc(0, HIGH_END, UINT32_MAX, WRITE, 0);
	assert_ptr_equal(chain.iov[0].iov_base, ram.host + BUF);
	assert_int_equal(chain.iov[0].iov_len, 16);
	assert_int_equal(chain.writable, 0);
}

/* --- notifications --- */

static uint16_t word(uint64_t gpa)
{
	uint16_t v;

	memcpy(&v, driver_at(&drv, gpa, 2), 2);
	return v;
}

static void flags_turn_notifications_off_and_on(void **state)
{
	queue_quiet(&q);
	assert_int_equal(word(drv.used), 1);
	add_many(1);
	add(1);
	assert_false(driver_publish(&drv));
	assert_true(queue_listen(&q)); /* two came in meanwhile */
	assert_int_equal(word(drv.used), 0);
	assert_int_equal(queue_pop(&q, &chain), 1);
	assert_true(queue_listen(&q));
	assert_int_equal(queue_pop(&q, &chain), 1);
	assert_false(queue_listen(&q));
	add(1);
	assert_true(driver_publish(&drv));
}

static void an_event_index_turns_notifications_off_and_on(void **state)
{
	start(8, BOTH);
	assert_false(queue_listen(&q));
	add(1);
	assert_true(driver_publish(&drv));
	queue_quiet(&q);
	assert_int_equal(word(drv.used), 0); /* flags are 0 with event indices [2.7.7.2] */
	assert_int_equal(queue_pop(&q, &chain), 1);
	for (unsigned i = 0; i < 3; i++) {
		add(1);
		assert_false(driver_publish(&drv));
		assert_int_equal(queue_pop(&q, &chain), 1);
	}
	assert_false(queue_listen(&q));
	assert_int_equal(word(drv.used + 4 + 8 * 8), 4);
	add(1);
	assert_true(driver_publish(&drv));
	assert_true(queue_listen(&q));
}

static void flags_turn_interrupts_off_and_on(void **state)
{
	add_many(3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(queue_pop(&q, &chain), 1);
		driver_interrupts(&drv, i != 1);
		queue_push(&q, chain.head, 0);
		assert_true(queue_flush(&q) == (i != 1));
	}
	assert_int_equal(word(drv.used + 2), 3);
}

static void nothing_pushed_is_no_interrupt(void **state)
{
	assert_false(queue_flush(&q));
	start(8, BOTH);
	assert_false(queue_flush(&q));
}

/* Gives back `n` chains at once, from index `from` on, with the event index at `event`. */
static bool interrupts(uint16_t from, uint16_t n, uint16_t event)
{
	start(8, BOTH);
	memcpy(driver_at(&drv, drv.avail + 4 + 2 * 8, 2), &event, 2);
	q.used_idx = q.signalled = q.last_avail = q.avail_seen = from;
	while (n--) {
		q.last_avail++;
		queue_push(&q, 0, 0);
	}
	return queue_flush(&q);
}

static void an_event_index_that_is_passed_interrupts(void **state)
{
	static const uint16_t from[] = {0, 1, 0x7ffe, 0x7fff, 0xfffd, 0xfffe, 0xffff};

	for (unsigned i = 0; i < ARRAY_SIZE(from); i++)
		for (uint16_t n = 1; n <= 8; n++)
			for (int off = -20; off < 20; off++)
				assert_true(interrupts(from[i], n, (uint16_t)(from[i] + off)) ==
					    (off >= 0 && off < n));
}

/* --- copies --- */

static void chain_of(unsigned reads, unsigned writes, uint32_t len)
{
	struct driver_buf buf[16];

	start(16, 0);
	for (unsigned i = 0; i < reads + writes; i++)
		buf[i] = (struct driver_buf){BUF + 0x1000 * i, len, i >= reads};
	driver_add(&drv, buf, reads + writes);
	driver_publish(&drv);
	assert_int_equal(queue_pop(&q, &chain), 1);
}

static void reads_go_over_the_edges_of_buffers(void **state)
{
	uint8_t out[16], all[12];

	chain_of(3, 1, 4);
	for (unsigned i = 0; i < 12; i++) {
		all[i] = (uint8_t)(i + 1);
		*(uint8_t *)driver_at(&drv, BUF + 0x1000 * (i / 4) + i % 4, 1) = all[i];
	}
	for (size_t off = 0; off <= 13; off++)
		for (size_t len = 0; len <= 13; len++) {
			size_t want = off >= 12 ? 0 : MIN(len, 12 - off);

			memset(out, 0xee, sizeof(out));
			assert_int_equal(chain_read(&chain, off, out, len), want);
			if (want)
				assert_memory_equal(out, all + off, want);
			assert_int_equal(out[want], 0xee);
		}
	assert_int_equal(chain_read(&chain, SIZE_MAX, out, 1), 0);
}

static void writes_go_over_the_edges_of_buffers(void **state)
{
	static const uint8_t in[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};

	for (size_t off = 0; off <= 13; off++)
		for (size_t len = 0; len <= 13; len++) {
			size_t want = off >= 12 ? 0 : MIN(len, 12 - off);

			memset(driver_at(&drv, BUF, 0x4000), 0, 0x4000);
			chain_of(1, 3, 4);
			assert_int_equal(chain_write(&chain, off, in, len), want);
			for (size_t i = 0; i < 0x4000; i++) {
				size_t at = i / 0x1000 * 4 - 4 + i % 0x1000;
				bool hit = i >= 0x1000 && i % 0x1000 < 4 && at >= off &&
					   at < off + want;

				if (ram.host[BUF + i] != (hit ? in[at - off] : 0))
					fail_msg("off %zu len %zu: byte %zu", off, len, i);
			}
		}
	assert_int_equal(chain_write(&chain, SIZE_MAX, in, 1), 0);
}

static void a_slice_covers_what_was_asked(void **state)
{
	for (unsigned part = 0; part < 2; part++)
		for (size_t off = 0; off <= 13; off++)
			for (size_t len = 0; len <= 14; len++)
				for (unsigned max = 0; max <= 4; max++) {
					struct iovec iov[5];
					size_t at = off, end = MIN(off + len, 12u);
					unsigned n;

					chain_of(3, 3, 4);
					n = chain_slice(&chain, part, off, len, iov, max);
					assert_in_range(n, 0, max);
					for (unsigned i = 0; i < n; i++) {
						uint8_t *want = ram.host + BUF +
								0x1000 * (at / 4 + 3 * part) +
								at % 4;

						assert_ptr_equal(iov[i].iov_base, want);
						assert_int_equal(iov[i].iov_len,
								 MIN(4 - at % 4, end - at));
						at += iov[i].iov_len;
					}
					if (n < max)
						assert_int_equal(at, MAX(off, end));
				}
}

/* --- both sides at random, through the wrap of every index --- */

#define LIVELY_CHAINS 70000u
#define LIVELY_BUFS   5u

static struct {
	uint64_t rnd;
	unsigned out;         /* chains that the device holds */
	struct chain held[8]; /* ...and which */
	bool device_awake, driver_awake;
	uint32_t token[QUEUE_SIZE_MAX]; /* of the chain with this head */
	uint64_t sent, back, notified, interrupted;
} live;

static unsigned pick(unsigned n)
{
	live.rnd = live.rnd * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(live.rnd >> 33) % n;
}

/* Each head has a place of its own: a token to read, and as much room to write. */
static uint64_t place(int head)
{
	return BUF + 64 * (uint64_t)head;
}

static void drive_add(void)
{
	unsigned reads = 1 + pick(2), writes = 1 + pick(LIVELY_BUFS - 2);
	struct driver_buf buf[LIVELY_BUFS];
	uint64_t at = place(drv.first_free);
	uint32_t token = (uint32_t)live.sent;
	int head;

	for (unsigned i = 0; i < reads; i++) /* a token in one piece, or in two */
		buf[i] = (struct driver_buf){at + 2 * i, reads == 1 ? 4 : 2, false};
	for (unsigned i = 0; i < writes; i++)
		buf[reads + i] = (struct driver_buf){at + 16 + 8 * i, 8, true};
	head = driver_add(&drv, buf, reads + writes);
	if (head < 0)
		return;
	memcpy(driver_at(&drv, at, 4), &token, 4);
	live.token[head] = token;
	live.sent++;
}

static void drive_take(void)
{
	struct driver_done done;
	uint32_t token;

	while (driver_used(&drv, &done)) {
		memcpy(&token, driver_at(&drv, place(done.head) + 16, 4), 4);
		assert_int_equal(token, ~live.token[done.head]);
		assert_int_equal(done.len, 4 + token % 4);
		live.back++;
	}
}

/* Sleeps only when it was told that nothing came in between, as drivers do. */
static void drive(void)
{
	for (unsigned n = pick(4); n && live.sent < LIVELY_CHAINS; n--)
		drive_add();
	if (driver_publish(&drv)) {
		live.notified++;
		live.device_awake = true;
	}
	if (!live.driver_awake)
		return;
	driver_interrupts(&drv, false);
	drive_take();
	if (pick(2) && !driver_interrupts(&drv, true))
		live.driver_awake = false;
}

static void serve_one(unsigned i)
{
	struct chain *c = &live.held[i];
	uint32_t token;

	assert_int_equal(chain_read(c, 0, &token, 4), 4);
	assert_int_equal(c->read_bytes, 4);
	token = ~token;
	assert_int_equal(chain_write(c, 0, &token, 4), 4);
	queue_push(&q, c->head, 4 + token % 4);
	*c = live.held[--live.out];
}

static void serve(void)
{
	unsigned budget = 1 + pick(6);

	if (live.device_awake) {
		queue_quiet(&q);
		while (budget-- && live.out < ARRAY_SIZE(live.held)) {
			int got = queue_pop(&q, &live.held[live.out]);

			assert_int_not_equal(got, -1);
			if (!got) {
				live.device_awake = queue_listen(&q);
				break;
			}
			live.out++;
		}
	}
	for (unsigned n = live.out ? pick(live.out + 1) : 0; n; n--)
		serve_one(pick(live.out));
	if (queue_flush(&q)) {
		live.interrupted++;
		live.driver_awake = true;
	}
}

static void lively(uint16_t size, uint64_t features)
{
	start(size, features);
	memset(&live, 0, sizeof(live));
	live.rnd = size + features;
	live.device_awake = live.driver_awake = true;
	for (unsigned quiet = 0; live.back < LIVELY_CHAINS; quiet++) {
		uint64_t before = live.back;

		drive();
		serve();
		if (live.back != before)
			quiet = 0;
		if (quiet > 10000)
			fail_msg("size %u, features %llx: both sleep after %llu of %llu", size,
				 (unsigned long long)features, (unsigned long long)live.back,
				 (unsigned long long)live.sent);
	}
	assert_int_equal(live.sent, live.back);
	assert_int_equal(drv.free, size);
	assert_int_equal(queue_pop(&q, &chain), 0);
	/* They did sleep, and did not: otherwise this shows nothing. */
	assert_in_range(live.notified, 10, LIVELY_CHAINS - (size > 2 ? 10 : 0));
	assert_in_range(live.interrupted, 10, LIVELY_CHAINS - (size > 2 ? 10 : 0));
}

static void every_chain_comes_back_once(void **state)
{
	static const uint16_t size[] = {8, 16, 256};
	static const uint64_t features[] = {0, VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC, BOTH};

	for (unsigned i = 0; i < ARRAY_SIZE(size); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(features); j++)
			lively(size[i], features[j]);
	lively(1, BOTH);
	lively(2, VIRTIO_F_INDIRECT_DESC);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(after_reset_it_is_off_and_as_large_as_can_be),
		T(a_queue_that_is_not_enabled_does_nothing),
		T(sizes_other_than_powers_of_two_up_to_max_are_refused),
		T(no_queue_is_larger_than_a_chain_can_be),
		T(rings_that_are_not_aligned_are_refused),
		T(rings_end_where_ram_ends),
		T(rings_outside_ram_are_refused),
		T(rings_that_overlap_are_refused),
		T(a_started_queue_no_longer_follows_its_settings),
		T(a_restart_begins_at_zero),
		T(a_chain_goes_there_and_back),
		T(chains_come_back_in_any_order),
		T(a_chain_that_was_put_back_comes_again),
		T(a_chain_may_be_as_long_as_the_ring),
		T(buffers_may_be_anywhere_in_either_region),
		T(buffers_outside_ram_break_the_ring),
		T(empty_buffers_break_the_ring),
		T(readable_after_writable_breaks_the_ring),
		T(sums_beyond_32_bits_break_the_ring),
		T(heads_out_of_range_break_the_ring),
		T(next_out_of_range_breaks_the_ring),
		T(next_counts_only_with_its_flag),
		T(loops_break_the_ring),
		T(an_index_that_jumps_breaks_the_ring),
		T(an_index_that_goes_back_breaks_the_ring),
		T(more_in_flight_than_descriptors_breaks_the_ring),
		T(a_broken_chain_stays_the_next_one),
		T(a_table_holds_a_chain),
		T(the_write_flag_of_a_table_means_nothing),
		T(tables_need_the_feature),
		T(a_table_may_end_a_chain),
		T(a_table_in_the_middle_breaks_the_ring),
		T(a_table_in_a_table_breaks_the_ring),
		T(table_lengths_are_whole_entries_in_ram),
		T(next_stays_in_its_table),
		T(a_loop_in_a_table_breaks_the_ring),
		T(tables_may_be_longer_than_the_ring_but_not_endless),
		T(a_table_need_not_be_aligned),
		T(a_descriptor_is_read_once),
		T(a_chain_is_a_copy),
		T(flags_turn_notifications_off_and_on),
		T(an_event_index_turns_notifications_off_and_on),
		T(flags_turn_interrupts_off_and_on),
		T(nothing_pushed_is_no_interrupt),
		T(an_event_index_that_is_passed_interrupts),
		T(reads_go_over_the_edges_of_buffers),
		T(writes_go_over_the_edges_of_buffers),
		T(a_slice_covers_what_was_asked),
		T(every_chain_comes_back_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
