/*
 * blk_test.c - behaviours of the block device beyond the single request: what it is, what the page
 * cache answers, turns, limits, what is in flight over a reset. Each with both engines.
 */
#include "blk_rig.h"

/* --- what it is --- */

static void it_is_a_block_device(void **state)
{
	const struct blk_conf c = conf();

	assert_int_equal(make(state, &c), 0);
	assert_int_equal(blk.dev.ops->id, 2);
	assert_int_equal(blk.dev.queues, 1);
	assert_int_equal(blk.dev.queue[0].max, 256);
	assert_int_equal(blk.dev.offered, TAKEN);
	assert_int_equal(blk.dev.config_len, 60);
	assert_int_equal(config(0, 4), SECTORS);
	assert_int_equal(config(4, 4), 0);
	assert_int_equal(config(12, 4), 254); /* seg_max */
	assert_int_equal(config(20, 4), 512); /* blk_size */
	assert_int_equal(config(34, 2), 1);   /* num_queues */
	assert_int_equal(config(36, 4), 1 << 21);
	assert_int_equal(config(40, 4), BLK_RANGES_MAX);
	assert_int_equal(config(44, 4), 8);
	assert_int_equal(config(48, 4), 1 << 21);
	assert_int_equal(config(52, 4), BLK_RANGES_MAX);
	assert_int_equal(config(56, 1), 1);
	assert_int_equal(config(60, 4), 0);
	assert_int_equal(said_lines, 0);
}

static void features_follow_what_was_asked_for(void **state)
{
	struct blk_conf c = conf();

	c.readonly = true;
	c.cache = BLK_CACHE_UNSAFE;
	c.queues = 4;
	assert_int_equal(make(state, &c), 0);
	assert_int_equal(blk.dev.offered, (TAKEN | VIRTIO_BLK_F_RO | VIRTIO_BLK_F_MQ) &
						  ~(VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_DISCARD |
						    VIRTIO_BLK_F_WRITE_ZEROES));
	assert_int_equal(blk.dev.queues, 4);
	assert_int_equal(config(34, 2), 4);
}

static void configuration_cannot_be_written(void **state)
{
	start_plain(state);
	virtio_lock(&blk.dev);
	virtio_config_write(&blk.dev, 0, 4, 1);
	virtio_unlock(&blk.dev);
	assert_int_equal(config(0, 4), SECTORS);
}

/* --- the page cache --- */

static void cached_read_takes_no_engine(void **state)
{
	start_plain(state);
	add(VIRTIO_BLK_T_IN, 0, DATA, 4096);
	add(VIRTIO_BLK_T_IN, 8, DATA + 4096, 4096);
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(blk.in_flight, 0);
	await(0);
	await(0);
	assert_int_equal(cached_reads, 2);
	assert_int_equal(io.submits, 0);
	assert_int_equal(host.irqs[0], 1); /* one for both */
	assert_int_equal(blk.count.cached, 2);
	assert_int_equal(*byte(DATA + 4096), 8);
}

static void what_is_not_cached_goes_to_the_engine(void **state)
{
	start_plain(state);
	cached_err = EAGAIN;
	assert_int_equal(run(VIRTIO_BLK_T_IN, 3, 4096), OK);
	assert_int_equal(used_len, 4097);
	assert_int_equal(*byte(DATA), 3);
	assert_int_equal(io.submits, 1);
	assert_int_equal(blk.count.cached, 0);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 3, 4096), OK);
	assert_int_equal(cached_reads, 2); /* tried each time */
}

static void half_cached_read_is_finished_by_the_engine(void **state)
{
	static const size_t most[] = {1, 512, 700, 4095};

	start_plain(state);
	for (unsigned i = 0; i < ARRAY_SIZE(most); i++) {
		cached_most = most[i];
		memset(driver_at(&drv[0], DATA, 4096), 0xdd, 4096);
		assert_int_equal(run(VIRTIO_BLK_T_IN, 3, 4096), OK);
		assert_int_equal(used_len, 4097);
		for (unsigned j = 0; j < 4096; j++)
			assert_int_equal(*byte(DATA + j), 3 + j / 512);
	}
	assert_int_equal(io.submits, ARRAY_SIZE(most));
}

