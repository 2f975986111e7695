/*
 * blk_lend_test.c - a disk that lends its bell to the worker: when, what is taken from the queues
 * there, and what makes it the loop's again. The test is driver and loop; the bell is real.
 */
#include <sys/eventfd.h>

#include "blk_rig.h"

static int bell = -1;
static bool away; /* ... and the loop does not hear it */

static int on_lend(void *ctx, struct virtio_dev *d, bool lent)
{
	assert_int_equal(lent, !away);
	away = lent;
	return bell;
}

static int lend_setup(void **state)
{
	setup(state);
	host.host.lend = on_lend;
	bell = eventfd(0, EFD_CLOEXEC);
	away = false;
	cached_write_err = EOPNOTSUPP;
	return 0;
}

static int lend_teardown(void **state)
{
	release_writes();
	if (blk_made) {
		driver_reset(&blk.dev);
		while (driver_status(&blk.dev))
			disk_turn_within(&io, 1);
	}
	teardown(state);
	close(bell);
	return 0;
}

static void ring(void)
{
	const uint64_t one = 1;

	assert_int_equal(write(bell, &one, sizeof(one)), sizeof(one));
}

static void write_one(uint64_t sector)
{
	add(VIRTIO_BLK_T_OUT, sector, DATA, 512);
	driver_kick(&drv[0], &blk.dev);
	await_worker(1);
}

static bool is_lent(void)
{
	bool lent;

	virtio_lock(&blk.dev);
	lent = blk.lent;
	virtio_unlock(&blk.dev);
	assert_int_equal(lent, away);
	return lent;
}

static void writes(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		write_one(i);
}

/* Any notification that reaches the loop instead takes it back. */
static void until_lent(void)
{
	for (unsigned i = 0; !is_lent(); i++) {
		assert_true(i < BLK_STEADY);
		write_one(i);
	}
}

/* Nothing is left that could wake the worker of itself, and nobody has called the loop. */
static void settle(void)
{
	usleep(20000);
	virtio_lock(&blk.dev);
	host.kicks = 0;
	memset(host.irqs, 0, sizeof(host.irqs));
	virtio_unlock(&blk.dev);
}

static void make_lent(void **state, const struct blk_conf *c)
{
	if (make(state, c))
		fail();
	if (!io.ringed) {
		print_message("this kernel, or this container, has no io_uring\n");
		skip();
	}
	bring_up(c->queues, SIZE, TAKEN | (c->queues > 1 ? VIRTIO_BLK_F_MQ : 0));
	writes(BLK_STEADY);
	until_lent(); /* it is at once, unless this thread had to wait for a CPU */
	settle();
}

static void start_lent(void **state)
{
	const struct blk_conf c = conf();

	make_lent(state, &c);
}

static unsigned kicks(void)
{
	unsigned n;

	virtio_lock(&blk.dev);
	n = host.kicks;
	virtio_unlock(&blk.dev);
	return n;
}

/* The worker has them in its hands. */
static void await_taken(unsigned n)
{
	unsigned taken = 0;

	for (unsigned ms = 0; taken != n; ms++) {
		assert_true(ms < DISK_PATIENCE_MS);
		usleep(100);
		virtio_lock(&blk.dev);
		taken = blk.in_flight;
		virtio_unlock(&blk.dev);
	}
}

static void await_kick(void)
{
	for (unsigned ms = 0; !kicks(); ms++) {
		assert_true(ms < DISK_PATIENCE_MS);
		usleep(1000);
	}
}

/* --- when --- */

static void writes_and_cached_reads_lend_the_bell(void **state)
{
	const struct blk_conf c = conf();

	start(state, &c, TAKEN);
	writes(BLK_STEADY - 1);
	assert_false(is_lent());
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 0, 0), OK);
	writes(BLK_STEADY / 2);
	for (unsigned i = 1; i < BLK_STEADY / 2; i++)
		assert_int_equal(run(VIRTIO_BLK_T_IN, i, 512), OK);
	assert_false(is_lent());
	cached_err = EAGAIN;
	assert_int_equal(run(VIRTIO_BLK_T_IN, 3, 512), OK);
	cached_err = 0;
	for (unsigned i = 1; i < BLK_STEADY; i++)
		assert_int_equal(run(VIRTIO_BLK_T_IN, i, 512), OK);
	assert_false(is_lent());
	assert_int_equal(run(VIRTIO_BLK_T_IN, 3, 512), OK);
	assert_int_equal(is_lent(), io.ringed);
}

