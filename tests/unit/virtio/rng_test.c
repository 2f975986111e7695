/* rng_test.c - behaviours of the entropy device: what is filled, how much, and what waits. */
#include "../../../src/virtio/rng.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#include "../../../src/clock.h"
#include "../../lib/driver.h"
#include "../said.h"

#define LOW   (16 * MIB)
#define TAKEN (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)
#define SIZE  256

static struct ram ram;
static struct driver drv;
static struct driver_host host;
static struct rng rng;

/* The kernel's generator: fills with 0xa5, fails as told. */
static unsigned calls;
static int fail_err; /* of fail_calls calls, after fail_after good ones */
static unsigned fail_after, fail_calls;
static size_t short_of; /* bytes that each call gives less than asked */

ssize_t getrandom(void *to, size_t len, unsigned flags)
{
	assert_int_equal(flags, GRND_NONBLOCK);
	assert_true((uint8_t *)to >= ram.host && (uint8_t *)to + len <= ram.host + LOW);
	if (++calls > fail_after && fail_calls) {
		fail_calls--;
		errno = fail_err;
		return -1;
	}
	len -= MIN(short_of, len - 1);
	memset(to, 0xa5, len);
	return (ssize_t)len;
}

static void start(const struct rng_conf *conf)
{
	rng_init(&rng, conf, &host.host, &ram);
	driver_init(&drv, &ram, 0x1000, SIZE, TAKEN);
	assert_true(driver_bring_up(&host, &rng.dev, &drv, 1, TAKEN));
	host.irqs[0] = 0;
}

static int setup(void **state)
{
	ram = driver_ram(LOW, 0);
	driver_host_init(&host);
	calls = fail_after = fail_calls = said_lines = 0;
	short_of = 0;
	start(&(struct rng_conf){0});
	return 0;
}

static int teardown(void **state)
{
	driver_ram_free(&ram);
	return 0;
}

static int add(uint64_t gpa, uint32_t len)
{
	return driver_add(&drv, &(struct driver_buf){gpa, len, true}, 1);
}

/* The answer to the chain `head`, which is the next that came back. */
static uint32_t answer(int head)
{
	struct driver_done done;

	assert_true(driver_used(&drv, &done));
	assert_int_equal(done.head, head);
	return done.len;
}

static void assert_filled(uint64_t gpa, size_t len)
{
	const uint8_t *p = driver_at(&drv, gpa, len);

	for (size_t i = 0; i < len; i++)
		assert_int_equal(p[i], 0xa5);
	if (gpa + len < LOW)
		assert_int_equal(p[len], 0);
	assert_int_equal(p[-1], 0);
}

static void it_is_an_entropy_device_of_one_queue(void **state)
{
	assert_int_equal(rng.dev.ops->id, 4);
	assert_int_equal(rng.dev.queues, 1);
	assert_int_equal(rng.dev.offered, TAKEN);
	assert_int_equal(rng.dev.config_len, 0);
}

static void buffer_is_filled(void **state)
{
	int head = add(0x800010, 64);

	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head), 64);
	assert_filled(0x800010, 64);
	assert_int_equal(calls, 1);
	assert_int_equal(host.irqs[0], 1);
	assert_int_equal(rng.bytes, 64);
}

static void all_buffers_of_a_chain_are_filled(void **state)
{
	const struct driver_buf buf[] = {
		{0x800000, 16,   false},
                {0x801000, 1,    true },
                {0x802000, 4096, true }
        };
	int head = driver_add(&drv, buf, 3);

	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head), 4097);
	assert_filled(0x801000, 1);
	assert_filled(0x802000, 4096);
	assert_int_equal(*(uint8_t *)driver_at(&drv, 0x800000, 1), 0);
}

static void readable_chain_is_given_back_with_nothing(void **state)
{
	int head = driver_add(&drv, &(struct driver_buf){0x800000, 64, false}, 1);

	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head), 0);
	assert_int_equal(calls, 0);
}

static void request_is_cut_at_64_kib(void **state)
{
	int head = add(0x100000, 14 * MIB);

	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head), 65536);
	assert_filled(0x100000, 65536);
}

