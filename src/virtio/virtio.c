/*
 * virtio.c - what all virtio devices share [virtio 1.2, 2 and 3]: status, features, queue settings,
 * configuration space, the two-step reset.
 * Not modelled: legacy interface, queue reset, suspend.
 *
 * Registers (vCPU threads) change settings and flags, and kick; the loop's thread alone calls the
 * device. What a reset has to wait for is asked there: a device that was started is reset when the
 * last of it ended, any other at once.
 */
#include "virtio.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../log.h"

/* What a driver may set [2.1]; NEEDS_RESET is the device's. */
#define STATUS_DRIVERS                                                                             \
	(VIRTIO_S_ACKNOWLEDGE | VIRTIO_S_DRIVER | VIRTIO_S_DRIVER_OK | VIRTIO_S_FEATURES_OK |      \
	 VIRTIO_S_FAILED)

void virtio_lock(struct virtio_dev *d) UNCHECKED
{
	pthread_mutex_lock(&d->lock.mutex);
}

void virtio_unlock(struct virtio_dev *d) UNCHECKED
{
	pthread_mutex_unlock(&d->lock.mutex);
}

void virtio_init(struct virtio_dev *d, const struct virtio_ops *ops, const struct virtio_host *host,
		 const struct ram *ram, uint64_t features, unsigned queues, uint16_t size)
{
	*d = (struct virtio_dev){
		.lock = {PTHREAD_MUTEX_INITIALIZER},
		.ops = ops,
		.host = host,
		.ram = ram,
		.offered =
			features | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1,
		.queues = MIN(queues, VIRTIO_QUEUES),
		.deadline = NEVER,
	};
	for (unsigned i = 0; i < d->queues; i++)
		queue_reset(&d->queue[i], size);
}

bool virtio_live(const struct virtio_dev *d)
{
	return d->started && !d->broken && !d->stopping && !d->paused;
}

/* --- reset --- */