static void disk_that_waits_for_its_medium_does_not_lend_it(void **state)
{
	const struct blk_conf c = conf();

	start(state, &c, TAKEN & ~VIRTIO_BLK_F_FLUSH);
	for (unsigned i = 0; i < 2 * BLK_STEADY; i++)
		assert_int_equal(run(VIRTIO_BLK_T_OUT, i, 512), OK);
	assert_false(is_lent());
}

static void disk_whose_writes_need_not_wait_lends_it(void **state)
{
	const struct blk_conf c = conf();

	start(state, &c, TAKEN);
	cached_write_err = 0;
	for (unsigned i = 0; i < BLK_STEADY; i++)
		assert_int_equal(run(VIRTIO_BLK_T_OUT, i, 512), OK);
	assert_int_equal(is_lent(), io.ringed);
}

static void limited_disk_does_not_lend_it(void **state)
{
	const struct limit_conf ops = {.size = 100000, .refill_ms = 1};
	struct blk_conf c = conf();

	c.ops = ops;
	start(state, &c, TAKEN);
	writes(2 * BLK_STEADY);
	assert_false(is_lent());
	blk_set_limits(&blk, NULL, &(struct limit_conf){0});
	writes(1); /* steady for long */
	assert_int_equal(is_lent(), io.ringed);
	blk_set_limits(&blk, NULL, &ops);
	assert_false(is_lent());
}

/* --- what the worker does with it --- */

static void write_wakes_the_worker_alone(void **state)
{
	uint64_t status, submits, before;

	start_lent(state);
	before = blk.dev.kicks;
	submits = io.submits;
	uring.enters = 0;
	memset(driver_at(&drv[0], DATA, 512), 0x42, 512);
	for (unsigned i = 0; i < 10; i++) {
		driver_interrupts(&drv[0], true);
		status = add(VIRTIO_BLK_T_OUT, 100 + i, DATA, 512);
		assert_true(driver_publish(&drv[0]));
		ring();
		await_worker(1);
		assert_int_equal(*byte(status), OK);
	}
	assert_sectors(100, 10, 0x42);
	settle();
	assert_int_equal(io.submits, submits);
	assert_int_equal(uring.enters, 0);
	assert_int_equal(blk.dev.kicks, before + 10); /* notifications, as the timeline has them */
	assert_true(is_lent());
}

static void cached_read_wakes_the_worker_alone(void **state)
{
	uint64_t status;

	start_lent(state);
	for (unsigned i = 0; i < 10; i++) {
		const uint64_t at = DATA + 4096 + 512 * i;

		status = add(VIRTIO_BLK_T_IN, 40 + i, at, 512);
		driver_publish(&drv[0]);
		ring();
		await_worker(1);
		assert_int_equal(*byte(status), OK);
		assert_int_equal(*byte(at), 40 + i);
	}
	settle();
	assert_true(is_lent());
	assert_int_equal(blk.count.cached, 10);
}

/* Behind what the worker could answer; and the engine reads it, for the loop. */
static void read_that_has_to_wait_is_the_loops(void **state)
{
	uint64_t status;

	start_lent(state);
	cached_err = EAGAIN;
	add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
	status = add(VIRTIO_BLK_T_IN, 40, DATA + 4096, 512);
	driver_publish(&drv[0]);
	ring();
	await_kick();
	await_worker(1);
	assert_int_equal(*byte(status), 0xee);
	virtio_service(&blk.dev);
	assert_false(is_lent());
	await_worker(1);
	assert_int_equal(*byte(status), OK);
	assert_int_equal(*byte(DATA + 4096), 40);
	assert_int_equal(blk.count.reads, 1);
}