static void file_system_without_such_reads_is_remembered(void **state)
{
	start_plain(state);
	cached_err = EOPNOTSUPP;
	assert_int_equal(run(VIRTIO_BLK_T_IN, 3, 512), OK);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 4, 512), OK);
	assert_int_equal(cached_reads, 1);
	assert_int_equal(io.submits, 2);
	close(image(other, 1 * MIB));
	assert_int_equal(blk_replace(&blk, other), 0);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 3, 512), OK);
	assert_int_equal(cached_reads, 2); /* another file, another file system */
}

static void turn_copies_a_bounded_number_of_bytes(void **state)
{
	size_t before;
	unsigned turns = 0;

	start_plain(state);
	for (unsigned i = 0; i < 14; i++)
		add(VIRTIO_BLK_T_IN, 0, DATA, 256 * KIB);
	driver_publish(&drv[0]);
	do {
		before = cached_bytes;
		virtio_service(&blk.dev);
		assert_in_range(cached_bytes - before, 1, 1 * MIB);
		turns++;
	} while (blk.dev.again);
	assert_int_equal(turns, 4);
	for (unsigned i = 0; i < 14; i++)
		await(0);
	assert_int_equal(io.submits, 0);
}

static void read_longer_than_a_turn_takes_the_engine(void **state)
{
	start_plain(state);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, 1 * MIB), OK);
	assert_int_equal(cached_reads, 1);
	assert_int_equal(io.submits, 0);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, 1 * MIB + 512), OK);
	assert_int_equal(cached_reads, 1);
	assert_int_equal(io.submits, 1);
	assert_int_equal(*byte(DATA + 1 * MIB), 2048 % 251);
}

static void write_that_need_not_wait_takes_no_engine(void **state)
{
	start_plain(state);
	cached_write_err = 0;
	memset(driver_at(&drv[0], DATA, 8192), 0x6b, 8192);
	add(VIRTIO_BLK_T_OUT, 1, DATA, 4096);
	add(VIRTIO_BLK_T_OUT, 9, DATA + 4096, 4096);
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(blk.in_flight, 0);
	assert_int_equal(await(0), 1);
	assert_int_equal(await(0), 1);
	assert_int_equal(io.submits, 0);
	assert_int_equal(host.irqs[0], 1);
	assert_int_equal(cached_writes, 2);
	assert_int_equal(blk.count.cached, 2);
	assert_sectors(0, 1, -1);
	assert_sectors(1, 16, 0x6b);
	assert_sectors(17, 1, -1);
}

static void half_written_is_finished_by_the_engine(void **state)
{
	static const size_t most[] = {1, 512, 700, 4095};

	start_plain(state);
	cached_write_err = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(most); i++) {
		cached_most = most[i];
		memset(driver_at(&drv[0], DATA, 4096), (int)(i + 1), 4096);
		assert_int_equal(run(VIRTIO_BLK_T_OUT, 3, 4096), OK);
		assert_int_equal(used_len, 1);
		assert_sectors(3, 8, (int)(i + 1));
	}
	assert_int_equal(io.submits, ARRAY_SIZE(most));
	assert_sectors(2, 1, -1);
	assert_sectors(11, 1, -1);
}

/* Such as ext4. The worker takes them from then on, if there is one. */
static void file_system_without_such_writes_is_remembered(void **state)
{
	start_plain(state);
	cached_write_err = EOPNOTSUPP;
	for (unsigned i = 0; i < 2; i++) {
		add(VIRTIO_BLK_T_OUT, 3 + i, DATA, 512);
		driver_kick(&drv[0], &blk.dev);
		assert_int_equal(io.in_flight, *state == &by_ring && io.ringed);
		await_worker(1);
		driver_interrupts(&drv[0], true);
	}
	assert_int_equal(cached_writes, 1);
	assert_int_equal(io.submits, 2);
	assert_int_equal(host.irqs[0], 2);
	assert_sectors(3, 2, 0);
	close(image(other, 1 * MIB));
	assert_int_equal(blk_replace(&blk, other), 0);
	add(VIRTIO_BLK_T_OUT, 3, DATA, 512);
	driver_kick(&drv[0], &blk.dev);
	await_worker(1);
	assert_int_equal(cached_writes, 2);
}