static void many_large_buffers_are_cut_at_64_kib(void **state)
{
	struct driver_buf buf[60];
	int head;

	for (unsigned i = 0; i < 60; i++)
		buf[i] = (struct driver_buf){0x800000, i < 10 ? 6000 : 8 * MIB, true};
	head = driver_add(&drv, buf, 60);
	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head), 65536);
	assert_int_equal(calls, 11);
	assert_int_equal(rng.bytes, 65536);
}

static void turn_ends_after_256_kib(void **state)
{
	struct driver_done done;

	for (unsigned i = 0; i < 9; i++)
		add(0x800000, 65536);
	driver_publish(&drv);
	virtio_service(&rng.dev);
	assert_int_equal(rng.bytes, 256 * KIB);
	assert_true(rng.dev.again);
	assert_int_equal(host.irqs[0], 1);
	virtio_service(&rng.dev);
	virtio_service(&rng.dev);
	assert_false(rng.dev.again);
	for (unsigned i = 0; i < 9; i++)
		assert_true(driver_used(&drv, &done));
}

static void turn_of_tiny_buffers_is_bounded_in_calls(void **state)
{
	struct driver_buf buf[64];
	unsigned once;

	for (unsigned i = 0; i < 64; i++)
		buf[i] = (struct driver_buf){0x800000, 1, true};
	for (unsigned i = 0; i < 200; i++)
		assert_true(driver_add(&drv, buf, 64) >= 0);
	driver_publish(&drv);
	virtio_service(&rng.dev);
	once = calls;
	assert_in_range(once, 512, 512 + 64);
	assert_true(rng.dev.again);
	driver_serve(&rng.dev);
	assert_int_equal(calls, 200 * 64);
}

static void many_requests_make_one_interrupt(void **state)
{
	struct driver_done done;

	for (unsigned i = 0; i < 100; i++)
		add(0x800000, 16);
	driver_kick(&drv, &rng.dev);
	for (unsigned i = 0; i < 100; i++)
		assert_true(driver_used(&drv, &done));
	assert_int_equal(host.irqs[0], 1);
}

static void interrupted_call_is_made_again(void **state)
{
	int head = add(0x800000, 64);

	fail_err = EINTR;
	fail_calls = 3;
	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head), 64);
	assert_int_equal(calls, 4);
}

static void short_answer_is_an_answer(void **state)
{
	const struct driver_buf buf[] = {
		{0x800000, 1000, true},
                {0x900000, 1000, true}
        };
	int head = driver_add(&drv, buf, 2);

	short_of = 300;
	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head), 700);
	assert_filled(0x800000, 700);
	assert_int_equal(calls, 1);
}

static void failure_after_some_bytes_is_a_short_answer(void **state)
{
	const struct driver_buf buf[] = {
		{0x800000, 1000, true},
                {0x900000, 1000, true}
        };
	int head = driver_add(&drv, buf, 2);

	fail_err = EFAULT;
	fail_after = fail_calls = 1;
	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head), 1000);
	assert_int_equal(rng.dev.errors, 0);
}

static void host_without_entropy_is_asked_later(void **state)
{
	struct driver_done done;
	int head = add(0x800000, 64);

	fail_err = EAGAIN;
	fail_calls = 1;
	driver_kick(&drv, &rng.dev);
	assert_false(driver_used(&drv, &done));
	assert_false(rng.dev.again);
	assert_int_equal(rng.starved, 1);
	assert_int_equal(said_lines, 0);
	assert_in_range(host.wake_at - clock_now(), 1, 100 * NSEC / 1000);
	virtio_tick(&rng.dev, host.wake_at);
	assert_int_equal(answer(head), 64);
	assert_int_equal(host.irqs[0], 1);
}

static void failing_host_gives_nothing_and_says_so(void **state)
{
	int head = add(0x800000, 64);

	fail_err = EFAULT;
	fail_calls = 1;
	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head), 0);
	assert_int_equal(rng.dev.errors, 1);
	assert_int_equal(said_lines, 1);
	head = add(0x800000, 64);
	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head), 64);
}