/* More than a turn copies is no worker's turn either. */
static void long_reads_are_the_loops(void **state)
{
	start_lent(state);
	add(VIRTIO_BLK_T_IN, 0, DATA, 1 * MIB);
	add(VIRTIO_BLK_T_IN, 0, DATA, 1 * MIB);
	driver_publish(&drv[0]);
	ring();
	await_kick();
	await_worker(1);
	virtio_service(&blk.dev);
	await_worker(1);
	assert_false(is_lent());
}

static void several_writes_are_a_row(void **state)
{
	start_lent(state);
	writes_held = true;
	memset(driver_at(&drv[0], DATA, 512), 0x43, 512);
	for (unsigned i = 0; i < 10; i++)
		add(VIRTIO_BLK_T_OUT, 100 + i, DATA, 512);
	assert_true(driver_publish(&drv[0]));
	ring();
	await_taken(10);
	/* Meanwhile nobody need be told. */
	add(VIRTIO_BLK_T_OUT, 110, DATA, 512);
	assert_false(driver_publish(&drv[0]));
	release_writes();
	await_worker(11);
	assert_sectors(100, 11, 0x43);
}

static void all_queues_are_looked_at(void **state)
{
	struct blk_conf c = conf();

	c.queues = 3;
	make_lent(state, &c);
	for (unsigned i = 0; i < 3; i++) {
		struct driver_done back;

		add_to(i, VIRTIO_BLK_T_OUT, 200 + i, DATA, 512);
		driver_publish(&drv[i]);
		ring();
		for (unsigned ms = 0, got = 0; !got; ms++) {
			assert_true(ms < DISK_PATIENCE_MS);
			usleep(1000);
			virtio_lock(&blk.dev);
			got = driver_used(&drv[i], &back);
			virtio_unlock(&blk.dev);
		}
	}
	assert_true(is_lent());
}

static void refused_write_is_answered_there(void **state)
{
	uint64_t status;

	start_lent(state);
	status = add(VIRTIO_BLK_T_OUT, SECTORS, DATA, 512);
	driver_publish(&drv[0]);
	ring();
	await_worker(1);
	assert_int_equal(*byte(status), IOERR);
	assert_int_equal(blk.count.refused, 1);
	settle();
	assert_true(is_lent());
}

static void bell_without_a_request_is_no_harm(void **state)
{
	start_lent(state);
	for (unsigned i = 0; i < 100; i++)
		ring();
	settle();
	assert_true(is_lent());
	write_one(5); /* by the loop, which has been called some other way */
	assert_false(is_lent());
}

/* --- what makes it the loop's --- */

/* Between two writes; the first is still done, and the loop goes on behind it. */
static void anything_else_is_the_loops(void **state)
{
	static const uint32_t type[] = {VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, 99};

	start_lent(state);
	for (unsigned i = 0; i < ARRAY_SIZE(type); i++) {
		uint64_t status;

		add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
		status = add(type[i], 0, DATA + 4096,
			     type[i] == VIRTIO_BLK_T_FLUSH    ? 0
			     : type[i] == VIRTIO_BLK_T_GET_ID ? 20
							      : 512);
		add(VIRTIO_BLK_T_OUT, 8, DATA, 512);
		driver_publish(&drv[0]);
		ring();
		if (type[i] == 99) { /* refused where it is found */
			await_worker(3);
			assert_int_equal(*byte(status), UNSUPP);
			assert_true(is_lent());
			continue;
		}
		await_kick();
		await_worker(1);
		assert_none_back(0);
		assert_int_equal(*byte(status), 0xee);
		virtio_service(&blk.dev);
		assert_false(is_lent());
		await_worker(2);
		assert_int_equal(*byte(status), OK);
		until_lent();
		settle();
	}
}

/* A bell that rang while it went back is not lost: the worker passes it on. */
static void late_ring_is_passed_on(void **state)
{
	start_lent(state);
	virtio_service(&blk.dev);
	assert_false(is_lent());
	await_kick();
	settle();
	ring(); /* the loop's again: nobody reads it here */
	settle();
	assert_int_equal(kicks(), 0);
}