/* What waits for a slot goes on in the loop, which alone starts requests. */
static void worker_has_the_loop_go_on(void **state)
{
	const struct blk_conf c = conf();

	assert_int_equal(make(state, &c), 0);
	bring_up(1, 256, TAKEN);
	cached_write_err = EOPNOTSUPP;
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 40; i++) {
			/* More buffers than a slot has itself, and than there are tables. */
			struct driver_buf buf[BLK_IOV_FEW + 3];

			buf[0] = (struct driver_buf){header(&drv[0], VIRTIO_BLK_T_OUT, i), 16,
						     false};
			for (unsigned j = 1; j <= BLK_IOV_FEW + 1; j++)
				buf[j] = (struct driver_buf){DATA, 512, false};
			buf[BLK_IOV_FEW + 2] =
				(struct driver_buf){driver_alloc(&drv[0], 1), 1, true};
			assert_true(driver_add(&drv[0], buf, BLK_IOV_FEW + 3) >= 0);
		}
		driver_kick(&drv[0], &blk.dev);
		for (unsigned left = 40, ms = 0; left; ms++) {
			struct driver_done back;
			bool kicked;

			assert_true(ms < DISK_PATIENCE_MS);
			disk_turn_within(&io, 1);
			virtio_lock(&blk.dev);
			while (left && driver_used(&drv[0], &back))
				left--;
			kicked = host.kicks != 0;
			host.kicks = 0;
			virtio_unlock(&blk.dev);
			if (kicked)
				virtio_service(&blk.dev);
			tick_held();
		}
	}
	assert_int_equal(blk.in_flight, 0);
	assert_int_equal(blk.tables_used, BLK_TABLES);
}

/* `n` writes in the worker's hands, which holds them, of a file that is known to need it. */
static void start_held(void **state, unsigned n)
{
	start_plain(state);
	cached_write_err = EOPNOTSUPP;
	add(VIRTIO_BLK_T_OUT, 0, DATA, 512);
	driver_kick(&drv[0], &blk.dev);
	await_worker(1);
	writes_held = true;
	for (unsigned i = 0; i < n; i++)
		add(VIRTIO_BLK_T_OUT, i, DATA, 512);
	assert_true(driver_publish(&drv[0]));
	virtio_service(&blk.dev);
}

static void busy_disk_is_told_once_of_many_writes(void **state)
{
	unsigned kicks;

	start_held(state, 2);
	kicks = host.kicks;
	add(VIRTIO_BLK_T_OUT, 2, DATA, 512);
	assert_false(driver_publish(&drv[0]));
	add(VIRTIO_BLK_T_OUT, 3, DATA, 512);
	assert_false(driver_publish(&drv[0]));
	release_writes();
	await_worker(2);
	virtio_lock(&blk.dev);
	assert_int_equal(host.kicks, kicks + 1);
	virtio_unlock(&blk.dev);
	virtio_service(&blk.dev);
	await_worker(2);
}

static void idle_disk_is_told_of_each_write(void **state)
{
	start_held(state, 1);
	add(VIRTIO_BLK_T_OUT, 1, DATA, 512);
	assert_true(driver_publish(&drv[0]));
	virtio_service(&blk.dev);
	release_writes();
	await_worker(2);
	for (unsigned i = 0; i < 2 * 16; i++) { /* busy no longer */
		add(VIRTIO_BLK_T_OUT, 1, DATA, 512);
		driver_kick(&drv[0], &blk.dev);
		await_worker(1);
	}
	writes_held = true;
	add(VIRTIO_BLK_T_OUT, 1, DATA, 512);
	assert_true(driver_publish(&drv[0]));
	virtio_service(&blk.dev);
	add(VIRTIO_BLK_T_OUT, 1, DATA, 512);
	assert_true(driver_publish(&drv[0]));
	virtio_service(&blk.dev);
	release_writes();
	await_worker(2);
}

/* A write that takes long does not hide what comes after it. */
static void hushed_queue_is_looked_at_in_time(void **state)
{
	uint64_t status, until;

	start_held(state, 2);
	status = add(VIRTIO_BLK_T_IN, 7, DATA + 4096, 512);
	assert_false(driver_publish(&drv[0]));
	until = blk.dev.deadline;
	assert_in_range(until, clock_now() - NSEC, clock_now() + NSEC / 1000);
	virtio_tick(&blk.dev, until);
	await_worker(1);
	assert_int_equal(*byte(status), OK);
	release_writes();
	await_worker(2);
}

