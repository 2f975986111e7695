/*
 * balloon.h - virtio balloon [virtio 1.2, 5.5]: inflate gives pages back to the host, deflate on
 * OOM, statistics, free page reporting.
 */
#pragma once
#include "virtio.h"

struct balloon_conf {
	uint32_t target_mib;
	bool deflate_on_oom;
	uint32_t stats_interval_s; /* 0: no statistics */
	bool reporting;            /* free page reporting */
};

struct balloon {
	struct virtio_dev dev;
};

void balloon_init(struct balloon *b, const struct balloon_conf *c, const struct virtio_host *host,
		  const struct ram *ram);
/* Loop's thread: asks the guest for another size. */
void balloon_set_target(struct balloon *b, uint32_t mib);
