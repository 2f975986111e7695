/* queue_test.c - settings and chains of a split virtqueue, from honest drivers and lying ones. */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "queue_fixture.h"

#define NEXT     1u
#define WRITE    2u
#define INDIRECT 4u
#define TABLE    0x80000ull /* room for tables, below BUF */

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
	/* On a machine with other work the two threads may take long to meet. */
	for (unsigned i = 0; i < 500000 || good == 0; i++) {
		if (queue_pop(&q, &chain) != 1) {
			if (i >= 500000)
				sched_yield();
			continue;
		}
		good++;
		assert_int_equal(chain.iov[0].iov_len, 16);
		assert_int_equal(chain.read_bytes, 16);
		queue_unpop(&q);
	}
	racing = false;
	pthread_join(thread, NULL);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
