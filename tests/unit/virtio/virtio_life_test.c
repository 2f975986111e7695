/*
 * virtio_life_test.c - a virtio device from its start to the end of its reset: notifications, the
 * bell, timers, what is in flight, broken rings, two threads.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pong.h"

/* --- notifications and the loop --- */

static void a_notification_kicks_the_loop(void **state)
{
	up();
	host.kicks = 0;
	ask(0);
	notify();
	assert_int_equal(host.kicks, 1);
	assert_int_equal(dev.slow_kicks, 1);
	called("");
	virtio_service(&dev);
	assert_int_equal(answers(0), 1);
}

static void chains_left_over_are_served_at_the_next_turn(void **state)
{
	seen.again = 3;
	prepare();
	set(ALL_OK);
	assert_int_equal(driver_serve(&dev), 4);
	called("snnnn");
	assert_false(dev.again);
}

static void what_the_driver_does_not_want_is_no_interrupt(void **state)
{
	up();
	driver_interrupts(&drv[0], false);
	ask(0);
	virtio_service(&dev);
	assert_int_equal(answers(0), 1);
	assert_int_equal(host.irqs[0], 0);
	assert_int_equal(dev.irqs, 0);
	driver_interrupts(&drv[0], true);
	for (unsigned i = 0; i < 3; i++)
		ask(0);
	virtio_service(&dev); /* one for all three */
	assert_int_equal(answers(0), 3);
	assert_int_equal(host.irqs[0], 1);
}

static void the_bell_is_where_the_transport_says_while_live(void **state)
{
	dev.bell = 0xc0001050;
	virtio_service(&dev);
	assert_int_equal(host.bells, 0);
	up();
	assert_int_equal(host.bell, 0xc0001050);
	assert_int_equal(dev.bell_set, 0xc0001050);
	virtio_service(&dev);
	assert_int_equal(host.bells, 1);
	dev.bell = 0xd0001050; /* the BAR moved */
	virtio_service(&dev);
	assert_int_equal(host.bell, 0xd0001050);
	assert_int_equal(host.bells, 2);
	dev.bell = 0;
	virtio_service(&dev);
	assert_int_equal(host.bell, 0);
	dev.bell = 0xd0001050;
	virtio_service(&dev);
	seen.bell_at_stop = 1;
	set(0);
	virtio_service(&dev);
	assert_int_equal(seen.bell_at_stop, 0);
	assert_int_equal(host.bell, 0);
	assert_int_equal(dev.bell_set, 0);
}

static void wake_at(uint64_t deadline)
{
	virtio_lock(&dev);
	virtio_wake_at(&dev, deadline);
	virtio_unlock(&dev);
}

static void a_paused_device_processes_nothing_and_loses_nothing(void **state)
{
	up();
	ask(0);
	assert_int_equal(dev.queue[1].used_idx, 0);
	virtio_pause(&dev, true);
	virtio_lock(&dev);
	queue_push(&dev.queue[1], 0, 4); /* ends in the pause */
	virtio_flush(&dev, 1);
	virtio_unlock(&dev);
	assert_int_equal(host.irqs[1], 1);
	host.kicks = 0;
	notify();
	assert_int_equal(host.kicks, 0);
	virtio_service(&dev);
	called("");
	assert_int_equal(host.bell, dev.bell); /* the next notification comes after the pause */
	virtio_pause(&dev, true);              /* again */
	wake_at(5000);
	assert_int_equal(virtio_tick(&dev, 6000), NEVER);
	host.wake_at = NEVER;
	virtio_pause(&dev, false);
	assert_int_equal(host.kicks, 1);
	assert_int_equal(host.wake_at, 5000);
	virtio_service(&dev);
	assert_int_equal(answers(0), 1);
	virtio_pause(&dev, false);
	assert_int_equal(host.kicks, 1);
	virtio_pause(&dev, true);
	assert_true(driver_reset(&dev));
}

/* --- timers --- */