static void reset_awaits_the_worker(void **state)
{
	const struct blk_conf c = conf();

	assert_int_equal(make(state, &c), 0);
	for (unsigned i = 0; i < 100; i++) {
		unsigned ms = 0;

		bring_up(1, 256, TAKEN);
		cached_write_err = EOPNOTSUPP;
		for (unsigned j = 0; j < 100; j++)
			add(VIRTIO_BLK_T_OUT, j, DATA, 512);
		driver_kick(&drv[0], &blk.dev);
		driver_reset(&blk.dev);
		while (driver_status(&blk.dev)) {
			assert_true(ms++ < DISK_PATIENCE_MS);
			disk_turn_within(&io, 1);
		}
		virtio_lock(&blk.dev);
		assert_int_equal(blk.in_flight, 0);
		virtio_unlock(&blk.dev);
	}
}

/* Whoever has no flushes has to wait for each write, and the thread for page-cache writes not. */
static void stable_writes_are_not_tried(void **state)
{
	const struct blk_conf c = conf();

	start(state, &c, TAKEN & ~VIRTIO_BLK_F_FLUSH);
	cached_write_err = 0;
	add(VIRTIO_BLK_T_OUT, 4, DATA, 512);
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(io.in_flight, io.ringed);
	await(0);
	assert_int_equal(cached_writes, 0);
}

/* --- batches, queues, turns --- */

static void batch_is_one_submission(void **state)
{
	start_plain(state);
	for (unsigned i = 0; i < 20; i++)
		add(VIRTIO_BLK_T_OUT, i, DATA, 512);
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(io.submits, 1);
	assert_int_equal(blk.in_flight, 20);
	for (unsigned i = 0; i < 20; i++)
		await(0);
	assert_true(host.irqs[0] <= 20);
	assert_int_equal(blk.in_flight, 0);
	assert_int_equal(blk.slots_used, 20);
}

static void memory_is_used_as_far_as_it_was_needed(void **state)
{
	start_plain(state);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(run(VIRTIO_BLK_T_OUT, i, 512), OK);
	assert_int_equal(blk.slots_used, 1);
	assert_int_equal(blk.tables_used, 0);
}

/* Two in flight, side by side: neither gets into the other's buffers. */
static void only_many_buffers_take_a_table(void **state)
{
	struct driver_buf buf[BLK_IOV_FEW + 3];

	start_plain(state);
	for (unsigned n = BLK_IOV_FEW - 1; n <= BLK_IOV_FEW + 1; n++) {
		for (unsigned i = 0; i < 2; i++) {
			buf[0] = (struct driver_buf){header(&drv[0], VIRTIO_BLK_T_OUT, i * 100), 16,
						     false};
			for (unsigned j = 1; j <= n; j++) {
				buf[j] = (struct driver_buf){DATA + (j + i * n) * 512, 512, false};
				memset(byte(buf[j].gpa), (int)(n + j + i * n), 512);
			}
			buf[n + 1] = (struct driver_buf){driver_alloc(&drv[0], 1), 1, true};
			assert_true(driver_add(&drv[0], buf, n + 2) >= 0);
		}
		driver_kick(&drv[0], &blk.dev);
		await(0);
		await(0);
		for (unsigned i = 0; i < 2 * n; i++)
			assert_sectors(i / n * 100 + i % n, 1, (int)(n + 1 + i));
		assert_int_equal(blk.tables_used, n <= BLK_IOV_FEW ? 0 : 2);
	}
}

static void all_queues_are_served(void **state)
{
	struct blk_conf c = conf();

	c.queues = 4;
	assert_int_equal(make(state, &c), 0);
	bring_up(4, SIZE, TAKEN | VIRTIO_BLK_F_MQ);
	for (unsigned n = 0; n < 4; n++) {
		add_to(n, VIRTIO_BLK_T_IN, n, DATA + n * 512, 512);
		add_to(n, VIRTIO_BLK_T_OUT, 100 + n, DATA + 4096, 512);
		driver_publish(&drv[n]);
	}
	virtio_service(&blk.dev);
	assert_int_equal(io.submits, 1);
	for (unsigned n = 0; n < 4; n++) {
		assert_int_equal(await(n), 513);
		assert_int_equal(await(n), 1);
		assert_int_equal(*byte(DATA + n * 512), n);
		assert_in_range(host.irqs[n], 1, 2);
	}
}