static void other_disk_calls_it_back(void **state)
{
	static struct iovec v;
	static struct blk_user stranger_user;
	static struct blk_req r;

	start_lent(state);
	v = (struct iovec){driver_at(&drv[0], DATA, 512), 512};
	stranger_user = (struct blk_user){.done = blk.user.done};
	r = (struct blk_req){.op = BLK_OP_WRITE, .fd = fd, .iov = &v, .iovs = 1, .len = 512};
	r.blocking = true;
	r.user = &stranger_user;
	assert_false(blk_io_can_lend(&io));
	blk_io_add(&io, &r);
	assert_int_equal(kicks(), 1);
	assert_ptr_equal(io.waiting.first, &r); /* and it does not wait for that */
	assert_ptr_equal(blk_io_cancel(&io, &stranger_user), &r);
	virtio_service(&blk.dev);
	assert_false(is_lent());
	blk_io_add(&io, &r);
	assert_ptr_equal(io.handed.first, &r);
	assert_ptr_equal(blk_io_cancel(&io, &stranger_user), &r);
	/* Both have it for a while. */
	writes(2 * BLK_STEADY);
	assert_false(is_lent());
	usleep(100000);
	until_lent();
}

static uint64_t deadline(void)
{
	uint64_t until;

	virtio_lock(&blk.dev);
	until = blk.dev.deadline;
	virtio_unlock(&blk.dev);
	return until;
}

static void await_deadline(void)
{
	assert_true(deadline() != NEVER);
	while (clock_now() < deadline())
		usleep(1000);
}

/* Its bell is heard again, and what can be answered is: a store that hangs holds up nothing else.
 */
static void held_up_worker_gives_it_back(void **state)
{
	uint64_t status;

	start_lent(state);
	writes_held = true;
	add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
	driver_publish(&drv[0]);
	ring();
	await_taken(1);
	status = add(VIRTIO_BLK_T_IN, 40, DATA + 4096, 512);
	driver_publish(&drv[0]);
	ring();
	virtio_tick(&blk.dev, clock_now());
	assert_int_equal(*byte(status), 0xee);
	await_deadline();
	virtio_tick(&blk.dev, clock_now());
	assert_false(is_lent());
	assert_int_equal(*byte(status), OK);
	assert_int_equal(*byte(DATA + 4096), 40);
	release_writes();
	await_worker(2);
	assert_int_equal(kicks(), 0);
}

/* Answers, too, that were to go along with those of the next writes. */
static void held_up_worker_withholds_no_answers(void **state)
{
	start_lent(state);
	writes_held = true;
	add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
	add(VIRTIO_BLK_T_IN, 9, DATA + 4096, 512);
	driver_publish(&drv[0]);
	ring();
	await_taken(1);
	await_deadline();
	virtio_tick(&blk.dev, clock_now());
	await_deadline(); /* the loop may hold them, as any */
	virtio_tick(&blk.dev, clock_now());
	await_worker(1);
	release_writes();
	await_worker(1);
}

/* A row that goes on for long is looked at once, one that ended is not. */
static void idle_disk_has_no_ticks(void **state)
{
	start_lent(state);
	for (unsigned i = 0; deadline() != NEVER; i++) {
		assert_true(i < 2);
		await_deadline();
		virtio_tick(&blk.dev, clock_now());
	}
	assert_true(is_lent());
	add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
	driver_publish(&drv[0]);
	ring();
	await_worker(1);
	assert_true(deadline() != NEVER); /* asked for by the worker */
	assert_int_equal(host.wake_at, deadline());
}

/* Published and not taken. */
static unsigned untaken(void)
{
	return (uint16_t)(drv[0].avail_idx - blk.dev.queue[0].last_avail);
}

/* From then on until the loop came, so that it finds the lock free. */
static void worker_that_called_leaves_the_queues_alone(void **state)
{
	start_lent(state);
	add(VIRTIO_BLK_T_FLUSH, 0, 0, 0);
	driver_publish(&drv[0]);
	ring();
	await_kick();
	for (unsigned i = 0; i < 5; i++) {
		add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
		driver_publish(&drv[0]);
		ring();
	}
	usleep(20000);
	virtio_lock(&blk.dev);
	assert_int_equal(blk.in_flight, 0);
	assert_int_equal(untaken(), 6);
	virtio_unlock(&blk.dev);
	virtio_service(&blk.dev);
	assert_false(is_lent());
	await_worker(6);
}