static void the_earliest_deadline_is_kept(void **state)
{
	up();
	assert_true(virtio_tick(&dev, 0) == NEVER);
	wake_at(100);
	assert_int_equal(host.wake_at, 100);
	host.wake_at = 0;
	wake_at(200);
	wake_at(100);
	assert_int_equal(host.wake_at, 0); /* the loop knows of an earlier one */
	wake_at(50);
	assert_int_equal(host.wake_at, 50);
	assert_int_equal(virtio_tick(&dev, 49), 50);
	called("");
	assert_true(virtio_tick(&dev, 50) == NEVER);
	assert_int_equal(seen.ticked, 50);
	called("t");
	assert_true(virtio_tick(&dev, 1000) == NEVER);
	called("");
}

static void a_tick_may_ask_for_the_next(void **state)
{
	up();
	wake_at(10);
	seen.next_tick = 70;
	assert_int_equal(virtio_tick(&dev, 60), 70);
	called("t");
	assert_int_equal(host.wake_at, 70);
}

static void only_a_live_device_ticks(void **state)
{
	wake_at(1);
	assert_true(virtio_tick(&dev, 5) == NEVER);
	called("");
	up();
	wake_at(10);
	seen.busy = true;
	set(0);
	assert_true(virtio_tick(&dev, 10) == NEVER);
	virtio_service(&dev);
	called("x");
	stopped();
	up(); /* a deadline does not survive a reset */
	assert_true(virtio_tick(&dev, 1000) == NEVER);
	called("");
}

/* --- reset --- */

static void a_device_that_was_not_started_is_reset_at_once(void **state)
{
	prepare();
	settings(0)->vector = 1;
	set_size(0, 8);
	assert_false(set(0));
	assert_int_equal(status(), 0);
	assert_int_equal(acked(0) | acked(1), 0);
	assert_int_equal(settings(0)->size, 16);
	assert_int_equal(settings(0)->desc, 0);
	assert_int_equal(settings(0)->vector, QUEUE_NO_VECTOR);
	assert_false(settings(0)->enabled);
	assert_int_equal(host.resets, 1);
	assert_int_equal(dev.resets, 1);
	assert_int_equal(host.kicks, 0);
	virtio_service(&dev);
	called("");
}

static void so_is_one_that_the_loop_has_not_seen(void **state)
{
	prepare();
	set(ALL_OK);
	assert_false(set(0));
	assert_int_equal(status(), 0);
	virtio_service(&dev);
	called("");
	up();
}

static void the_loop_resets_a_started_device(void **state)
{
	up();
	host.kicks = 0;
	assert_true(set(0));
	assert_int_equal(status(), ALL_OK); /* Linux waits for 0 */
	assert_int_equal(host.kicks, 1);
	assert_int_equal(host.resets, 0);
	called("");
	virtio_service(&dev);
	called("x");
	assert_int_equal(status(), 0);
	assert_int_equal(host.resets, 1);
	assert_int_equal(dev.resets, 1);
	assert_false(dev.queue[0].started);
	assert_int_equal(acked(1), 0);
	virtio_service(&dev);
	called("");
	up();
}

static void a_device_without_stop_has_nothing_in_flight(void **state)
{
	device(&plain);
	prepare();
	set(ALL_OK);
	virtio_service(&dev);
	called("n");
	assert_true(driver_reset(&dev));
}

static void a_reset_waits_for_what_is_in_flight(void **state)
{
	up();
	seen.busy = true;
	assert_true(set(0));
	for (unsigned i = 0; i < 3; i++)
		virtio_service(&dev);
	called("x"); /* once */
	assert_int_equal(status(), ALL_OK);
	assert_true(set(0));
	assert_true(set(ACK | DRIVER)); /* does not cut it short */
	assert_int_equal(status(), ALL_OK);
	assert_int_equal(host.resets, 0);
	stopped();
	assert_int_equal(status(), 0);
	assert_int_equal(host.resets, 1);
	stopped(); /* one too many is harmless */
	assert_int_equal(host.resets, 1);
	seen.busy = false;
	up();
	stopped();
	assert_int_equal(status(), ALL_OK);
}

static void stop_may_end_the_reset_itself(void **state)
{
	up();
	seen.own_stop = true;
	assert_true(driver_reset(&dev));
	assert_int_equal(host.resets, 1);
	assert_int_equal(dev.resets, 1);
}

static void stopped_before_stop_was_asked_means_nothing(void **state)
{
	up();
	set(0);
	stopped();
	assert_int_equal(status(), ALL_OK);
	virtio_service(&dev);
	assert_int_equal(status(), 0);
}

