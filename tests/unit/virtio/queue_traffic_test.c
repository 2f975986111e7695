/*
 * queue_traffic_test.c - a split virtqueue at work: notifications and interrupts, copies, and both
 * sides at random.
 */
#include <string.h>

#include "queue_fixture.h"

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