static void scarce_slots_are_the_loops(void **state)
{
	start_lent(state);
	for (unsigned i = 0; i < 2 * BLK_TABLES; i++) {
		struct driver_buf buf[BLK_IOV_FEW + 3];

		buf[0] = (struct driver_buf){header(&drv[0], VIRTIO_BLK_T_OUT, i), 16, false};
		for (unsigned j = 1; j <= BLK_IOV_FEW + 1; j++)
			buf[j] = (struct driver_buf){DATA, 512, false};
		buf[BLK_IOV_FEW + 2] = (struct driver_buf){driver_alloc(&drv[0], 1), 1, true};
		if (driver_add(&drv[0], buf, BLK_IOV_FEW + 3) < 0)
			fail();
	}
	driver_publish(&drv[0]);
	ring();
	await_kick();
	virtio_service(&blk.dev);
	assert_false(is_lent());
	for (unsigned left = 2 * BLK_TABLES, ms = 0; left; ms++) {
		struct driver_done back;

		assert_true(ms < DISK_PATIENCE_MS);
		disk_turn_within(&io, 1);
		virtio_lock(&blk.dev);
		while (left && driver_used(&drv[0], &back))
			left--;
		virtio_unlock(&blk.dev);
		if (kicks())
			virtio_service(&blk.dev);
		tick_held();
	}
}

/* What that can do is found out anew. */
static void replaced_file_is_written_to(void **state)
{
	uint64_t status;

	start_lent(state);
	close(image(other, 1 * MIB));
	assert_int_equal(blk_replace(&blk, other), 0);
	cached_writes = 0;
	for (unsigned i = 0; i < 2; i++) {
		status = add(VIRTIO_BLK_T_OUT, 7 + i, DATA, 512);
		driver_publish(&drv[0]);
		ring();
		await_worker(1);
		assert_int_equal(*byte(status), OK);
	}
	assert_int_equal(cached_writes, 1);
	assert_true(is_lent());
}

static void broken_ring_stops_it(void **state)
{
	start_lent(state);
	driver_put_avail(&drv[0], 0xffff);
	ring();
	await_kick();
	virtio_service(&blk.dev);
	assert_true(driver_status(&blk.dev) & VIRTIO_S_NEEDS_RESET);
	assert_false(is_lent()); /* others may need the worker, long before the driver resets it */
	driver_reset(&blk.dev);
	assert_false(is_lent());
	bring_up(1, SIZE, TAKEN);
	write_one(3);
}

static void pause_leaves_the_queue_alone(void **state)
{
	start_lent(state);
	virtio_pause(&blk.dev, true);
	add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
	driver_publish(&drv[0]);
	ring();
	await_kick();
	virtio_service(&blk.dev);
	assert_int_equal(blk.in_flight, 0);
	assert_none_back(0);
	settle();
	virtio_pause(&blk.dev, false);
	assert_int_equal(kicks(), 1);
	virtio_service(&blk.dev);
	await_worker(1);
}

/* Reset in the middle of a row: the worker's write ends before the status reads 0. */
static void reset_awaits_the_row(void **state)
{
	start_lent(state);
	for (unsigned round = 0; round < 20; round++) {
		writes_held = true;
		for (unsigned i = 0; i < 5; i++)
			add(VIRTIO_BLK_T_OUT, i, DATA, 512);
		driver_publish(&drv[0]);
		ring();
		await_taken(5);
		assert_false(driver_reset(&blk.dev));
		assert_false(is_lent());
		release_writes();
		for (unsigned ms = 0; driver_status(&blk.dev); ms++) {
			assert_true(ms < DISK_PATIENCE_MS);
			disk_turn_within(&io, 1);
		}
		assert_int_equal(blk.in_flight, 0);
		bring_up(1, SIZE, TAKEN);
		until_lent();
		settle();
	}
}