static void nothing_is_processed_while_it_stops(void **state)
{
	up();
	dev.config_len = 4;
	seen.busy = true;
	host.kicks = 0;
	ask(0);
	set(0);
	host.kicks = 0;
	notify();
	assert_int_equal(host.kicks, 0);
	config_write(0, 4, 1);
	virtio_lock(&dev);
	assert_int_equal(virtio_pop(&dev, 0, &chain), 0);
	queue_push(&dev.queue[0], 0, 4); /* an answer that comes too late */
	virtio_flush(&dev, 0);
	virtio_unlock(&dev);
	virtio_service(&dev);
	called("x");
	assert_int_equal(answers(0), 0);
	assert_int_equal(host.irqs[0], 0);
}

static void a_device_is_good_for_many_resets(void **state)
{
	for (unsigned i = 0; i < 10000; i++) {
		prepare();
		set(ALL_OK);
		if (i % 3)
			virtio_service(&dev);
		seen.busy = i % 2;
		set(0);
		virtio_service(&dev);
		stopped();
		assert_int_equal(status(), 0);
	}
	assert_int_equal(dev.resets, 10000);
	seen.n = 0;
	up();
	ask(0);
	virtio_service(&dev);
	assert_int_equal(answers(0), 1);
}

/* As a transport waits whose driver does not read back. */
static void *await(void *arg)
{
	const struct timespec long_enough = {.tv_sec = 60};

	for (;;) {
		uint32_t before = dev.resets;

		if (status() == 0)
			return NULL;
		if (syscall(SYS_futex, &dev.resets, FUTEX_WAIT_PRIVATE, before, &long_enough, NULL,
			    0) < 0 &&
		    errno == ETIMEDOUT)
			return "nobody woke it";
	}
}

static void the_end_of_a_reset_wakes_all_who_wait(void **state)
{
	const struct timespec moment = {.tv_nsec = 20000000};
	pthread_t thread[3];
	void *wrong;

	up();
	set(0);
	for (unsigned i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, await, NULL), 0);
	nanosleep(&moment, NULL); /* most likely they sleep by then; if not, nothing is shown */
	virtio_service(&dev);
	for (unsigned i = 0; i < ARRAY_SIZE(thread); i++) {
		assert_int_equal(pthread_join(thread[i], &wrong), 0);
		assert_null(wrong);
	}
}

/* --- broken rings --- */

static void a_broken_ring_stops_the_device_until_a_reset(void **state)
{
	dev.bell = 0xc0001050;
	up();
	ask(1);
	driver_put_avail(&drv[0], 16);
	wake_at(10);
	virtio_service(&dev);
	called("n");
	assert_int_equal(status(), ALL_OK | VIRTIO_S_NEEDS_RESET);
	assert_int_equal(host.config_irqs, 1);
	assert_int_equal(said_lines, 1);
	assert_non_null(strstr(said, "pong"));
	assert_int_equal(answers(1), 0);
	assert_int_equal(host.irqs[0] + host.irqs[1], 0);
	assert_int_equal(host.bell, 0);
	host.kicks = 0;
	notify();
	assert_int_equal(host.kicks, 0);
	virtio_service(&dev);
	assert_true(virtio_tick(&dev, 1000) == NEVER);
	called("");
	assert_int_equal(host.config_irqs, 1);
	set(ALL_OK); /* writing what it reads changes nothing */
	assert_int_equal(status(), ALL_OK | VIRTIO_S_NEEDS_RESET);
	assert_true(set(0));
	virtio_service(&dev);
	called("x");
	up();
	ask(0);
	virtio_service(&dev);
	assert_int_equal(answers(0), 1);
	assert_int_equal(said_lines, 1);
}

static void a_device_breaks_once(void **state)
{
	up();
	virtio_lock(&dev);
	virtio_break(&dev, "a header lies");
	virtio_break(&dev, "another, too");
	assert_int_equal(virtio_pop(&dev, 0, &chain), 0);
	queue_push(&dev.queue[0], 0, 4);
	virtio_flush(&dev, 0);
	virtio_unlock(&dev);
	assert_int_equal(host.irqs[0], 0);
	assert_int_equal(host.config_irqs, 1);
	assert_int_equal(said_lines, 1);
	assert_non_null(strstr(said, "a header lies"));
}