static void more_than_can_be_in_flight_waits(void **state)
{
	struct blk_conf c = conf();
	unsigned back = 0;
	struct driver_done done;

	c.queues = 2;
	assert_int_equal(make(state, &c), 0);
	bring_up(2, 256, (TAKEN | VIRTIO_BLK_F_MQ) & ~VIRTIO_F_INDIRECT_DESC);
	for (unsigned n = 0; n < 2; n++) {
		drv[n].indirect = false;
		for (unsigned i = 0; i < 128; i++) /* a chain of two */
			add_to(n, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
		driver_publish(&drv[n]);
	}
	virtio_service(&blk.dev);
	assert_int_equal(blk.in_flight, 256);
	assert_false(blk.starved);
	while (blk.in_flight)
		disk_turn(&io);
	for (unsigned n = 0; n < 2; n++)
		while (driver_used(&drv[n], &done))
			back++;
	assert_int_equal(back, 256);
	assert_int_equal(blk.slots_used, 256);
}

/* Single-descriptor chains through indirect tables: 256 of each queue. */
static void queues_share_the_slots(void **state)
{
	struct blk_conf c = conf();
	unsigned back[2] = {0}, flushes = 0;
	struct driver_done done;

	c.queues = 2;
	assert_int_equal(make(state, &c), 0);
	bring_up(2, 256, TAKEN | VIRTIO_BLK_F_MQ);
	for (unsigned n = 0; n < 2; n++) {
		for (unsigned i = 0; i < 256; i++)
			add_to(n, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
		driver_publish(&drv[n]);
	}
	virtio_service(&blk.dev);
	assert_int_equal(blk.in_flight, 256);
	assert_true(blk.starved);
	while (back[0] + back[1] < 512) {
		if (blk.dev.again)
			virtio_service(&blk.dev);
		else
			disk_turn(&io);
		assert_true(blk.in_flight <= 256);
		for (unsigned n = 0; n < 2; n++)
			while (driver_used(&drv[n], &done))
				back[n]++;
		assert_true(++flushes < 10000);
	}
	assert_int_equal(back[0], 256);
	assert_int_equal(back[1], 256);
	assert_int_equal(blk.in_flight, 0);
}

static void turn_takes_one_round_of_a_queue(void **state)
{
	start_plain(state);
	for (unsigned i = 0; i < SIZE; i++)
		add(VIRTIO_BLK_T_GET_ID, 0, DATA, 20);
	driver_publish(&drv[0]);
	virtio_service(&blk.dev);
	assert_true(blk.dev.again); /* whoever fills a queue meanwhile does not hold the loop */
	virtio_service(&blk.dev);
	assert_false(blk.dev.again);
	for (unsigned i = 0; i < SIZE; i++)
		await(0);
}

static void idle_queue_is_to_be_notified(void **state)
{
	start_plain(state);
	for (unsigned i = 0; i < 3; i++) {
		add(VIRTIO_BLK_T_OUT, 0, DATA, 512);
		assert_true(driver_publish(&drv[0]));
		virtio_service(&blk.dev);
		/* The answer is out: the next request must not be lost. */
		await(0);
	}
}

/* --- limits --- */

static void requests_wait_for_their_tokens(void **state)
{
	struct blk_conf c = conf();
	uint64_t now;

	c.ops = (struct limit_conf){.size = 2, .refill_ms = 1000000};
	start(state, &c, TAKEN);
	for (unsigned i = 0; i < 5; i++)
		add(VIRTIO_BLK_T_IN, 0, DATA, 512);
	driver_kick(&drv[0], &blk.dev);
	await(0);
	await(0);
	assert_none_back(0);
	now = clock_now();
	assert_in_range(blk.dev.deadline, now + 400000 * (NSEC / 1000),
			now + 500001 * (NSEC / 1000));
	assert_int_equal(host.wake_at, blk.dev.deadline);
	assert_int_equal(blk.limit.throttled, 1);
	assert_false(blk.dev.again);
	virtio_tick(&blk.dev, now);
	assert_none_back(0);
	blk_set_limits(&blk, NULL, &(struct limit_conf){0});
	assert_true(blk.dev.deadline <= clock_now());
	virtio_tick(&blk.dev, clock_now());
	for (unsigned i = 0; i < 3; i++)
		await(0);
}

static void bytes_are_limited_too(void **state)
{
	struct blk_conf c = conf();
	const struct blk_range r = {0, 2048, 0};

	c.bytes = (struct limit_conf){.size = 1 * MIB, .refill_ms = 1000000};
	start(state, &c, TAKEN);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 512 * KIB), OK);
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 0, 0), OK);
	assert_int_equal(run(VIRTIO_BLK_T_GET_ID, 0, 20), OK);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, 512 * KIB), OK);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, &r, 1), OK);
	/* Zeros may have to be written. */
	memcpy(driver_at(&drv[0], DATA, sizeof(r)), &r, sizeof(r));
	add(VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, sizeof(r));
	driver_kick(&drv[0], &blk.dev);
	assert_none_back(0);
	assert_int_equal(blk.in_flight, 0);
	assert_true(blk.dev.deadline != NEVER);
}