/* While a row is written, and while answers wait for each other, there are none. */
static void many_writes_take_few_notifications(void **state)
{
	const uint64_t until = clock_now() + DISK_PATIENCE_MS * (NSEC / 1000);
	unsigned out = 0, n = 0, rings = 0;
	struct driver_done back;

	start_lent(state);
	while (n < 4000 && !kicks()) { /* a slow disk may end it */
		while (out < 16) {
			add(VIRTIO_BLK_T_OUT, n % 1000, DATA, 512);
			out++;
			if (driver_publish(&drv[0])) {
				ring();
				rings++;
			}
		}
		assert_true(clock_now() < until);
		virtio_lock(&blk.dev);
		while (driver_used(&drv[0], &back)) {
			out--;
			n++;
		}
		virtio_unlock(&blk.dev);
	}
	assert_in_range(rings, 1, n / 4 + BLK_STEADY);
	driver_serve(&blk.dev);
	await_worker(out);
}

/* Reads and writes come as they like, by the bell or not; each comes back, and none twice. */
static void nothing_is_lost_between_the_two(void **state)
{
	const uint64_t until = clock_now() + DISK_PATIENCE_MS * (NSEC / 1000);
	unsigned out = 0, n = 0, lends = 0;
	struct driver_done back;
	bool was = false;

	start_lent(state);
	while (n < 6000) {
		while (out < 8 && n + out < 6000) {
			unsigned how = (n + out) / 100 % 4;

			if (how == 3 && (n + out) % 10 == 0)
				add(VIRTIO_BLK_T_FLUSH, 0, 0, 0);
			else
				add(how == 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, n % 1000, DATA,
				    512);
			out++;
			if (!driver_publish(&drv[0]))
				continue;
			virtio_lock(&blk.dev);
			host.kicks += !away;
			if (away)
				ring();
			virtio_unlock(&blk.dev);
		}
		disk_turn_within(&io, 0);
		if (kicks()) {
			virtio_lock(&blk.dev);
			host.kicks = 0;
			virtio_unlock(&blk.dev);
			driver_serve(&blk.dev);
		}
		tick_held();
		if (deadline() != NEVER)
			virtio_tick(&blk.dev, clock_now());
		virtio_lock(&blk.dev);
		for (; driver_used(&drv[0], &back); n++)
			out--;
		virtio_unlock(&blk.dev);
		lends += is_lent() && !was;
		was = is_lent();
		assert_true(clock_now() < until);
	}
	assert_int_equal(out, 0);
	assert_in_range(lends, 1, 6000);
}

// clang-format off
#define L(f) {#f, f, lend_setup, lend_teardown, (void *)&by_both}
// clang-format on

int main(void)
{
	const struct CMUnitTest tests[] = {
		L(writes_and_cached_reads_lend_the_bell),
		L(disk_that_waits_for_its_medium_does_not_lend_it),
		L(disk_whose_writes_need_not_wait_lends_it),
		L(limited_disk_does_not_lend_it),
		L(write_wakes_the_worker_alone),
		L(cached_read_wakes_the_worker_alone),
		L(read_that_has_to_wait_is_the_loops),
		L(long_reads_are_the_loops),
		L(several_writes_are_a_row),
		L(all_queues_are_looked_at),
		L(refused_write_is_answered_there),
		L(bell_without_a_request_is_no_harm),
		L(anything_else_is_the_loops),
		L(late_ring_is_passed_on),
		L(other_disk_calls_it_back),
		L(held_up_worker_gives_it_back),
		L(held_up_worker_withholds_no_answers),
		L(idle_disk_has_no_ticks),
		L(worker_that_called_leaves_the_queues_alone),
		L(scarce_slots_are_the_loops),
		L(replaced_file_is_written_to),
		L(broken_ring_stops_it),
		L(pause_leaves_the_queue_alone),
		L(reset_awaits_the_row),
		L(many_writes_take_few_notifications),
		L(nothing_is_lost_between_the_two),
	};

	if (!uring_watch())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