static void limit_makes_requests_wait(void **state)
{
	struct driver_done done;
	int head[3];

	start(&(struct rng_conf){
		.bytes = {.size = 1000, .refill_ms = 100000}
        });
	head[0] = add(0x800000, 600);
	head[1] = add(0x810000, 600);
	head[2] = add(0x820000, 600);
	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head[0]), 600);
	assert_false(driver_used(&drv, &done));
	assert_false(rng.dev.again);
	assert_true(host.wake_at > clock_now() + NSEC && host.wake_at != NEVER);
	assert_int_equal(rng.limit.throttled, 1);
	rng_set_limits(&rng, &(struct limit_conf){0}, NULL);
	virtio_tick(&rng.dev, host.wake_at);
	assert_int_equal(answer(head[1]), 600);
	assert_int_equal(answer(head[2]), 600);
}

static void operations_are_limited_too(void **state)
{
	struct driver_done done;

	start(&(struct rng_conf){
		.ops = {.size = 2, .refill_ms = 100000}
        });
	for (unsigned i = 0; i < 5; i++)
		add(0x800000, 16);
	driver_kick(&drv, &rng.dev);
	assert_true(driver_used(&drv, &done));
	assert_true(driver_used(&drv, &done));
	assert_false(driver_used(&drv, &done));
}

static void only_what_is_given_counts_against_the_limit(void **state)
{
	struct driver_done done;

	start(&(struct rng_conf){
		.bytes = {.size = 65536 + 64, .refill_ms = 100000}
        });
	add(0x100000, 14 * MIB);
	add(0x800000, 64);
	driver_kick(&drv, &rng.dev);
	assert_true(driver_used(&drv, &done));
	assert_true(driver_used(&drv, &done));
	assert_int_equal(done.len, 64);
}

static void host_without_entropy_costs_no_tokens(void **state)
{
	int head;

	start(&(struct rng_conf){
		.bytes = {.size = 64, .refill_ms = 100000}
        });
	head = add(0x800000, 64);
	fail_err = EAGAIN;
	fail_calls = 1;
	driver_kick(&drv, &rng.dev);
	virtio_tick(&rng.dev, host.wake_at);
	assert_int_equal(answer(head), 64);
}

static void limits_of_a_device_that_rests_wake_nobody(void **state)
{
	assert_true(driver_reset(&rng.dev));
	rng_set_limits(&rng, &(struct limit_conf){.size = 1, .refill_ms = 1}, NULL);
	assert_int_equal(host.wake_at, NEVER);
}

static void broken_ring_needs_a_reset(void **state)
{
	int head;

	driver_put_avail_idx(&drv, 300);
	virtio_service(&rng.dev);
	assert_true(driver_status(&rng.dev) & VIRTIO_S_NEEDS_RESET);
	assert_false(rng.dev.again);
	assert_true(driver_reset(&rng.dev));
	start(&(struct rng_conf){0});
	head = add(0x800000, 64);
	driver_kick(&drv, &rng.dev);
	assert_int_equal(answer(head), 64);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_is_an_entropy_device_of_one_queue),
		T(buffer_is_filled),
		T(all_buffers_of_a_chain_are_filled),
		T(readable_chain_is_given_back_with_nothing),
		T(request_is_cut_at_64_kib),
		T(many_large_buffers_are_cut_at_64_kib),
		T(turn_ends_after_256_kib),
		T(turn_of_tiny_buffers_is_bounded_in_calls),
		T(many_requests_make_one_interrupt),
		T(interrupted_call_is_made_again),
		T(short_answer_is_an_answer),
		T(failure_after_some_bytes_is_a_short_answer),
		T(host_without_entropy_is_asked_later),
		T(failing_host_gives_nothing_and_says_so),
		T(limit_makes_requests_wait),
		T(operations_are_limited_too),
		T(only_what_is_given_counts_against_the_limit),
		T(host_without_entropy_costs_no_tokens),
		T(limits_of_a_device_that_rests_wake_nobody),
		T(broken_ring_needs_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