static void refused_requests_cost_no_tokens(void **state)
{
	struct blk_conf c = conf();

	c.ops = (struct limit_conf){.size = 1, .refill_ms = 1000000};
	start(state, &c, TAKEN);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(run(VIRTIO_BLK_T_IN, SECTORS, 512), IOERR);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, 512), OK);
}

static void new_limits_of_a_disk_without_driver_wait_for_nothing(void **state)
{
	const struct blk_conf c = conf();

	assert_int_equal(make(state, &c), 0);
	blk_set_limits(&blk, NULL, &(struct limit_conf){.size = 1, .refill_ms = 1});
	assert_int_equal(blk.dev.deadline, NEVER);
	assert_true(limiter_limits(&blk.limit));
}

/* --- reset, pause, a broken ring --- */

static uint16_t used_idx(void)
{
	uint16_t idx;

	memcpy(&idx, driver_at(&drv[0], drv[0].used + 2, 2), 2);
	return idx;
}

static void idle_disk_is_reset_at_once(void **state)
{
	start_plain(state);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 512), OK);
	assert_true(driver_reset(&blk.dev));
}

/* What is in flight ends first, and is not given back; the guest's memory is its own then. */
static void reset_waits_for_what_is_in_flight(void **state)
{
	uint64_t status;
	uint16_t used;

	start_plain(state);
	cached_err = EAGAIN;
	add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
	status = add(VIRTIO_BLK_T_IN, 1, DATA + 4096, 512);
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(blk.in_flight, 2);
	usleep(20000); /* the worker has begun, or ended */
	used = used_idx();
	assert_false(driver_reset(&blk.dev));
	while (blk.in_flight) {
		assert_int_not_equal(driver_status(&blk.dev), 0);
		disk_turn(&io);
	}
	assert_int_equal(driver_status(&blk.dev), 0);
	assert_int_equal(used_idx(), used);
	assert_int_equal(*byte(status), 0xee);
	assert_int_equal(host.irqs[0], 0);
	cached_err = 0;
	bring_up(1, SIZE, TAKEN);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 2, 512), OK);
	assert_int_equal(*byte(DATA), 2);
}

