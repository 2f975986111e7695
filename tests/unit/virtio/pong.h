/*
 * pong.h - a device that answers "pong" on all queues and writes down who called it, and the
 * register accesses of its driver. For the tests of virtio.c.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/virtio/virtio.h"
#include "../../lib/driver.h"
#include "../said.h"

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)
#define OWN      BIT(3) /* the one feature of this device */
#define ACK      VIRTIO_S_ACKNOWLEDGE
#define DRIVER   VIRTIO_S_DRIVER
#define DRV_OK   VIRTIO_S_DRIVER_OK
#define FEAT_OK  VIRTIO_S_FEATURES_OK
#define ALL_OK   (ACK | DRIVER | FEAT_OK | DRV_OK)
#define RING     0x1000ull
#define RING_2   0x80000ull

/* A device that answers "pong" on all queues, and writes down who called it. */
static struct {
	char calls[64]; /* s start, n notify, x stop, t tick, c config_write */
	unsigned n;
	bool busy;      /* stop() says that something is in flight */
	bool own_stop;  /* stop() says itself that nothing is */
	bool lazy;      /* notify() looks at nothing */
	unsigned again; /* notify() asks for so many turns more */
	uint32_t wrote;
	unsigned wrote_off, wrote_size;
	uint64_t ticked, next_tick;
	uint64_t bell_at_stop;
} seen;

static struct ram ram;
static struct driver drv[2];
static struct driver_host host;
static struct virtio_dev dev;
static struct chain chain;

static inline void call(char c)
{
	if (seen.n < sizeof(seen.calls) - 1)
		seen.calls[seen.n++] = c;
}

static inline void pong_start(struct virtio_dev *d)
{
	call('s');
}

static inline void pong_notify(struct virtio_dev *d) REQUIRES(d->lock)
{
	call('n');
	if (seen.again) {
		seen.again--;
		d->again = true;
	}
	for (unsigned i = 0; i < d->queues && !seen.lazy; i++) {
		queue_quiet(&d->queue[i]);
		do {
			while (virtio_pop(d, i, &chain)) {
				size_t n = chain_write(&chain, 0, "pong", 4);

				queue_push(&d->queue[i], chain.head, (uint32_t)n);
			}
		} while (virtio_live(d) && queue_listen(&d->queue[i]));
		virtio_flush(d, i);
	}
}

static inline bool pong_stop(struct virtio_dev *d) REQUIRES(d->lock)
{
	call('x');
	seen.bell_at_stop = host.bell;
	if (seen.own_stop)
		virtio_stopped(d);
	return !seen.busy;
}

static inline void pong_tick(struct virtio_dev *d, uint64_t now) REQUIRES(d->lock)
{
	call('t');
	seen.ticked = now;
	assert_true(d->deadline == NEVER);
	if (seen.next_tick)
		virtio_wake_at(d, seen.next_tick);
}

static inline void pong_config_write(struct virtio_dev *d, unsigned off, unsigned size,
				     uint32_t val)
{
	call('c');
	seen.wrote = val;
	seen.wrote_off = off;
	seen.wrote_size = size;
}

static const struct virtio_ops pong = {
	.name = "pong",
	.id = 42,
	.start = pong_start,
	.notify = pong_notify,
	.stop = pong_stop,
	.tick = pong_tick,
	.config_write = pong_config_write,
};
static const struct virtio_ops plain = {.name = "plain", .id = 43, .notify = pong_notify};

static inline void device(const struct virtio_ops *ops)
{
	driver_host_init(&host);
	memset(&seen, 0, sizeof(seen));
	memset(&dev, 0xa5, sizeof(dev)); /* init owes nothing to what was there */
	virtio_init(&dev, ops, &host.host, &ram, OWN, 2, 16);
	dev.irq = host.irq;
	said_lines = 0;
}

static inline int setup(void **state)
{
	ram = driver_ram(2 * MIB, 0);
	device(&pong);
	return 0;
}

static inline int teardown(void **state)
{
	driver_ram_free(&ram);
	return 0;
}

/* What was called since the last look. */
static inline void called(const char *want)
{
	seen.calls[seen.n] = '\0';
	assert_string_equal(seen.calls, want);
	seen.n = 0;
}

/* The register accesses of a driver, as a transport makes them. */
static inline bool set(unsigned status)
{
	bool reset;

	virtio_lock(&dev);
	reset = virtio_set_status(&dev, (uint8_t)status);
	virtio_unlock(&dev);
	return reset;
}

static inline unsigned status(void)
{
	return driver_status(&dev);
}

static inline void ack(uint32_t sel, uint32_t val)
{
	virtio_lock(&dev);
	virtio_ack(&dev, sel, val);
	virtio_unlock(&dev);
}

static inline uint32_t acked(uint32_t sel)
{
	uint32_t val;

	virtio_lock(&dev);
	val = virtio_acked(&dev, sel);
	virtio_unlock(&dev);
	return val;
}

static inline void notify(void)
{
	virtio_lock(&dev);
	virtio_notify(&dev);
	virtio_unlock(&dev);
}

static inline struct queue *settings(unsigned n)
{
	struct queue *q;

	virtio_lock(&dev);
	q = virtio_queue_rw(&dev, n);
	virtio_unlock(&dev);
	return q;
}

static inline void set_size(unsigned n, uint16_t size)
{
	virtio_lock(&dev);
	virtio_queue_size(&dev, n, size);
	virtio_unlock(&dev);
}

static inline uint32_t config(unsigned off, unsigned size)
{
	uint32_t val;

	virtio_lock(&dev);
	val = virtio_config_read(&dev, off, size);
	virtio_unlock(&dev);
	return val;
}

static inline void config_write(unsigned off, unsigned size, uint32_t val)
{
	virtio_lock(&dev);
	virtio_config_write(&dev, off, size, val);
	virtio_unlock(&dev);
}

static inline void config_changed(void)
{
	virtio_lock(&dev);
	virtio_config_changed(&dev);
	virtio_unlock(&dev);
}

static inline void stopped(void)
{
	virtio_lock(&dev);
	virtio_stopped(&dev);
	virtio_unlock(&dev);
}

/* Rings for both queues, settings made; all but DRIVER_OK. */
static inline void prepare(void)
{
	driver_init(&drv[0], &ram, RING, 16, FEATURES);
	driver_init(&drv[1], &ram, RING_2, 16, FEATURES);
	ack(0, (uint32_t)FEATURES);
	ack(1, FEATURES >> 32);
	set(ACK | DRIVER | FEAT_OK);
	for (unsigned i = 0; i < 2; i++)
		driver_settings(&drv[i], settings(i));
}

/* ...and DRIVER_OK, and the turn that starts it. */
static inline void up(void)
{
	prepare();
	set(ALL_OK);
	virtio_service(&dev);
	called("sn");
}

static inline void ask(unsigned n)
{
	uint64_t at = driver_alloc(&drv[n], 8);

	assert_int_not_equal(driver_add(&drv[n], &(struct driver_buf){at, 8, true}, 1), -1);
	driver_publish(&drv[n]);
}

static inline unsigned answers(unsigned n)
{
	struct driver_done done;
	unsigned count = 0;

	while (driver_used(&drv[n], &done)) {
		assert_int_equal(done.len, 4);
		count++;
	}
	return count;
}
