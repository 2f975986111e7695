/* rng.h - virtio entropy device [virtio 1.2, 5.4]: at most 64 KiB a request, from getrandom(2). */
#pragma once
#include "limiter.h"
#include "virtio.h"

struct rng_conf {
	struct limit_conf bytes, ops;
};

struct rng {
	struct virtio_dev dev;
};

void rng_init(struct rng *r, const struct rng_conf *c, const struct virtio_host *host,
	      const struct ram *ram);
