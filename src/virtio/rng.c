/*
 * rng.c - virtio entropy device [virtio 1.2, 5.4]: one queue, whose buffers the kernel's generator
 * fills in place.
 * Modelled: requests of any shape, of which the first RNG_REQUEST_MAX bytes are filled; rate
 * limits. Not modelled: VIRTIO_RNG_F_LEAK, which is only proposed. Device lock held by the caller
 * of everything here but rng_init() and rng_set_limits().
 */
#include "rng.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "../clock.h"
#include "../log.h"

#define RNG_QUEUE      0u
#define RNG_QUEUE_SIZE 256u
/* What a turn of the loop may cost: 256 KiB take it about half a millisecond... */
#define RNG_TURN_BYTES (256 * KIB)
/* ...and so do 512 buffers of nothing, each of which is a system call. */
#define RNG_CALL_BYTES 512u
/* A host that has just started may have no entropy yet, and getrandom(2) may not wait for it. */
#define RNG_RETRY_NS   (100 * NSEC / 1000)

static struct rng *rng_of(struct virtio_dev *d)
{
	return (struct rng *)((char *)d - offsetof(struct rng, dev));
}

/*
 * Fills the first `want` bytes of the writable part. Bytes filled, less than `want` only when the
 * generator gave less; -EAGAIN: there is no entropy yet.
 */
static int64_t rng_fill(const struct chain *c, uint32_t want, uint64_t *spent)
{
	const struct iovec *v = c->iov + c->readable;
	uint32_t filled = 0;

	while (filled < want) {
		size_t len = MIN(v->iov_len, want - filled);
		ssize_t n = getrandom(v->iov_base, len, GRND_NONBLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return filled ? (int64_t)filled : -errno;
		*spent += MAX((size_t)n, RNG_CALL_BYTES);
		filled += (uint32_t)n;
		if ((size_t)n < len) /* a signal came: what is there is an answer [5.4.6.1] */
			break;
		v++;
	}
	return filled;
}

/* The request waits in the queue until `until`. */
static bool rng_wait(struct virtio_dev *d, uint64_t until) REQUIRES(d->lock)
{
	queue_unpop(&d->queue[RNG_QUEUE]);
	virtio_wake_at(d, until);
	return false;
}

/* Answers one request; false: it has to wait. */
static bool rng_answer(struct virtio_dev *d, const struct chain *c, uint64_t *spent)
	REQUIRES(d->lock)
{
	struct rng *r = rng_of(d);
	uint32_t want = (uint32_t)MIN(c->write_bytes, RNG_REQUEST_MAX);
	uint64_t until = 0;
	int64_t n = 0;

	if (want && limiter_limits(&r->limit))
		until = limiter_take(&r->limit, want, clock_now());
	if (until)
		return rng_wait(d, until);
	if (want)
		n = rng_fill(c, want, spent);
	if (n == -EAGAIN) {
		r->starved++;
		limiter_give_back(&r->limit, want);
		return rng_wait(d, clock_now() + RNG_RETRY_NS);
	}
	if (n < 0) { /* EFAULT: the host has no memory for the guest's page */
		d->errors++;
		log_guest("entropy device: the host's generator failed: %s", strerror((int)-n));
		n = 0;
	}
	r->bytes += (uint64_t)n;
	queue_push(&d->queue[RNG_QUEUE], c->head, (uint32_t)n);
	return true;
}

static void rng_notify(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct queue *q = &d->queue[RNG_QUEUE];
	uint64_t spent = 0;
	struct chain c;
	bool more = true;

	queue_quiet(q);
	for (unsigned n = 0; more && n < q->size && spent < RNG_TURN_BYTES; n++) {
		if (virtio_pop(d, RNG_QUEUE, &c))
			more = rng_answer(d, &c, &spent);
		else
			more = virtio_live(d) && queue_listen(q);
	}
	d->again = more;
	virtio_flush(d, RNG_QUEUE);
}

static void rng_tick(struct virtio_dev *d, uint64_t now) REQUIRES(d->lock)
{
	rng_notify(d);
}

static const struct virtio_ops rng_ops = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.notify = rng_notify,
	.tick = rng_tick,
};

void rng_init(struct rng *r, const struct rng_conf *c, const struct virtio_host *host,
	      const struct ram *ram)
{
	*r = (struct rng){0};
	virtio_init(&r->dev, &rng_ops, host, ram, 0, 1, RNG_QUEUE_SIZE);
	limiter_set(&r->limit, &c->bytes, &c->ops, clock_now());
}

void rng_set_limits(struct rng *r, const struct limit_conf *bytes, const struct limit_conf *ops)
{
	struct virtio_dev *d = &r->dev;

	virtio_lock(d);
	limiter_set(&r->limit, bytes, ops, clock_now());
	if (virtio_live(d)) /* a request may wait by the old ones */
		virtio_wake_at(d, clock_now());
	virtio_unlock(d);
}
