/* queue_test.c - the device's side of a split virtqueue, honest drivers and lying ones. */
#include "../../../src/virtio/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/driver.h"

static struct ram ram;
static struct driver drv;
static struct queue q;
static struct chain chain;

static void start(uint16_t size, uint64_t features)
{
	driver_init(&drv, &ram, 0x1000, size, features);
	queue_reset(&q, QUEUE_SIZE_MAX);
	driver_settings(&drv, &q);
	assert_true(queue_start(&q, &ram, drv.event_idx, drv.indirect));
}

static int setup(void **state)
{
	ram = driver_ram(2 * MIB, MIB);
	start(8, 0);
	return 0;
}

static int teardown(void **state)
{
	driver_ram_free(&ram);
	return 0;
}

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
	assert_ptr_equal(chain.iov[0].iov_base, ram.host + at);
	assert_int_equal(queue_pop(&q, &chain), 0);
	queue_push(&q, chain.head, 513);
	assert_false(driver_used(&drv, &done));
	assert_true(queue_flush(&q));
	assert_true(driver_used(&drv, &done));
	assert_int_equal(done.head, head);
	assert_int_equal(done.len, 513);
	assert_false(queue_flush(&q));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_chain_goes_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
