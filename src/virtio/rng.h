/* rng.h - virtio entropy device [virtio 1.2, 5.4]: at most 64 KiB a request, from getrandom(2). */
#pragma once
#include "limiter.h"
#include "virtio.h"

#define RNG_REQUEST_MAX (64 * KIB)

struct rng_conf {
	struct limit_conf bytes, ops;
};

struct rng {
	struct virtio_dev dev;
	struct limiter limit;

	/* Counters. */
	uint64_t bytes;   /* given to the guest */
	uint64_t starved; /* requests that had to wait for the host's own entropy */
};

/* Makes the device. Before any thread; must not move. Requests are counted as dev.chains. */
void rng_init(struct rng *r, const struct rng_conf *c, const struct virtio_host *host,
	      const struct ram *ram);
/* Loop's thread, any time: other limits; NULL keeps a bucket as it is. */
void rng_set_limits(struct rng *r, const struct limit_conf *bytes, const struct limit_conf *ops);
