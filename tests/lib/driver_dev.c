/* driver_dev.c - a monitor that counts, and the driver's way to DRIVER_OK. */
#include "driver.h"

static void on_kick(void *ctx, struct virtio_dev *d)
{
	((struct driver_host *)ctx)->kicks++;
}

static void on_wake_at(void *ctx, uint64_t deadline)
{
	((struct driver_host *)ctx)->wake_at = deadline;
}

static void on_bell(void *ctx, struct virtio_dev *d, uint64_t old, uint64_t gpa)
{
	struct driver_host *h = ctx;

	if (old != h->bell)
		__builtin_trap(); /* the device lost track of it */
	h->bell = gpa;
	h->bells++;
}

/* There is one thread: it is the loop, too. */
static void on_await_reset(void *ctx, struct virtio_dev *d)
{
	virtio_service(d);
}

static void on_queue_irq(void *ctx, unsigned queue)
{
	((struct driver_host *)ctx)->irqs[queue]++;
}

static void on_config_irq(void *ctx)
{
	((struct driver_host *)ctx)->config_irqs++;
}

static void on_reset(void *ctx)
{
	((struct driver_host *)ctx)->resets++;
}

void driver_host_init(struct driver_host *h)
{
	*h = (struct driver_host){.wake_at = NEVER};
	h->host = (struct virtio_host){
		.ctx = h,
		.kick = on_kick,
		.wake_at = on_wake_at,
		.bell = on_bell,
		.await_reset = on_await_reset,
	};
	h->irq = (struct virtio_irq){
		.ctx = h,
		.queue = on_queue_irq,
		.config = on_config_irq,
		.reset = on_reset,
	};
}

bool driver_bring_up(struct driver_host *h, struct virtio_dev *d, const struct driver *v,
		     unsigned queues, uint64_t features)
{
	const uint8_t seen = VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER;
	bool good;

	d->irq = h->irq;
	driver_reset(d);
	virtio_lock(d);
	virtio_set_status(d, VIRTIO_S_ACKNOWLEDGE);
	virtio_set_status(d, seen);
	virtio_ack(d, 0, (uint32_t)features);
	virtio_ack(d, 1, (uint32_t)(features >> 32));
	virtio_set_status(d, seen | VIRTIO_S_FEATURES_OK);
	good = virtio_status(d) & VIRTIO_S_FEATURES_OK;
	for (unsigned i = 0; i < queues && good; i++)
		if (v[i].size)
			driver_settings(&v[i], virtio_queue_rw(d, i));
	if (good)
		virtio_set_status(d, seen | VIRTIO_S_FEATURES_OK | VIRTIO_S_DRIVER_OK);
	good = good && !(virtio_status(d) & VIRTIO_S_NEEDS_RESET);
	virtio_unlock(d);
	virtio_service(d);
	return good;
}

void driver_kick(struct driver *v, struct virtio_dev *d)
{
	if (!driver_publish(v))
		return;
	virtio_lock(d);
	virtio_notify(d);
	virtio_unlock(d);
	driver_serve(d);
}

/* Bounded: a device that always wants another turn is wrong. */
unsigned driver_serve(struct virtio_dev *d)
{
	unsigned turns = 0;

	do {
		virtio_service(d);
		if (++turns > 0x10000)
			__builtin_trap();
	} while (d->again);
	return turns;
}

bool driver_reset(struct virtio_dev *d)
{
	virtio_lock(d);
	virtio_set_status(d, 0);
	virtio_unlock(d);
	virtio_service(d);
	return driver_status(d) == 0;
}

uint8_t driver_status(struct virtio_dev *d)
{
	uint8_t status;

	virtio_lock(d);
	status = virtio_status(d);
	virtio_unlock(d);
	return status;
}
