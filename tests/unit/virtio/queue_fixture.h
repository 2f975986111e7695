/* queue_fixture.h - one queue and its driver in small RAM, for the tests of queue.c. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../../../src/virtio/queue.h"
#include "../../lib/driver.h"

#define LOW      (2 * MIB) /* RAM of most tests: 2 MiB from 0, 1 MiB from 4 GiB */
#define HIGH     (4 * GIB)
#define HIGH_END (HIGH + MIB)
#define BUF      0x100000ull /* a megabyte that no ring is in */
#define BOTH     (VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)

static struct ram ram;
static struct driver drv;
static struct queue q;
static struct chain chain;

/* A queue of its own on each call, so that a test can go through many. */
static inline void start(uint16_t size, uint64_t features)
{
	driver_init(&drv, &ram, 0x1000, size, features);
	queue_reset(&q, QUEUE_SIZE_MAX);
	driver_settings(&drv, &q);
	assert_true(queue_start(&q, &ram, drv.event_idx, features & VIRTIO_F_INDIRECT_DESC));
}

static inline int setup(void **state)
{
	ram = driver_ram(LOW, MIB);
	start(8, 0);
	return 0;
}

static inline int teardown(void **state)
{
	driver_ram_free(&ram);
	return 0;
}

static inline void add(uint32_t len)
{
	assert_int_not_equal(driver_add(&drv, &(struct driver_buf){BUF, len, true}, 1), -1);
}

static inline void add_many(unsigned n)
{
	while (n--)
		add(1);
	driver_publish(&drv);
}