static void reset_drops_what_was_not_started(void **state)
{
	const struct blk_conf c = conf();

	assert_int_equal(make(state, &c), 0);
	bring_up(1, 256, TAKEN);
	for (unsigned i = 0; i < 200; i++)
		add(VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(blk.in_flight, 200);
	driver_reset(&blk.dev);
	assert_true(blk.in_flight <= 128);
	while (blk.in_flight)
		disk_turn(&io);
	assert_int_equal(driver_status(&blk.dev), 0);
}

static void ranges_stop_at_a_reset(void **state)
{
	static const struct blk_range r[] = {
		{16, 8, 0},
                {32, 8, 0},
                {48, 8, 0}
        };

	start_plain(state);
	memcpy(driver_at(&drv[0], DATA, sizeof(r)), r, sizeof(r));
	add(VIRTIO_BLK_T_WRITE_ZEROES, 0, DATA, sizeof(r));
	driver_kick(&drv[0], &blk.dev);
	usleep(20000);
	assert_false(driver_reset(&blk.dev));
	disk_turn(&io);
	assert_int_equal(blk.in_flight, 0);
	assert_int_equal(driver_status(&blk.dev), 0);
	assert_sectors(16, 8, 0);
	assert_sectors(32, 40, -1);
}

static void many_resets_under_load(void **state)
{
	const struct blk_conf c = conf();

	assert_int_equal(make(state, &c), 0);
	for (unsigned i = 0; i < 100; i++) {
		bring_up(1, 256, TAKEN);
		for (unsigned j = 0; j < 200; j++)
			add(VIRTIO_BLK_T_OUT, j, DATA + j * 512, 512);
		driver_kick(&drv[0], &blk.dev);
		if (i % 3 == 0)
			disk_turn(&io);
		driver_reset(&blk.dev);
		while (blk.in_flight)
			disk_turn(&io);
		assert_int_equal(driver_status(&blk.dev), 0);
	}
	assert_true(blk.slots_used <= 256);
	assert_int_equal(blk.file[0].in_flight, 0);
}

static void throttled_disk_is_reset_at_once(void **state)
{
	struct blk_conf c = conf();

	c.ops = (struct limit_conf){.size = 1, .refill_ms = 1000000};
	start(state, &c, TAKEN);
	add(VIRTIO_BLK_T_IN, 0, DATA, 512);
	add(VIRTIO_BLK_T_IN, 0, DATA, 512);
	driver_kick(&drv[0], &blk.dev);
	assert_true(driver_reset(&blk.dev));
	assert_int_equal(blk.dev.deadline, NEVER);
}

static void pause_lets_end_what_is_in_flight(void **state)
{
	uint64_t status[2];

	start_plain(state);
	status[0] = add(VIRTIO_BLK_T_OUT, 0, DATA, 512);
	driver_kick(&drv[0], &blk.dev);
	blk.dev.paused = true;
	status[1] = add(VIRTIO_BLK_T_OUT, 0, DATA, 512);
	driver_publish(&drv[0]);
	virtio_service(&blk.dev);
	await(0);
	assert_int_equal(*byte(status[0]), OK);
	assert_int_equal(host.irqs[0], 1);
	assert_int_equal(blk.in_flight, 0);
	assert_int_equal(*byte(status[1]), 0xee);
	blk.dev.paused = false;
	virtio_service(&blk.dev);
	await(0);
	assert_int_equal(*byte(status[1]), OK);
}

/* Reads out of the cache, until the answer to one is held. */
static void start_holding(void **state)
{
	start_plain(state);
	for (unsigned i = 0; i < 10000 && !blk.pace.held_at; i++) {
		struct driver_done back;

		add(VIRTIO_BLK_T_IN, 7, DATA, 512);
		driver_kick(&drv[0], &blk.dev);
		if (!blk.pace.held_at)
			assert_true(driver_used(&drv[0], &back));
	}
	driver_interrupts(&drv[0], true);
	assert_true(blk.pace.held_at != 0);
	assert_none_back(0);
	host.irqs[0] = 0;
}

static void busy_reader_need_not_notify_and_has_one_interrupt(void **state)
{
	start_holding(state);
	for (unsigned i = 0; i < 3; i++) {
		add(VIRTIO_BLK_T_IN, 7, DATA, 512);
		assert_false(driver_publish(&drv[0]));
	}
	while (blk.pace.held_at)
		virtio_tick(&blk.dev, blk.dev.deadline);
	for (unsigned i = 0; i < 4; i++)
		await(0);
	assert_in_range(host.irqs[0], 1, 2);
	add(VIRTIO_BLK_T_IN, 7, DATA, 512);
	assert_true(driver_publish(&drv[0]));
}

static void pause_shows_what_was_held(void **state)
{
	start_holding(state);
	virtio_pause(&blk.dev, true);
	await(0);
	assert_int_equal(host.irqs[0], 1);
	add(VIRTIO_BLK_T_IN, 7, DATA, 512);
	driver_publish(&drv[0]);
	assert_none_back(0);
	virtio_pause(&blk.dev, false);
	virtio_service(&blk.dev);
	await(0);
}

static void what_was_held_is_not_the_next_drivers(void **state)
{
	start_holding(state);
	assert_true(driver_reset(&blk.dev));
	bring_up(1, SIZE, TAKEN);
	assert_true(blk.pace.held_at == 0);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 7, 512), OK);
}