/* The registers go back. `again` is the loop's alone, and false since the turn that stopped it. */
static void reset_finish(struct virtio_dev *d) REQUIRES(d->lock)
{
	bool awaited = d->stopping;

	for (unsigned i = 0; i < d->queues; i++)
		queue_reset(&d->queue[i], d->queue[i].max);
	d->acked = 0;
	d->status = 0;
	d->started = d->fresh = d->stopping = d->stop_asked = d->broken = d->config_news = false;
	d->deadline = NEVER;
	if (d->irq.reset)
		d->irq.reset(d->irq.ctx);
	atomic_fetch_add(&d->resets, 1);
	if (awaited)
		syscall(SYS_futex, &d->resets, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* The loop's half; its device touches no guest memory any more once stop() said so. */
static void reset_serve(struct virtio_dev *d) REQUIRES(d->lock)
{
	if (d->stop_asked)
		return;
	d->stop_asked = true;
	if (!d->ops->stop || d->ops->stop(d))
		virtio_stopped(d);
}

void virtio_stopped(struct virtio_dev *d)
{
	if (d->stop_asked)
		reset_finish(d);
}

/* --- status and features --- */

static bool features_good(const struct virtio_dev *d) REQUIRES(d->lock)
{
	return (d->acked & VIRTIO_F_VERSION_1) && !(d->acked & ~d->offered);
}

/* Latches all queues, or none. */
static bool queues_start(struct virtio_dev *d) REQUIRES(d->lock)
{
	bool good = true;

	for (unsigned i = 0; i < d->queues; i++)
		good = good && queue_start(&d->queue[i], d->ram, virtio_has(d, VIRTIO_F_EVENT_IDX),
					   virtio_has(d, VIRTIO_F_INDIRECT_DESC));
	for (unsigned i = 0; i < d->queues && !good; i++)
		d->queue[i].started = false;
	return good;
}

static void driver_ok(struct virtio_dev *d) REQUIRES(d->lock)
{
	if (!queues_start(d)) {
		virtio_break(d, "a ring cannot be where the driver put it");
		return;
	}
	d->started = d->fresh = true;
	if (d->config_news)
		d->irq.config(d->irq.ctx);
	d->host->kick(d->host->ctx, d);
}

uint8_t virtio_status(const struct virtio_dev *d)
{
	return d->status;
}

bool virtio_set_status(struct virtio_dev *d, uint8_t status)
{
	uint8_t added = status & STATUS_DRIVERS & (uint8_t)~d->status;

	if (d->stopping)
		return true;
	if (status == 0) {
		if (d->started && !d->fresh) {
			d->stopping = true;
			d->host->kick(d->host->ctx, d);
			return true;
		}
		reset_finish(d);
		return false;
	}
	if ((added & VIRTIO_S_FEATURES_OK) && !features_good(d))
		CLEAR(added, VIRTIO_S_FEATURES_OK);
	/* A driver without FEATURES_OK is a legacy one, or went on after a refusal. */
	if (!((d->status | added) & VIRTIO_S_FEATURES_OK))
		CLEAR(added, VIRTIO_S_DRIVER_OK);
	d->status |= added;
	if (added & VIRTIO_S_DRIVER_OK)
		driver_ok(d);
	return false;
}

static uint32_t half(uint64_t v, uint32_t sel)
{
	return sel > 1 ? 0 : (uint32_t)(v >> 32 * sel);
}

uint32_t virtio_offered(const struct virtio_dev *d, uint32_t sel)
{
	return half(d->offered, sel);
}

uint32_t virtio_acked(const struct virtio_dev *d, uint32_t sel)
{
	return half(d->acked, sel);
}

void virtio_ack(struct virtio_dev *d, uint32_t sel, uint32_t val)
{
	if (sel > 1 || (d->status & VIRTIO_S_FEATURES_OK))
		return;
	d->acked = (d->acked & ~(0xffffffffull << 32 * sel)) | (uint64_t)val << 32 * sel;
}

/* --- queues and configuration --- */

const struct queue *virtio_queue(const struct virtio_dev *d, unsigned n)
{
	return n < d->queues ? &d->queue[n] : NULL;
}

struct queue *virtio_queue_rw(struct virtio_dev *d, unsigned n)
{
	bool latched = d->stopping || (d->status & VIRTIO_S_DRIVER_OK);

	return n < d->queues && !latched ? &d->queue[n] : NULL;
}

void virtio_queue_size(struct virtio_dev *d, unsigned n, uint16_t size)
{
	struct queue *q = virtio_queue_rw(d, n);

	if (q && size && size <= q->max && !(size & (size - 1)))
		q->size = size;
}

uint32_t virtio_config_read(const struct virtio_dev *d, unsigned off, unsigned size)
{
	uint32_t val = 0;

	for (unsigned i = 0; i < size && off < d->config_len && i < d->config_len - off; i++)
		val |= (uint32_t)d->config[off + i] << 8 * i;
	return val;
}

void virtio_config_write(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val)
{
	bool inside = off < d->config_len && size <= d->config_len - off;

	if (inside && d->ops->config_write && !d->stopping)
		d->ops->config_write(d, off, size, val);
}

/* Before DRIVER_OK it says nothing new, since the start looks at all queues. */
void virtio_notify(struct virtio_dev *d)
{
	if (!virtio_live(d))
		return;
	d->slow_kicks++;
	d->host->kick(d->host->ctx, d);
}

/* --- the device's side --- */

void virtio_break(struct virtio_dev *d, const char *why)
{
	if (d->broken)
		return;
	d->broken = true;
	d->status |= VIRTIO_S_NEEDS_RESET;
	log_guest("virtio %s: %s; it stands still until the guest's driver resets it", d->ops->name,
		  why);
	d->irq.config(d->irq.ctx); /* [2.1.2] */
}

int virtio_pop(struct virtio_dev *d, unsigned n, struct chain *c)
{
	int got = virtio_live(d) ? queue_pop(&d->queue[n], c) : 0;

	if (got < 0) {
		virtio_break(d, "the driver broke a ring's rules");
		return 0;
	}
	d->chains += (unsigned)got;
	return got;
}

/* What a pause lets finish is still given back. */
void virtio_flush(struct virtio_dev *d, unsigned n)
{
	if (!d->started || d->stopping || d->broken || !queue_flush(&d->queue[n]))
		return;
	d->irqs++;
	d->irq.queue(d->irq.ctx, n);
}

void virtio_config_changed(struct virtio_dev *d)
{
	d->generation++;
	if (d->status & VIRTIO_S_DRIVER_OK)
		d->irq.config(d->irq.ctx);
	else
		d->config_news = d->status != 0;
}

void virtio_wake_at(struct virtio_dev *d, uint64_t deadline)
{
	if (deadline >= d->deadline)
		return;
	d->deadline = deadline;
	d->host->wake_at(d->host->ctx, deadline);
}

/* --- the loop's side --- */

/*
 * Only a device that works has a bell: the driver cannot make the loop turn for any other. In a
 * pause it keeps it, since nobody rings and taking it away takes long.
 */
static void bell_settle(struct virtio_dev *d) REQUIRES(d->lock)
{
	bool works = d->started && !d->broken && !d->stopping;
	uint64_t old = d->bell_set, new = works ? d->bell : 0;

	if (old == new)
		return;
	d->bell_set = new;
	d->host->bell(d->host->ctx, d, old, new);
}

void virtio_service(struct virtio_dev *d)
{
	virtio_lock(d);
	d->again = false;
	if (d->stopping) {
		bell_settle(d);
		reset_serve(d);
	}
	if (d->fresh) {
		d->fresh = false;
		if (d->ops->start)
			d->ops->start(d);
	}
	if (virtio_live(d)) {
		d->kicks++;
		d->ops->notify(d);
	}
	if (d->broken && d->ops->broke)
		d->ops->broke(d);
	bell_settle(d);
	virtio_unlock(d);
}

void virtio_pause(struct virtio_dev *d, bool paused)
{
	virtio_lock(d);
	if (d->paused && !paused) {
		/* All queues are looked at, as after a notification, and what was due is. */
		d->host->kick(d->host->ctx, d);
		if (d->deadline != NEVER)
			d->host->wake_at(d->host->ctx, d->deadline);
	}
	for (unsigned i = 0; i < d->queues && paused; i++)
		virtio_flush(d, i); /* what a device held back for a moment */
	d->paused = paused;
	virtio_unlock(d);
}

uint64_t virtio_tick(struct virtio_dev *d, uint64_t now)
{
	uint64_t deadline;

	virtio_lock(d);
	if (virtio_live(d) && d->deadline <= now) {
		d->deadline = NEVER;
		d->ops->tick(d, now);
	}
	deadline = virtio_live(d) ? d->deadline : NEVER;
	virtio_unlock(d);
	return deadline;
}