/* --- registers and the loop at once --- */

#define STORM_RESETS 100u

static _Atomic bool storm_over;

/* Every register, at random, from a vCPU's thread, until the loop has seen enough. */
static void *storm(void *arg)
{
	unsigned r = 1;

	while (!storm_over) {
		struct queue *q;

		r = r * 1103515245 + 12345;
		virtio_lock(&dev);
		switch (r >> 16 & 7) {
		case 0: virtio_set_status(&dev, (uint8_t)(r >> 20)); break;
		case 1: virtio_set_status(&dev, 0); break;
		case 2:
		case 3:
			virtio_ack(&dev, 0, 0);
			virtio_ack(&dev, 1, 1);
			for (unsigned n = 0; n < 2; n++)
				if ((q = virtio_queue_rw(&dev, n)))
					driver_settings(&drv[n], q);
			virtio_set_status(&dev, ALL_OK);
			break;
		case 4: virtio_config_write(&dev, r >> 20 & 7, 4, r); break;
		case 5:
			if ((q = virtio_queue_rw(&dev, r >> 20 & 3)))
				q->used = r;
			break;
		default: virtio_notify(&dev); break;
		}
		virtio_unlock(&dev);
		for (volatile unsigned pause = r >> 22; pause; pause--) /* the lock is not fair */
			;
	}
	return NULL;
}

/* What the loop may see of a device: start, then notify, then stop, then all over again. */
static struct {
	bool running;
	unsigned starts, stops, wrong;
} order;

static void order_start(struct virtio_dev *d)
{
	order.wrong += order.running;
	order.running = true;
	order.starts++;
}

static void order_notify(struct virtio_dev *d) REQUIRES(d->lock)
{
	order.wrong += !order.running || !virtio_live(d);
	pong_notify(d);
}

static bool order_stop(struct virtio_dev *d)
{
	order.wrong += !order.running;
	order.running = false;
	return order.stops++ % 2;
}

static void the_device_sees_one_order_whatever_the_driver_does(void **state)
{
	static const struct virtio_ops ops = {
		.name = "order",
		.start = order_start,
		.notify = order_notify,
		.stop = order_stop,
		.config_write = pong_config_write,
	};
	pthread_t thread;

	device(&ops);
	dev.config_len = 8;
	dev.bell = 0xc0001050;
	driver_init(&drv[0], &ram, RING, 16, 0);
	driver_init(&drv[1], &ram, RING_2, 16, 0);
	assert_int_equal(pthread_create(&thread, NULL, storm, NULL), 0);
	while (order.stops < STORM_RESETS) {
		virtio_service(&dev);
		virtio_tick(&dev, 0);
		if (order.starts == order.stops)
			stopped();
	}
	storm_over = true;
	pthread_join(thread, NULL);
	assert_int_equal(order.wrong, 0);
	assert_in_range(order.starts - order.stops, 0, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_notification_kicks_the_loop),
		T(chains_left_over_are_served_at_the_next_turn),
		T(what_the_driver_does_not_want_is_no_interrupt),
		T(the_bell_is_where_the_transport_says_while_live),
		T(a_paused_device_processes_nothing_and_loses_nothing),
		T(the_earliest_deadline_is_kept),
		T(a_tick_may_ask_for_the_next),
		T(only_a_live_device_ticks),
		T(a_device_that_was_not_started_is_reset_at_once),
		T(so_is_one_that_the_loop_has_not_seen),
		T(the_loop_resets_a_started_device),
		T(a_device_without_stop_has_nothing_in_flight),
		T(a_reset_waits_for_what_is_in_flight),
		T(stop_may_end_the_reset_itself),
		T(stopped_before_stop_was_asked_means_nothing),
		T(nothing_is_processed_while_it_stops),
		T(a_device_is_good_for_many_resets),
		T(the_end_of_a_reset_wakes_all_who_wait),
		T(a_broken_ring_stops_the_device_until_a_reset),
		T(a_device_breaks_once),
		T(the_device_sees_one_order_whatever_the_driver_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