static void broken_ring_gives_nothing_back(void **state)
{
	uint64_t status;
	uint16_t used;

	start_plain(state);
	status = add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
	add(VIRTIO_BLK_T_GET_ID, 0, DATA + 512, 20);
	driver_publish(&drv[0]);
	driver_put_avail(&drv[0], SIZE + 3); /* no such descriptor */
	used = used_idx();
	virtio_service(&blk.dev);
	assert_true(driver_status(&blk.dev) & VIRTIO_S_NEEDS_RESET);
	assert_int_equal(blk.in_flight, 1);
	while (blk.in_flight)
		disk_turn(&io);
	assert_int_equal(used_idx(), used);
	assert_int_equal(*byte(status), 0xee);
	assert_true(driver_reset(&blk.dev));
	bring_up(1, SIZE, TAKEN);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 2, 512), OK);
}

static void kernel_without_memory_is_asked_again_later(void **state)
{
	uint64_t status;

	start_plain(state);
	if (!io.ringed)
		return;
	uring.enter_err = EAGAIN;
	uring.enter_errs = 2;
	status = add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
	driver_kick(&drv[0], &blk.dev);
	assert_true(blk.dev.deadline != NEVER);
	virtio_tick(&blk.dev, blk.dev.deadline);
	assert_true(blk.dev.deadline != NEVER);
	virtio_tick(&blk.dev, blk.dev.deadline);
	assert_int_equal(blk.dev.deadline, NEVER);
	await(0);
	assert_int_equal(*byte(status), OK);

	/* ... and a reset need not wait for it. */
	uring.enter_errs = 1;
	add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(blk.in_flight, 1);
	assert_true(driver_reset(&blk.dev));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_is_a_block_device),
		T(features_follow_what_was_asked_for),
		T(configuration_cannot_be_written),
		T(cached_read_takes_no_engine),
		T(what_is_not_cached_goes_to_the_engine),
		T(half_cached_read_is_finished_by_the_engine),
		T(file_system_without_such_reads_is_remembered),
		T(turn_copies_a_bounded_number_of_bytes),
		T(read_longer_than_a_turn_takes_the_engine),
		T(write_that_need_not_wait_takes_no_engine),
		T(half_written_is_finished_by_the_engine),
		T(file_system_without_such_writes_is_remembered),
		T(stable_writes_are_not_tried),
		T(worker_has_the_loop_go_on),
		T(reset_awaits_the_worker),
		V(busy_disk_is_told_once_of_many_writes, "both", by_both),
		V(idle_disk_is_told_of_each_write, "both", by_both),
		V(hushed_queue_is_looked_at_in_time, "both", by_both),
		T(batch_is_one_submission),
		T(memory_is_used_as_far_as_it_was_needed),
		T(only_many_buffers_take_a_table),
		T(all_queues_are_served),
		T(more_than_can_be_in_flight_waits),
		T(queues_share_the_slots),
		T(turn_takes_one_round_of_a_queue),
		T(idle_queue_is_to_be_notified),
		T(requests_wait_for_their_tokens),
		T(bytes_are_limited_too),
		T(refused_requests_cost_no_tokens),
		T(new_limits_of_a_disk_without_driver_wait_for_nothing),
		T(idle_disk_is_reset_at_once),
		T(reset_waits_for_what_is_in_flight),
		T(reset_drops_what_was_not_started),
		T(ranges_stop_at_a_reset),
		T(many_resets_under_load),
		T(throttled_disk_is_reset_at_once),
		T(pause_lets_end_what_is_in_flight),
		T(busy_reader_need_not_notify_and_has_one_interrupt),
		T(pause_shows_what_was_held),
		T(what_was_held_is_not_the_next_drivers),
		T(broken_ring_gives_nothing_back),
		T(kernel_without_memory_is_asked_again_later),
	};

	if (!uring_watch())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
