/* virtio_test.c - what all virtio devices share: status, features, settings, reset, the loop. */
#include "../../../src/virtio/virtio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/driver.h"
#include "../said.h"

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)

static struct ram ram;
static struct driver drv[2];
static struct driver_host host;
static struct virtio_dev dev;
static struct chain chain;

static void echo_notify(struct virtio_dev *d) REQUIRES(d->lock)
{
	while (virtio_pop(d, 0, &chain)) {
		size_t n = chain_write(&chain, 0, "pong", 4);

		queue_push(&d->queue[0], chain.head, (uint32_t)n);
	}
	virtio_flush(d, 0);
}

static const struct virtio_ops echo = {.name = "echo", .id = 42, .notify = echo_notify};

static int setup(void **state)
{
	ram = driver_ram(2 * MIB, 0);
	driver_host_init(&host);
	virtio_init(&dev, &echo, &host.host, &ram, BIT(3), 2, 16);
	driver_init(&drv[0], &ram, 0x1000, 16, FEATURES);
	driver_init(&drv[1], &ram, 0x80000, 16, FEATURES);
	return 0;
}

static int teardown(void **state)
{
	driver_ram_free(&ram);
	return 0;
}

static void a_driver_that_keeps_the_rules_is_served(void **state)
{
	struct driver_done done;
	uint64_t at = driver_alloc(&drv[0], 4);

	assert_true(driver_bring_up(&host, &dev, drv, 2, FEATURES));
	driver_add(&drv[0], &(struct driver_buf){at, 4, true}, 1);
	driver_kick(&drv[0], &dev);
	assert_true(driver_used(&drv[0], &done));
	assert_int_equal(done.len, 4);
	assert_memory_equal(driver_at(&drv[0], at, 4), "pong", 4);
	assert_int_equal(host.irqs[0], 1);
	assert_true(driver_reset(&dev));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_driver_that_keeps_the_rules_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
